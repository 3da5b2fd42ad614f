/**
 * The total order over all instances, held against what crossbars deliver, what appliers hold and what linearizable
 * reads show. The truth is computed from what the instances' own checkers know (what each has released, and up to
 * which watermark that is final), not by the merge under test.
 *
 * I7: every observer sees a prefix of the one order. I8: nothing before it is final. I12: no watermark goes back, or
 * covers what was not delivered. I13: a read holds everything acknowledged before it began, and reads never go back.
 * I15: a subscription resumed from a cursor goes on exactly there.
 */
import { decodeDeliveries } from '../../../libs/frames/delivery.ts';
import type { Cluster } from '../cluster.ts';
import { check } from '../violation.ts';
import { changeOf, FOUNDERS, type Steward } from './members.ts';
import { batchOf } from './replica-side.ts';

/** A batch with records, in its place. */
export interface MergedBatch {
  readonly timestamp: number;
  readonly instance: number;
  readonly recordOffset: number;
  readonly firstSeqNum: number;
  readonly stream: string;
  readonly batch: Uint8Array;
}

export class MergedChecker {
  /** As far as it is final in every instance. */
  readonly order: MergedBatch[] = [];
  private readonly clusters: readonly Cluster[];
  private readonly steward: Steward | null;
  /** Of each instance that is a member behind the last entry taken: what lies at or below this does not count. */
  private readonly since = new Map<number, number>();
  /** Per instance: entries of its own order that are in the merged one, or never will be. */
  private readonly taken: number[];
  /** Batches of the order that a finished read has shown. */
  private visible = 0;

  /** `steward`: of those who join and leave; null: nobody does. */
  constructor(clusters: readonly Cluster[], steward: Steward | null) {
    this.clusters = clusters;
    this.steward = steward;
    this.taken = clusters.map(() => 0);
    for (let founder = 0; founder < FOUNDERS; founder++) this.since.set(founder, 0);
  }

  /** The highest timestamp up to which every member has said that it is final. */
  get final(): number {
    this.extend();
    return this.closed;
  }

  /** Highest timestamp acknowledged so far that is of the order, of each instance. */
  get acknowledged(): readonly number[] {
    return this.clusters.map(({ checkers }, instance) => {
      const { acknowledged } = checkers.session;
      return this.steward?.counted(instance, acknowledged) ?? acknowledged;
    });
  }

  get shown(): number {
    return this.visible;
  }

  /** Takes over what has become final. */
  extend(): void {
    for (;;) {
      const heads = this.clusters.map((_, instance) => this.headOf(instance));
      const least = Math.min(...heads);
      if (least > this.closed) return;
      // Of equal timestamps the lower number comes first.
      this.take(heads.indexOf(least));
    }
  }

  /** Of the members behind the last entry taken: so it moves by steps where one of those entries changes them. */
  private get closed(): number {
    const closed = [...this.since].map(([instance, since]) => {
      return Math.max(since, this.clusters[instance]?.checkers.session.watermark ?? 0);
    });
    return Math.min(...closed);
  }

  /** Timestamp of the next entry that counts. */
  private headOf(instance: number): number {
    const since = this.since.get(instance);
    const list = this.clusters[instance]?.checkers.order.list ?? [];
    if (since === undefined) return Infinity;
    for (;;) {
      const place = this.taken[instance] ?? 0;
      const { timestamp = Infinity } = list[place] ?? {};
      if (timestamp > since) return timestamp;
      this.taken[instance] = place + 1;
    }
  }

  /** A read begins: what it must show. */
  readInvoked(): ReadFloor {
    return { acknowledged: this.acknowledged, visible: this.visible };
  }

  /** It has seen the first `count` batches of the order, and says that this is everything up to `watermark`. */
  readDone(who: string, floor: ReadFloor, count: number, watermark: number): void {
    floor.acknowledged.forEach((timestamp, instance) => {
      check(watermark >= timestamp, 'stale-merged-read', () => {
        return `${who} shows everything up to ${watermark}; ${timestamp} of instance ${instance + 1} was acknowledged before it began`;
      });
    });
    check(watermark <= this.final, 'merged-watermark-early', () => {
      return `${who} says that ${watermark} is final; ${this.final} is`;
    });
    this.extend();
    const next = this.order[count];
    check(next === undefined || next.timestamp > watermark, 'merged-read-lacks', () => {
      return `${who} shows ${count} batches up to ${watermark}, not ${next?.timestamp}/${next?.instance}`;
    });
    check(count >= floor.visible, 'merged-read-went-back', () => {
      return `${who} shows ${count} batches, an earlier read ${floor.visible}`;
    });
    this.visible = Math.max(this.visible, count);
  }

  /** Batches at or below the timestamp, which must be known to be final. */
  countUpTo(timestamp: number): number {
    this.extend();
    let low = 0;
    let high = this.order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.order[middle]?.timestamp ?? 0) <= timestamp) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private take(instance: number): void {
    const place = this.taken[instance] ?? 0;
    this.taken[instance] = place + 1;
    const entry = this.clusters[instance]?.checkers.order.list[place];
    let recordOffset = 0;
    entry?.content?.forEach(({ operation }, number) => {
      const outcome = entry.outcomes[number];
      const { recordCount, stream } = operation.batch;
      if (outcome?.kind === 'appended') {
        this.order.push({
          timestamp: entry.timestamp,
          instance: instance + 1,
          recordOffset,
          firstSeqNum: outcome.firstSeqNum,
          stream,
          batch: batchOf(operation),
        });
      }
      recordOffset += recordCount;
    });
    const changed = entry?.content?.find(({ operation }, number) => {
      return entry.outcomes[number]?.kind === 'appended' && changeOf(operation) !== null;
    });
    const change = changed === undefined ? null : changeOf(changed.operation);
    // At the place itself whoever joins stands behind it, because its number is higher.
    if (change?.kind === 'join') this.since.set(change.instance, (entry?.timestamp ?? 0) - 1);
    if (change?.kind === 'leave') this.since.delete(change.instance);
  }
}

export interface ReadFloor {
  readonly acknowledged: readonly number[];
  readonly visible: number;
}

/** One sequence of deliveries and progress, over all the subscriptions that were resumed for it. */
export class Observer {
  /** Batches of the order that were delivered or do not pass the filter. */
  place = 0;
  watermark = 0;
  private readonly checker: MergedChecker;
  private readonly who: string;
  /** null: everything. */
  private readonly stream: string | null;

  constructor(checker: MergedChecker, who: string, stream: string | null) {
    this.checker = checker;
    this.who = who;
    this.stream = stream;
  }

  /** Goes on from an earlier place, whose state it stands for. */
  resume(place: number, watermark: number): void {
    this.place = place;
    this.watermark = watermark;
  }

  batches(frames: Uint8Array): void {
    for (const delivery of decodeDeliveries(frames)) {
      const { batch } = this.next(delivery);
      check(Buffer.from(delivery.batch).equals(batch), 'merged-bytes', () => {
        return `${this.who} is given other bytes at ${delivery.timestamp}/${delivery.instance}`;
      });
    }
  }

  /** The next batch, which must stand where the order has it. */
  next(delivery: Omit<MergedBatch, 'stream' | 'batch'>): MergedBatch {
    const { timestamp, instance, recordOffset, firstSeqNum } = delivery;
    const what = (): string =>
      `${this.who} is given ${timestamp}/${instance}/${recordOffset} as number ${this.place}`;
    check(timestamp > this.watermark, 'merged-behind-watermark', () => {
      return `${what()} after the watermark ${this.watermark}`;
    });
    const { final } = this.checker;
    // Behind a join the watermark stands just before it: the join itself is final, and what else is there is not.
    const last = this.checker.order.at(-1)?.timestamp ?? 0;
    check(timestamp <= Math.max(final, last), 'merged-not-final', () => {
      return `${what()}, final is ${final}`;
    });
    this.skip();
    const expected = this.checker.order[this.place];
    check(
      expected?.timestamp === timestamp &&
        expected.instance === instance &&
        expected.recordOffset === recordOffset,
      'merged-order',
      () =>
        `${what()}; there stands ${expected?.timestamp}/${expected?.instance}/${expected?.recordOffset}`,
    );
    check(expected.firstSeqNum === firstSeqNum, 'merged-number', () => {
      return `${what()} with number ${firstSeqNum}, not ${expected.firstSeqNum}`;
    });
    this.place += 1;
    return expected;
  }

  progress(watermark: number): void {
    check(watermark >= this.watermark, 'merged-watermark-back', () => {
      return `${this.who} is told ${watermark} after ${this.watermark}`;
    });
    const { final } = this.checker;
    check(watermark <= final, 'merged-watermark-early', () => {
      return `${this.who} is told that ${watermark} is final; ${final} is`;
    });
    this.checker.extend();
    this.skip();
    const next = this.checker.order[this.place];
    check(next === undefined || next.timestamp > watermark, 'merged-watermark-ahead', () => {
      return `${this.who} is told ${watermark} and was not given ${next?.timestamp}/${next?.instance}`;
    });
    this.watermark = watermark;
  }

  /** Over what does not pass the filter. */
  private skip(): void {
    if (this.stream === null) return;
    while (this.place < this.checker.order.length) {
      if (this.checker.order[this.place]?.stream === this.stream) return;
      this.place += 1;
    }
  }
}
