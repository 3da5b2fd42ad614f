/**
 * The ordered state machine (SPEC.md): every replica runs it over the released batches, in the
 * order, and only its result decides what an append did. Deterministic: no clock but the log's.
 *
 * It sees headers, never records, and owns no bytes. Decides appends; what a control action does
 * stands in control.ts. A stream's fencing token is 0 as long as nothing has set it.
 */
import { MeridianError } from '../errors/errors.ts';
import type { Control } from '../frames/control.ts';
import { RETIRED_STREAM } from '../frames/member-record.ts';
import { assert, AssertionError } from '../values/assert.ts';
import type { SeqNum, Timestamp } from '../values/numbers.ts';
import { Actions } from './actions.ts';
import { perform } from './control.ts';
import { RunningHash, fingerprint } from './hash.ts';
import { ORDER_SETTINGS } from './settings.ts';
import type { OrderSettings } from './settings.ts';
import { ChunkReader, ChunkWriter, orCorrupt } from './snapshot.ts';
import { Streams } from './streams.ts';
import type { Stream } from './streams.ts';
import type { AppendName, BatchHeader, Controlled, FirstOutcome } from './types.ts';
import type { OrderFailure, OrderMachine, Outcome, Resolution } from './types.ts';
import type { StreamPage, StreamQuery, StreamState, WriterState } from './types.ts';
import { Writers } from './writers.ts';

export { ORDER_SETTINGS } from './settings.ts';
export type { OrderSettings } from './settings.ts';

/**
 * How long a retired instance goes on taking appends, in log time: for every replica to hear of it before a
 * `QUORUM` append could be answered that the order then refuses. Five seconds: ten seal timeouts.
 */
export const RETIREMENT_GRACE_MICROS = 5_000_000;

export interface HashedOrderMachine extends OrderMachine {
  /** Running hash of everything applied: 16 hexadecimal digits. */
  hash(): string;
  /** Batches applied. */
  readonly applied: number;
  /** Timestamp of the last batch applied; 0 before the first. */
  readonly timestamp: Timestamp;
  readonly writerCount: number;
  /** Outcomes there is memory for at the moment. */
  readonly outcomeSlots: number;
  /** Control actions that are remembered. */
  readonly actionCount: number;
  /**
   * The whole state as chunks of at most 64 KiB, made as they are taken; equal states give equal bytes.
   * Nothing may be applied before the last one is taken.
   */
  snapshot(): Generator<Uint8Array, void, undefined>;
}

export function createOrderMachine(settings: Partial<OrderSettings> = {}): HashedOrderMachine {
  return new Machine({ ...ORDER_SETTINGS, ...settings });
}

/**
 * A machine that goes on where the snapshot was made, with equal hash and equal behaviour, bounds
 * included: they are part of the state. CORRUPT for damaged or incomplete bytes; REFUSED for a format
 * of another version, and when `settings` are given that are not the snapshot's.
 */
export function restoreOrderMachine(
  chunks: Iterable<Uint8Array>,
  settings: Partial<OrderSettings> = {},
): HashedOrderMachine {
  return orCorrupt(() => {
    const from = new ChunkReader(chunks);
    from.item();
    const kept: Record<string, number> = { ...ORDER_SETTINGS };
    for (const name of Object.keys(ORDER_SETTINGS)) kept[name] = from.u64();
    for (const [name, wanted] of Object.entries(settings)) {
      if (wanted === kept[name]) continue;
      throw new MeridianError(
        'REFUSED',
        `${name} is ${wanted}, but ${kept[name]} in the snapshot: all replicas must forget alike`,
        { details: { setting: name, expected: kept[name] ?? 0, actual: wanted } },
      );
    }
    const machine = new Machine(kept as unknown as OrderSettings);
    machine.restore(from);
    return machine;
  });
}

class Machine implements HashedOrderMachine {
  readonly #settings: OrderSettings;
  readonly #streams: Streams;
  readonly #writers: Writers;
  readonly #actions: Actions;
  readonly #hash = new RunningHash();
  #timestamp = 0 as Timestamp;
  #applied = 0;
  /** Derived from the streams, because it is looked at for every append. */
  #retiredFrom = Infinity;

  constructor(settings: OrderSettings) {
    this.#settings = settings;
    this.#streams = new Streams(settings.streamNamesMax);
    this.#writers = new Writers(settings);
    this.#actions = new Actions(settings);
  }

  apply(batch: BatchHeader, timestamp: Timestamp): Outcome {
    // The message is made only on failure: this runs for every batch.
    if (timestamp < this.#timestamp) {
      throw new AssertionError(`applied ${timestamp} after ${this.#timestamp}`);
    }
    this.#timestamp = timestamp;
    this.#applied += 1;
    this.#writers.age(timestamp);
    const outcome = this.#outcomeOf(batch, timestamp);
    this.#hashIn(batch, timestamp, outcome);
    return outcome;
  }

  stream(name: string): StreamState | null {
    return this.#streams.state(name);
  }

  demandsToken(name: string): boolean {
    return this.#streams.get(name)?.fencing === 'required';
  }

  get retiredFrom(): number {
    return this.#retiredFrom;
  }

  streams(query: StreamQuery): StreamPage {
    return this.#streams.page(query);
  }

  writer(id: string): WriterState | null {
    return this.#writers.get(id);
  }

  resolve(append: AppendName): Resolution {
    return this.#writers.resolve(append);
  }

  get actionCount(): number {
    return this.#actions.count;
  }

  get streamCount(): number {
    return this.#streams.count;
  }

  get writerCount(): number {
    return this.#writers.size;
  }

  get outcomeSlots(): number {
    return this.#writers.slots;
  }

  get applied(): number {
    return this.#applied;
  }

  get timestamp(): Timestamp {
    return this.#timestamp;
  }

  hash(): string {
    return this.#hash.digest();
  }

  *snapshot(): Generator<Uint8Array, void, undefined> {
    const applied = this.#applied;
    const out = new ChunkWriter(applied);
    for (const value of Object.values(this.#settings) as number[]) out.u64(value);
    out.u64(this.#timestamp);
    out.u32(this.#hash.state[0]);
    out.u32(this.#hash.state[1]);
    for (const part of [this.#streams, this.#writers, this.#actions]) {
      if (!out.hasRoom) yield out.cut(false);
      for (const chunk of part.save(out)) {
        yield chunk;
        assert(applied === this.#applied, 'nothing is applied while a snapshot is taken');
      }
    }
    yield out.cut(true);
  }

  /** What follows the settings, into a new machine. */
  restore(from: ChunkReader): void {
    this.#applied = from.mark;
    this.#timestamp = from.u64() as Timestamp;
    this.#hash.state = [from.u32(), from.u32()];
    for (const part of [this.#streams, this.#writers, this.#actions]) {
      from.item();
      part.restore(from);
    }
    from.end();
    this.#noteRetirement();
  }

  #outcomeOf(batch: BatchHeader, timestamp: Timestamp): Outcome {
    const { control, writer, recordCount } = batch;
    if (control !== undefined && control !== null) return this.#act(batch, control, timestamp);
    assert(recordCount >= 1, 'a batch has a record');
    const known = writer === null ? null : this.#writers.admit(writer);
    return known ?? this.#decide(batch, timestamp);
  }

  /** The first time this batch is seen: its conditions decide. */
  #decide(batch: BatchHeader, timestamp: Timestamp): FirstOutcome {
    const known = this.#streams.peek(batch.stream);
    const failure =
      this.#refusal(timestamp) ??
      failedCondition(batch, known) ??
      this.#failedCreation(batch, known);
    const outcome: FirstOutcome =
      failure === null
        ? this.#append(
            known?.alive === true ? known : this.#create(batch.stream, timestamp),
            batch.recordCount,
            timestamp,
          )
        : { kind: 'failed', failure };
    if (batch.writer !== null) this.#writers.remember(batch.writer, timestamp, outcome);
    return outcome;
  }

  #create(name: string, timestamp: Timestamp): Stream {
    const stream = this.#streams.create(name, timestamp);
    if (name === RETIRED_STREAM) this.#noteRetirement();
    return stream;
  }

  #refusal(timestamp: Timestamp): OrderFailure | null {
    return timestamp > this.#retiredFrom
      ? { reason: 'REFUSED', retiredFrom: this.#retiredFrom }
      : null;
  }

  #noteRetirement(): void {
    const createdAt = this.#streams.state(RETIRED_STREAM)?.createdAt;
    this.#retiredFrom = createdAt === undefined ? Infinity : createdAt + RETIREMENT_GRACE_MICROS;
  }

  #failedCreation({ stream }: BatchHeader, known: Stream | undefined): OrderFailure | null {
    return known !== undefined || this.#streams.hasRoomFor(stream) ? null : this.#streams.full;
  }

  #act(batch: BatchHeader, control: Control, timestamp: Timestamp): Outcome {
    const { stream, recordCount, writer, matchSeqNum, fencingToken } = batch;
    assert(
      recordCount === 0 && writer === null && matchSeqNum === null,
      'a control action is no append',
    );
    const known = this.#actions.admit(stream, control, timestamp);
    if (known !== null) return known;
    const outcome = perform(this.#streams, stream, control.action, fencingToken, timestamp);
    this.#actions.remember(stream, control, timestamp, outcome);
    if (stream === RETIRED_STREAM) this.#noteRetirement();
    return outcome;
  }

  #append(stream: Stream, recordCount: number, timestamp: Timestamp): FirstOutcome {
    const firstSeqNum = stream.nextSeqNum as SeqNum;
    stream.nextSeqNum += recordCount;
    stream.lastTimestamp = timestamp;
    return { kind: 'appended', timestamp, firstSeqNum };
  }

  #hashIn(batch: BatchHeader, timestamp: Timestamp, outcome: Outcome): void {
    const hash = this.#hash;
    hash.number(timestamp);
    hash.word(this.#streams.get(batch.stream)?.fingerprint ?? fingerprint(batch.stream));
    hash.word(batch.recordCount);
    hash.word(batch.checksum ?? 0);
    hash.word(outcome.kind.charCodeAt(0));
    const first = outcome.kind === 'duplicate' ? outcome.first : outcome;
    if (first.kind === 'appended') {
      hash.number(first.timestamp);
      hash.number(first.firstSeqNum);
    } else if (first.kind === 'failed') {
      hash.word(fingerprint(first.failure.reason));
    } else this.#hashInResult(first);
  }

  #hashInResult({ timestamp, result }: Controlled): void {
    this.#hash.number(timestamp);
    this.#hash.word(fingerprint(JSON.stringify(result)));
  }
}

/**
 * `known`: the stream, or what is left of a deleted one. The token comes before the tail: who has been
 * fenced must learn that, whatever the tail is by now.
 */
function failedCondition(batch: BatchHeader, known: Stream | undefined): OrderFailure | null {
  const { fencingToken, matchSeqNum } = batch;
  if (batch.mustExist === true && known?.alive !== true) {
    return { reason: 'STREAM_NOT_FOUND', stream: batch.stream };
  }
  const actual = known?.fencingToken ?? 0;
  if (fencingToken === null ? known?.fencing === 'required' : fencingToken !== actual) {
    return { reason: 'FENCED', expected: fencingToken, actual };
  }
  const tail = known?.nextSeqNum ?? 0;
  if (matchSeqNum !== null && matchSeqNum !== tail) {
    return {
      reason: 'CONDITION_FAILED',
      condition: 'matchSeqNum',
      expected: matchSeqNum,
      actual: tail,
    };
  }
  return null;
}
