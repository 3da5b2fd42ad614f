import { describe, expect, it } from 'vitest';
import { encodeBatch } from '../frames/batch.ts';
import { encodeDeliveries } from '../frames/delivery.ts';
import { seqNum, timestamp } from '../values/numbers.ts';
import { OrderCheck } from './order-check.ts';

/** Batches of two records at `timestamp/instance/offset`. */
function frames(...places: string[]): Uint8Array {
  const batch = encodeBatch({
    stream: 's',
    records: [{ body: Buffer.from('a') }, { body: Buffer.from('b') }],
  });
  return encodeDeliveries(
    places.map((place) => {
      const [at = 0, instance = 0, recordOffset = 0] = place.split('/').map(Number);
      return { timestamp: timestamp(at), instance, recordOffset, firstSeqNum: seqNum(0), batch };
    }),
  );
}

describe('the check of the order', () => {
  it('accepts timestamps, then instances, then records in ascending order', () => {
    const check = new OrderCheck();
    check.batches(frames('5/1/0', '5/1/2', '5/2/0'));
    check.progress(5);
    check.progress(5);
    check.batches(frames('6/1/0'));
    expect(check.watermark).toBe(5);
  });

  it.each([
    ['a repetition', ['5/1/0', '5/1/0']],
    ['a batch that overlaps the one before', ['5/1/0', '5/1/1']],
    ['a lower timestamp', ['5/1/0', '4/9/0']],
    ['a lower instance at the same timestamp', ['5/2/0', '5/1/0']],
  ])('objects to %s', (_what, places) => {
    expect(() => {
      new OrderCheck().batches(frames(...places));
    }).toThrow('came after');
  });

  it('objects to a record at or below a watermark, and to a watermark that goes back', () => {
    const check = new OrderCheck();
    check.progress(10);
    expect(() => {
      check.batches(frames('10/1/0'));
    }).toThrow('10/1/0 came after 0/0/-1 and the watermark 10');
    expect(() => {
      check.progress(9);
    }).toThrow('went back from 10 to 9');
  });
});
