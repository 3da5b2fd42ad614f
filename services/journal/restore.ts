/**
 * Builds a replica's data directory from an archive alone: the order is executed again from the archived
 * state through every segment, each checked against the manifest, the chain of hashes, and what the order
 * made of it the first time. The log itself begins behind the last archived entry; what is older stays in
 * the archive, from which the restored journal serves it. Equal archives give equal directories, so three
 * replicas are restored independently of each other.
 */
import { existsSync, readdirSync } from 'node:fs';
import { Catalog } from '../../libs/archive/catalog.ts';
import type { ObjectStore } from '../../libs/archive/object-store.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Mark } from '../../libs/lane/types.ts';
import { openLog } from '../../libs/storage/log.ts';
import { at } from '../../libs/values/assert.ts';
import { REPLICAS, TIMESTAMP_STRIDE, nextEpoch } from '../../libs/values/numbers.ts';
import type { Epoch, Index, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { headSection, machineSection, newHead } from './checkpoint-sections.ts';
import { makeLog } from './recovery.ts';
import { ArchiveReplay } from './archive-replay.ts';

export interface RestoreOptions {
  readonly store: ObjectStore;
  readonly directory: string;
  readonly replica: ReplicaId;
  readonly generation: number;
  /** Wall clock, microseconds. */
  readonly wall: number;
}

export interface Restored {
  readonly directory: string;
  readonly cluster: string;
  readonly instance: string;
  readonly replica: number;
  readonly generation: number;
  /** Entries in the restored order, from the first of the journal. */
  readonly entries: number;
  /** The last archived position: everything up to this log time is restored, nothing after it. */
  readonly timestamp: number;
  /** Of the restored order; the same for every replica. */
  readonly hash: string;
}

/** Throws REFUSED when the place is not empty or there is no archive; CORRUPT with the key of what is not right. */
export async function restoreReplica(options: RestoreOptions): Promise<Restored> {
  const { store, directory, replica, generation, wall } = options;
  if (existsSync(directory) && readdirSync(directory).length > 0) {
    throw new MeridianError(
      'REFUSED',
      `${directory} is not empty: a journal is restored to an empty place`,
    );
  }
  const root = await Catalog.rootOf(store);
  const names = { cluster: root?.cluster ?? '', instance: root?.instance ?? '' };
  const catalog = await Catalog.open({ store, ...names, by: 'restore', now: () => wall / 1000 });
  if (catalog === null) throw new MeridianError('REFUSED', `there is no archive at ${store.url}`);
  const {
    order,
    lanes: reached,
    ordinal: end,
    timestamp: lastTimestamp,
  } = await replayAll(catalog);
  const lanes = REPLICAS.map((lane) => {
    const mark = at(reached, lane);
    // A lane without entries gets a first one that nobody has: a log begins behind something.
    return mark.index === 0 ? unwritten(lane) : (mark as Mark);
  });
  const identity = { ...names, replica, generation };
  await makeLog({ directory, identity, self: replica, incarnation: wall, voting: true });
  const timestamp = lastTimestamp as Timestamp;
  const head = newHead({
    watermark: timestamp,
    count: end,
    lastTimestamp: timestamp,
    segment: 1,
    lanes: lanes.map((mark) => ({ base: mark, released: mark, epochs: [], after: null })),
    state: {
      promised: lanes.map(({ epoch }) => epoch),
      reservation: lastTimestamp,
      incarnations: REPLICAS.map((id) => (id === replica ? wall : 0)),
      voting: true,
    },
  });
  const log = openLog({ directory, identity, onFatal: () => undefined }, () => undefined);
  await new Promise<void>((resolve, reject) => {
    log.saveCheckpoint(sections(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  await log.close();
  return { directory, ...identity, entries: end, timestamp: lastTimestamp, hash: order.hash() };

  function* sections(): Generator<Uint8Array, void, undefined> {
    yield headSection(head);
    for (const chunk of order.snapshot()) yield machineSection(chunk);
  }
}

/** Deleted under the hands of a restore, the archive begins later: so does the restore. */
const BEGINNINGS_MAX = 10;

async function replayAll(catalog: Catalog): Promise<ArchiveReplay> {
  for (let beginning = 1; ; beginning += 1) {
    const { first } = catalog.manifest;
    try {
      return await ArchiveReplay.ofAll(catalog);
    } catch (error) {
      if (!(error instanceof MeridianError) || beginning === BEGINNINGS_MAX) throw error;
      if ((await catalog.refresh()).first === first) throw error;
    }
  }
}

function unwritten(lane: ReplicaId): Mark {
  const epoch = nextEpoch(0 as Epoch, lane);
  return { epoch, index: 1 as Index, timestamp: (TIMESTAMP_STRIDE + lane) as Timestamp };
}
