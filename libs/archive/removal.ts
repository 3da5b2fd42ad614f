/**
 * What deleting means for a manifest: segments at the beginning that are named no more, the objects that are
 * garbage from then on, and holds that forbid it. Pure functions from one manifest to the next; who decides
 * what may go, and who then deletes objects by their names, is the janitor (services/journal).
 *
 * The order of it (SPEC.md, Deleting): first a manifest that does not name the object, then time for whoever
 * reads by an older one, then the object, then a manifest without the garbage.
 */
import { MeridianError } from '../errors/errors.ts';
import type { Garbage, Hold, KnownState, Manifest, ObjectRef, SegmentRef } from './manifest.ts';

export const HOLDS_MAX = 100;
const HOLD_NAME = /^[\w.:/-]{1,128}$/;

export interface Removal {
  /** The segments that go, from the first that is named on. */
  readonly segments: readonly SegmentRef[];
  /** The order's state behind the last of them. */
  readonly state: ObjectRef;
  /** The root's state stays, whatever happens. */
  readonly rootState: ObjectRef | null;
  /** Wall clock, milliseconds since 1970. */
  readonly now: number;
}

/** Without these segments, which must be the first ones named. */
export function withoutSegments(manifest: Manifest, removal: Removal): Manifest {
  const { segments, state, rootState, now } = removal;
  const last = segments.at(-1);
  if (last === undefined) return manifest;
  const first = last.end;
  const pagesGone = manifest.pages.filter((page) => page.end <= first);
  const stateGone = isOther(manifest.state, [state, rootState]) ? [manifest.state] : [];
  const { known, ...rest } = manifest;
  const isBehind = known !== undefined && known.ordinal <= first;
  const knownGone = isBehind && isOther(known, [state, rootState]) ? [known] : [];
  const gone = [...segments, ...pagesGone, ...stateGone, ...knownGone];
  return {
    ...rest,
    ...(known === undefined || isBehind ? {} : { known }),
    first,
    goneTo: last.lastTimestamp,
    state,
    pages: manifest.pages.filter((page) => page.end > first),
    segments: manifest.segments.filter((segment) => segment.end > first),
    holds: standing(manifest.holds, now),
    garbage: [...manifest.garbage, ...gone.map(({ key }) => ({ key, since: now }))],
  };
}

/** With another state of the janitor's; the one before becomes garbage. */
export function withKnown(manifest: Manifest, known: KnownState, now: number): Manifest {
  const before = manifest.known;
  const garbage: readonly Garbage[] =
    before !== undefined && before.key !== known.key && before.key !== manifest.state?.key
      ? [...manifest.garbage, { key: before.key, since: now }]
      : manifest.garbage;
  return { ...manifest, known, garbage };
}

/** Garbage that every reader has had its time with. */
export function ripe(manifest: Manifest, graceMs: number, now: number): readonly Garbage[] {
  return manifest.garbage.filter(({ since }) => now - since >= graceMs);
}

export function withoutGarbage(manifest: Manifest, deleted: readonly Garbage[]): Manifest {
  const keys = new Set(deleted.map(({ key }) => key));
  return { ...manifest, garbage: manifest.garbage.filter(({ key }) => !keys.has(key)) };
}

/** The hold that forbids most; null: there is none. */
export function tightestHold(manifest: Manifest, now: number): Hold | null {
  return standing(manifest.holds, now).reduce<Hold | null>(
    (least, hold) => (least === null || hold.timestamp < least.timestamp ? hold : least),
    null,
  );
}

/** Registers a reader, or renews it. Throws INVALID, REFUSED at the bound. */
export function withHold(manifest: Manifest, hold: Hold, now: number): Manifest {
  if (!HOLD_NAME.test(hold.name)) {
    throw new MeridianError(
      'INVALID',
      'a hold has a name of 1 to 128 letters, digits, dots, dashes, colons, slashes or underscores',
    );
  }
  const others = standing(manifest.holds, now).filter(({ name }) => name !== hold.name);
  if (others.length >= HOLDS_MAX) {
    throw new MeridianError('REFUSED', `there are ${HOLDS_MAX} holds already: release one`);
  }
  return { ...manifest, holds: [...others, hold] };
}

/** null: there is no such hold. */
export function withoutHold(manifest: Manifest, name: string, now: number): Manifest | null {
  const holds = standing(manifest.holds, now);
  if (!holds.some((hold) => hold.name === name)) return null;
  return { ...manifest, holds: holds.filter((hold) => hold.name !== name) };
}

function standing(holds: readonly Hold[], now: number): readonly Hold[] {
  return holds.filter(({ expiresAt }) => expiresAt > now);
}

function isOther(
  ref: ObjectRef | null | undefined,
  than: readonly (ObjectRef | null)[],
): ref is ObjectRef {
  return ref != null && than.every((each) => each?.key !== ref.key);
}
