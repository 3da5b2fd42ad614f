import { beforeEach, describe, expect, it } from 'vitest';
import { History } from './history.ts';

let history: History;

beforeEach(() => {
  history = new History([0, 0]);
  for (let row = 1; row <= 3; row++) history.committed(0, history.try(0));
});

/** A read in B that saw this many rows of each writer. */
function read(
  heights: readonly number[],
  change: { counts?: number[]; tornAccounts?: number } = {},
) {
  history.readEnded('B', history.readBegins(), {
    heights,
    counts: heights,
    tornAccounts: 0,
    ...change,
  });
  return history.violations;
}

describe('the history', () => {
  it('accepts a read of exactly what was committed', () => {
    expect(read([3, 0])).toEqual([]);
    expect(history).toMatchObject({ commits: 3, reads: 1 });
  });

  it('objects to a read that misses a row committed before it began', () => {
    expect(read([2, 0])).toEqual(['read in B, writer 0: stale, has row 2, must have 3']);
  });

  it('does not ask for rows committed after the read began', () => {
    const required = history.readBegins();
    history.committed(0, history.try(0));
    history.readEnded('B', required, { heights: [3, 0], counts: [3, 0], tornAccounts: 0 });
    expect(history.violations).toEqual([]);
  });

  it('accepts a row whose COMMIT has not returned, and from then on demands it everywhere', () => {
    history.try(1);
    expect(read([3, 1])).toEqual([]);
    expect(read([3, 0])).toEqual(['read in B, writer 1: stale, has row 0, must have 1']);
  });

  it('objects to a hole below a row that is there', () => {
    expect(read([3, 0], { counts: [2, 0] })).toEqual([
      'read in B, writer 0: not dense, 2 rows up to row 3',
    ]);
  });

  it('objects to a row that nobody tried to write', () => {
    expect(read([3, 1])).toEqual(['read in B, writer 1: not real, has row 1 of 0 tried']);
  });

  it('objects to half a transaction', () => {
    expect(read([3, 0], { tornAccounts: 2 })).toEqual([
      'read in B: 2 accounts show half a transfer',
    ]);
  });
});
