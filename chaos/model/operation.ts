/**
 * What a run writes down: every operation of every client with what was asked, when, and what came of
 * it; what each observer was delivered; which faults there were; what stood there at the end. Checkers
 * see nothing else, so that a history can be judged again, elsewhere, by somebody else's checker.
 * FORMAT.md describes the same as lines of a file. Deliberately without behaviour.
 *
 * All times are microseconds of one monotonic clock since the run began: clients, observers and faults
 * run in the harness's process, however many regions they act for.
 */

/** A place in the total order; comparing timestamp, then instance, then offset is the order. */
export interface Place {
  readonly timestamp: number;
  /** Number of the instance in the database; 1 where there is one. */
  readonly instance: number;
  readonly recordOffset: number;
}

export interface WriterIdentity {
  readonly id: string;
  readonly epoch: number;
  /** From 1. */
  readonly seq: number;
}

/** What was asked. `values` are the records' bodies as text; each names one attempt to write it. */
export type Action =
  | {
      readonly kind: 'append';
      readonly instance: number;
      readonly stream: string;
      readonly values: readonly string[];
      readonly ack: 'QUORUM' | 'ORDERED';
      readonly matchSeqNum?: number;
      readonly fencingToken?: number;
      readonly writer?: WriterIdentity;
      /** The record must come behind this: the highest timestamp that any client of the run was told. */
      readonly minTimestamp?: number;
    }
  /** A linearizable read of the stream's records from number `from` on. */
  | {
      readonly kind: 'read';
      readonly instance: number;
      readonly stream: string;
      readonly from: number;
    }
  | { readonly kind: 'tail'; readonly instance: number; readonly stream: string }
  | { readonly kind: 'heartbeat'; readonly instance: number }
  | {
      readonly kind: 'fence';
      readonly instance: number;
      readonly stream: string;
      readonly token?: number;
    }
  | {
      readonly kind: 'acquire' | 'renew' | 'release';
      readonly instance: number;
      readonly stream: string;
      readonly holder: string;
      /** The lease's token; of `renew` and `release`. */
      readonly token?: number;
      readonly ttlMs?: number;
    }
  /**
   * Moves `amount` between two accounts of the primary database, in one transaction. `number` counts
   * the client's transfers from 1; a client ends at a transfer whose outcome is unknown.
   */
  | {
      readonly kind: 'transfer';
      readonly number: number;
      readonly from: string;
      readonly to: string;
      readonly amount: number;
    }
  /** A linearizable read of all accounts in the database of the operation's region. */
  | { readonly kind: 'balances' };

export type ActionKind = Action['kind'];

/** What a successful operation was told; a field is absent where the action has no such answer. */
export interface Answer {
  readonly timestamp?: number;
  /** Of an append: number of its first record; absent for `QUORUM`. Of a read: of the first value. */
  readonly firstSeqNum?: number;
  readonly duplicate?: boolean;
  /** Region of the replica that answered. */
  readonly servedBy?: string;
  readonly forwardedVia?: string;
  /** Of `read`: the bodies. */
  readonly values?: readonly string[];
  /** Of `read` and `tail`: the number that the stream's next record will get. */
  readonly tail?: number;
  readonly readPoint?: number;
  readonly token?: number;
  /** Of `acquire` and `renew`: when the lease ends, on the journal's clock, microseconds. */
  readonly expiresAt?: number;
  /** Of `balances`: account and amount. */
  readonly balances?: Readonly<Record<string, number>>;
  /** Of `balances`: per client, how many of its transfers this state contains, and the highest number. */
  readonly seen?: Readonly<Record<string, readonly [count: number, highest: number]>>;
}

/**
 * `ok`: it took effect between invocation and completion. `failed`: it certainly has not and never
 * will. `unknown`: it may have taken effect at any time since its invocation, or may yet, or never.
 */
export type Outcome =
  | { readonly kind: 'ok'; readonly answer: Answer }
  | {
      readonly kind: 'failed';
      readonly reason: string;
      /** Of CONDITION_FAILED and FENCED: expected, actual; as the error gave them. */
      readonly details?: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'unknown'; readonly reason: string };

export interface Operation {
  /** Unique in the history, in the order of invocation. */
  readonly id: number;
  readonly workload: string;
  /** One logical thread of a workload. Pipelining clients may have several operations under way. */
  readonly client: string;
  /** Where the client is. */
  readonly region: string;
  readonly action: Action;
  readonly invokedUs: number;
  /** null: nobody has heard how it ended; the outcome is then `unknown`. */
  readonly completedUs: number | null;
  readonly outcome: Outcome;
}

/** A batch that an observer was given: a crossbar's subscriber, a follower of one journal. */
export interface Delivery {
  readonly observer: string;
  readonly atUs: number;
  /** Place of the first record. */
  readonly place: Place;
  readonly stream: string;
  readonly firstSeqNum: number;
  readonly values: readonly string[];
}

/** An observer was told: everything up to here has been delivered, nothing more will come there. */
export interface Progress {
  readonly observer: string;
  readonly atUs: number;
  readonly watermark: number;
}

/** What an observer is to be given: all there is, of one instance, or of one stream of it. */
export interface Scope {
  readonly instance?: number;
  readonly stream?: string;
}

/** An observer begins, or begins again: what comes next must be what follows `after`. */
export interface Resumption {
  readonly observer: string;
  readonly atUs: number;
  readonly scope: Scope;
  /** null: from the beginning. */
  readonly after: Place | null;
}

export interface Fault {
  /** As the scenario calls it: 'cut r0-r2', 'kill -9 replica r1'. */
  readonly name: string;
  readonly target: string;
  readonly fromUs: number;
  /** null: it lasted until the end. */
  readonly untilUs: number | null;
}

/** A batch as it stood in the journal at the end, read after everything had healed. */
export interface FinalBatch {
  readonly place: Place;
  readonly stream: string;
  readonly firstSeqNum: number;
  readonly values: readonly string[];
}

/** A row of a database at the end, read after everything had healed. */
export interface FinalRow {
  /** Which database: 'primary', or the region of a replica. */
  readonly database: string;
  readonly table: string;
  readonly key: string;
  /** All columns as text, in the table's order. */
  readonly columns: readonly (string | null)[];
}

export interface Header {
  readonly format: 'meridian-history';
  readonly version: 1;
  readonly scenario: string;
  readonly seed: number;
  readonly regions: readonly string[];
  /** Wall clock at time 0, ISO 8601; for people only. */
  readonly startedAt: string;
  /** Repeats the run. */
  readonly command: string;
}
