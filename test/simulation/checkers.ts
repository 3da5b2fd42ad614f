/** All checkers of a run behind the calls the replicas make: which one looks at what. */
import type { Effects, Entry, Write } from '../../libs/lane/types.ts';
import type { Outcome } from '../../libs/order/types.ts';
import type { LaneId, ReplicaId } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Core } from './core.ts';
import { LatencyChecker } from './latency-checker.ts';
import { LogChecker } from './log-checker.ts';
import type { Attempt, Content, Read } from './operations.ts';
import { hasEffect, OrderChecker } from './order-checker.ts';
import type { SimulationOptions } from './options.ts';
import { SessionChecker } from './session-checker.ts';
import { check } from './violation.ts';

/** Hears what happens to the logs, in its order: for a comparison with the specification. */
export interface LogListener {
  /** Written, not yet on disk. */
  staged(replica: ReplicaId, write: Write<Content>): void;
  /** The oldest write of the replica that was not on disk is. */
  durable(replica: ReplicaId, write: Write<Content>): void;
  /** What is not on disk is lost. */
  crashed(replica: ReplicaId): void;
  /** A disk that was emptied, or given another's log. */
  replaced(replica: ReplicaId): void;
  /** The replica takes the entry, and all before it, for committed. */
  claimed(replica: ReplicaId, lane: LaneId, index: number, epoch: number): void;
}

export class Checkers {
  readonly order = new OrderChecker();
  readonly log = new LogChecker();
  readonly session: SessionChecker;
  readonly latency: LatencyChecker;
  /** Per replica: the last claimed committed index of each lane in this life. */
  private readonly claimed = REPLICAS.map(() => [0, 0, 0]);
  private readonly epochsFixed: boolean;
  /** P5: with no fault but a cut link, epochs stay as they are (set once the run has settled). */
  private settledEpochs: readonly number[] | null = null;
  private readonly listener: LogListener | null;

  constructor(
    options: SimulationOptions,
    time: { readonly now: number },
    listener: LogListener | null = null,
  ) {
    this.listener = listener;
    this.session = new SessionChecker(this.order, options.settings.maxClockError !== null);
    this.latency = new LatencyChecker(options, time);
    this.epochsFixed = options.single === 'link';
  }

  /** `count`: entries that the checkpoint of this start has executed. */
  restarted(replica: ReplicaId, count: number): void {
    this.order.restarted(replica, count);
    this.session.restarted(replica);
    this.log.restarted(replica);
    this.claimed[replica]?.fill(0);
  }

  crashed(replica: ReplicaId): void {
    this.listener?.crashed(replica);
    this.log.survey();
  }

  wiped(replica: ReplicaId): void {
    this.listener?.replaced(replica);
    this.log.wiped(replica);
  }

  staged(replica: ReplicaId, write: Write<Content>): void {
    this.listener?.staged(replica, write);
  }

  durable(replica: ReplicaId, write: Write<Content>): void {
    this.listener?.durable(replica, write);
    this.log.durable(replica, write);
  }

  dropped(replica: ReplicaId, lane: LaneId, kept: number): void {
    this.listener?.replaced(replica);
    this.log.dropped(replica, lane, kept);
  }

  /** The run has settled: from now on `epochsFixed` holds. */
  settled(epochs: readonly number[]): void {
    if (this.epochsFixed) this.settledEpochs = epochs;
  }

  stepped(replica: ReplicaId, effects: Effects<Content, Attempt>, core: Core): void {
    for (const { packet } of effects.packets) this.log.sent(replica, packet);
    for (const { entry } of effects.acknowledged) {
      this.listener?.claimed(replica, entry.lane, entry.index, entry.epoch);
      this.log.commit(replica, entry);
    }
    for (const { entry } of effects.released) {
      this.listener?.claimed(replica, entry.lane, entry.index, entry.epoch);
      this.log.holds(replica, entry);
      this.log.commit(replica, entry);
    }
    const claimed = this.claimed[replica];
    for (const lane of REPLICAS) {
      // What it also holds synced stands on its disk, to be compared.
      const { final } = core.view(lane).log;
      if (final !== claimed?.[lane]) this.claim(replica, lane, final);
    }
    if (this.settledEpochs !== null) this.compareEpochs(replica, core, this.settledEpochs);
    if (effects.writes.length > 0) this.log.learned(replica, effects.writes);
  }

  private claim(replica: ReplicaId, lane: LaneId, final: number): void {
    const claimed = this.claimed[replica];
    const before = claimed?.[lane] ?? 0;
    check(final > before, 'committed-went-back', () => {
      return `r${replica} lane ${lane}: ${final} after ${before}`;
    });
    if (claimed !== undefined) claimed[lane] = final;
    this.log.commitUpTo(replica, lane, before, final);
  }

  private compareEpochs(replica: ReplicaId, core: Core, settled: readonly number[]): void {
    for (const lane of REPLICAS) {
      const { promised } = core.view(lane);
      check(promised === settled[lane], 'epoch-churn', () => {
        return `r${replica} lane ${lane}: epoch ${promised}, was ${settled[lane]} when one link was cut`;
      });
    }
  }

  released(replica: ReplicaId, entry: Entry<Content>, outcomes: readonly Outcome[]): number {
    if (this.order.countOf(replica) === this.order.list.length) {
      this.session.releasedFirst(replica, entry);
    }
    return this.order.released(replica, entry, outcomes);
  }

  submitted(replica: ReplicaId, attempt: Attempt): void {
    this.session.submitted(replica, attempt);
    this.latency.submitted(attempt);
  }

  quorumAnswer(replica: ReplicaId, entry: Entry<Content>, attempt: Attempt): void {
    this.session.acknowledge(replica, entry, attempt);
    this.latency.answered(replica, attempt);
  }

  orderedAnswer(
    replica: ReplicaId,
    entry: Entry<Content>,
    attempt: Attempt,
    outcome: Outcome,
  ): void {
    const { operation } = attempt;
    check(
      outcome.kind !== 'failed' || outcome.failure.reason === 'CONDITION_FAILED',
      'answer-unexpected',
      () => `r${replica} answers operation ${operation.id}: ${JSON.stringify(outcome)}`,
    );
    this.session.acknowledge(replica, entry, attempt);
    this.latency.answered(replica, attempt);
    if (hasEffect(outcome)) {
      const first = outcome.kind === 'duplicate' ? outcome.first : outcome;
      if (first.kind !== 'appended') return;
      this.session.told(operation.batch.stream, first.firstSeqNum + operation.batch.recordCount);
    }
  }

  readDone(replica: ReplicaId, read: Read, tail: number): number {
    this.session.readDone(replica, read, tail);
    return this.order.countOf(replica);
  }
}
