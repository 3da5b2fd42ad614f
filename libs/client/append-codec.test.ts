import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { AppendRequestSchema } from '../gen/meridian/journal/v1/journal_pb.ts';
import { batchesMessage, encodeAppendRequest } from './append-codec.ts';

describe('a message with batches', () => {
  const sizes = [[1], [127], [128], [100, 27, 1], [16_383], [16_384], [70_000, 3, 200_000]];
  const timestamps = [0, 1, 127, 128, 1_700_000_000_000_000, Number.MAX_SAFE_INTEGER];
  const cases = sizes.flatMap((lengths) => timestamps.map((t) => [lengths, t] as const));

  it.each(cases)('has the very bytes of protobuf-es: %j, %d', (lengths, minTimestamp) => {
    const frames = lengths.map((length, number) => Buffer.alloc(length, number + 1));
    const bytes = lengths.reduce((sum, length) => sum + length, 0);
    const encoded = encodeAppendRequest(batchesMessage(frames, bytes, minTimestamp));
    const value = { frames: Buffer.concat(frames), minTimestamp: BigInt(minTimestamp) };
    const expected = create(AppendRequestSchema, { message: { case: 'batches', value } });
    expect(encoded.equals(toBinary(AppendRequestSchema, expected))).toBe(true);
  });
});

it('encodes a hello as it is', () => {
  const hello = create(AppendRequestSchema, {
    message: { case: 'hello', value: { target: { cluster: 'c', instance: 'i' } } },
  });
  expect(fromBinary(AppendRequestSchema, encodeAppendRequest(hello))).toEqual(hello);
});
