/**
 * Which records a read wants, by their keys: ranges `[from, to)` compared byte by byte. The same code
 * decides at the replica (does a batch hold any?) and in the client library (which of its records?),
 * so that the two cannot differ. A record without a key lies in no range.
 */
import { MeridianError } from '../errors/errors.ts';
import { keyOffset, recordEnd } from './record.ts';
import { readU32 } from './ints.ts';

export interface KeyRange {
  /** The first key. Default: the lowest, which is the empty one. */
  readonly from?: Uint8Array | undefined;
  /** The first key after the range. Default: no end. */
  readonly to?: Uint8Array | undefined;
}

/** Ranges that one read may name. */
export const KEY_RANGES_MAX = 64;

/** All keys that begin with these bytes. */
export function keyPrefix(prefix: Uint8Array): KeyRange {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length -= 1;
  if (length === 0) return { from: prefix };
  // Not `slice`, which of a Buffer is a view.
  const to = Uint8Array.from(prefix.subarray(0, length));
  to[length - 1] = (to[length - 1] ?? 0) + 1;
  return { from: prefix, to };
}

export class KeyFilter {
  readonly #ranges: readonly KeyRange[];

  /** Throws INVALID for a range that can hold no key, TOO_LARGE for too many. */
  constructor(ranges: readonly KeyRange[]) {
    if (ranges.length > KEY_RANGES_MAX) {
      throw new MeridianError(
        'TOO_LARGE',
        `${ranges.length} key ranges; ${KEY_RANGES_MAX} are allowed`,
        { details: { ranges: ranges.length, limit: KEY_RANGES_MAX } },
      );
    }
    for (const { from, to } of ranges) {
      if (from === undefined || to === undefined) continue;
      if (compare(from, 0, from.length, to) < 0) continue;
      throw new MeridianError('INVALID', 'a key range ends at or before its first key');
    }
    this.#ranges = ranges;
  }

  matches(key: Uint8Array | null): boolean {
    return key !== null && this.#holds(key, 0, key.length);
  }

  /** Of the `count` records one after the other from `offset` on, how many match. */
  countIn(frame: Uint8Array, offset: number, count: number): number {
    let matching = 0;
    let start = offset;
    for (let i = 0; i < count; i += 1) {
      const key = keyOffset(frame, start);
      if (key !== -1 && this.#holds(frame, key, key + readU32(frame, key - 4))) matching += 1;
      start = recordEnd(frame, start);
    }
    return matching;
  }

  #holds(bytes: Uint8Array, start: number, end: number): boolean {
    for (const { from, to } of this.#ranges) {
      if (from !== undefined && compare(bytes, start, end, from) < 0) continue;
      if (to !== undefined && compare(bytes, start, end, to) >= 0) continue;
      return true;
    }
    return false;
  }
}

/** Order of `bytes` from `start` to `end` against all of `other`: negative, 0, positive. */
function compare(bytes: Uint8Array, start: number, end: number, other: Uint8Array): number {
  const length = Math.min(end - start, other.length);
  for (let i = 0; i < length; i += 1) {
    const difference = (bytes[start + i] ?? 0) - (other[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return end - start - other.length;
}
