/**
 * Whether replicas released the same: their running hashes, compared at the highest number of entries
 * that all of them remember. Replicas run on while they are asked, so their newest hashes need not be
 * of the same place. Where they differ, the highest number at which they still agreed is told.
 */
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';

export interface Side {
  readonly region: string;
  readonly status: StatusResponse;
}

export interface Comparison {
  /** null: they have no number of entries in common. */
  readonly equal: boolean | null;
  /** The number of entries compared; 0 when nothing could be. */
  readonly entries: number;
  readonly timestamp: number;
  readonly hashes: readonly { readonly region: string; readonly hash: string }[];
  /** Different: the highest common number at which they agreed; 0 for none. */
  readonly agreedEntries: number;
}

interface Point {
  readonly timestamp: number;
  readonly hash: string;
}

const NOTHING = { entries: 0, timestamp: 0, hashes: [], agreedEntries: 0 } as const;

export function compareReleases(sides: readonly Side[]): Comparison {
  const tables = sides.map(({ region, status }) => ({ region, points: pointsOf(status) }));
  const [first, ...others] = tables;
  if (first === undefined) return { equal: null, ...NOTHING };
  const shared = [...first.points.keys()]
    .filter((entries) => others.every(({ points }) => points.has(entries)))
    .sort((one, other) => other - one);
  const [entries] = shared;
  if (entries === undefined) return { equal: null, ...NOTHING };
  const hashesAt = (at: number) =>
    tables.map(({ region, points }) => ({ region, hash: points.get(at)?.hash ?? '' }));
  const agreesAt = (at: number): boolean =>
    new Set(hashesAt(at).map(({ hash }) => hash)).size === 1;
  const equal = agreesAt(entries);
  return {
    equal,
    entries,
    timestamp: first.points.get(entries)?.timestamp ?? 0,
    hashes: hashesAt(entries),
    agreedEntries: equal ? entries : (shared.find(agreesAt) ?? 0),
  };
}

function pointsOf(status: StatusResponse): ReadonlyMap<number, Point> {
  const points = new Map<number, Point>();
  for (const { entries, timestamp, hash } of status.releasePoints) {
    points.set(Number(entries), { timestamp: Number(timestamp), hash });
  }
  points.set(Number(status.releasedEntries), {
    timestamp: Number(status.lastTimestamp),
    hash: status.releaseHash,
  });
  return points;
}
