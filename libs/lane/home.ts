/**
 * A replica's own appends, from the queue to the release: stamped in groups, acknowledged when
 * committed, appended again when an adopted tail certainly does not hold them (L6).
 */
import { at } from '../values/assert.ts';
import type { ReplicaId } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { others } from './context.ts';
import type { Lane } from './lane.ts';
import type { Append, Effects, Entry, RefusalReason } from './types.ts';
import { newEntry } from './writer.ts';

type Acknowledged<C, A extends Append> = Effects<C, A>['acknowledged'][number];
type Refused<A extends Append> = Effects<unknown, A>['refused'][number];

export class Home<Content, A extends Append> {
  private readonly context: Context<Content, A>;
  private queue: A[] = [];
  private head = 0;
  private queueBytes = 0;
  /** Appends of entries that are not released yet, by lane (only the home's has any) and index. */
  private readonly inflight = REPLICAS.map(() => new Map<number, readonly A[]>());
  private inflightBytes = 0;
  /** Committed, waiting for the clock's error to pass (T5). */
  private readonly waiting: Acknowledged<Content, A>[] = [];
  private acknowledgedTo = REPLICAS.map(() => 0);

  constructor(context: Context<Content, A>) {
    this.context = context;
  }

  get waitingToBeStamped(): number {
    return this.queue.length - this.head;
  }

  enqueue(appends: readonly A[], refused: Refused<A>[]): void {
    const { settings, clock } = this.context;
    for (const append of appends) {
      if (append.minTimestamp > clock.wishLimit) refused.push({ append, reason: 'CLOCK_UNSAFE' });
      else if (this.queueBytes + append.bytes > settings.queueBytesMax) {
        refused.push({ append, reason: 'OVERLOADED' });
      } else {
        this.queue.push(append);
        this.queueBytes += append.bytes;
      }
    }
  }

  /** Everything that was not stamped certainly had no effect. */
  refuseQueue(
    reason: RefusalReason,
    refused: Refused<A>[],
    which: (append: A) => boolean = () => true,
  ): void {
    for (let i = this.head; i < this.queue.length; i += 1) {
      const append = at(this.queue, i);
      if (which(append)) refused.push({ append, reason });
    }
    this.queue = [];
    this.head = 0;
    this.queueBytes = 0;
  }

  /** What the disk has no room for certainly had no effect; nobody is told anything of the rest (§10). */
  refuseForSpace(refused: Refused<A>[]): void {
    const { space } = this.context;
    if (space === 'ample' || this.head === this.queue.length) return;
    const waiting = this.queue.slice(this.head);
    const stays = ({ small }: A): boolean => space === 'low' && small === true;
    const kept = waiting.filter(stays);
    if (kept.length === waiting.length) return;
    this.refuseQueue('DISK_FULL', refused, (append) => !stays(append));
    this.prepend(kept);
  }

  /** L6 broken on purpose: tells the clients of unacknowledged entries that they failed. */
  refuseInflight(refused: Refused<A>[]): void {
    for (const appends of at(this.inflight, this.context.self).values()) {
      for (const append of appends) refused.push({ append, reason: 'OVERLOADED' });
    }
    at(this.inflight, this.context.self).clear();
  }

  /** Stamps what waits into entries. Whatever arrived while the last sync ran shares one. */
  stamp(lane: Lane<Content, A>): void {
    const { settings, clock, self } = this.context;
    if (this.head === this.queue.length) return;
    if (Math.max(lane.log.synced, lane.log.committed) < lane.log.last) return;
    while (this.head < this.queue.length && this.inflightBytes < settings.inflightBytesMax) {
      let end = this.head;
      let bytes = 0;
      let floor = lane.log.timestampAt(lane.log.last);
      while (end < this.queue.length) {
        const append = at(this.queue, end);
        if (end > this.head && bytes + append.bytes > settings.entryBytesMax) break;
        bytes += append.bytes;
        floor = Math.max(floor, append.minTimestamp);
        end += 1;
      }
      const timestamp = clock.take(lane.id, floor);
      if (timestamp === null) return;
      const appends = this.queue.slice(this.head, end);
      this.head = end;
      this.queueBytes -= bytes;
      this.inflightBytes += bytes;
      const entry = newEntry(this.context, lane, timestamp, 'batches', appends);
      at(this.inflight, lane.id).set(entry.index, appends);
      lane.append(entry);
      for (const peer of others(self)) this.context.wake(peer);
    }
    if (this.head > 0 && this.head * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.head);
      this.head = 0;
    }
  }

  /** L6: what fell out of the log is certainly aborted, and is appended again, before all else. */
  removed(lane: Lane<Content, A>, entries: readonly Entry<Content>[]): void {
    const again: A[] = [];
    for (const entry of entries) this.requeue(lane.id, entry.index, again);
    this.prepend(again);
  }

  /** L6 broken on purpose: appends again although the entries stand in the adopted tail. */
  appendAgain(lane: Lane<Content, A>): void {
    const again: A[] = [];
    for (const index of [...at(this.inflight, lane.id).keys()]) this.requeue(lane.id, index, again);
    this.prepend(again);
  }

  private requeue(lane: ReplicaId, index: number, again: A[]): void {
    const appends = at(this.inflight, lane).get(index);
    if (appends === undefined) return;
    at(this.inflight, lane).delete(index);
    for (const append of appends) {
      again.push(append);
      this.inflightBytes -= append.bytes;
    }
  }

  private prepend(again: readonly A[]): void {
    if (again.length === 0) return;
    this.queue = [...again, ...this.queue.slice(this.head)];
    this.head = 0;
    for (const append of again) this.queueBytes += append.bytes;
  }

  /** Own entries that became committed since the last call, as acknowledgements. */
  acknowledge(lane: Lane<Content, A>, acknowledged: Acknowledged<Content, A>[]): void {
    const { clock } = this.context;
    const inflight = at(this.inflight, lane.id);
    const { committed } = lane.log;
    let index = at(this.acknowledgedTo, lane.id);
    if (committed > index && inflight.size > 0) {
      for (index += 1; index <= committed; index += 1) {
        const appends = inflight.get(index);
        if (appends !== undefined) this.waiting.push({ entry: lane.log.entry(index), appends });
      }
    }
    this.acknowledgedTo[lane.id] = committed;
    while (this.waiting[0] !== undefined) {
      const first = this.waiting[0];
      if (!clock.surelyPast(first.entry.timestamp)) break;
      acknowledged.push(first);
      this.waiting.shift();
    }
  }

  /** The appends of a released entry; null when it is another's, or of an earlier life. */
  released(entry: Entry<Content>): readonly A[] | null {
    const inflight = at(this.inflight, entry.lane);
    const appends = inflight.get(entry.index);
    if (appends === undefined) return null;
    inflight.delete(entry.index);
    for (const append of appends) this.inflightBytes -= append.bytes;
    return appends;
  }
}
