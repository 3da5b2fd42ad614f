/**
 * What clients may conclude: acknowledged is for ever, real time is respected (P3), a heartbeat read
 * shows everything completed before it began and reads never go back, a watermark is a promise (O5).
 * "Completed" is the moment the replica answers, which is earlier and so stricter than the moment
 * the client hears it.
 */
import type { Entry } from '../../libs/lane/types.ts';
import { REPLICAS, type ReplicaId } from '../../libs/values/numbers.ts';
import type { Attempt, Content, Read } from './operations.ts';
import type { OrderChecker } from './order-checker.ts';
import { check } from './violation.ts';

export class SessionChecker {
  /** Highest watermark that any replica has shown. */
  watermark = 0;
  /** Highest timestamp that any client was told. */
  acknowledged = 0;
  /** The same of QUORUM appends alone, which wait until the clocks' errors have passed (T5). */
  acknowledgedQuorum = 0;
  /** That of other instances whose clocks are as true as ours. */
  elsewhere: () => number = () => 0;
  private readonly order: OrderChecker;
  private readonly quorumRealTime: boolean;
  /** Per replica, of its present life. */
  private readonly watermarks = [0, 0, 0];
  /** Most entries that a finished read has seen. */
  private visible = 0;
  private readonly tails = new Map<string, number>();

  constructor(order: OrderChecker, quorumRealTime: boolean) {
    this.order = order;
    this.quorumRealTime = quorumRealTime;
  }

  restarted(replica: ReplicaId): void {
    this.watermarks[replica] = 0;
  }

  watermarkOf(replica: ReplicaId): number {
    return this.watermarks[replica] ?? 0;
  }

  submitted(replica: ReplicaId, attempt: Attempt): void {
    attempt.lane = replica;
    attempt.floor = this.watermark;
    if (this.quorumRealTime) {
      attempt.quorumFloor = Math.max(this.acknowledged, this.elsewhere());
    }
  }

  refused(replica: ReplicaId, attempt: Attempt): void {
    check(attempt.acknowledged === 0 && attempt.released === 0, 'refused-effective', () => {
      return `r${replica} refuses operation ${attempt.operation.id}, which took effect`;
    });
    attempt.refused = true;
  }

  /** A client is told that its append stands at the entry's timestamp. */
  acknowledge(replica: ReplicaId, entry: Entry<Content>, attempt: Attempt): void {
    const name = (): string =>
      `r${replica} acknowledges operation ${attempt.operation.id} at ts ${entry.timestamp}`;
    check(!attempt.refused, 'refused-effective', () => `${name()}, which was refused`);
    check(attempt.acknowledged === 0, 'acknowledged-twice', name);
    check(entry.content?.includes(attempt) === true, 'acknowledged-foreign', name);
    check(entry.timestamp > attempt.floor || attempt.released !== 0, 'real-time-order', () => {
      return `${name()}, sent after watermark ${attempt.floor} was shown`;
    });
    // Behind a watermark somebody has shown, it must be in what they have shown.
    check(entry.timestamp > this.watermark || attempt.released !== 0, 'acknowledged-behind', () => {
      return `${name()}, watermark is ${this.watermark}`;
    });
    attempt.acknowledged = entry.timestamp;
    this.acknowledged = Math.max(this.acknowledged, entry.timestamp);
    if (attempt.operation.ack !== 'QUORUM') return;
    this.acknowledgedQuorum = Math.max(this.acknowledgedQuorum, entry.timestamp);
  }

  /** An ORDERED answer gave this stream tail: a later look must show as much. */
  told(stream: string, tail: number): void {
    if (tail > (this.tails.get(stream) ?? 0)) this.tails.set(stream, tail);
  }

  watermarkShown(replica: ReplicaId, watermark: number): void {
    if (watermark !== this.watermarks[replica]) this.watermarkMoved(replica, watermark);
  }

  private watermarkMoved(replica: ReplicaId, watermark: number): void {
    const before = this.watermarkOf(replica);
    check(watermark >= before, 'watermark-monotone', () => {
      return `r${replica} shows watermark ${watermark} after ${before}`;
    });
    this.watermarks[replica] = watermark;
    const count = this.order.countOf(replica);
    const next = this.order.list[count];
    check(next === undefined || next.timestamp > watermark, 'watermark-ahead', () => {
      return `r${replica} shows watermark ${watermark}, has not released ts ${next?.timestamp}`;
    });
    const last = this.order.before(count);
    check(last === undefined || last.timestamp <= watermark, 'released-above', () => {
      return `r${replica} shows watermark ${watermark}, has released ts ${last?.timestamp}`;
    });
    this.watermark = Math.max(this.watermark, watermark);
  }

  /** O5: an entry nobody has released before may not stand at or below a watermark shown. */
  releasedFirst(replica: ReplicaId, entry: Entry<Content>): void {
    check(entry.timestamp > this.watermark, 'release-behind', () => {
      return (
        `r${replica} releases lane ${entry.lane} index ${entry.index} ts ${entry.timestamp}, ` +
        `watermark ${this.watermark} was shown`
      );
    });
  }

  readInvoked(read: Read): void {
    read.ackFloor = this.acknowledged;
    read.visibleFloor = this.visible;
    read.tailFloor = this.tails.get(read.stream) ?? 0;
  }

  readDone(replica: ReplicaId, read: Read, tail: number): void {
    const watermark = this.watermarkOf(replica);
    const seen = this.order.countOf(replica);
    const name = (): string => `read ${read.id} at r${replica}, watermark ${watermark}`;
    check(watermark >= read.ackFloor, 'stale-read', () => {
      return `${name()}: ${read.ackFloor} was acknowledged before it began`;
    });
    check(seen >= read.visibleFloor, 'read-went-back', () => {
      return `${name()} sees ${seen} entries, an earlier read ${read.visibleFloor}`;
    });
    check(tail >= read.tailFloor, 'stale-tail', () => {
      return `${name()} shows tail ${tail} of ${read.stream}, was ${read.tailFloor} before`;
    });
    this.visible = Math.max(this.visible, seen);
    this.told(read.stream, tail);
  }

  /** Everything acknowledged has been released: for the end of a healed run. */
  finished(): void {
    for (const replica of REPLICAS) {
      check(this.watermarkOf(replica) >= this.acknowledged, 'acknowledged-lost', () => {
        return `r${replica} ends at ${this.watermarkOf(replica)}, ${this.acknowledged} was acknowledged`;
      });
    }
  }
}
