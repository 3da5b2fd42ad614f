import { describe, expect, it } from 'vitest';
import { create } from '@bufbuild/protobuf';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { encodeDeliveries } from '../../libs/frames/delivery.ts';
import {
  Gap_Kind,
  SubscribeResponseSchema,
} from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { seqNum, timestamp } from '../../libs/values/numbers.ts';
import { compareOrders, OrderRecorder } from './merged-order.ts';

function frames(at: number, instance: number, text: string): Uint8Array {
  const batch = encodeBatch({ stream: 's', records: [{ body: Buffer.from(text) }] });
  return encodeDeliveries([
    { timestamp: timestamp(at), instance, recordOffset: 0, firstSeqNum: seqNum(0), batch },
  ]);
}

function recorder(name: string, ...batches: Uint8Array[]): OrderRecorder {
  const made = new OrderRecorder(name);
  for (const batch of batches) made.deliver(batch);
  return made;
}

describe('the merged order', () => {
  it('is the same when every region delivers the same batches', () => {
    const same = [frames(8, 1, 'x'), frames(8, 2, 'y'), frames(16, 1, 'z')];
    const [a, b] = [recorder('A', ...same), recorder('B', ...same)];
    expect(compareOrders([a, b])).toEqual([]);
    expect(a.records).toBe(3);
  });

  it('differs when a region lacks the last batch', () => {
    const [a, b] = [recorder('A', frames(8, 1, 'x')), recorder('B')];
    expect(compareOrders([a, b])).toEqual([
      'batch 0 of the merged order is 0000000000000008.00001.0000000000 in A, missing in B',
    ]);
  });

  it('differs when a batch has other content', () => {
    const [a, b] = [recorder('A', frames(8, 1, 'x')), recorder('B', frames(8, 1, 'y'))];
    expect(compareOrders([a, b])).toHaveLength(1);
  });

  it('objects to a batch that comes twice or too late', () => {
    const twice = recorder('A', frames(8, 1, 'x'), frames(8, 1, 'x'));
    expect(compareOrders([twice])[0]).toMatch(/^crossbar A: .* came after/);
    const late = recorder('A', frames(8, 1, 'x'));
    late.progress(100);
    late.deliver(frames(96, 1, 'y'));
    expect(compareOrders([late])[0]).toMatch(/came after the watermark 100/);
  });

  it('objects to a gap: what every region lacks alike is missing all the same', () => {
    const [a, b] = [recorder('A', frames(8, 1, 'x')), recorder('B', frames(8, 1, 'x'))];
    for (const each of [a, b]) {
      each.receive(
        create(SubscribeResponseSchema, {
          message: {
            case: 'gap',
            value: { kind: Gap_Kind.LOST, instance: 'one', fromTimestamp: 9n, toTimestamp: 24n },
          },
        }),
      );
    }
    expect(compareOrders([a, b])).toEqual(
      ['A', 'B'].map((name) => `crossbar ${name}: records of instance one from 9 to 24 are lost`),
    );
    a.receive(create(SubscribeResponseSchema));
    expect(a.problems).toHaveLength(2);
  });

  it('objects to a watermark that goes back', () => {
    const back = recorder('A');
    back.progress(100);
    back.progress(99);
    expect(compareOrders([back])).toEqual(['crossbar A: the watermark went back to 99']);
  });
});
