import { describe, expect, it } from 'vitest';
import { AssertionError } from '../values/assert.ts';
import type { Epoch, Index, Timestamp } from '../values/numbers.ts';
import { LaneLog, wholeLog } from './lane-log.ts';
import type { Entry, Tail } from './types.ts';

function entry(index: number, epoch: number, timestamp = index * 8): Entry<null> {
  return {
    lane: 0,
    epoch: epoch as Epoch,
    index: index as Index,
    timestamp: timestamp as Timestamp,
    kind: 'batches',
    bytes: 10,
    content: null,
  };
}

const tail = (epoch: number, index: number): Tail => ({
  epoch: epoch as Epoch,
  index: index as Index,
});

/** A log whose entries were written in these epochs, synced. */
const logOf = (...epochs: number[]): LaneLog<null> =>
  new LaneLog(wholeLog(epochs.map((epoch, i) => entry(i + 1, epoch))), (index) =>
    entry(index, epochs[index - 1] ?? 0),
  );

describe('the log of a lane', () => {
  it('L3: what is final is committed and synced', () => {
    const log = logOf(8, 8);
    log.append(entry(3, 8), 5);
    log.commit(3);
    expect([log.committed, log.synced, log.final]).toEqual([3, 2, 2]);
    expect(log.persisted(4)).toBe(false);
    expect(log.persisted(5)).toBe(true);
    expect(log.final).toBe(3);
  });

  it('never commits beyond what it holds', () => {
    const log = logOf(8, 8);
    expect(log.commit(7)).toBe(true);
    expect(log.committed).toBe(2);
  });

  it('T2: refuses timestamps that do not increase, and epochs that fall', () => {
    const log = logOf(8, 16);
    expect(() => {
      log.append(entry(3, 16, 16), 1);
    }).toThrow(AssertionError);
    expect(() => {
      log.append(entry(3, 8), 1);
    }).toThrow(AssertionError);
  });

  it('never removes a committed entry', () => {
    const log = logOf(8, 8, 8);
    log.commit(2);
    expect(() => log.truncate(2 as Index)).toThrow(AssertionError);
    expect(log.truncate(3 as Index).map(({ index }) => index)).toEqual([3]);
    expect(log.synced).toBe(2);
  });

  it('an entry that replaces a removed one is not synced by the write of the removed one', () => {
    const log = logOf(8);
    log.append(entry(2, 8), 3);
    log.truncate(2 as Index);
    log.append(entry(2, 16, 24), 4);
    log.persisted(3);
    expect(log.synced).toBe(1);
    log.persisted(4);
    expect(log.syncedTail).toEqual(tail(16, 2));
  });

  it('finds the highest position where a log with another tail may agree', () => {
    const log = logOf(8, 8, 24, 24, 40);
    expect(log.agreement(tail(40, 5))).toEqual(tail(40, 5));
    expect(log.agreement(tail(16, 9))).toEqual(tail(8, 2));
    expect(log.agreement(tail(24, 3))).toEqual(tail(24, 3));
    expect(log.agreement(tail(32, 5))).toEqual(tail(24, 4));
    expect(log.agreement(tail(0, 0))).toEqual(tail(0, 0));
  });

  it('agreement told back and forth ends at the last common entry', () => {
    const mine = logOf(8, 8, 8, 24, 24, 24);
    const theirs = logOf(8, 8, 16, 16, 16, 16, 16);
    let position = theirs.tail;
    for (let turn = 0; !mine.has(position) || !theirs.has(position); turn += 1) {
      expect(turn).toBeLessThan(7);
      position = (turn % 2 === 0 ? mine : theirs).agreement(position);
    }
    expect(position).toEqual(tail(8, 2));
  });

  it('hands over as many entries as fit, and at least one', () => {
    const log = logOf(8, 8, 8);
    expect(log.slice(1, 25)).toHaveLength(2);
    expect(log.slice(2, 1)).toHaveLength(1);
    expect(log.slice(4, 100)).toHaveLength(0);
  });

  it('C2: keeps released entries in memory only up to a number, and reads the others back', () => {
    const log = logOf(8, 8, 24, 24, 24);
    log.commit(4);
    log.release(3 * 8);
    log.cool(0);
    expect(log.released.index).toBe(3);
    expect(log.hotCount).toBe(2);
    expect(log.slice(1, 1000).map(({ index, epoch }) => [index, epoch])).toEqual([
      [1, 8],
      [2, 8],
      [3, 24],
      [4, 24],
      [5, 24],
    ]);
    expect(log.agreement(tail(16, 9))).toEqual(tail(8, 2));
    expect(log.timestampAt(2)).toBe(16);
    expect(log.truncate(5 as Index)).toHaveLength(1);
    log.append(entry(5, 40, 48), 1);
    expect(log.tail).toEqual(tail(40, 5));
  });

  it('C1: begins behind its base and still knows the epochs of what follows', () => {
    const log = logOf(8, 8, 24, 24, 40);
    log.commit(5);
    log.release(5 * 8);
    log.cool(1);
    log.trim({ ...tail(24, 3), timestamp: 24 as Timestamp });
    expect(log.base.index).toBe(3);
    expect(log.agreement(tail(8, 1))).toEqual(tail(24, 3));
    expect(log.agreement(tail(24, 9))).toEqual(tail(24, 4));
    expect(log.epochsUpTo(5)).toEqual([
      { epoch: 24, from: 4 },
      { epoch: 40, from: 5 },
    ]);
    expect(() => log.entry(3)).toThrow(AssertionError);
    log.trim({ ...tail(40, 5), timestamp: 40 as Timestamp });
    expect(log.tail).toEqual(tail(40, 5));
    log.append(entry(6, 40), 1);
    expect(log.epochsUpTo(6)).toEqual([{ epoch: 40, from: 6 }]);
  });

  it('C1: goes on from a checkpoint as if it had held the entries', () => {
    const at = { ...tail(24, 4), timestamp: 32 as Timestamp };
    const base = { ...tail(8, 2), timestamp: 16 as Timestamp };
    const epochs = [{ epoch: 24 as Epoch, from: 3 as Index }];
    const start = { base, released: at, epochs, entries: [entry(5, 24)] };
    const log = new LaneLog<null>(start, (index) => entry(index, 24));
    expect([log.committed, log.synced, log.final, log.last]).toEqual([4, 5, 4, 5]);
    expect(log.agreement(tail(16, 4))).toEqual(tail(8, 2));
    expect(log.slice(3, 1000)).toHaveLength(3);
    expect(() => log.truncate(4 as Index)).toThrow(AssertionError);
  });

  it('C2: nothing leaves that was not released', () => {
    const log = logOf(8, 8);
    log.commit(2);
    log.release(8);
    expect(() => {
      log.trim({ ...tail(8, 2), timestamp: 16 as Timestamp });
    }).toThrow(AssertionError);
  });
});
