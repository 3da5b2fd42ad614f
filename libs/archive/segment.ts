/**
 * The bytes of a segment (SPEC.md): released entries in their order, as they are in the log, and an index
 * that says what the order made of them, so that a reader needs no ordered state machine. Equal content
 * gives equal bytes. A segment names the hash of the one before; its own is over all its bytes.
 */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { MeridianError } from '../errors/errors.ts';
import { decodeEntryHeader } from '../frames/entry.ts';
import type { EntryHeaderView } from '../frames/entry.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from '../frames/ints.ts';
import { assert } from '../values/assert.ts';

export const SEGMENT_VERSION = 1;
export const HASH_BYTES = 32;
/** No object is larger, whatever a manifest says. */
export const SEGMENT_BYTES_MAX = 256 * 1024 * 1024;

const MAGIC = Buffer.from('MERIDSEG');
const HEADER_BYTES = 64;
const TRAILER_BYTES = 64;
const SECTIONS = { streams: 1, recordless: 2 } as const;

/** Records of a stream from `first` on and before `next`. */
export interface StreamRange {
  readonly stream: string;
  readonly first: number;
  readonly next: number;
}

/** What the order made of one entry. */
export interface EntryOutcome {
  /** Streams with records in it: numbers of the first one there, and behind the last. */
  readonly streams: readonly StreamRange[];
  /** Its batches that left no record, ascending. */
  readonly recordless: readonly number[];
}

export interface BuiltSegment {
  /** Ordinals: of the first entry, and behind the last. */
  readonly first: number;
  readonly end: number;
  readonly firstTimestamp: number;
  readonly lastTimestamp: number;
  readonly bytes: Uint8Array;
  /** SHA-256 over `bytes`, hexadecimal. */
  readonly sha256: string;
  /** By name, ascending. */
  readonly streams: readonly StreamRange[];
}

interface Rows {
  readonly entries: number[];
  readonly firstSeqNums: number[];
  next: number;
}

/** Builds one segment, an entry at a time. */
export class SegmentBuilder {
  readonly first: number;
  firstTimestamp = 0;
  /** Of entries. */
  entryBytes = 0;
  #count = 0;
  #lastTimestamp = 0;
  readonly #parts: Uint8Array[] = [];
  readonly #hash: Hash = createHash('sha256');
  readonly #rows = new Map<string, Rows>();
  readonly #recordless: number[] = [];

  /** `previous`: hash of the segment before, or of the root, hexadecimal. */
  constructor(first: number, previous: string) {
    this.first = first;
    const header = Buffer.alloc(HEADER_BYTES);
    MAGIC.copy(header);
    writeU32(header, 12, SEGMENT_VERSION);
    writeU64(header, 16, first);
    header.set(Buffer.from(previous, 'hex'), 32);
    writeU32(header, 8, crc32(header.subarray(12)));
    this.#push(header);
  }

  get count(): number {
    return this.#count;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  /** Takes a copy of the frame. */
  add(frame: Uint8Array, timestamp: number, outcome: EntryOutcome): void {
    assert(timestamp > this.#lastTimestamp, 'entries of a segment are in the order');
    if (this.#count === 0) this.firstTimestamp = timestamp;
    this.#lastTimestamp = timestamp;
    for (const { stream, first, next } of outcome.streams) {
      const rows = this.#rows.get(stream) ?? { entries: [], firstSeqNums: [], next: 0 };
      this.#rows.set(stream, rows);
      rows.entries.push(this.#count);
      rows.firstSeqNums.push(first);
      rows.next = next;
    }
    for (const batch of outcome.recordless) this.#recordless.push(this.#count, batch);
    this.#push(new Uint8Array(frame));
    this.entryBytes += frame.length;
    this.#count += 1;
  }

  finish(): BuiltSegment {
    assert(this.#count > 0, 'a segment has entries');
    const sections = [this.#streamsSection(), this.#recordlessSection()];
    const indexBytes = sections.reduce((sum, section) => sum + section.length, 0);
    for (const section of sections) this.#push(section);
    const trailer = Buffer.alloc(TRAILER_BYTES);
    writeU64(trailer, 0, this.#count);
    writeU64(trailer, 8, this.entryBytes);
    writeU64(trailer, 16, indexBytes);
    writeU64(trailer, 24, this.firstTimestamp);
    writeU64(trailer, 32, this.#lastTimestamp);
    MAGIC.copy(trailer, 56);
    this.#push(trailer);
    return {
      first: this.first,
      end: this.first + this.#count,
      firstTimestamp: this.firstTimestamp,
      lastTimestamp: this.#lastTimestamp,
      bytes: Buffer.concat(this.#parts),
      sha256: this.#hash.digest('hex'),
      streams: this.#names().map((stream) => {
        const { firstSeqNums = [], next = 0 } = this.#rows.get(stream) ?? {};
        return { stream, first: firstSeqNums[0] ?? 0, next };
      }),
    };
  }

  /** By code unit, not by locale: the same everywhere. */
  #names(): string[] {
    return [...this.#rows.keys()].sort((a, b) => (a < b ? -1 : 1));
  }

  #push(part: Uint8Array): void {
    this.#parts.push(part);
    this.#hash.update(part);
  }

  /** Per stream, by name: u16 bytes of the name, u32 rows, name, u32 entries, u64 first numbers. */
  #streamsSection(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const stream of this.#names()) {
      const { entries = [], firstSeqNums = [] } = this.#rows.get(stream) ?? {};
      const name = Buffer.from(stream);
      const head = Buffer.alloc(6);
      writeU16(head, 0, name.length);
      writeU32(head, 2, entries.length);
      const rows = Buffer.alloc(entries.length * 12);
      entries.forEach((entry, row) => {
        writeU32(rows, row * 4, entry);
      });
      firstSeqNums.forEach((seqNum, row) => {
        writeU64(rows, entries.length * 4 + row * 8, seqNum);
      });
      parts.push(head, name, rows);
    }
    return section(SECTIONS.streams, Buffer.concat(parts));
  }

  /** Pairs of u32: entry, batch. */
  #recordlessSection(): Uint8Array {
    const body = Buffer.alloc(this.#recordless.length * 4);
    this.#recordless.forEach((value, at) => {
      writeU32(body, at * 4, value);
    });
    return section(SECTIONS.recordless, body);
  }
}

/** A segment whose bytes are trusted: who reads it has compared their hash with the manifest's. */
export interface Segment {
  readonly first: number;
  readonly end: number;
  /** Hash of the segment before, hexadecimal. */
  readonly previous: string;
  readonly entries: readonly SegmentEntry[];
  readonly streams: readonly SegmentStream[];
  /** Pairs: entry, batch. */
  readonly recordless: readonly (readonly [entry: number, batch: number])[];
}

export interface SegmentEntry {
  readonly header: EntryHeaderView;
  readonly frame: Uint8Array;
}

export interface SegmentStream {
  readonly name: string;
  /** Numbers of entries in the segment, ascending, and of the first record in each. */
  readonly entries: readonly number[];
  readonly firstSeqNums: readonly number[];
}

/** Throws CORRUPT, and REFUSED for another version. */
export function decodeSegment(bytes: Uint8Array, key: string): Segment {
  try {
    return decode(bytes, key);
  } catch (error) {
    if (!(error instanceof MeridianError) || error.reason === 'REFUSED') throw error;
    const { message } = error;
    throw new MeridianError('CORRUPT', `${key} is no segment: ${message}`, { details: { key } });
  }
}

function decode(bytes: Uint8Array, key: string): Segment {
  if (bytes.length < HEADER_BYTES + TRAILER_BYTES) throw wrong(`it has ${bytes.length} bytes`);
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (!header.subarray(0, 8).equals(MAGIC)) throw wrong('it begins otherwise');
  if (readU32(header, 8) !== crc32(header.subarray(12))) throw wrong('its header is damaged');
  const version = readU32(header, 12);
  if (version !== SEGMENT_VERSION) throw otherVersion(key, version, SEGMENT_VERSION);
  const trailer = bytes.subarray(bytes.length - TRAILER_BYTES);
  const count = readU64(trailer, 0);
  const entryBytes = readU64(trailer, 8);
  const indexBytes = readU64(trailer, 16);
  if (HEADER_BYTES + entryBytes + indexBytes + TRAILER_BYTES !== bytes.length) {
    throw wrong('its sizes do not add up');
  }
  const first = readU64(header, 16);
  const entries: SegmentEntry[] = [];
  let offset = HEADER_BYTES;
  for (const end = offset + entryBytes; offset < end;) {
    const entry = decodeEntryHeader(bytes, offset);
    entries.push({ header: entry, frame: bytes.subarray(offset, offset + entry.bytes) });
    offset += entry.bytes;
  }
  if (entries.length !== count) throw wrong(`it has ${entries.length} entries, not ${count}`);
  const index = readSections(bytes.subarray(offset, offset + indexBytes));
  if (index === null) throw wrong('its index is damaged');
  const previous = header.subarray(32, 32 + HASH_BYTES).toString('hex');
  return { first, end: first + count, previous, entries, ...index };
}

function wrong(what: string): MeridianError {
  return new MeridianError('CORRUPT', what);
}

export function otherVersion(key: string, actual: number, expected: number): MeridianError {
  return new MeridianError(
    'REFUSED',
    `${key} has format version ${actual}, this program reads version ${expected}`,
    { details: { key, actual, expected } },
  );
}

/** Sections of unknown kinds are passed over. null: they do not fill their place. */
function readSections(bytes: Uint8Array): Pick<Segment, 'streams' | 'recordless'> | null {
  let streams: SegmentStream[] = [];
  let recordless: [number, number][] = [];
  let offset = 0;
  while (offset + 8 <= bytes.length) {
    const kind = readU32(bytes, offset);
    const end = offset + 8 + readU32(bytes, offset + 4);
    if (end > bytes.length) return null;
    const body = bytes.subarray(offset + 8, end);
    if (kind === SECTIONS.streams) streams = readStreams(body);
    if (kind === SECTIONS.recordless) recordless = readPairs(body);
    offset = end;
  }
  return offset === bytes.length ? { streams, recordless } : null;
}

function readStreams(body: Uint8Array): SegmentStream[] {
  const streams: SegmentStream[] = [];
  for (let at = 0; at < body.length;) {
    const nameBytes = readU16(body, at);
    const rows = readU32(body, at + 2);
    const start = at + 6 + nameBytes;
    const name = Buffer.from(body.subarray(at + 6, start)).toString();
    at = start + rows * 12;
    if (at > body.length) break;
    const entries = Array.from({ length: rows }, (_, row) => readU32(body, start + row * 4));
    const firstSeqNums = Array.from({ length: rows }, (_, row) =>
      readU64(body, start + rows * 4 + row * 8),
    );
    streams.push({ name, entries, firstSeqNums });
  }
  return streams;
}

function readPairs(body: Uint8Array): [number, number][] {
  return Array.from({ length: Math.floor(body.length / 8) }, (_, pair) => [
    readU32(body, pair * 8),
    readU32(body, pair * 8 + 4),
  ]);
}

function section(kind: number, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(8 + body.length);
  writeU32(bytes, 0, kind);
  writeU32(bytes, 4, body.length);
  bytes.set(body, 8);
  return bytes;
}
