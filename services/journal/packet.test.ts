import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { encodeEntry } from '../../libs/frames/entry.ts';
import type { Control, Feed, Letter, Status } from '../../libs/lane/types.ts';
import { epoch, index, micros, timestamp } from '../../libs/values/numbers.ts';
import type { LaneId, ReplicaId } from '../../libs/values/numbers.ts';
import type { Frame, JournalEntry, JournalPacket } from './content.ts';
import { ByteWriter } from './packet-bytes.ts';
import { PACKET_VERSION, decodePacket, splitPackets, writePacket } from './packet.ts';

const number = fc.oneof(fc.nat(1000), fc.maxSafeNat());
const clock = fc.maxSafeNat().map((value) => Math.min(value, Number.MAX_SAFE_INTEGER - 1));
const replica = fc.constantFrom<ReplicaId>(0, 1, 2);
const tail = fc.record({ epoch: number.map(epoch), index: number.map(index) });
const lane = { lane: replica, epoch: number.map(epoch) };

const status: fc.Arbitrary<Status> = fc.record({
  replica,
  incarnation: number,
  life: fc.record({ number, previous: number, reservation: number.map(timestamp) }),
  lives: fc.array(number, { minLength: 3, maxLength: 3 }),
  descent: fc.option(
    fc.array(fc.record({ life: number, reservation: fc.option(clock.map(timestamp)) }), {
      minLength: 3,
      maxLength: 3,
    }),
  ),
  version: number,
  hears: fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
  lanes: fc.array(
    fc.record({
      promised: number.map(epoch),
      tail,
      closed: number.map(timestamp),
      feeder: replica,
      base: tail,
    }),
    { minLength: 3, maxLength: 3 },
  ),
  voting: fc.boolean(),
});

const control: fc.Arbitrary<Control> = fc.oneof(
  fc.record({ type: fc.constant('prepare' as const), ...lane }),
  fc.record({
    type: fc.constant('promise' as const),
    ...lane,
    tail,
    committed: number.map(index),
    clock: number.map(timestamp),
  }),
  fc.record({ type: fc.constant('mismatch' as const), ...lane, resume: tail }),
  fc.record({ type: fc.constant('ask' as const), ...lane, nonce: number }),
  fc.record({ type: fc.constant('answer' as const), ...lane, nonce: number, hears: fc.boolean() }),
  fc.record({ type: fc.constant('fetch' as const), ...lane, after: tail }),
  fc.record({ type: fc.constant('heartbeat' as const), round: number }),
  fc.record({
    type: fc.constant('heartbeatAnswer' as const),
    round: number,
    persisted: number.map(timestamp),
  }),
  fc.record({ type: fc.constant('recover' as const), nonce: number, incarnation: number }),
  fc.record({
    type: fc.constant('void' as const),
    incarnation: number,
    life: number,
    known: number,
  }),
  fc.record({
    type: fc.constant('recoverAnswer' as const),
    nonce: number,
    clock: number.map(timestamp),
    lanes: fc.array(
      fc.record({ promised: number.map(epoch), tail, committed: number.map(index) }),
      { minLength: 3, maxLength: 3 },
    ),
  }),
);
const letter: fc.Arbitrary<Letter> = fc.record({ from: replica, to: replica, control });

const feed: fc.Arbitrary<Feed<Frame>> = fc
  .record({
    lane: replica,
    epoch: fc.integer({ min: 8, max: 1e6 }),
    previous: fc.record({ epoch: fc.nat(1e6).map(epoch), index: fc.nat(1e6).map(index) }),
    bodies: fc.array(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 3 }), {
      maxLength: 4,
    }),
    committed: number.map(index),
    adoption: fc.boolean(),
  })
  .map(({ bodies, ...rest }) => ({
    ...rest,
    epoch: epoch(rest.epoch),
    entries: bodies.map((batches, offset) =>
      entryOf(rest.lane, rest.epoch, rest.previous.index + 1 + offset, batches),
    ),
  }));

const packet: fc.Arbitrary<JournalPacket> = fc.record({
  status,
  sentAt: number.map(micros),
  echo: fc.option(fc.record({ sentAt: number.map(micros), heldMicros: number })),
  wall: number,
  clock: number.map(timestamp),
  heardThird: number,
  announcements: fc.array(
    fc.record({
      ...lane,
      closed: number.map(timestamp),
      index: number.map(index),
      age: number,
    }),
    { maxLength: 3 },
  ),
  feeds: fc.array(feed, { maxLength: 3 }),
  relayed: fc.option(status),
  letters: fc.array(letter, { maxLength: 5 }),
});

function entryOf(
  home: LaneId,
  writerEpoch: number,
  slot: number,
  bodies: readonly Uint8Array[],
): JournalEntry {
  const header = {
    lane: home,
    epoch: epoch(writerEpoch),
    index: index(slot),
    timestamp: timestamp(slot * 8 + home),
    kind: bodies.length === 0 ? ('marker' as const) : ('batches' as const),
  };
  const frames = bodies.map((body) => encodeBatch({ stream: 's', records: [{ body }] }));
  const content = encodeEntry(header, frames);
  return { ...header, bytes: content.length, content };
}

function encodePacket(sent: JournalPacket, contents: (entry: JournalEntry) => Frame): Buffer {
  const writer = new ByteWriter();
  writer.raw(Buffer.from('something before'));
  const start = writer.length;
  writePacket(writer, sent, contents);
  return Buffer.from(writer.bytes(start));
}

const contentOf = (entry: JournalEntry): Frame => entry.content ?? new Uint8Array();
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_key, item: unknown) =>
      item instanceof Uint8Array ? Buffer.from(item).toString('hex') : item,
    ).replaceAll(/\{"type":"Buffer","data":\[([\d,]*)\]\}/g, (_all, data: string) =>
      JSON.stringify(Buffer.from(data === '' ? [] : data.split(',').map(Number)).toString('hex')),
    ),
  );

describe('packet', () => {
  it('comes back as it was, entries included', () => {
    fc.assert(
      fc.property(packet, (sent) => {
        const received = decodePacket(encodePacket(sent, contentOf));
        expect(plain(received)).toEqual(plain(sent));
      }),
    );
  });

  it('is read by a replica of version 3, without the descent', () => {
    const writer = new ByteWriter();
    const { status: told } = sample();
    writePacket(writer, { ...sample(), relayed: told }, contentOf, 3);
    const received = decodePacket(Buffer.from(writer.bytes()));
    const stated = { ...told, descent: null };
    expect(plain([received.status, received.relayed])).toEqual(plain([stated, stated]));
  });

  it('is read by a replica of version 2, without lives and what is said of them', () => {
    const writer = new ByteWriter();
    const letters: Letter[] = [
      { from: 0, to: 1, control: { type: 'void', incarnation: 1, life: 2, known: 3 } },
      { from: 0, to: 1, control: { type: 'heartbeat', round: 4 } },
    ];
    const { status: told } = sample();
    writePacket(writer, { ...sample(), relayed: told, letters }, contentOf, PACKET_VERSION);
    const bytes = Buffer.from(writer.bytes());
    expect(bytes[8]).toBe(2);
    const received = decodePacket(bytes);
    const life = { number: 0, previous: 0, reservation: 0 };
    const stated = { ...told, life, lives: [0, 0, 0], descent: null };
    expect(plain(received.status)).toEqual(plain(stated));
    expect(plain(received.relayed)).toEqual(plain(stated));
    expect(received.letters).toEqual(letters.slice(1));
  });

  it('reads evicted entries back from where they are kept', () => {
    const entry = entryOf(1, 9, 5, [Buffer.from('kept')]);
    const kept = entry.content ?? new Uint8Array();
    entry.content = null;
    const sent = { ...sample(), feeds: [feedOf(entry)] };
    const received = decodePacket(encodePacket(sent, () => kept));
    expect(received.feeds[0]?.entries[0]?.content).toEqual(kept);
  });

  it('refuses every flipped bit and every cut, with INVALID', () => {
    const bytes = encodePacket({ ...sample(), feeds: [feedOf(entryOf(1, 9, 5, []))] }, contentOf);
    for (let offset = 0; offset < bytes.length; offset += 1) {
      // The three reserved bytes after the version are inside the checksum too.
      const flipped = Buffer.from(bytes);
      flipped[offset] = (flipped[offset] ?? 0) ^ (1 << (offset % 8));
      expect(() => decodePacket(flipped), `flip at ${offset}`).toThrow(MeridianError);
      expect(() => decodePacket(bytes.subarray(0, offset)), `cut at ${offset}`).toThrow(
        MeridianError,
      );
    }
  });

  it('throws nothing but INVALID on bytes that only look like a packet', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        const bytes = resealed(Buffer.from(noise));
        try {
          decodePacket(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(MeridianError);
          expect((error as MeridianError).reason).toBe('INVALID');
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('throws nothing but INVALID on a packet with any bytes changed under a right checksum', () => {
    fc.assert(
      fc.property(
        packet,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (sent, changes) => {
          const bytes = encodePacket(sent, contentOf);
          for (const [offset, value] of changes) bytes[16 + (offset % (bytes.length - 16))] = value;
          try {
            decodePacket(resealed(bytes));
          } catch (error) {
            expect(error).toBeInstanceOf(MeridianError);
          }
        },
      ),
      { numRuns: 500 },
    );
  });

  it('refuses an entry that does not continue its feed', () => {
    const gap = { ...feedOf(entryOf(1, 9, 5, [])), previous: { epoch: epoch(9), index: index(3) } };
    const bytes = encodePacket({ ...sample(), feeds: [gap] }, contentOf);
    expect(() => decodePacket(bytes)).toThrow('does not belong');
  });

  it('splits a message into its packets and refuses a ragged end', () => {
    const one = encodePacket(sample(), contentOf);
    const message = Buffer.concat([one, one]);
    expect([...splitPackets(message)].map((bytes) => bytes.length)).toEqual([
      one.length,
      one.length,
    ]);
    expect(() => [...splitPackets(message.subarray(0, one.length + 20))]).toThrow(MeridianError);
    expect(() => [...splitPackets(Buffer.alloc(64))]).toThrow(MeridianError);
  });
});

function feedOf(entry: JournalEntry): Feed<Frame> {
  const previous = { epoch: epoch(9), index: index(entry.index - 1) };
  const committed = index(0);
  return {
    lane: entry.lane,
    epoch: epoch(9),
    previous,
    entries: [entry],
    committed,
    adoption: false,
  };
}

function sample(): JournalPacket {
  const [value] = fc.sample(packet, { numRuns: 1, seed: 7 });
  if (value === undefined) throw new Error('no sample');
  return { ...value, feeds: [] };
}

/** Makes length, version, head end and checksum right, so that the fields behind them are reached. */
function resealed(noise: Buffer): Buffer {
  const bytes = noise.length < 16 ? Buffer.concat([noise, Buffer.alloc(16)]) : Buffer.from(noise);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes[8] = 1;
  let headEnd = bytes.readUInt32LE(12);
  if (headEnd < 16 || headEnd > bytes.length) {
    headEnd = bytes.length;
    bytes.writeUInt32LE(headEnd, 12);
  }
  bytes.writeUInt32LE(crc32(bytes.subarray(8, headEnd)), 4);
  return bytes;
}
