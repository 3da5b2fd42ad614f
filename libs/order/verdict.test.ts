import { describe, expect, it } from 'vitest';
import { foundWrong } from './verdict.ts';
import type { ReleaseMark } from './release-marks.ts';

/** One mark for each letter, at 16, 32, …; a dot is a number that is not remembered. */
const marks = (hashes: string): ReleaseMark[] =>
  hashes
    .split('')
    .flatMap((hash, place) =>
      hash === '.' ? [] : [{ entries: 16 * (place + 1), timestamp: 8 * place, hash }],
    );
const wrongFrom = (own: string, one: string, other: string): number | null =>
  foundWrong(marks(own), marks(one), marks(other))?.entries ?? null;

describe('whose release is wrong', () => {
  it('H3: is this one, where both others have the same hash and it has another', () => {
    expect(wrongFrom('abxy', 'abcd', 'abcd')).toBe(48);
    expect(wrongFrom('.bxy', 'a.cd', 'ab.d')).toBe(64);
  });

  it('H3: is not told where all agree, another one differs, all differ, or nothing is common', () => {
    expect(wrongFrom('abcd', 'abcd', 'abcd')).toBe(null);
    expect(wrongFrom('abcd', 'abxy', 'abcd')).toBe(null);
    expect(wrongFrom('abcd', 'abxy', 'abzw')).toBe(null);
    expect(wrongFrom('ab..', '..cd', 'abcd')).toBe(null);
    expect(wrongFrom('abcd', '', 'abxd')).toBe(null);
  });
});
