/**
 * The ordered state machine (SPEC.md): every replica runs it over the released batches, in the
 * order, and only its result decides what an append did. Deterministic: no clock but the log's.
 *
 * It sees headers, never records, and owns no bytes. Streams come into being with their first
 * record. A stream's fencing token is 0 as long as no fence record sets it.
 */
import { assert } from '../values/assert.ts';
import type { SeqNum, Timestamp } from '../values/numbers.ts';
import { RunningHash, fingerprint } from './hash.ts';
import type { BatchHeader, FirstOutcome, OrderMachine, Outcome } from './types.ts';
import type { OrderFailure, StreamState, WriterState } from './types.ts';
import { Writers } from './writers.ts';

export interface OrderSettings {
  /** Writers that are remembered. Default 100,000. */
  readonly writersMax: number;
  /** Outcomes that are remembered of one writer, at least 4. Default 4,096. */
  readonly outcomesPerWriter: number;
  /** Outcomes there is memory for (24 bytes each), over all writers. Default 4,194,304. */
  readonly outcomesMax: number;
  /** Age of a writer's last append, in log time, beyond which it is forgotten. Default 7 days. */
  readonly writerAgeMaxMicros: number;
}

export const ORDER_SETTINGS: OrderSettings = {
  writersMax: 100_000,
  outcomesPerWriter: 4096,
  outcomesMax: 4 * 1024 * 1024,
  writerAgeMaxMicros: 7 * 24 * 3600 * 1_000_000,
};

export interface HashedOrderMachine extends OrderMachine {
  /** Running hash of everything applied: 16 hexadecimal digits. */
  hash(): string;
  /** Batches applied. */
  readonly applied: number;
  readonly writerCount: number;
  /** Outcomes there is memory for at the moment. */
  readonly outcomeSlots: number;
}

export function createOrderMachine(settings: Partial<OrderSettings> = {}): HashedOrderMachine {
  return new Machine({ ...ORDER_SETTINGS, ...settings });
}

interface Stream {
  readonly name: string;
  readonly fingerprint: number;
  nextSeqNum: number;
  lastTimestamp: Timestamp;
  fencingToken: number;
}

class Machine implements HashedOrderMachine {
  readonly #streams = new Map<string, Stream>();
  readonly #writers: Writers;
  readonly #hash = new RunningHash();
  #timestamp = 0 as Timestamp;
  #applied = 0;

  constructor(settings: OrderSettings) {
    this.#writers = new Writers(settings);
  }

  apply(batch: BatchHeader, timestamp: Timestamp): Outcome {
    assert(timestamp >= this.#timestamp, `applied ${timestamp} after ${this.#timestamp}`);
    assert(batch.recordCount >= 1, 'a batch has a record');
    this.#timestamp = timestamp;
    this.#applied += 1;
    this.#writers.age(timestamp);
    const known = batch.writer === null ? null : this.#writers.admit(batch.writer);
    const outcome = known ?? this.#decide(batch, timestamp);
    this.#hashIn(batch, timestamp, outcome);
    return outcome;
  }

  stream(name: string): StreamState | null {
    const stream = this.#streams.get(name);
    if (stream === undefined) return null;
    const { nextSeqNum, lastTimestamp } = stream;
    return { name, nextSeqNum: nextSeqNum as SeqNum, lastTimestamp };
  }

  writer(id: string): WriterState | null {
    return this.#writers.get(id);
  }

  get streamCount(): number {
    return this.#streams.size;
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

  hash(): string {
    return this.#hash.digest();
  }

  /** The first time this batch is seen: its conditions decide. */
  #decide(batch: BatchHeader, timestamp: Timestamp): FirstOutcome {
    const stream = this.#streams.get(batch.stream);
    const failure = failedCondition(batch, stream);
    const outcome: FirstOutcome =
      failure === null
        ? this.#append(stream ?? this.#create(batch.stream), batch.recordCount, timestamp)
        : { kind: 'failed', failure };
    if (batch.writer !== null) this.#writers.remember(batch.writer, timestamp, outcome);
    return outcome;
  }

  #append(stream: Stream, recordCount: number, timestamp: Timestamp): FirstOutcome {
    const firstSeqNum = stream.nextSeqNum as SeqNum;
    stream.nextSeqNum += recordCount;
    stream.lastTimestamp = timestamp;
    return { kind: 'appended', timestamp, firstSeqNum };
  }

  #create(name: string): Stream {
    const stream: Stream = {
      name,
      fingerprint: fingerprint(name),
      nextSeqNum: 0,
      lastTimestamp: 0 as Timestamp,
      fencingToken: 0,
    };
    this.#streams.set(name, stream);
    return stream;
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
    } else {
      hash.word(fingerprint(first.failure.reason));
    }
  }
}

/** The token first: who has been fenced must learn that, whatever the tail is by now. */
function failedCondition(batch: BatchHeader, stream: Stream | undefined): OrderFailure | null {
  const { fencingToken, matchSeqNum } = batch;
  const token = stream?.fencingToken ?? 0;
  if (fencingToken !== null && fencingToken !== token) {
    return { reason: 'FENCED', expected: fencingToken, actual: token };
  }
  const tail = stream?.nextSeqNum ?? 0;
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
