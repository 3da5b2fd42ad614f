/**
 * What was released, by number: release ordinal → (timestamp, lane, index), and per stream which
 * entries hold its records and the number of the first one. This is how a reader finds its start and
 * walks on; the bytes themselves are with the lane store.
 *
 * One row per entry and per (stream, entry), never per record. Batches that left no record (a failed
 * condition, a duplicate) are rare and kept apart. Only the driver writes, in release order.
 * Deliberately not here: what the outcomes were (the order machine) and what may be read (readers).
 */
import { assert } from '../../libs/values/assert.ts';
import type { EntryHeader } from '../../libs/lane/types.ts';
import type { Index, LaneId, SeqNum, Timestamp } from '../../libs/values/numbers.ts';
import { Column } from './columns.ts';

const LANE_STRIDE = 4;

/** The rows of one stream: entry ordinals, ascending, with the first number in each. */
export class StreamRows {
  readonly ordinals = new Column();
  readonly firstSeqNums = new Column();

  /** Keeps the first number per entry. */
  add(ordinal: number, firstSeqNum: number): void {
    const rows = this.ordinals.length;
    if (rows > 0 && this.ordinals.at(rows - 1) === ordinal) return;
    this.ordinals.push(ordinal);
    this.firstSeqNums.push(firstSeqNum);
  }

  /** Number of the stream's first record in the entry `ordinal`; -1 when it has none there. */
  firstSeqNumIn(ordinal: number): number {
    const row = this.ordinals.lowerBound(ordinal);
    if (row === this.ordinals.length || this.ordinals.at(row) !== ordinal) return -1;
    return this.firstSeqNums.at(row);
  }

  /** Row of the entry that holds the record `seqNum`, which must have been released. */
  rowOf(seqNum: number): number {
    const next = this.firstSeqNums.lowerBound(seqNum + 1);
    assert(next > 0, `no entry holds record ${seqNum}`);
    return next - 1;
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

  /** Entries released so far; the next ordinal. */
  get count(): number {
    return this.#timestamps.length;
  }

  get lastTimestamp(): Timestamp {
    const count = this.count;
    return (count === 0 ? 0 : this.#timestamps.at(count - 1)) as Timestamp;
  }

  /** Adds the next released entry and returns its ordinal. */
  addEntry(header: EntryHeader): number {
    const ordinal = this.count;
    assert(header.timestamp > this.lastTimestamp, 'released out of order');
    this.#timestamps.push(header.timestamp);
    this.#places.push(header.index * LANE_STRIDE + header.lane);
    return ordinal;
  }

  /** A batch of the newest entry with records of the stream; the first one per stream makes a row. */
  addBatch(stream: string, ordinal: number, firstSeqNum: SeqNum): void {
    if (ordinal === this.#lastOrdinal && stream === this.#lastStream) return;
    this.#lastOrdinal = ordinal;
    this.#lastStream = stream;
    let rows = this.#streams.get(stream);
    if (rows === undefined) {
      rows = new StreamRows();
      this.#streams.set(stream, rows);
    }
    rows.add(ordinal, firstSeqNum);
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
}
