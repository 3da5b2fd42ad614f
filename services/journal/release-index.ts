/**
 * What was released, by number: release ordinal → (timestamp, lane, index), and per stream which
 * entries hold its records and the number of the first one. This is how a reader finds its start and
 * walks on; the bytes themselves are with the lane store.
 *
 * One row per entry and per (stream, entry), never per record. Batches that left no record (a failed
 * condition, a duplicate) are rare and kept apart. Only the driver writes, in release order. Ordinals
 * count from the first entry of the journal, on every replica alike; those of entries that have left
 * the log are gone (`first`).
 * Deliberately not here: what the outcomes were (the order machine) and what may be read (readers).
 */
import { assert } from '../../libs/values/assert.ts';
import type { EntryHeader } from '../../libs/lane/types.ts';
import type { Index, LaneId, SeqNum, Timestamp } from '../../libs/values/numbers.ts';
import { Column } from './columns.ts';

const LANE_STRIDE = 4;
/** Rows in one section of a checkpoint. */
const ROWS_PER_SECTION = 65_536;
const STREAM_ROWS_PER_PART = 8_192;
const SECTION_BYTES = 512 * 1024;

/** The rows of one stream: entry ordinals, ascending, with the first number in each. */
export class StreamRows {
  readonly ordinals = new Column();
  readonly firstSeqNums = new Column();

  /** Keeps the first number per entry. */
  add(ordinal: number, firstSeqNum: number): void {
    const rows = this.ordinals.length;
    if (rows > this.ordinals.start && this.ordinals.at(rows - 1) === ordinal) return;
    this.ordinals.push(ordinal);
    this.firstSeqNums.push(firstSeqNum);
  }

  /** Number of the stream's first record in the entry `ordinal`; -1 when it has none there. */
  firstSeqNumIn(ordinal: number): number {
    const row = this.ordinals.lowerBound(ordinal);
    if (row === this.ordinals.length || this.ordinals.at(row) !== ordinal) return -1;
    return this.firstSeqNums.at(row);
  }

  /** Row of the entry that holds the record `seqNum`, or of the first one kept behind it. */
  rowOf(seqNum: number): number {
    return Math.max(this.firstSeqNums.lowerBound(seqNum + 1) - 1, this.ordinals.start);
  }

  get isEmpty(): boolean {
    return this.ordinals.start === this.ordinals.length;
  }

  dropBefore(ordinal: number): void {
    const row = this.ordinals.lowerBound(ordinal);
    this.ordinals.dropBefore(row);
    this.firstSeqNums.dropBefore(row);
  }
}

export class ReleaseIndex {
  readonly #timestamps = new Column();
  readonly #places = new Column();
  readonly #streams = new Map<string, StreamRows>();
  /** Ordinal → batches of the entry without a record, ascending. */
  readonly #recordless = new Map<number, number[]>();
  /** Of the last batch: an entry mostly holds many batches of one stream. */
  #lastStream = '';
  #lastOrdinal = -1;
  #lastTimestamp = 0;
  #goneTo = 0;

  /** The lowest ordinal that is here; `count` when there is none. */
  get first(): number {
    return this.#timestamps.start;
  }

  /** Entries released so far; the next ordinal. */
  get count(): number {
    return this.#timestamps.length;
  }

  /** Timestamp up to which entries have left the log; 0 when none has. */
  get goneTo(): Timestamp {
    return this.#goneTo as Timestamp;
  }

  /** The lowest number of the stream's records that are here; `next` when there are none. */
  firstSeqNumHere(stream: string, next: number): number {
    if (this.#goneTo === 0) return 0;
    const rows = this.#streams.get(stream);
    return rows === undefined || rows.isEmpty ? next : rows.firstSeqNums.at(rows.ordinals.start);
  }

  get lastTimestamp(): Timestamp {
    return this.#lastTimestamp as Timestamp;
  }

  /** Adds the next released entry and returns its ordinal. */
  addEntry(header: EntryHeader): number {
    const ordinal = this.count;
    assert(header.timestamp > this.#lastTimestamp, 'released out of order');
    this.#lastTimestamp = header.timestamp;
    this.#timestamps.push(header.timestamp);
    this.#places.push(header.index * LANE_STRIDE + header.lane);
    return ordinal;
  }

  /** A batch of the newest entry with records of the stream; the first one per stream makes a row. */
  addBatch(stream: string, ordinal: number, firstSeqNum: SeqNum): void {
    if (ordinal === this.#lastOrdinal && stream === this.#lastStream) return;
    this.#lastOrdinal = ordinal;
    this.#lastStream = stream;
    this.#rowsOf(stream).add(ordinal, firstSeqNum);
  }

  /** Batch number `batch` of the newest entry left no record. */
  addRecordless(ordinal: number, batch: number): void {
    const known = this.#recordless.get(ordinal);
    if (known === undefined) this.#recordless.set(ordinal, [batch]);
    else known.push(batch);
  }

  rows(stream: string): StreamRows | null {
    return this.#streams.get(stream) ?? null;
  }

  recordless(ordinal: number): readonly number[] | null {
    return this.#recordless.get(ordinal) ?? null;
  }

  timestampAt(ordinal: number): Timestamp {
    return this.#timestamps.at(ordinal) as Timestamp;
  }

  laneAt(ordinal: number): LaneId {
    return (this.#places.at(ordinal) % LANE_STRIDE) as LaneId;
  }

  indexAt(ordinal: number): Index {
    return Math.floor(this.#places.at(ordinal) / LANE_STRIDE) as Index;
  }

  /** Ordinal of the first entry with a timestamp at or above; `count` when there is none yet. */
  firstAtOrAbove(timestamp: number): number {
    return this.#timestamps.lowerBound(timestamp);
  }

  /** Entries below the ordinal have left the log. */
  dropBefore(ordinal: number): void {
    if (ordinal <= this.first) return;
    this.#goneTo = this.timestampAt(ordinal - 1);
    this.#timestamps.dropBefore(ordinal);
    this.#places.dropBefore(ordinal);
    // Also a stream without rows keeps its place: a reader may wait at its next row.
    for (const rows of this.#streams.values()) rows.dropBefore(ordinal);
    for (const known of this.#recordless.keys()) {
      // In the order of insertion, which is the order of ordinals.
      if (known >= ordinal) break;
      this.#recordless.delete(known);
    }
  }

  /** A journal whose first `ordinal` entries, up to the timestamp `goneTo`, are not here. */
  startAt(ordinal: number, goneTo: number, lastTimestamp: Timestamp): void {
    this.#timestamps.startAt(ordinal);
    this.#places.startAt(ordinal);
    this.#goneTo = goneTo;
    this.#lastTimestamp = lastTimestamp;
  }

  // ---- checkpoints ------------------------------------------------------------------------------

  /** The rows of the entries below `count`, in parts. What is added meanwhile does not disturb. */
  *saveEntries(count: number): Generator<Uint8Array> {
    for (let from = this.first; from < count; from += ROWS_PER_SECTION) {
      const to = Math.min(count, from + ROWS_PER_SECTION);
      yield Buffer.concat([this.#timestamps.bytes(from, to), this.#places.bytes(from, to)]);
    }
  }

  loadEntries(part: Uint8Array): void {
    const half = part.length / 2;
    this.#timestamps.pushBytes(part.subarray(0, half));
    this.#places.pushBytes(part.subarray(half));
    this.#lastTimestamp = this.#timestamps.at(this.count - 1);
  }

  /** Per stream: u16 bytes of the name, u32 rows, name, ordinals, first numbers; a long one in several parts. */
  *saveStreams(count: number): Generator<Uint8Array> {
    let parts: Uint8Array[] = [];
    let bytes = 0;
    for (const [stream, { ordinals, firstSeqNums }] of this.#streams) {
      const end = ordinals.lowerBound(count);
      for (let from = ordinals.start; from < end; from += STREAM_ROWS_PER_PART) {
        const to = Math.min(end, from + STREAM_ROWS_PER_PART);
        const name = Buffer.from(stream);
        const head = Buffer.alloc(6);
        head.writeUInt16LE(name.length, 0);
        head.writeUInt32LE(to - from, 2);
        parts.push(head, name, ordinals.bytes(from, to), firstSeqNums.bytes(from, to));
        bytes += head.length + name.length + (to - from) * 16;
        if (bytes < SECTION_BYTES) continue;
        yield Buffer.concat(parts);
        parts = [];
        bytes = 0;
      }
    }
    if (bytes > 0) yield Buffer.concat(parts);
  }

  loadStreams(part: Uint8Array): void {
    const bytes = Buffer.from(part.buffer, part.byteOffset, part.length);
    for (let at = 0; at < bytes.length;) {
      const nameBytes = bytes.readUInt16LE(at);
      const rowBytes = bytes.readUInt32LE(at + 2) * 8;
      const start = at + 6 + nameBytes;
      const rows = this.#rowsOf(bytes.toString('utf8', at + 6, start));
      rows.ordinals.pushBytes(bytes.subarray(start, start + rowBytes));
      rows.firstSeqNums.pushBytes(bytes.subarray(start + rowBytes, start + 2 * rowBytes));
      at = start + 2 * rowBytes;
    }
  }

  /** Pairs of numbers: ordinal, batch. */
  *saveRecordless(count: number): Generator<Uint8Array> {
    let pairs: number[] = [];
    for (const [ordinal, batches] of this.#recordless) {
      if (ordinal >= count) break;
      for (const batch of batches) pairs.push(ordinal, batch);
      if (pairs.length < ROWS_PER_SECTION) continue;
      yield new Uint8Array(Float64Array.from(pairs).buffer);
      pairs = [];
    }
    if (pairs.length > 0) yield new Uint8Array(Float64Array.from(pairs).buffer);
  }

  loadRecordless(part: Uint8Array): void {
    const pairs = new Column();
    pairs.pushBytes(part);
    for (let i = 0; i < pairs.length; i += 2) this.addRecordless(pairs.at(i), pairs.at(i + 1));
  }

  #rowsOf(stream: string): StreamRows {
    let rows = this.#streams.get(stream);
    if (rows === undefined) {
      rows = new StreamRows();
      this.#streams.set(stream, rows);
    }
    return rows;
  }
}
