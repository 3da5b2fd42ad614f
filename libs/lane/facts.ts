/**
 * What is known of each replica's acceptance of one lane, and what follows from it: commitment (L1)
 * and which of a sealer's closed timestamps count (O3). A fact was true on that replica's disk when
 * it was stated and stays usable for ever, so lost, repeated and reordered statements do no harm.
 */
import type { Epoch, ReplicaId, Timestamp } from '../values/numbers.ts';
import { perReplica } from '../values/numbers.ts';
import type { RuleId } from './rules.ts';
import type { LaneStatus } from './types.ts';

interface Fact {
  /** The writer's epoch whose log the replica has accepted, synced, up to `index`. */
  epoch: number;
  index: number;
  /** Highest closed timestamp of that epoch the replica has accepted. */
  closed: number;
}

export class Facts {
  private readonly facts = perReplica<Fact>(() => ({ epoch: 0, index: 0, closed: 0 }));
  /** Rules switched off, looked up once: facts are asked several times a step. */
  private readonly oldEpochs: boolean;
  private readonly oneCopy: boolean;
  private readonly oneKnows: boolean;
  private readonly countTwice: boolean;

  constructor(broken: ReadonlySet<RuleId>) {
    this.oldEpochs = broken.has('L1-old-epoch');
    this.oneCopy = broken.has('L1-one-copy');
    this.oneKnows = broken.has('O3-one-knows');
    this.countTwice = broken.has('L1-count-twice');
  }

  /** A replica that has promised e accepts only e's writer: only then does its tail speak for e. */
  learn(replica: ReplicaId, { promised, tail, closed }: LaneStatus): void {
    this.accept(replica, promised, tail.epoch, tail.index, closed);
  }

  /** The same without a statement: of oneself, at every step. */
  accept(
    replica: ReplicaId,
    promised: Epoch,
    epoch: Epoch,
    index: number,
    closed: Timestamp,
  ): void {
    const speaks = epoch === promised || this.oldEpochs;
    if (!speaks || epoch === 0) return;
    const fact = this.facts[replica];
    if (epoch < fact.epoch) return;
    if (epoch > fact.epoch) {
      fact.epoch = epoch;
      fact.index = 0;
      fact.closed = 0;
    }
    fact.index = Math.max(fact.index, index);
    fact.closed = Math.max(fact.closed, closed);
  }

  forget(replica: ReplicaId): void {
    Object.assign(this.facts[replica], { epoch: 0, index: 0, closed: 0 });
  }

  /** Highest index that two replicas have synced in this epoch (L1). */
  committed(epoch: Epoch): number {
    return this.secondHighest(epoch, 'index', this.oneCopy);
  }

  /** Highest closed timestamp of this epoch that two replicas know (O3). */
  closedKnown(epoch: Epoch): number {
    return this.secondHighest(epoch, 'closed', this.oneKnows);
  }

  private secondHighest(epoch: Epoch, what: 'index' | 'closed', one: boolean): number {
    let first = 0;
    let second = 0;
    for (const fact of this.facts) {
      if (fact.epoch !== epoch) continue;
      const v = what === 'index' ? fact.index : fact.closed;
      if (v > first) {
        second = first;
        first = v;
      } else if (v > second) second = v;
    }
    if (this.countTwice && !one) {
      const peer = this.facts.find((fact) => fact.epoch === epoch && fact.index === first);
      return peer === undefined ? second : first;
    }
    return one ? first : second;
  }
}
