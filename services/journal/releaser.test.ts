import { describe, expect, it } from 'vitest';
import { decodeBatchHeader, encodeBatch } from '../../libs/frames/batch.ts';
import { timestamp } from '../../libs/values/numbers.ts';
import type { Outcome } from '../../libs/order/types.ts';
import type { PendingAppend } from './content.ts';
import { MemoryJournal } from './memory-journal.ts';

describe('Releaser', () => {
  it('executes a long replay in slices, and publishes only what it has executed', () => {
    const journal = new MemoryJournal();
    journal.cost = 100;
    const entries = Array.from({ length: 500 }, (_unused, i) => journal.write((i + 1) * 8, [{}]));
    journal.releaser.add(
      entries.map((entry) => ({ entry, appends: null })),
      timestamp(9999),
    );
    let slices = 1;
    while (journal.releaser.run()) {
      slices += 1;
      expect(journal.watermark.value).toBe(journal.index.lastTimestamp);
      expect(journal.releaser.backlogCount).toBe(500 - journal.index.count);
      expect(journal.releaser.backlogCount).toBeGreaterThan(0);
    }
    expect(slices).toBeGreaterThan(2);
    expect(journal.releaser.backlogCount).toBe(0);
    expect(journal.watermark.value).toBe(9999);
    expect(journal.order.stream('s')?.nextSeqNum).toBe(500);
  });

  it('keeps the order of what is released while a replay runs', () => {
    const journal = new MemoryJournal();
    journal.cost = 6000;
    const released = (
      time: number,
    ): { entry: ReturnType<MemoryJournal['write']>; appends: null } => ({
      entry: journal.write(time, [{}]),
      appends: null,
    });
    journal.releaser.add([released(8), released(16), released(24), released(32)], timestamp(33));
    expect(journal.releaser.run()).toBe(true);
    journal.releaser.add([released(40)], timestamp(41));
    while (journal.releaser.run());
    expect(journal.index.count).toBe(5);
    expect(journal.watermark.value).toBe(41);
    journal.releaser.add([], timestamp(50));
    expect(journal.releaser.run()).toBe(false);
    expect(journal.watermark.value).toBe(50);
  });

  /**
   * A checkpoint under load paused the execution while the published watermark was ahead of the last
   * entry executed; publishing that entry's timestamp made the watermark fall, and followers ended.
   */
  it('keeps what it published when it is paused with entries waiting', () => {
    const journal = new MemoryJournal();
    const released = (
      time: number,
    ): { entry: ReturnType<MemoryJournal['write']>; appends: null } => ({
      entry: journal.write(time, [{}]),
      appends: null,
    });
    journal.releaser.add([released(8)], timestamp(20));
    expect(journal.releaser.run()).toBe(false);
    expect(journal.watermark.value).toBe(20);
    journal.releaser.paused = true;
    journal.releaser.add([released(24)], timestamp(30));
    expect(journal.releaser.run()).toBe(false);
    expect(journal.watermark.value).toBe(20);
    journal.releaser.paused = false;
    expect(journal.releaser.run()).toBe(false);
    expect(journal.watermark.value).toBe(30);
    expect(journal.index.count).toBe(2);
  });

  it('tells every append of an own entry what it did, and indexes only what left a record', () => {
    const journal = new MemoryJournal();
    const outcomes: Outcome[] = [];
    const pending = (matchSeqNum: number): PendingAppend => {
      const frame = encodeBatch({
        stream: 's',
        records: [{ body: Buffer.from('x') }],
        matchSeqNum,
      });
      return {
        frame,
        header: decodeBatchHeader(frame),
        bytes: frame.length,
        minTimestamp: 0,
        arrivedAt: 0,
        answer: null,
        placed: false,
        owner: {
          committed: () => undefined,
          refused: () => undefined,
          decided: (_append, outcome) => {
            outcomes.push(outcome);
          },
        },
      };
    };
    const entry = journal.write(80, [{ matchSeqNum: 0 }, { matchSeqNum: 7 }, { matchSeqNum: 1 }]);
    journal.releaser.add([{ entry, appends: [pending(0), pending(7), pending(1)] }], timestamp(80));
    journal.releaser.run();
    expect(outcomes.map((outcome) => outcome.kind)).toEqual(['appended', 'failed', 'appended']);
    expect(journal.index.recordless(0)).toEqual([1]);
    expect(journal.index.rows('s')?.firstSeqNumIn(0)).toBe(0);
  });
});
