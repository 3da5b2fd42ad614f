/**
 * What was uploaded and never named: a process ended between the upload and the manifest, or another's manifest
 * was first and a restored journal then went on otherwise. Pure functions that say what of a listing may go.
 *
 * By a listing and an age alone nothing could: a writer that was paused for a month may name tomorrow what it
 * uploaded then. So the janitor first makes a manifest with the next sweep. The name of everything says under
 * which sweep it was uploaded, and a manifest may name anew only what was uploaded under the sweep of the one before it
 * (catalog.ts). From then on what is older and not named can never be named any more, by anybody, however late
 * he comes; and because later uploads have other names, a deletion that takes effect late hits nothing either.
 */
import { assert } from '../values/assert.ts';
import { isRemovable, sweepOf } from './keys.ts';
import { SWEPT_VERSION } from './manifest.ts';
import type { Manifest, ObjectRef } from './manifest.ts';
import type { StoredObject } from './object-store.ts';

/** Number of the last sweep; 0: there has been none. */
export function sweepNumber({ sweep }: Pick<Manifest, 'sweep'>): number {
  return sweep?.number ?? 0;
}

/** With the next sweep: whatever is not named now and was uploaded before is lost for its uploader. */
export function withSweep(manifest: Manifest, now: number): Manifest {
  const sweep = { number: sweepNumber(manifest) + 1, at: now };
  return { ...manifest, version: SWEPT_VERSION, sweep };
}

/** Names nothing anew that was uploaded under another sweep than the last: a programmer's error. */
export function checkNamed(before: Manifest, next: Manifest): void {
  const number = sweepNumber(before);
  const pages = new Set(before.pages.map(({ key }) => key));
  const states = new Set([before.state?.key, before.known?.key]);
  const isNewState = (ref: ObjectRef | null | undefined): ref is ObjectRef =>
    ref != null && !states.has(ref.key);
  const anew = [
    ...next.segments.filter(({ first }) => first >= before.end),
    ...next.pages.filter(({ key }) => !pages.has(key)),
    ...[next.state, next.known].filter(isNewState),
  ];
  for (const { key } of anew) {
    assert(sweepOf(key) === number, `${key} is named after sweep ${number}`);
  }
}

export interface Leftovers {
  /** Not named, and fenced off by a sweep: may be deleted. */
  readonly fenced: readonly string[];
  /** Not named so far; the next sweep would fence them off. */
  readonly open: readonly string[];
}

export interface LeftoverRules {
  readonly manifest: Manifest;
  /** Keys of everything that `manifest`, its pages and the root name. */
  readonly named: ReadonlySet<string>;
  /** What is younger is left alone, milliseconds. */
  readonly ageMs: number;
  /** Wall clock, milliseconds since 1970. */
  readonly now: number;
}

/** `listed` may be older or newer than `manifest`; the argument above holds in both cases. */
export async function leftovers(
  listed: AsyncIterable<StoredObject>,
  { manifest, named, ageMs, now }: LeftoverRules,
): Promise<Leftovers> {
  const number = sweepNumber(manifest);
  const garbage = new Set(manifest.garbage.map(({ key }) => key));
  const found = { fenced: [] as string[], open: [] as string[] };
  for await (const { key, modifiedAt } of listed) {
    if (!isRemovable(key) || named.has(key) || garbage.has(key)) continue;
    if (now - modifiedAt < ageMs) continue;
    if (sweepOf(key) < number) found.fenced.push(key);
    else found.open.push(key);
  }
  return found;
}
