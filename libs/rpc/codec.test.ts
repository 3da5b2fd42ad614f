import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import {
  FetchCheckpointRequestSchema,
  LinkResponseSchema,
} from '../gen/meridian/peer/v1/peer_pb.ts';
import type { LinkResponse } from '../gen/meridian/peer/v1/peer_pb.ts';
import { deserializer, Malformed } from './codec.ts';

const decode = deserializer(LinkResponseSchema);

function usual(bytes: Uint8Array): LinkResponse | null {
  try {
    return fromBinary(LinkResponseSchema, bytes);
  } catch {
    return null;
  }
}

it('a message of one field of bytes is opened as protobuf says, at every size', () => {
  for (const size of [0, 1, 127, 128, 16_383, 16_384, 300_000, 2_097_151, 2_097_152]) {
    const packets = new Uint8Array(size).fill(7);
    const bytes = toBinary(LinkResponseSchema, create(LinkResponseSchema, { packets }));
    const opened = decode(Buffer.from(bytes)) as LinkResponse;
    expect(opened.$typeName).toBe(LinkResponseSchema.typeName);
    expect(opened.packets).toBeInstanceOf(Uint8Array);
    expect(Buffer.compare(opened.packets, packets)).toBe(0);
  }
});

it('the content is a view, and one message does not share it with the next', () => {
  const first = Buffer.from([0x0a, 1, 1]);
  const second = Buffer.from([0x0a, 1, 2]);
  const opened = decode(first) as LinkResponse;
  decode(second);
  expect([...opened.packets]).toEqual([1]);
  first[2] = 9;
  expect([...opened.packets]).toEqual([9]);
});

it('bytes that say more, less or something else mean what they mean to the usual decoder', () => {
  const strange = [
    [0x0a, 2, 1, 2, 0x0a, 1, 9], // the field twice: the last one counts
    [0x0a, 1, 1, 0x10, 5], // a field of another version
    [0x10, 5, 0x0a, 1, 1],
    [0x0a, 0x81, 0x00, 7], // a length longer than it need be
    [0x0a, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 7],
    [0x0a, 5, 1], // cut off
    [0x0a],
    [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    [0x08, 5],
    [0x12, 1, 1],
    [],
  ];
  for (const list of strange) {
    const bytes = Buffer.from(list);
    const expected = usual(bytes);
    const got = decode(bytes);
    if (expected === null) expect(got, bytes.toString('hex')).toBeInstanceOf(Malformed);
    else {
      const { packets } = got as LinkResponse;
      expect(Buffer.from(packets).toString('hex')).toBe(
        Buffer.from(expected.packets).toString('hex'),
      );
    }
  }
});

it('a message of several fields is none of this kind', () => {
  const request = create(FetchCheckpointRequestSchema, {
    cluster: 'c',
    instance: 'i',
    from: 1,
    to: 2,
  });
  const bytes = Buffer.from(toBinary(FetchCheckpointRequestSchema, request));
  expect(deserializer(FetchCheckpointRequestSchema)(bytes)).toEqual(request);
});
