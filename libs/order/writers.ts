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
import type { AppendName, FirstOutcome, OrderFailure, Outcome, Resolution } from './types.ts';
import type { WriterSeq, WriterState } from './types.ts';

export interface WriterBounds {
  readonly writersMax: number;
  readonly outcomesPerWriter: number;
  readonly outcomesMax: number;
  readonly writerAgeMaxMicros: number;
}

const IS_HAND = 1;
const IS_FRESH = 2;

interface Writer {
  readonly id: string;
  epoch: number;
  /** First seq that was decided in `epoch`. */
  since: number;
  /** The epochs before it that still have outcomes, with their first seq, ascending. */
  earlier: Era[] | null;
  /** A higher epoch has started afresh: of the ones before it nothing is known. */
  fresh: boolean;
  lastSeq: number;
  timestamp: Timestamp;
  readonly outcomes: Outcomes;
  older: Writer | null;
  newer: Writer | null;
}

interface Era {
  readonly epoch: number;
  readonly since: number;
}

export class Writers {
  readonly #bounds: WriterBounds;
  readonly #byId = new Map<string, Writer>();
  #oldest: Writer | null = null;
  #newest: Writer | null = null;
  /** Every writer older than this one holds no more than SLOTS_MIN outcomes; null: all do. */
  #hand: Writer | null = null;
  #slots = 0;
  /** Newest last append of a writer that was forgotten: every later one is still here. */
  #forgottenAt = 0 as Timestamp;

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
    if (seq.epoch > writer.epoch) beginEra(writer, seq);
    outcomes.push(seq.seq, timestamp, outcome, this.#bounds.outcomesPerWriter);
    this.#slots += outcomes.slots - slotsBefore;
    writer.epoch = seq.epoch;
    writer.lastSeq = seq.seq;
    writer.timestamp = timestamp;
    this.#touch(writer);
    this.#shrink();
  }

  /**
   * What became of an append: from what is remembered, and what `admit` would say if it came now.
   * `never` holds for as long as the writer is remembered.
   */
  resolve({ id, epoch, seq }: AppendName): Resolution {
    const writer = this.#byId.get(id);
    if (writer === undefined) {
      const before = this.#forgottenAt;
      return before === 0 ? { state: 'pending' } : { state: 'forgotten', before };
    }
    if (epoch > writer.epoch) return { state: 'pending' };
    const forgotten = { state: 'forgotten', before: writer.outcomes.oldestTimestamp } as const;
    if (writer.fresh && epoch < oldestEpoch(writer)) return forgotten;
    // Another append of a higher epoch, or none, stands where this one would have stood.
    if (firstSeqAbove(writer, epoch) <= seq) return { state: 'never' };
    const first = writer.outcomes.find(seq);
    if (first !== null) return resolutionOf(first);
    if (seq > writer.lastSeq) return { state: 'pending' };
    return seq < writer.outcomes.oldest ? forgotten : { state: 'never' };
  }

  /** From the one silent longest on: their order decides who is forgotten. */
  *save(out: ChunkWriter): Generator<Uint8Array> {
    out.u64(this.#forgottenAt);
    out.u32(this.#byId.size);
    for (let writer = this.#oldest; writer !== null; writer = writer.newer) {
      if (!out.hasRoom) yield out.cut(false);
      out.u8((writer === this.#hand ? IS_HAND : 0) | (writer.fresh ? IS_FRESH : 0));
      out.text(writer.id);
      out.u32(writer.epoch);
      out.u64(writer.since);
      out.u64(writer.lastSeq);
      out.u64(writer.timestamp);
      out.u32(writer.earlier?.length ?? 0);
      for (const { epoch, since } of writer.earlier ?? []) {
        if (!out.hasRoom) yield out.cut(false);
        out.u32(epoch);
        out.u64(since);
      }
      yield* writer.outcomes.save(out);
    }
  }

  /** Into an empty table. */
  restore(from: ChunkReader): void {
    let hand: Writer | null = null;
    this.#forgottenAt = from.u64() as Timestamp;
    for (let left = from.u32(); left > 0; left -= 1) {
      from.item();
      const flags = from.u8();
      const id = from.text();
      assert(!this.#byId.has(id) && flags <= (IS_HAND | IS_FRESH), `writer ${id} comes once`);
      const writer = this.#create(id);
      if ((flags & IS_HAND) !== 0) hand = writer;
      writer.fresh = (flags & IS_FRESH) !== 0;
      writer.epoch = from.u32();
      writer.since = from.u64();
      writer.lastSeq = from.u64();
      writer.timestamp = from.u64() as Timestamp;
      for (let eras = from.u32(); eras > 0; eras -= 1) {
        from.item();
        writer.earlier ??= [];
        writer.earlier.push({ epoch: from.u32(), since: from.u64() });
      }
      this.#slots -= writer.outcomes.slots;
      from.item();
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
      since: 0,
      earlier: null,
      fresh: false,
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
    this.#forgottenAt = writer.timestamp;
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

/** Its outcomes go on behind those of the epochs before, or without them. */
function beginEra(writer: Writer, { epoch, seq, previous }: WriterSeq): void {
  const { outcomes, epoch: before, since } = writer;
  if (before > 0 && previous !== writer.lastSeq) {
    outcomes.clear();
    writer.earlier = null;
    writer.fresh = true;
  } else if (before > 0) {
    const eras = [...(writer.earlier ?? []), { epoch: before, since }];
    // Of an epoch whose successor began at or before the oldest outcome, none is left.
    const first = eras.findIndex((_, i) => (eras[i + 1]?.since ?? seq) > outcomes.oldest);
    writer.earlier = first === -1 ? null : eras.slice(first);
  }
  writer.epoch = epoch;
  writer.since = seq;
}

function oldestEpoch({ earlier, epoch }: Writer): number {
  return earlier?.[0]?.epoch ?? epoch;
}

/** Where the chain left this epoch for a higher one; Infinity when it has not. */
function firstSeqAbove(writer: Writer, epoch: number): number {
  for (const era of writer.earlier ?? []) if (era.epoch > epoch) return era.since;
  return writer.epoch > epoch ? writer.since : Infinity;
}

function resolutionOf(first: FirstOutcome): Resolution {
  if (first.kind === 'failed') return { state: 'failed', failure: first.failure };
  const { timestamp, firstSeqNum } = first;
  return { state: 'appended', timestamp, firstSeqNum };
}

function failed(failure: OrderFailure): Outcome {
  return { kind: 'failed', failure };
}

function gap(previous: number, last: number): Outcome {
  return failed({ reason: 'WRITER_GAP', previous, last });
}
