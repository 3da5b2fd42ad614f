import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EntryHeader } from '../../libs/lane/types.ts';
import { epoch, index, seqNum, timestamp } from '../../libs/values/numbers.ts';
import type { LaneId } from '../../libs/values/numbers.ts';
import { Column } from './columns.ts';
import { ReleaseIndex } from './release-index.ts';

const header = (time: number, lane: LaneId, slot: number): EntryHeader => ({
  lane,
  epoch: epoch(8),
  index: index(slot),
  timestamp: timestamp(time),
  kind: 'batches',
});

describe('Column', () => {
  it('finds the first value at or above, like a scan does', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(1000)), fc.nat(1001), (values, wanted) => {
        const sorted = [...values].sort((a, b) => a - b);
        const column = new Column();
        for (const value of sorted) column.push(value);
        const scan = sorted.findIndex((value) => value >= wanted);
        expect(column.lowerBound(wanted)).toBe(scan === -1 ? sorted.length : scan);
      }),
    );
  });

  it('refuses a position that was never written', () => {
    const column = new Column();
    column.push(7);
    expect(column.at(0)).toBe(7);
    expect(() => column.at(1)).toThrow('no position 1');
    expect(() => column.at(-1)).toThrow('no position -1');
  });
});

describe('ReleaseIndex', () => {
  it('returns the place of every entry by its ordinal', () => {
    const released = new ReleaseIndex();
    released.addEntry(header(100, 0, 1));
    released.addEntry(header(105, 2, 2 ** 40));
    released.addEntry(header(113, 1, 3));
    expect(released.count).toBe(3);
    expect(released.lastTimestamp).toBe(113);
    expect([0, 1, 2].map((ordinal) => released.laneAt(ordinal))).toEqual([0, 2, 1]);
    expect([0, 1, 2].map((ordinal) => released.indexAt(ordinal))).toEqual([1, 2 ** 40, 3]);
    expect(released.firstAtOrAbove(101)).toBe(1);
    expect(released.firstAtOrAbove(105)).toBe(1);
    expect(released.firstAtOrAbove(114)).toBe(3);
  });

  it('refuses an entry at or below the last one', () => {
    const released = new ReleaseIndex();
    released.addEntry(header(100, 0, 1));
    expect(() => released.addEntry(header(100, 0, 2))).toThrow('out of order');
  });

  it('finds the entry that holds a record of a stream', () => {
    const released = new ReleaseIndex();
    for (const [time, first] of [
      [100, 0],
      [108, 10],
      [116, 11],
    ] as const) {
      released.addBatch('orders', released.addEntry(header(time, 0, time)), seqNum(first));
    }
    const rows = released.rows('orders');
    expect(rows).not.toBeNull();
    expect([0, 9, 10, 11, 50].map((number) => rows?.rowOf(number))).toEqual([0, 0, 1, 2, 2]);
    expect(rows?.firstSeqNumIn(1)).toBe(10);
    expect(rows?.firstSeqNumIn(7)).toBe(-1);
    expect(released.rows('nobody')).toBeNull();
  });

  it('keeps the first number per stream and entry, however the batches of the streams mix', () => {
    const released = new ReleaseIndex();
    const ordinal = released.addEntry(header(100, 0, 1));
    released.addBatch('a', ordinal, seqNum(0));
    released.addBatch('b', ordinal, seqNum(0));
    released.addBatch('a', ordinal, seqNum(4));
    released.addBatch('a', ordinal, seqNum(9));
    released.addBatch('a', released.addEntry(header(108, 0, 2)), seqNum(10));
    expect(released.rows('a')?.ordinals.length).toBe(2);
    expect(released.rows('a')?.firstSeqNumIn(0)).toBe(0);
    expect(released.rows('a')?.firstSeqNumIn(1)).toBe(10);
    expect(released.rows('b')?.ordinals.length).toBe(1);
  });

  it('remembers batches without a record only for the entries that have some', () => {
    const released = new ReleaseIndex();
    const ordinal = released.addEntry(header(100, 0, 1));
    released.addRecordless(ordinal, 2);
    released.addRecordless(ordinal, 5);
    expect(released.recordless(ordinal)).toEqual([2, 5]);
    expect(released.recordless(ordinal + 1)).toBeNull();
  });
});
