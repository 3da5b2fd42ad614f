/** What replicas tell each other: packets with letters and entries, one or more to a message. */
import { crc32 } from 'node:zlib';
import type { Control, Status } from '../../libs/lane/types.ts';
import { epoch, index, micros, timestamp } from '../../libs/values/numbers.ts';
import type { JournalPacket } from '../../services/journal/content.ts';
import { ByteWriter } from '../../services/journal/packet-bytes.ts';
import { decodePacket, splitPackets, writePacket } from '../../services/journal/packet.ts';
import { readEntry } from '../../services/journal/entry-codec.ts';
import { ENTRIES } from './frame-targets.ts';
import { same } from './target.ts';
import type { Target } from './target.ts';

const mark = { epoch: epoch(9), index: index(3) };
const lane = { lane: 1, epoch: epoch(9) } as const;
const status = {
  replica: 1,
  incarnation: 2,
  life: { number: 7, previous: 6, reservation: timestamp(800) },
  lives: [7, 8, 9],
  descent: [6, 8, 0].map((life) => ({ life, reservation: life === 0 ? null : timestamp(700) })),
  version: 3,
  hears: [true, true, false],
  lanes: [0, 1, 2].map((feeder) => ({
    promised: epoch(9),
    tail: mark,
    closed: timestamp(800),
    feeder,
    base: mark,
  })),
  voting: true,
} as Status;
const CONTROLS: readonly Control[] = [
  { type: 'prepare', ...lane },
  { type: 'promise', ...lane, tail: mark, committed: index(2), clock: timestamp(801) },
  { type: 'mismatch', ...lane, resume: mark },
  { type: 'ask', ...lane, nonce: 5 },
  { type: 'answer', ...lane, nonce: 5, hears: true },
  { type: 'fetch', ...lane, after: mark },
  { type: 'heartbeat', round: 8 },
  { type: 'heartbeatAnswer', round: 8, persisted: timestamp(801) },
  { type: 'recover', nonce: 4, incarnation: 3 },
  { type: 'void', incarnation: 3, life: 7, known: 4 },
  {
    type: 'recoverAnswer',
    nonce: 4,
    clock: timestamp(801),
    lanes: [0, 1, 2].map(() => ({ promised: epoch(9), tail: mark, committed: index(2) })),
  },
];

const base: JournalPacket = {
  status,
  sentAt: micros(5),
  echo: null,
  wall: 7,
  clock: timestamp(801),
  heardThird: 0,
  announcements: [],
  feeds: [],
  relayed: null,
  letters: [],
};
const PACKETS: readonly JournalPacket[] = [
  base,
  {
    ...base,
    echo: { sentAt: micros(3), heldMicros: 2 },
    announcements: [{ ...lane, closed: timestamp(801), index: index(4), age: 1 }],
    feeds: [
      {
        ...lane,
        previous: mark,
        entries: ENTRIES.map((it) => readEntry(Buffer.from(it))),
        committed: index(2),
        adoption: false,
      },
    ],
    relayed: status,
  },
  { ...base, letters: CONTROLS.map((control) => ({ from: 0, to: 2, control })) },
];

function encoded(packets: readonly JournalPacket[]): Buffer {
  const writer = new ByteWriter();
  for (const packet of packets) {
    writePacket(writer, packet, (entry) => entry.content ?? Buffer.alloc(0));
  }
  return Buffer.from(writer.bytes());
}

const packet: Target = {
  name: 'packet',
  seeds: [...PACKETS.map((it) => encoded([it])), encoded(PACKETS)],
  repair: (bytes) => {
    if (bytes.length < 16) return bytes;
    bytes.writeUInt32LE(bytes.length, 0);
    bytes[8] = 2;
    const headEnd = bytes.readUInt32LE(12);
    const end = headEnd < 16 || headEnd > bytes.length ? bytes.length : headEnd;
    bytes.writeUInt32LE(end, 12);
    bytes.writeUInt32LE(crc32(bytes.subarray(8, end)), 4);
    return bytes;
  },
  run: (bytes) => {
    const message = Buffer.from(bytes);
    for (const part of splitPackets(message)) {
      const decoded = decodePacket(part);
      same(decoded, decodePacket(encoded([decoded])));
    }
  },
};

export const PACKET_TARGETS: readonly Target[] = [packet];
