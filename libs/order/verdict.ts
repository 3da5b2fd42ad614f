/**
 * Whose release is wrong, told from the marks of the replicas (SPEC.md, Comparison). Two hashes that differ do
 * not say which of them is right; three do, when two of them are the same.
 */
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
  const [ones, others] = [hashesOf(one), hashesOf(other)];
  const isWrong = ({ entries, hash }: ReleaseMark): boolean => {
    const theirs = ones.get(entries);
    return theirs !== undefined && theirs === others.get(entries) && theirs !== hash;
  };
  return own.find(isWrong) ?? null;
}

function hashesOf(marks: readonly ReleaseMark[]): ReadonlyMap<number, string> {
  return new Map(marks.map(({ entries, hash }) => [entries, hash]));
}
