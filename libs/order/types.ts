/** What goes into and comes out of the ordered state machine (SPEC.md). */
import type { Control } from '../frames/control.ts';
import type { SeqNum, Timestamp } from '../values/numbers.ts';

/** What the order needs to know of a batch; decoded from its frame. */
export interface BatchHeader {
  readonly stream: string;
  /** 0 for a control action, at least 1 for an append. */
  readonly recordCount: number;
  readonly writer: WriterSeq | null;
  readonly matchSeqNum: SeqNum | null;
  readonly fencingToken: number | null;
  /** Fails instead of creating the stream. */
  readonly mustExist?: boolean | undefined;
  /** An action instead of records. */
  readonly control?: Control | null | undefined;
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
  | Appended
  /** Took effect before: the first outcome, whatever it was. Leaves no record. */
  | { readonly kind: 'duplicate'; readonly first: FirstOutcome | Controlled }
  | Failed
  | Controlled;

export interface Appended {
  readonly kind: 'appended';
  readonly timestamp: Timestamp;
  readonly firstSeqNum: SeqNum;
}

export interface Failed {
  readonly kind: 'failed';
  readonly failure: OrderFailure;
}

/** A control action has had this result. Leaves no record. */
export interface Controlled {
  readonly kind: 'controlled';
  readonly timestamp: Timestamp;
  readonly result: ControlResult;
}

/** Of an append. */
export type FirstOutcome = Appended | Failed;
/** Of a control action. */
export type ActionOutcome = Controlled | Failed;

export type ControlResult =
  | { readonly kind: 'create'; readonly created: boolean; readonly config: StreamConfig }
  | { readonly kind: 'configure'; readonly config: StreamConfig }
  | { readonly kind: 'delete'; readonly deleted: boolean }
  | { readonly kind: 'fence'; readonly token: number }
  | { readonly kind: 'trim'; readonly firstSeqNum: SeqNum }
  | { readonly kind: 'acquire'; readonly lease: LeaseState }
  | { readonly kind: 'renew'; readonly lease: LeaseState }
  | { readonly kind: 'release'; readonly released: boolean };

/** None of these leaves a record or changes a stream. */
export type OrderFailure =
  | {
      readonly reason: 'CONDITION_FAILED';
      readonly condition: 'matchSeqNum' | 'fencingToken';
      readonly expected: number;
      readonly actual: number;
    }
  /** `expected` null: no token was given, and the stream demands one. */
  | { readonly reason: 'FENCED'; readonly expected: number | null; readonly actual: number }
  | { readonly reason: 'STREAM_NOT_FOUND'; readonly stream: string }
  /** The instance takes no appends with a higher timestamp: it is retired. */
  | { readonly reason: 'REFUSED'; readonly retiredFrom: number }
  /** There is no room for another of these. */
  | {
      readonly reason: 'OVERLOADED';
      readonly what: 'streams' | 'actions';
      readonly limit: number;
    }
  | { readonly reason: 'OUT_OF_RANGE'; readonly before: number; readonly nextSeqNum: number }
  | {
      readonly reason: 'LEASE_HELD';
      readonly holder: string;
      readonly token: number;
      readonly expiresAt: number;
    }
  | { readonly reason: 'LEASE_LOST'; readonly expected: number; readonly actual: number }
  /** The request id stands for another action. */
  | { readonly reason: 'INVALID'; readonly requestId: string }
  /** The action came into the order too late to be one. */
  | { readonly reason: 'UNAVAILABLE'; readonly notAfter: number }
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

/** What became of an append. */
export type Resolution =
  | { readonly state: 'appended'; readonly timestamp: Timestamp; readonly firstSeqNum: SeqNum }
  /** Decided, without a record. */
  | { readonly state: 'failed'; readonly failure: OrderFailure }
  /** Not decided, and whenever it arrives it will be refused. */
  | { readonly state: 'never' }
  /** Not decided; it may still arrive. */
  | { readonly state: 'pending' }
  /** If it was decided, then at or before this timestamp. */
  | { readonly state: 'forgotten'; readonly before: Timestamp };

export interface AppendName {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
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
  resolve(append: AppendName): Resolution;
  /** The stream refuses appends without its fencing token. */
  demandsToken(stream: string): boolean;
  /** Appends with a higher timestamp are refused; Infinity while the instance is not retired. */
  readonly retiredFrom: number;
  readonly streamCount: number;
}
