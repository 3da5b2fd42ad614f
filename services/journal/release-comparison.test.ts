import { describe, expect, it } from 'vitest';
import { decodeBatchHeader, encodeBatch } from '../../libs/frames/batch.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { createOrderMachine } from '../../libs/order/machine.ts';
import { timestamp } from '../../libs/values/numbers.ts';
import { compareMarks } from '../../libs/order/verdict.ts';
import { ReleaseComparison } from './release-comparison.ts';
import { ReleaseMarks } from '../../libs/order/release-marks.ts';

/** The marks of a replica that executed so many entries; `wrong` is executed with another stream. */
function executed(count: number, wrong: number | null = null): ReleaseMarks {
  const order = createOrderMachine();
  const marks = new ReleaseMarks();
  for (let entry = 1; entry <= count; entry += 1) {
    const stream = entry === wrong ? 'other' : 's';
    const frame = encodeBatch({ stream, records: [{ body: Buffer.from(String(entry)) }] });
    order.apply(decodeBatchHeader(frame, 0), timestamp(entry * 8));
    marks.released(entry, entry * 8, () => order.hash());
  }
  return marks;
}

describe('replicas that compare what they released', () => {
  it('agree at every number that both remember, wherever they stand', () => {
    expect(compareMarks(executed(500).list(), executed(431).list())).toEqual({
      common: true,
      equalEntries: 416,
      different: null,
    });
    expect(compareMarks(executed(500).list(), [])).toMatchObject({ common: false });
  });

  it('say between which entries one of them went another way, once, and go on saying so', async () => {
    const told: object[] = [];
    const peers = new Map([
      [1, executed(700)],
      [2, executed(640, 333)],
    ]);
    const comparison = new ReleaseComparison({
      peers: [1, 2],
      marks: executed(660),
      questions: {
        releaseMarks: (peer) => {
          const marks = peers.get(peer);
          if (marks === undefined) return Promise.reject(new MeridianError('UNAVAILABLE', 'away'));
          return Promise.resolve([...marks.list()]);
        },
      },
      onWrong: () => {
        throw new Error('it is not this one');
      },
      everyMs: 1000,
      logger: { error: (fields: object) => told.push(fields) },
    });
    await comparison.compare();
    peers.delete(1);
    await comparison.compare();
    const range = { equalEntries: 320, differentEntries: 336, timestamp: 336 * 8 };
    expect(comparison.divergences).toEqual([{ replica: 2, ...range }]);
    expect(told).toEqual([{ peer: 2, ...range }]);
    expect(comparison.comparisons).toBe(3);
  });

  it('stop the one against which both others agree, and only when both have answered', async () => {
    const peers = new Map([[1, executed(700)]]);
    let stopped = 0;
    const comparison = new ReleaseComparison({
      peers: [1, 2],
      marks: executed(660, 333),
      questions: {
        releaseMarks: (peer) => {
          const marks = peers.get(peer);
          if (marks === undefined) return Promise.reject(new MeridianError('UNAVAILABLE', 'away'));
          return Promise.resolve([...marks.list()]);
        },
      },
      onWrong: () => (stopped += 1),
      everyMs: 1000,
      logger: { error: () => undefined },
    });
    await comparison.compare();
    expect([stopped, comparison.divergences.length]).toEqual([0, 1]);
    peers.set(2, executed(690));
    await comparison.compare();
    await comparison.compare();
    expect(stopped).toBe(1);
  });
});
