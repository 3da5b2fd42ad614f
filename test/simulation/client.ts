/**
 * A client as libs/client is meant to behave: appends flow through a session (an ordered pipe) to
 * one replica; when it breaks, goes silent or refuses, everything unanswered goes again, in order,
 * through another replica, with the same writer sequence and the highest timestamp seen as
 * `minTimestamp`. Without a writer id nothing is repeated: the outcome is then not known. Reads run
 * beside the appends and are repeated anywhere.
 */
import type { Outcome } from '../../libs/order/types.ts';
import type { ReplicaId, SeqNum, Timestamp } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Attempt, Operation, Read, Session } from './operations.ts';
import type { HarnessBug } from './planted-bugs.ts';
import type { WorkloadOptions } from './options.ts';
import type { Prng } from './prng.ts';
import type { Replica } from './replica.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';
import type { ClientOfRun, Workload } from './workload.ts';

/** An operation unanswered for so long counts as indefinite, though a writer goes on asking. */
const DEADLINE = 8_000_000;

export class Client implements ClientOfRun {
  readonly id: number;
  private readonly workload: Workload;
  private readonly options: WorkloadOptions;
  private readonly scheduler: Scheduler;
  private readonly prng: Prng;
  private readonly trace: Trace;
  private readonly replicas: readonly Replica[];
  private readonly bug: HarnessBug | null;
  private readonly writer: string | null;
  private readonly window: number;
  /** Silence after which the session is given up. */
  private readonly patience: number;
  private session: Session | null = null;
  private readonly unanswered: Operation[] = [];
  private read: { read: Read; session: Session } | null = null;
  private lastSeq = 0;
  private lastSeen = 0;
  private answeredAt = 0;
  private readonly tails = new Map<string, number>();

  constructor(
    id: number,
    workload: Workload,
    parts: {
      options: WorkloadOptions;
      scheduler: Scheduler;
      prng: Prng;
      trace: Trace;
      replicas: readonly Replica[];
      bug: HarnessBug | null;
    },
  ) {
    this.id = id;
    this.workload = workload;
    this.options = parts.options;
    this.scheduler = parts.scheduler;
    this.prng = parts.prng;
    this.trace = parts.trace;
    this.replicas = parts.replicas;
    this.bug = parts.bug;
    this.writer = parts.prng.chance(0.8) ? `writer-${id}` : null;
    this.window = parts.prng.between(1, parts.options.window);
    this.patience = parts.prng.between(600_000, 2_000_000);
  }

  start(): void {
    this.scheduler.after(this.prng.exponential(this.options.think), () => {
      this.think();
    });
    this.scheduler.after(this.patience / 3, () => {
      this.watch();
    });
  }

  get idle(): boolean {
    return this.unanswered.length === 0 && this.read === null;
  }

  private think(): void {
    if (this.workload.closed) return;
    const pause = this.prng.exponential(this.options.think);
    if (this.prng.chance(this.options.reads)) {
      if (this.read === null) this.startRead();
    } else if (this.unanswered.length < this.window) this.startAppend();
    this.scheduler.after(pause, () => {
      this.think();
    });
  }

  // ---- appends --------------------------------------------------------------------------------

  private startAppend(): void {
    const stream = this.workload.stream(this.prng);
    const conditional = this.unanswered.length === 0 && this.prng.chance(this.options.conditions);
    const ordered = conditional || !this.prng.chance(this.options.quorum);
    const previous = this.lastSeq;
    this.lastSeq += this.prng.between(1, 3);
    const operation = this.workload.operation({
      client: this.id,
      ack: ordered ? 'ORDERED' : 'QUORUM',
      bytes: this.prng.between(50, 900),
      batch: {
        stream,
        recordCount: this.prng.between(1, 4),
        writer:
          this.writer === null ? null : { id: this.writer, epoch: 1, seq: this.lastSeq, previous },
        matchSeqNum: conditional ? ((this.tails.get(stream) ?? 0) as SeqNum) : null,
        fencingToken: null,
      },
    });
    this.unanswered.push(operation);
    if (this.unanswered.length === 1) this.answeredAt = this.scheduler.now;
    const idle = this.unanswered.length === 1;
    const moves = idle && this.prng.chance(this.options.roam);
    if (moves && this.session !== null) this.session.closed = true;
    if (this.session === null || this.session.closed) this.reopen();
    else this.send(operation, this.session);
  }

  /** Another replica, everything unanswered again, in order. */
  private reopen(): void {
    const before = this.session?.replica;
    const others = REPLICAS.filter((replica) => replica !== before);
    const replica = this.prng.chance(0.1) && before !== undefined ? before : this.prng.pick(others);
    this.session = this.workload.session(this.id, replica);
    this.answeredAt = this.scheduler.now;
    for (const operation of this.unanswered) this.send(operation, this.session);
  }

  private send(operation: Operation, session: Session): void {
    const again = operation.batch.writer !== null && this.bug === 'retry-as-new';
    if (again) this.disguise(operation);
    const attempt: Attempt = this.workload.attempt(
      operation,
      session,
      this.bug === 'no-min-timestamp' ? 0 : this.lastSeen,
    );
    this.trace.note('invoke', session.replica, this.id, operation.id, attempt.minTimestamp);
    this.request(session, (replica) => {
      replica.submit(attempt);
    });
  }

  /** Planted: every time it is sent, an append looks like one of a writer never seen. */
  private disguise(operation: Operation): void {
    const writer = { id: `w${this.workload.fresh()}`, epoch: 1, seq: 1, previous: 0 };
    Object.assign(operation.batch, { writer });
  }

  appended(attempt: Attempt, timestamp: Timestamp, outcome: Outcome | null): void {
    const { session, operation } = attempt;
    this.answer(session, () => {
      const place = this.unanswered.indexOf(operation);
      if (place < 0) return;
      this.unanswered.splice(place, 1);
      this.answeredAt = this.scheduler.now;
      this.lastSeen = Math.max(this.lastSeen, timestamp);
      this.learnTail(operation, outcome);
      this.workload.finish(operation, 'ok');
    });
  }

  /** Certainly without effect; it and all after it go elsewhere. */
  refused(attempt: Attempt): void {
    const { session, operation } = attempt;
    this.answer(session, () => {
      if (operation.batch.writer === null) {
        const place = this.unanswered.indexOf(operation);
        if (place >= 0) this.unanswered.splice(place, 1);
        this.workload.finish(operation, 'failed');
      }
      this.giveUp(session);
    });
  }

  private learnTail(operation: Operation, outcome: Outcome | null): void {
    const { stream, recordCount } = operation.batch;
    const first = outcome?.kind === 'duplicate' ? outcome.first : outcome;
    if (first?.kind === 'appended') this.tails.set(stream, first.firstSeqNum + recordCount);
    else if (first?.kind === 'failed' && first.failure.reason === 'CONDITION_FAILED') {
      this.tails.set(stream, first.failure.actual);
    }
  }

  // ---- reads ----------------------------------------------------------------------------------

  private startRead(): void {
    const read = this.workload.newRead(this.id, this.workload.stream(this.prng));
    const session = this.workload.session(this.id, this.prng.pick(REPLICAS));
    this.read = { read, session };
    this.trace.note('invokeRead', session.replica, this.id, read.id);
    this.request(session, (replica) => {
      replica.read(session, read);
    });
    this.scheduler.after(this.patience, () => {
      if (this.read?.read !== read) return;
      this.read = null;
      session.closed = true;
      this.startRead();
    });
  }

  readDone(read: Read, session: Session, _timestamp: Timestamp, tail: number): void {
    this.answer(session, () => {
      if (this.read?.read !== read) return;
      this.read = null;
      this.tails.set(read.stream, tail);
      this.workload.accounts.reads++;
    });
  }

  // ---- sessions -------------------------------------------------------------------------------

  crashed(replica: ReplicaId): void {
    const { session } = this;
    if (session?.replica !== replica || session.closed) return;
    // The connection tells it soon, or never; then silence does.
    if (!this.prng.chance(0.7)) return;
    this.scheduler.after(this.prng.between(100, 50_000), () => {
      this.giveUp(session);
    });
  }

  private giveUp(session: Session): void {
    if (session.closed || this.session !== session) return;
    session.closed = true;
    this.abandonAnonymous();
    this.scheduler.after(this.prng.between(1_000, 100_000), () => {
      if (this.unanswered.length > 0 && this.session === session) this.reopen();
    });
  }

  /** Without a writer id a repetition could take effect twice. */
  private abandonAnonymous(): void {
    if (this.writer !== null) return;
    for (const operation of this.unanswered.splice(0)) {
      this.workload.finish(operation, 'indefinite');
    }
  }

  private watch(): void {
    const now = this.scheduler.now;
    for (const operation of this.unanswered) {
      if (now - operation.invokedAt > DEADLINE) this.workload.overdue(operation);
    }
    const silent = this.unanswered.length > 0 && now - this.answeredAt > this.patience;
    if (silent && this.session !== null) this.giveUp(this.session);
    this.scheduler.after(this.patience / 3, () => {
      this.watch();
    });
  }

  private request(session: Session, arrive: (replica: Replica) => void): void {
    session.lastRequest = this.arrival(session.lastRequest);
    this.scheduler.at(session.lastRequest, () => {
      if (session.closed) return;
      const replica = this.replicas[session.replica];
      if (replica?.running !== true) {
        this.giveUp(session);
        return;
      }
      if (session.life === 0) Object.assign(session, { life: replica.life });
      if (session.life === replica.life) arrive(replica);
    });
  }

  private answer(session: Session, arrive: () => void): void {
    session.lastAnswer = this.arrival(session.lastAnswer);
    this.scheduler.at(session.lastAnswer, () => {
      if (!session.closed) arrive();
    });
  }

  private arrival(last: number): number {
    return Math.max(last + 1, this.scheduler.now + this.prng.between(100, 2_000));
  }
}
