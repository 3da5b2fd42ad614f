import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seqNum, timestamp } from '../values/numbers.ts';
import { encodeBatch } from './batch.ts';
import { decodeDeliveries, encodeDeliveries } from './delivery.ts';
import type { Delivery } from './delivery.ts';
import { reasonOf } from './testing.ts';

const u64 = fc.oneof(fc.nat(1000), fc.constant(Number.MAX_SAFE_INTEGER));
const delivery: fc.Arbitrary<Delivery> = fc
  .record({
    t: u64,
    recordOffset: fc.integer({ min: 0, max: 0xffff_ffff }),
    seq: u64,
    instance: fc.nat(65_535),
    body: fc.uint8Array({ maxLength: 30 }),
  })
  .map(({ t, recordOffset, seq, instance, body }) => ({
    timestamp: timestamp(t),
    recordOffset,
    firstSeqNum: seqNum(seq),
    instance,
    batch: encodeBatch({ stream: 's', records: [{ body }] }),
  }));

describe('deliveries', () => {
  it('read back as what was encoded', () => {
    fc.assert(
      fc.property(fc.array(delivery, { maxLength: 6 }), (items) => {
        const read = decodeDeliveries(encodeDeliveries(items));
        expect(read.map((item) => ({ ...item, batch: Buffer.from(item.batch) }))).toEqual(items);
      }),
    );
  });

  it('are refused cut off anywhere, and never end in anything but a MeridianError', () => {
    fc.assert(
      fc.property(
        delivery,
        fc.nat(200),
        fc.array(fc.tuple(fc.nat(120), fc.nat(255)), { maxLength: 3 }),
        (item, cut, changes) => {
          const frame = encodeDeliveries([item]);
          const end = 1 + (cut % (frame.length - 1));
          if (end < frame.length)
            expect(reasonOf(() => decodeDeliveries(frame.subarray(0, end)))).toBe('INVALID');
          const bad = Uint8Array.from(frame);
          for (const [offset, value] of changes) if (offset < bad.length) bad[offset] = value;
          reasonOf(() => decodeDeliveries(bad));
        },
      ),
      { numRuns: 1000 },
    );
  });

  it('hold exactly one batch each', () => {
    const batch = encodeBatch({ stream: 's', records: [{ body: Buffer.from('x') }] });
    const two = encodeDeliveries([
      {
        timestamp: timestamp(8),
        recordOffset: 0,
        firstSeqNum: seqNum(0),
        instance: 0,
        batch: Buffer.concat([batch, batch]),
      },
    ]);
    expect(reasonOf(() => decodeDeliveries(two))).toBe('INVALID');
  });
});
