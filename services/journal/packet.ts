/**
 * What one replica tells another, as bytes. A packet is a head with all fields and, after it, the
 * entry frames of its feeds one after the other, in the very bytes that go to disk:
 *
 *   u32 total bytes · u32 checksum over [8, head end) · u8 version = 2 to 4 · 3 × u8 0 · u32 head end
 *   status · clocks · announcements · feeds · relayed status · letters
 *   since version 3: lives of the status · lives of the relayed status
 *   since version 4: descent of the status · descent of the relayed status  (to head end)
 *   entry frames
 *
 * The checksum covers the head only, because every entry frame carries its own, which the receiver
 * verifies: the payload is summed once. Who dials says which versions it reads: an
 * earlier one tells no lives, or no descent. `writePacket` reads evicted entries back through `contentOf`.
 * Deliberately not here: whether what a packet says is true. That is the lane core's business.
 */
import { crc32 } from 'node:zlib';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Announcement, Descent, Feed, LaneStatus, Status } from '../../libs/lane/types.ts';
import { at } from '../../libs/values/assert.ts';
import type { Epoch, Index, LaneId, Micros, Timestamp } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Frame, JournalEntry, JournalPacket } from './content.ts';
import { readEntry } from './entry-codec.ts';
import { isOfVersion3, readLetter, readReplica, writeLetter } from './letter-codec.ts';
import { ByteReader } from './packet-bytes.ts';
import type { ByteWriter } from './packet-bytes.ts';

/** What every replica reads and writes, and the newest that this one does. */
export const PACKET_VERSION = 2;
export const PACKET_VERSION_MAX = 4;
const LIVES_SINCE = 3;
const DESCENT_SINCE = 4;
const PREFIX_BYTES = 16;
const FLAG_ECHO = 1;
const FLAG_RELAYED = 2;
/** Least bytes of each repeated item, to bound counts before arrays are made. */
const ANNOUNCEMENT_BYTES = 33;
const FEED_BYTES = 38;
const LETTER_BYTES = 3;
const ENTRY_BYTES = 48;
const HEAD_BYTES_TYPICAL = 512;

/** Appends one packet to what `to` holds. */
export function writePacket(
  to: ByteWriter,
  packet: JournalPacket,
  contentOf: (entry: JournalEntry) => Frame,
  version = PACKET_VERSION_MAX,
): void {
  const start = to.length;
  writeHead(to, packet, version);
  const headEnd = to.length;
  to.patchU32(start + 12, headEnd - start);
  to.patchU32(start + 4, crc32(to.bytes(start + 8)));
  for (const feed of packet.feeds) for (const entry of feed.entries) to.raw(contentOf(entry));
  to.patchU32(start, to.length - start);
}

/** About its encoded size, for the bounds of queues. */
export function packetBytes(packet: JournalPacket): number {
  let bytes = HEAD_BYTES_TYPICAL;
  for (const feed of packet.feeds) for (const entry of feed.entries) bytes += entry.bytes;
  return bytes;
}

/** Decodes one packet; entry contents are views on `bytes`. Throws `INVALID`. */
export function decodePacket(bytes: Buffer): JournalPacket {
  if (bytes.length < PREFIX_BYTES) throw invalid(`${bytes.length} bytes are too few for a packet`);
  if (bytes.readUInt32LE(0) !== bytes.length) throw invalid('length of the packet does not match');
  const version = bytes[8] ?? 0;
  if (version < PACKET_VERSION || version > PACKET_VERSION_MAX) {
    throw invalid(`format version ${version}, expected up to ${PACKET_VERSION_MAX}`);
  }
  const headEnd = bytes.readUInt32LE(12);
  if (headEnd < PREFIX_BYTES || headEnd > bytes.length) throw invalid('head outside the packet');
  if (crc32(bytes.subarray(8, headEnd)) !== bytes.readUInt32LE(4)) {
    throw invalid('checksum of the head does not match');
  }
  const reader = new ByteReader(bytes, PREFIX_BYTES, headEnd);
  const flags = reader.u8();
  if (flags > (FLAG_ECHO | FLAG_RELAYED)) throw reader.invalid('unknown flags');
  const stated = readStatus(reader);
  const sentAt = reader.u64() as Micros;
  const wall = reader.u64();
  const clock = reader.u64() as Timestamp;
  const echo =
    (flags & FLAG_ECHO) === 0 ? null : { sentAt: reader.u64() as Micros, heldMicros: reader.u64() };
  const heardThird = reader.u64();
  const announcements = readMany(reader, reader.u16(), ANNOUNCEMENT_BYTES, readAnnouncement);
  const entries = new EntryCursor(bytes, headEnd);
  const feeds = readMany(reader, reader.u16(), FEED_BYTES, () => readFeed(reader, entries));
  const passedOn = (flags & FLAG_RELAYED) === 0 ? null : readStatus(reader);
  const letters = readMany(reader, reader.u16(), LETTER_BYTES, readLetter);
  const lives = version < LIVES_SINCE ? null : reader;
  const withLives = { ...stated, ...readLives(lives) };
  const passedOnWithLives = passedOn === null ? null : { ...passedOn, ...readLives(lives) };
  const readDescent = (): Status['descent'] => (version < DESCENT_SINCE ? null : descentIn(reader));
  const status = { ...withLives, descent: readDescent() };
  const relayed =
    passedOnWithLives === null ? null : { ...passedOnWithLives, descent: readDescent() };
  if (reader.remaining !== 0) throw reader.invalid(`${reader.remaining} bytes left over`);
  if (entries.offset !== bytes.length) throw invalid('bytes after the last entry');
  return { status, sentAt, echo, wall, clock, heardThird, announcements, feeds, relayed, letters };
}

/** Splits a link message into its packets, each still encoded. Throws `INVALID`. */
export function* splitPackets(message: Buffer): Generator<Buffer> {
  for (let offset = 0; offset < message.length;) {
    if (message.length - offset < PREFIX_BYTES) throw invalid('message ends inside a packet');
    const bytes = message.readUInt32LE(offset);
    if (bytes < PREFIX_BYTES || bytes > message.length - offset) {
      throw invalid(`a packet of ${bytes} bytes does not fit into its message`);
    }
    yield message.subarray(offset, offset + bytes);
    offset += bytes;
  }
}

function writeHead(head: ByteWriter, packet: JournalPacket, version: number): void {
  head.u64(0);
  head.u32(version);
  head.u32(0);
  head.u8((packet.echo === null ? 0 : FLAG_ECHO) | (packet.relayed === null ? 0 : FLAG_RELAYED));
  writeStatus(head, packet.status);
  head.u64(packet.sentAt);
  head.u64(packet.wall);
  head.u64(packet.clock);
  if (packet.echo !== null) {
    head.u64(packet.echo.sentAt);
    head.u64(packet.echo.heldMicros);
  }
  head.u64(packet.heardThird);
  head.u16(packet.announcements.length);
  for (const announcement of packet.announcements) {
    head.u8(announcement.lane);
    head.u64(announcement.epoch);
    head.u64(announcement.closed);
    head.u64(announcement.index);
    head.u64(announcement.age);
  }
  head.u16(packet.feeds.length);
  for (const feed of packet.feeds) {
    head.u8(feed.lane);
    head.u8(feed.adoption ? 1 : 0);
    head.u64(feed.epoch);
    head.u64(feed.previous.epoch);
    head.u64(feed.previous.index);
    head.u64(feed.committed);
    head.u32(feed.entries.length);
  }
  if (packet.relayed !== null) writeStatus(head, packet.relayed);
  const tellsLives = version >= LIVES_SINCE;
  const letters = tellsLives ? packet.letters : packet.letters.filter((it) => !isOfVersion3(it));
  head.u16(letters.length);
  for (const letter of letters) writeLetter(head, letter);
  if (!tellsLives) return;
  writeLives(head, packet.status);
  if (packet.relayed !== null) writeLives(head, packet.relayed);
  if (version < DESCENT_SINCE) return;
  writeDescent(head, packet.status);
  if (packet.relayed !== null) writeDescent(head, packet.relayed);
}

function writeLives(head: ByteWriter, { life, lives }: Status): void {
  head.u64(life.number);
  head.u64(life.previous);
  head.u64(life.reservation);
  for (const replica of REPLICAS) head.u64(at(lives, replica));
}

/** null: the sender tells none. */
function readLives(reader: ByteReader | null): Pick<Status, 'life' | 'lives'> {
  const next = (): number => reader?.u64() ?? 0;
  const life = { number: next(), previous: next(), reservation: next() as Timestamp };
  return { life, lives: REPLICAS.map(next) };
}

/** A reservation is written one higher: 0 says that there is none. One that is passed on may have none to tell. */
function writeDescent(head: ByteWriter, { descent }: Status): void {
  head.u8(descent === null ? 0 : 1);
  for (const { life, reservation } of descent ?? []) {
    head.u64(life);
    head.u64(reservation === null ? 0 : reservation + 1);
  }
}

function descentIn(reader: ByteReader): readonly Descent[] | null {
  if (!reader.flag()) return null;
  return REPLICAS.map(() => {
    const life = reader.u64();
    const above = reader.u64();
    return { life, reservation: above === 0 ? null : ((above - 1) as Timestamp) };
  });
}

function writeStatus(head: ByteWriter, status: Status): void {
  head.u8(status.replica);
  head.u8(REPLICAS.reduce<number>((bits, r) => bits | (status.hears[r] === true ? 1 << r : 0), 0));
  head.u8(status.voting ? 1 : 0);
  head.u64(status.incarnation);
  head.u64(status.version);
  for (const replica of REPLICAS) {
    const lane = at(status.lanes, replica);
    head.u8(lane.feeder);
    head.u64(lane.promised);
    head.u64(lane.tail.epoch);
    head.u64(lane.tail.index);
    head.u64(lane.closed);
    head.u64(lane.base.epoch);
    head.u64(lane.base.index);
  }
}

function readStatus(reader: ByteReader): Omit<Status, 'life' | 'lives' | 'descent'> {
  const replica = readReplica(reader);
  const hearsBits = reader.u8();
  if (hearsBits > 7) throw reader.invalid('more replicas than there are');
  const voting = reader.flag();
  const incarnation = reader.u64();
  const version = reader.u64();
  const hears = REPLICAS.map((r) => (hearsBits & (1 << r)) !== 0);
  const lanes: LaneStatus[] = REPLICAS.map(() => {
    const feeder = readReplica(reader);
    const promised = reader.u64() as Epoch;
    const tail = { epoch: reader.u64() as Epoch, index: reader.u64() as Index };
    const closed = reader.u64() as Timestamp;
    const base = { epoch: reader.u64() as Epoch, index: reader.u64() as Index };
    return { promised, tail, closed, feeder, base };
  });
  return { replica, incarnation, version, hears, lanes, voting };
}

function readAnnouncement(reader: ByteReader): Announcement {
  return {
    lane: readReplica(reader),
    epoch: reader.u64() as Epoch,
    closed: reader.u64() as Timestamp,
    index: reader.u64() as Index,
    age: reader.u64(),
  };
}

function readFeed(reader: ByteReader, cursor: EntryCursor): Feed<Frame> {
  const lane: LaneId = readReplica(reader);
  const adoption = reader.flag();
  const epoch = reader.u64() as Epoch;
  const previous = { epoch: reader.u64() as Epoch, index: reader.u64() as Index };
  const committed = reader.u64() as Index;
  const count = reader.u32();
  if (count * ENTRY_BYTES > cursor.remaining) throw reader.invalid(`${count} entries do not fit`);
  const entries: JournalEntry[] = [];
  for (let number = 0; number < count; number += 1) {
    const entry = cursor.next();
    if (entry.lane !== lane || entry.index !== previous.index + number + 1) {
      throw reader.invalid(`entry ${entry.lane}/${entry.index} does not belong into the feed`);
    }
    entries.push(entry);
  }
  return { lane, epoch, previous, entries, committed, adoption };
}

class EntryCursor {
  readonly #bytes: Buffer;
  offset: number;

  constructor(bytes: Buffer, offset: number) {
    this.#bytes = bytes;
    this.offset = offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.offset;
  }

  next(): JournalEntry {
    if (this.remaining < ENTRY_BYTES) throw invalid('packet ends inside an entry');
    const bytes = this.#bytes.readUInt32LE(this.offset);
    if (bytes < ENTRY_BYTES || bytes > this.remaining) throw invalid('entry outside the packet');
    const frame = this.#bytes.subarray(this.offset, this.offset + bytes);
    this.offset += bytes;
    return readEntry(frame);
  }
}

function readMany<T>(
  reader: ByteReader,
  count: number,
  itemBytes: number,
  read: (reader: ByteReader) => T,
): T[] {
  const items: T[] = [];
  for (let left = reader.count(count, itemBytes); left > 0; left -= 1) items.push(read(reader));
  return items;
}

function invalid(what: string): MeridianError {
  return new MeridianError('INVALID', `packet: ${what}`);
}
