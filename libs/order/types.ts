/** What goes into and comes out of the ordered state machine (SPEC.md). */
import type { SeqNum, Timestamp } from '../values/numbers.ts';

/** What the order needs to know of a batch; decoded from its frame. */
export interface BatchHeader {
  readonly stream: string;
  readonly recordCount: number;
  readonly writer: WriterSeq | null;
  readonly matchSeqNum: SeqNum | null;
  readonly fencingToken: number | null;
  /** Of the frame's bytes, where there are any: makes the running hash cover the content. */
  readonly checksum?: number | undefined;
}

/** `previous` is the writer's last seq before `seq`; 0 when the writer is new. */
export interface WriterSeq {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
  readonly previous: number;
}

export type Outcome =
  | { readonly kind: 'appended'; readonly timestamp: Timestamp; readonly firstSeqNum: SeqNum }
  /** Took effect before: the first outcome, whatever it was. Leaves no record. */
  | { readonly kind: 'duplicate'; readonly first: FirstOutcome }
  | { readonly kind: 'failed'; readonly failure: OrderFailure };

export type FirstOutcome = Exclude<Outcome, { kind: 'duplicate' }>;

/** None of these leaves a record. */
export type OrderFailure =
  | {
      readonly reason: 'CONDITION_FAILED';
      readonly condition: 'matchSeqNum';
      readonly expected: number;
      readonly actual: number;
    }
  | { readonly reason: 'FENCED'; readonly expected: number; readonly actual: number }
  | { readonly reason: 'WRITER_FENCED'; readonly epoch: number; readonly current: number }
  /** `previous` is not the writer's last seq: an append in between is missing. */
  | { readonly reason: 'WRITER_GAP'; readonly previous: number; readonly last: number }
  /** The outcome of this seq is no longer remembered (or the writer is not): it may have taken effect. */
  | {
      readonly reason: 'WRITER_FORGOTTEN';
      readonly seq: number;
      readonly oldestRemembered: number;
    };

/** `required`: an append without the current fencing token is refused. */
export type FencingMode = 'none' | 'required';

export interface StreamConfig {
  readonly fencing: FencingMode;
}

export interface LeaseState {
  readonly holder: string;
  /** The fencing token of this grant. */
  readonly token: number;
  /** Log time from which on somebody else can acquire it. */
  readonly expiresAt: number;
}

export interface StreamState {
  readonly name: string;
  /** When this life of the name began. */
  readonly createdAt: Timestamp;
  /** Number the next record gets. */
  readonly nextSeqNum: SeqNum;
  /** Number of the first record that is not trimmed; `nextSeqNum` when there is none. */
  readonly firstSeqNum: SeqNum;
  /** Of the last record of this life; 0 when there is none. */
  readonly lastTimestamp: Timestamp;
  /** 0: no fence and no lease has set one. */
  readonly fencingToken: number;
  readonly config: StreamConfig;
  /** As granted last: whether it has expired, its `expiresAt` says. */
  readonly lease: LeaseState | null;
}

export interface StreamQuery {
  readonly prefix: string;
  /** Only names above this one. */
  readonly after: string | null;
  /** Most streams. */
  readonly limit: number;
}

export interface StreamPage {
  /** By name, ascending. */
  readonly streams: readonly StreamState[];
  /** There are others behind these. */
  readonly more: boolean;
}

export interface WriterState {
  readonly epoch: number;
  readonly lastSeq: number;
  readonly timestamp: Timestamp;
}

/**
 * The state machine. Every replica calls it with the same batches in the same order and gets the same
 * outcomes; `hash` proves it.
 */
export interface OrderMachine {
  apply(batch: BatchHeader, timestamp: Timestamp): Outcome;
  stream(name: string): StreamState | null;
  writer(id: string): WriterState | null;
  streams(query: StreamQuery): StreamPage;
  readonly streamCount: number;
}
