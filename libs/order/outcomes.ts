/**
 * The last outcomes of one writer, by seq: three numbers each in one flat ring that grows with the
 * writer up to its window. A failure keeps its details beside the ring, because failures are few.
 */
import { assert } from '../values/assert.ts';
import type { SeqNum, Timestamp } from '../values/numbers.ts';
import type { ChunkReader, ChunkWriter } from './snapshot.ts';
import type { FirstOutcome, OrderFailure } from './types.ts';

/** What the smallest ring holds: a writer that was seen once costs little. */
export const SLOTS_MIN = 4;

const COLUMNS = 3;
const SEQ = 0;
const TIMESTAMP = 1;
const FIRST_SEQ_NUM = 2;
const FAILED = -1;

export class Outcomes {
  #ring = new Float64Array(SLOTS_MIN * COLUMNS);
  #slots = SLOTS_MIN;
  #head = 0;
  #size = 0;
  #failures: Map<number, OrderFailure> | null = null;

  /** Outcomes this ring has memory for. */
  get slots(): number {
    return this.#slots;
  }

  get size(): number {
    return this.#size;
  }

  /** Seq of the oldest outcome; there is one. */
  get oldest(): number {
    assert(this.#size > 0, 'no outcome');
    return this.#cell(0, SEQ);
  }

  /** When the oldest was decided. */
  get oldestTimestamp(): Timestamp {
    return this.#cell(0, TIMESTAMP) as Timestamp;
  }

  /** The outcome of the next seq; drops the oldest when there are `window` already. */
  push(seq: number, timestamp: Timestamp, outcome: FirstOutcome, window: number): void {
    assert(this.#size === 0 || seq > this.#cell(this.#size - 1, SEQ), 'seqs increase');
    if (this.#size >= window) this.#drop();
    if (this.#size === this.#slots) this.#resize(Math.min(this.#slots * 2, window));
    const place = this.#place(this.#size);
    this.#ring[place + SEQ] = seq;
    this.#ring[place + TIMESTAMP] = timestamp;
    if (outcome.kind === 'appended') {
      this.#ring[place + FIRST_SEQ_NUM] = outcome.firstSeqNum;
    } else {
      this.#ring[place + FIRST_SEQ_NUM] = FAILED;
      this.#failures ??= new Map();
      this.#failures.set(seq, outcome.failure);
    }
    this.#size += 1;
  }

  /** The outcome of exactly this seq, or null. */
  find(seq: number): FirstOutcome | null {
    let low = 0;
    let high = this.#size;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#cell(middle, SEQ) < seq) low = middle + 1;
      else high = middle;
    }
    if (low === this.#size || this.#cell(low, SEQ) !== seq) return null;
    const firstSeqNum = this.#cell(low, FIRST_SEQ_NUM);
    if (firstSeqNum !== FAILED) {
      return {
        kind: 'appended',
        timestamp: this.#cell(low, TIMESTAMP) as Timestamp,
        firstSeqNum: firstSeqNum as SeqNum,
      };
    }
    const failure = this.#failures?.get(seq);
    assert(failure !== undefined, `failure of seq ${seq} is kept`);
    return { kind: 'failed', failure };
  }

  /** Forgets all but the newest and gives the memory back. */
  trim(): void {
    while (this.#size > 1) this.#drop();
    this.#resize(SLOTS_MIN);
  }

  clear(): void {
    this.#size = 0;
    this.#failures = null;
    this.#resize(SLOTS_MIN);
  }

  *save(out: ChunkWriter): Generator<Uint8Array> {
    out.u32(this.#slots);
    out.u32(this.#size);
    for (let i = 0; i < this.#size; i += 1) {
      if (!out.hasRoom) yield out.cut(false);
      const seq = this.#cell(i, SEQ);
      const firstSeqNum = this.#cell(i, FIRST_SEQ_NUM);
      out.u64(seq);
      out.u64(this.#cell(i, TIMESTAMP));
      out.u64(firstSeqNum - FAILED);
      if (firstSeqNum === FAILED) out.text(JSON.stringify(this.#failures?.get(seq)));
    }
  }

  /** Into an empty one. */
  restore(from: ChunkReader): void {
    const slots = from.u32();
    const size = from.u32();
    assert(slots >= SLOTS_MIN && size <= slots, `${size} outcomes in ${slots} slots`);
    this.#resize(slots);
    for (let i = 0; i < size; i += 1) {
      from.item();
      const place = i * COLUMNS;
      const seq = from.u64();
      this.#ring[place + SEQ] = seq;
      this.#ring[place + TIMESTAMP] = from.u64();
      const firstSeqNum = from.u64() + FAILED;
      this.#ring[place + FIRST_SEQ_NUM] = firstSeqNum;
      if (firstSeqNum !== FAILED) continue;
      this.#failures ??= new Map();
      this.#failures.set(seq, JSON.parse(from.text()) as OrderFailure);
    }
    this.#size = size;
  }

  #drop(): void {
    if (this.#cell(0, FIRST_SEQ_NUM) === FAILED) this.#failures?.delete(this.#cell(0, SEQ));
    this.#head = (this.#head + 1) % this.#slots;
    this.#size -= 1;
  }

  #resize(slots: number): void {
    if (slots === this.#slots) return;
    const ring = new Float64Array(slots * COLUMNS);
    for (let i = 0; i < this.#size; i += 1) {
      const place = this.#place(i);
      ring.set(this.#ring.subarray(place, place + COLUMNS), i * COLUMNS);
    }
    this.#ring = ring;
    this.#slots = slots;
    this.#head = 0;
  }

  #place(position: number): number {
    return ((this.#head + position) % this.#slots) * COLUMNS;
  }

  #cell(position: number, column: number): number {
    return this.#ring[this.#place(position) + column] ?? 0;
  }
}
