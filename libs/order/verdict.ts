/**
 * Whose release is wrong, told from the marks of the replicas (SPEC.md, Comparison). Two hashes that differ do
 * not say which of them is right; three do, when two of them are the same.
 */
import { at } from '../values/assert.ts';
import type { ReleaseMark } from './release-marks.ts';

export interface Comparison {
  /** There is a number of entries that both remember. */
  readonly common: boolean;
  /** Highest number up to which both are known to agree; 0: none is known. */
  readonly equalEntries: number;
  /** The first number at which they are known to differ, as it is here. */
  readonly different: ReleaseMark | null;
}

/** The hash runs on: once different, it is different at every later number. */
export function compareMarks(
  own: readonly ReleaseMark[],
  theirs: readonly ReleaseMark[],
): Comparison {
  const hashes = hashesOf(theirs);
  const common = own.filter(({ entries }) => hashes.has(entries));
  const isEqual = ({ entries, hash }: ReleaseMark): boolean => hashes.get(entries) === hash;
  return {
    common: common.length > 0,
    equalEntries: common.findLast(isEqual)?.entries ?? 0,
    different: common.find((mark) => !isEqual(mark)) ?? null,
  };
}

/**
 * The first number at which both others have the same hash and this replica another one: it is the one
 * that is wrong. null: nothing shows that it is, be it that all agree, that another one is wrong, that all
 * three differ, or that nothing is common to all.
 */
export function foundWrong(
  own: readonly ReleaseMark[],
  one: readonly ReleaseMark[],
  other: readonly ReleaseMark[],
): ReleaseMark | null {
  if (agreeOnNewest(own, one, other)) return null;
  const [ones, others] = [hashesOf(one), hashesOf(other)];
  const isWrong = ({ entries, hash }: ReleaseMark): boolean => {
    const theirs = ones.get(entries);
    return theirs !== undefined && theirs === others.get(entries) && theirs !== hash;
  };
  return own.find(isWrong) ?? null;
}

/**
 * The hash runs on: who agrees on the newest number that all remember agreed on every earlier one. That is
 * nearly always so, and found without looking at the rest.
 */
function agreeOnNewest(
  own: readonly ReleaseMark[],
  one: readonly ReleaseMark[],
  other: readonly ReleaseMark[],
): boolean {
  let i = one.length - 1;
  let j = other.length - 1;
  for (const { entries, hash } of own.toReversed()) {
    while (i >= 0 && at(one, i).entries > entries) i -= 1;
    while (j >= 0 && at(other, j).entries > entries) j -= 1;
    if (i < 0 || j < 0) return false;
    const [mark, another] = [at(one, i), at(other, j)];
    if (mark.entries !== entries || another.entries !== entries) continue;
    return mark.hash === hash && another.hash === hash;
  }
  return false;
}

function hashesOf(marks: readonly ReleaseMark[]): ReadonlyMap<number, string> {
  return new Map(marks.map(({ entries, hash }) => [entries, hash]));
}
