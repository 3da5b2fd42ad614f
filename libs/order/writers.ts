/**
 * The writer table (SPEC.md, W1–W8): who has appended with which sequence, and what came of it, so
 * that a retry through any region takes effect once. Everything here, forgetting included, is decided
 * by the log alone, so all replicas remember the same.
 *
 * Writers stand in a list in the order of their last append in the log. From its old end writers leave
 * when there are too many or they are too old; before that, when outcomes need too much memory, the
 * `hand` walks along it from the old end and leaves each writer only its newest outcome.
 */
import { assert } from '../values/assert.ts';
import type { Timestamp } from '../values/numbers.ts';
import { Outcomes, SLOTS_MIN } from './outcomes.ts';
import type { ChunkReader, ChunkWriter } from './snapshot.ts';
import type { FirstOutcome, OrderFailure, Outcome, WriterSeq, WriterState } from './types.ts';

export interface WriterBounds {
  readonly writersMax: number;
  readonly outcomesPerWriter: number;
  readonly outcomesMax: number;
  readonly writerAgeMaxMicros: number;
}

const IS_HAND = 1;

interface Writer {
  readonly id: string;
  epoch: number;
  lastSeq: number;
  timestamp: Timestamp;
  readonly outcomes: Outcomes;
  older: Writer | null;
  newer: Writer | null;
}

export class Writers {
  readonly #bounds: WriterBounds;
  readonly #byId = new Map<string, Writer>();
  #oldest: Writer | null = null;
  #newest: Writer | null = null;
  /** Every writer older than this one holds no more than SLOTS_MIN outcomes; null: all do. */
  #hand: Writer | null = null;
  #slots = 0;

  constructor(bounds: WriterBounds) {
    const { writersMax, outcomesPerWriter, outcomesMax, writerAgeMaxMicros } = bounds;
    assert(writersMax >= 1 && outcomesPerWriter >= SLOTS_MIN, 'room for a writer');
    assert(writerAgeMaxMicros >= 1, 'writers live for a while');
    assert(
      outcomesMax >= writersMax * SLOTS_MIN + outcomesPerWriter,
      `outcomesMax ${outcomesMax} leaves room for the fewest outcomes of all writers and all of one`,
    );
    this.#bounds = bounds;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Outcomes there is memory for; at most `outcomesMax`. */
  get slots(): number {
    return this.#slots;
  }

  get(id: string): WriterState | null {
    const writer = this.#byId.get(id);
    if (writer === undefined) return null;
    return { epoch: writer.epoch, lastSeq: writer.lastSeq, timestamp: writer.timestamp };
  }

  /** W7: forgets writers whose last append is too long ago, in log time. */
  age(now: Timestamp): void {
    const horizon = now - this.#bounds.writerAgeMaxMicros;
    while (this.#oldest !== null && this.#oldest.timestamp < horizon) this.#forget(this.#oldest);
  }

  /** null: this seq is next, decide it and `remember`; otherwise the answer, and nothing is consumed. */
  admit({ id, epoch, seq, previous }: WriterSeq): Outcome | null {
    const writer = this.#byId.get(id);
    if (writer === undefined) {
      if (previous === 0) return null;
      return failed({ reason: 'WRITER_FORGOTTEN', seq, oldestRemembered: 0 });
    }
    const { lastSeq: last, outcomes } = writer;
    if (epoch < writer.epoch) {
      return failed({ reason: 'WRITER_FENCED', epoch, current: writer.epoch });
    }
    if (epoch > writer.epoch) {
      return previous === last || previous === 0 ? null : gap(previous, last);
    }
    if (seq > last) return previous === last ? null : gap(previous, last);
    const first = outcomes.find(seq);
    if (first !== null) return { kind: 'duplicate', first };
    if (seq < outcomes.oldest) {
      return failed({ reason: 'WRITER_FORGOTTEN', seq, oldestRemembered: outcomes.oldest });
    }
    return gap(previous, last);
  }

  /** The outcome of a seq that `admit` has just let in. */
  remember(seq: WriterSeq, timestamp: Timestamp, outcome: FirstOutcome): void {
    const writer = this.#byId.get(seq.id) ?? this.#create(seq.id);
    const { outcomes } = writer;
    const slotsBefore = outcomes.slots;
    if (seq.epoch > writer.epoch && seq.previous !== writer.lastSeq) outcomes.clear();
    outcomes.push(seq.seq, outcome, this.#bounds.outcomesPerWriter);
    this.#slots += outcomes.slots - slotsBefore;
    writer.epoch = seq.epoch;
    writer.lastSeq = seq.seq;
    writer.timestamp = timestamp;
    this.#touch(writer);
    this.#shrink();
  }

  /** From the one silent longest on: their order decides who is forgotten. */
  *save(out: ChunkWriter): Generator<Uint8Array> {
    out.u32(this.#byId.size);
    for (let writer = this.#oldest; writer !== null; writer = writer.newer) {
      if (!out.hasRoom) yield out.cut(false);
      out.u8(writer === this.#hand ? IS_HAND : 0);
      out.text(writer.id);
      out.u32(writer.epoch);
      out.u64(writer.lastSeq);
      out.u64(writer.timestamp);
      yield* writer.outcomes.save(out);
    }
  }

  /** Into an empty table. */
  restore(from: ChunkReader): void {
    let hand: Writer | null = null;
    for (let left = from.u32(); left > 0; left -= 1) {
      from.item();
      const flags = from.u8();
      const id = from.text();
      assert(!this.#byId.has(id) && flags <= IS_HAND, `writer ${id} comes once`);
      const writer = this.#create(id);
      if (flags === IS_HAND) hand = writer;
      writer.epoch = from.u32();
      writer.lastSeq = from.u64();
      writer.timestamp = from.u64() as Timestamp;
      this.#slots -= writer.outcomes.slots;
      writer.outcomes.restore(from);
      this.#slots += writer.outcomes.slots;
    }
    this.#hand = hand;
  }

  #create(id: string): Writer {
    const outcomes = new Outcomes();
    const writer: Writer = {
      id,
      epoch: 0,
      lastSeq: 0,
      timestamp: 0 as Timestamp,
      outcomes,
      older: null,
      newer: null,
    };
    this.#byId.set(id, writer);
    this.#slots += outcomes.slots;
    this.#append(writer);
    return writer;
  }

  #forget(writer: Writer): void {
    this.#byId.delete(writer.id);
    this.#slots -= writer.outcomes.slots;
    this.#unlink(writer);
  }

  /** W6 and W8, from the writer that has been silent longest. */
  #shrink(): void {
    while (this.#byId.size > this.#bounds.writersMax && this.#oldest !== null) {
      this.#forget(this.#oldest);
    }
    while (this.#slots > this.#bounds.outcomesMax && this.#hand !== null) {
      const { outcomes, newer } = this.#hand;
      const slotsBefore = outcomes.slots;
      outcomes.trim();
      this.#slots += outcomes.slots - slotsBefore;
      this.#hand = newer;
    }
    assert(this.#slots <= this.#bounds.outcomesMax, 'outcomes are bounded');
  }

  #touch(writer: Writer): void {
    if (this.#newest === writer) {
      this.#hand ??= writer;
      return;
    }
    this.#unlink(writer);
    this.#append(writer);
  }

  #append(writer: Writer): void {
    writer.older = this.#newest;
    writer.newer = null;
    if (this.#newest === null) this.#oldest = writer;
    else this.#newest.newer = writer;
    this.#newest = writer;
    this.#hand ??= writer;
  }

  #unlink(writer: Writer): void {
    if (this.#hand === writer) this.#hand = writer.newer;
    if (writer.older === null) this.#oldest = writer.newer;
    else writer.older.newer = writer.newer;
    if (writer.newer === null) this.#newest = writer.older;
    else writer.newer.older = writer.older;
  }
}

function failed(failure: OrderFailure): Outcome {
  return { kind: 'failed', failure };
}

function gap(previous: number, last: number): Outcome {
  return failed({ reason: 'WRITER_GAP', previous, last });
}
