import { fromBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { encodeEntry } from '../../libs/frames/entry.ts';
import { LinkResponseSchema } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import { epoch, index, micros, timestamp } from '../../libs/values/numbers.ts';
import type { JournalPacket } from './content.ts';
import { linkMessage, linkSerializer } from './link-codec.ts';
import { PACKET_VERSION_MAX, decodePacket, splitPackets } from './packet.ts';

function packetOf(bodyBytes: number): JournalPacket {
  const tail = { epoch: epoch(8), index: index(0) };
  const lane = {
    promised: epoch(8),
    tail,
    closed: timestamp(0),
    feeder: 0 as const,
    base: { epoch: epoch(0), index: index(0) },
  };
  const header = {
    lane: 0 as const,
    epoch: epoch(8),
    index: index(1),
    timestamp: timestamp(8),
    kind: 'batches' as const,
  };
  const limits = { batchBytesMax: 1 << 24, recordsMax: 10 };
  const batch = encodeBatch(
    { stream: 's', records: [{ body: Buffer.alloc(bodyBytes, 5) }] },
    limits,
  );
  const content = encodeEntry(header, [batch]);
  const entries = [{ ...header, bytes: content.length, content }];
  return {
    status: {
      replica: 0,
      incarnation: 1,
      life: { number: 7, previous: 6, reservation: timestamp(3) },
      lives: [7, 8, 9],
      descent: null,
      version: 2,
      hears: [true, true, true],
      lanes: [lane, lane, lane],
      voting: true,
    },
    sentAt: micros(1),
    echo: null,
    wall: 1,
    clock: timestamp(3),
    heardThird: 0,
    announcements: [],
    feeds: [
      { lane: 0, epoch: epoch(8), previous: tail, entries, committed: index(0), adoption: false },
    ],
    relayed: null,
    letters: [],
  };
}

describe('link message', () => {
  it.each([0, 1, 100, 10_000, 100_000, 5_000_000])(
    'is what any protobuf decoder reads, with %d bytes of body',
    (bodyBytes) => {
      const serialize = linkSerializer((entry) => entry.content ?? new Uint8Array());
      serialize(linkMessage([packetOf(50)], PACKET_VERSION_MAX));
      const message = linkMessage([packetOf(bodyBytes), packetOf(1)], PACKET_VERSION_MAX);
      const decoded = fromBinary(LinkResponseSchema, Buffer.from(serialize(message)));
      const packets = [...splitPackets(Buffer.from(decoded.packets))].map(decodePacket);
      expect(packets.length).toBe(2);
      expect(packets[0]?.feeds[0]?.entries[0]?.bytes).toBe(
        packetOf(bodyBytes).feeds[0]?.entries[0]?.bytes,
      );
    },
  );
});
