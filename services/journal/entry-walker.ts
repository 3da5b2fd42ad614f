/**
 * Walks over the released batches of one entry after the other, with the place of each: the number of
 * its first record in the entry and in its stream. Batches that left no record are passed over.
 * Holds the bytes of one entry at a time; can stop and go on between any two batches. Bytes in the
 * cache move on with every write, so whoever paused calls `resume` before going on.
 */
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { ENTRY_HEADER_BYTES } from '../../libs/frames/entry.ts';
import { assert } from '../../libs/values/assert.ts';
import type { SeqNum, Timestamp } from '../../libs/values/numbers.ts';
import type { Frame } from './content.ts';
import type { LaneStore } from './lane-store.ts';
import type { ReleaseIndex } from './release-index.ts';

export class EntryWalker {
  #index: ReleaseIndex;
  #store: Pick<LaneStore, 'content'>;
  /** Only batches of this stream; null for all. */
  readonly #only: string | null;
  #frame: Frame | null = null;
  #ordinal = -1;
  #offset = 0;
  #number = 0;
  #recordsBefore = 0;
  #recordless: readonly number[] | null = null;
  /** Next number per stream, for the streams seen in this entry. */
  readonly #next = new Map<string, number>();

  // The batch that `advance` arrived at.
  batch: Uint8Array = new Uint8Array();
  recordOffset = 0;
  recordCount = 0;
  /** Of the first record, in the batch. */
  recordsOffset = 0;
  firstSeqNum = 0 as SeqNum;
  timestamp = 0 as Timestamp;

  constructor(index: ReleaseIndex, store: Pick<LaneStore, 'content'>, only: string | null) {
    this.#index = index;
    this.#store = store;
    this.#only = only;
  }

  /** From the log to an archive and back, between two entries. */
  use(index: ReleaseIndex, store: Pick<LaneStore, 'content'>): void {
    assert(!this.inside, 'the entry is left first');
    this.leave();
    this.#index = index;
    this.#store = store;
  }

  /** Of the entry that was begun last; -1 before. */
  get ordinal(): number {
    return this.#ordinal;
  }

  /** Whether an entry was begun whose end has not been reached. */
  get inside(): boolean {
    return this.#frame !== null && this.#offset < this.#frame.length;
  }

  enter(ordinal: number): void {
    assert(!this.inside, 'one entry at a time');
    const index = this.#index;
    this.#ordinal = ordinal;
    this.#frame = this.#content();
    this.#offset = ENTRY_HEADER_BYTES;
    this.#number = 0;
    this.#recordsBefore = 0;
    this.#recordless = index.recordless(ordinal);
    this.timestamp = index.timestampAt(ordinal);
    this.#next.clear();
  }

  resume(): void {
    if (this.inside) this.#frame = this.#content();
    else this.leave();
  }

  leave(): void {
    this.#frame = null;
  }

  /** Goes to the next batch with records; false at the end of the entry, which is then left. */
  advance(): boolean {
    const frame = this.#frame;
    while (frame !== null && this.#offset < frame.length) {
      const header = decodeBatchHeader(frame, this.#offset);
      const start = this.#offset;
      this.#offset += header.bytes;
      this.recordOffset = this.#recordsBefore;
      this.recordCount = header.recordCount;
      this.#recordsBefore += header.recordCount;
      // A control batch has no records to begin with; others left none (a failed condition, say).
      const isRecordless =
        header.recordCount === 0 || this.#recordless?.includes(this.#number) === true;
      this.#number += 1;
      if (isRecordless || (this.#only !== null && header.stream !== this.#only)) continue;
      this.firstSeqNum = this.#seqNumOf(header.stream, header.recordCount);
      this.batch = frame.subarray(start, this.#offset);
      this.recordsOffset = header.recordsOffset;
      return true;
    }
    this.leave();
    return false;
  }

  #content(): Frame {
    const index = this.#index;
    return this.#store.content(index.laneAt(this.#ordinal), index.indexAt(this.#ordinal));
  }

  #seqNumOf(stream: string, count: number): SeqNum {
    const first =
      this.#next.get(stream) ?? this.#index.rows(stream)?.firstSeqNumIn(this.#ordinal) ?? -1;
    assert(first >= 0, `stream ${stream} has no row for entry ${this.#ordinal}`);
    this.#next.set(stream, first + count);
    return first as SeqNum;
  }
}
