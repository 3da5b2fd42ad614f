/** All clients of a run: hands out operations, attempts and reads, and keeps the accounts (I25). */
import type { Outcome } from '../../libs/order/types.ts';
import type { ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import type { Attempt, Operation, Read, Session } from './operations.ts';
import type { WorkloadOptions } from './options.ts';
import type { Prng } from './prng.ts';
import type { Answers } from './replica-parts.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

export interface Accounts {
  appends: number;
  reads: number;
  ok: number;
  failed: number;
  indefinite: number;
  /** Of the appends during which two replicas could always work together. */
  serviceable: number;
  serviceableOk: number;
}

/** What the accounts need of a client: see client.ts and probe.ts. */
export interface ClientOfRun {
  /** Nothing unanswered. */
  readonly idle: boolean;
  appended(attempt: Attempt, timestamp: Timestamp, outcome: Outcome | null): void;
  refused(attempt: Attempt): void;
  readDone(read: Read, session: Session, timestamp: Timestamp, tail: number): void;
  crashed(replica: ReplicaId): void;
}

export class Workload implements Answers {
  readonly clients: ClientOfRun[] = [];
  readonly accounts: Accounts = {
    appends: 0,
    reads: 0,
    ok: 0,
    failed: 0,
    indefinite: 0,
    serviceable: 0,
    serviceableOk: 0,
  };
  /** No new operations. */
  closed = false;
  private readonly options: WorkloadOptions;
  private readonly scheduler: Scheduler;
  private readonly trace: Trace;
  private readonly pending = new Set<Operation>();
  private numbers = 0;
  /** Times that something was sent again. */
  retries = 0;
  /** Looks at which no two replicas could work together. */
  outages = 0;

  constructor(options: WorkloadOptions, scheduler: Scheduler, trace: Trace) {
    this.options = options;
    this.scheduler = scheduler;
    this.trace = trace;
  }

  get operations(): number {
    return this.accounts.appends + this.accounts.reads;
  }

  get idle(): boolean {
    return this.clients.every((client) => client.idle);
  }

  fresh(): number {
    return ++this.numbers;
  }

  stream(prng: Prng): string {
    return `stream-${prng.below(this.options.streams)}`;
  }

  operation(given: Pick<Operation, 'client' | 'ack' | 'batch' | 'bytes'>): Operation {
    const { client, ack, batch, bytes } = given;
    const operation: Operation = {
      id: this.fresh(),
      client,
      ack,
      batch,
      bytes,
      invokedAt: this.scheduler.now,
      serviceable: true,
      result: 'pending',
      effective: null,
      effectiveTimestamp: 0,
      effects: 0,
      attempts: 0,
    };
    this.accounts.appends++;
    this.pending.add(operation);
    return operation;
  }

  attempt(operation: Operation, session: Session, minTimestamp: number): Attempt {
    if (operation.attempts++ > 0) this.retries++;
    return {
      number: this.fresh(),
      operation,
      session,
      bytes: operation.bytes,
      minTimestamp,
      lane: session.replica,
      floor: 0,
      quorumFloor: 0,
      refused: false,
      submittedAt: 0,
      acknowledged: 0,
      released: 0,
    };
  }

  session(client: number, replica: ReplicaId): Session {
    return {
      id: this.fresh(),
      client,
      replica,
      life: 0,
      closed: false,
      lastRequest: 0,
      lastAnswer: 0,
    };
  }

  newRead(client: number, stream: string): Read {
    return { id: this.fresh(), client, stream, ackFloor: 0, visibleFloor: 0, tailFloor: 0 };
  }

  /** Two replicas cannot work together now: what is under way is not held against the system. */
  outage(): void {
    this.outages++;
    for (const operation of this.pending) operation.serviceable = false;
  }

  overdue(operation: Operation): void {
    if (operation.result === 'pending') this.finish(operation, 'indefinite');
  }

  finish(operation: Operation, result: 'ok' | 'failed' | 'indefinite'): void {
    if (operation.result !== 'pending') return;
    operation.result = result;
    this.pending.delete(operation);
    this.trace.note('done', -1, operation.client, operation.id, RESULT[result]);
    this.accounts[result]++;
    if (!operation.serviceable) return;
    this.accounts.serviceable++;
    if (result === 'ok') this.accounts.serviceableOk++;
  }

  // ---- what replicas answer -------------------------------------------------------------------

  appended(attempt: Attempt, timestamp: Timestamp, outcome: Outcome | null): void {
    this.clients[attempt.session.client]?.appended(attempt, timestamp, outcome);
  }

  refused(attempt: Attempt): void {
    this.clients[attempt.session.client]?.refused(attempt);
  }

  read(read: Read, session: Session, timestamp: Timestamp, tail: number): void {
    this.clients[read.client]?.readDone(read, session, timestamp, tail);
  }

  crashed(replica: ReplicaId): void {
    for (const client of this.clients) client.crashed(replica);
  }
}

const RESULT = { ok: 1, failed: 2, indefinite: 3 } as const;
