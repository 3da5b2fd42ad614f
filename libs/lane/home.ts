/**
 * A replica's own appends, from the queue to the release: stamped in groups, acknowledged when
 * committed, appended again when an adopted tail certainly does not hold them (L6).
 */
import type { ReplicaId } from '../values/numbers.ts';
import { perReplica } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { others } from './context.ts';
import { FairQueue } from './fair-queue.ts';
import type { Lane } from './lane.ts';
import type { Append, Effects, Entry, RefusalReason } from './types.ts';
import { newEntry } from './writer.ts';

type Acknowledged<C, A extends Append> = Effects<C, A>['acknowledged'][number];
type Refused<A extends Append> = Effects<unknown, A>['refused'][number];

/**
 * Entries stamped at once. What is behind them is stamped when they are on disk, so that an append which
 * arrives meanwhile waits for a few entries, and not for all that waited before it.
 */
const GROUP_ENTRIES_MAX = 8;
/** So much is always under way to the peers, however narrow the links. */
const PIPE_BYTES_MIN = 1 << 20;

export class Home<Content, A extends Append> {
  private readonly context: Context<Content, A>;
  private readonly queue = new FairQueue<A>();
  /** Appends of entries that are not released yet, by lane (only the home's has any) and index. */
  private readonly inflight = perReplica(() => new Map<number, readonly A[]>());
  private inflightBytes = 0;
  /** Stamped and not known to be committed, ascending: what stands before the next entry on its way. */
  private readonly pipe: { readonly index: number; readonly bytes: number }[] = [];
  private pipeBytes = 0;
  /** Committed, waiting for the clock's error to pass (T5). */
  private readonly waiting: Acknowledged<Content, A>[] = [];
  private readonly acknowledgedTo = perReplica(() => 0);

  constructor(context: Context<Content, A>) {
    this.context = context;
  }

  get waitingToBeStamped(): number {
    return this.queue.length;
  }

  /** Of entries that are not released. */
  get stampedBytes(): number {
    return this.inflightBytes;
  }

  /** Acknowledgements lie until the clock's error has passed. */
  get waitsForClock(): boolean {
    return this.waiting.length > 0;
  }

  enqueue(appends: readonly A[], refused: Refused<A>[]): void {
    const { settings, clock } = this.context;
    for (const append of appends) {
      if (append.minTimestamp > clock.wishLimit) refused.push({ append, reason: 'CLOCK_UNSAFE' });
      else if (this.queue.bytes + append.bytes > settings.queueBytesMax) {
        refused.push({ append, reason: 'OVERLOADED' });
      } else this.queue.push(append);
    }
  }

  /** Everything that was not stamped certainly had no effect. */
  refuseQueue(reason: RefusalReason, refused: Refused<A>[]): void {
    if (this.queue.length === 0) return;
    for (const append of this.queue.takeAll()) refused.push({ append, reason });
  }

  /** What the disk has no room for certainly had no effect; nobody is told anything of the rest (§10). */
  refuseForSpace(refused: Refused<A>[]): void {
    const { space } = this.context;
    if (space === 'ample' || this.queue.length === 0) return;
    const stays: A[] = [];
    for (const append of this.queue.takeAll()) {
      if (space === 'low' && append.small === true) stays.push(append);
      else refused.push({ append, reason: 'DISK_FULL' });
    }
    this.queue.putBack(stays);
  }

  /** L6 broken on purpose: tells the clients of unacknowledged entries that they failed. */
  refuseInflight(refused: Refused<A>[]): void {
    for (const appends of this.inflight[this.context.self].values()) {
      for (const append of appends) refused.push({ append, reason: 'OVERLOADED' });
    }
    this.inflight[this.context.self].clear();
  }

  /**
   * Stamps what waits into entries. Whatever arrived while the last sync ran shares one. What could not be
   * sent yet (`windowBytes`: under way to the peer that takes the most) goes on waiting in the queue, where
   * sources take turns: behind the stamp there is only one order.
   */
  stamp(lane: Lane<Content, A>, windowBytes: number): void {
    const { settings, clock, self } = this.context;
    if (this.queue.length === 0) return;
    if (Math.max(lane.log.synced, lane.log.committed) < lane.log.last) return;
    lane.conclude();
    this.countPipe(lane.log.committed);
    for (let entries = 0; entries < GROUP_ENTRIES_MAX; entries += 1) {
      if (this.queue.length === 0 || this.inflightBytes >= settings.inflightBytesMax) return;
      if (this.pipeBytes >= Math.max(windowBytes, PIPE_BYTES_MIN)) return;
      const { appends, bytes } = this.takeEntry(settings.entryBytesMax);
      const floor = appends.reduce(
        (highest, { minTimestamp }) => Math.max(highest, minTimestamp),
        lane.log.timestampAt(lane.log.last),
      );
      const timestamp = clock.take(lane.id, floor);
      if (timestamp === null) {
        this.queue.putBack(appends);
        return;
      }
      this.inflightBytes += bytes;
      this.pipeBytes += bytes;
      const entry = newEntry(this.context, lane, timestamp, 'batches', appends);
      this.pipe.push({ index: entry.index, bytes });
      this.inflight[lane.id].set(entry.index, appends);
      lane.append(entry);
      for (const peer of others(self)) this.context.wake(peer);
    }
  }

  /** The appends of the next entry: at least one, more as long as they fit. */
  private takeEntry(entryBytesMax: number): { appends: readonly A[]; bytes: number } {
    const appends: A[] = [];
    let bytes = 0;
    for (;;) {
      const next = this.queue.peek();
      if (next === null || (appends.length > 0 && bytes + next.bytes > entryBytesMax)) break;
      this.queue.take();
      appends.push(next);
      bytes += next.bytes;
    }
    return { appends, bytes };
  }

  private countPipe(committed: number): void {
    const left = this.pipe.findIndex(({ index }) => index > committed);
    const gone = this.pipe.splice(0, left === -1 ? this.pipe.length : left);
    for (const { bytes } of gone) this.pipeBytes -= bytes;
  }

  /** The end of the log from this index on is gone. */
  private shortenPipe(from: number): void {
    while ((this.pipe.at(-1)?.index ?? -1) >= from) {
      this.pipeBytes -= this.pipe.pop()?.bytes ?? 0;
    }
  }

  /** L6: what fell out of the log is certainly aborted, and is appended again, before all else. */
  removed(lane: Lane<Content, A>, entries: readonly Entry<Content>[]): void {
    // Only the home's lane has a pipe; in the others the same indexes are other entries.
    if (lane.id === this.context.self) this.shortenPipe(entries[0]?.index ?? Infinity);
    const again: A[] = [];
    for (const entry of entries) this.requeue(lane.id, entry.index, again);
    this.queue.putBack(again);
  }

  /** L6 broken on purpose: appends again although the entries stand in the adopted tail. */
  appendAgain(lane: Lane<Content, A>): void {
    const again: A[] = [];
    for (const index of [...this.inflight[lane.id].keys()]) this.requeue(lane.id, index, again);
    this.queue.putBack(again);
  }

  private requeue(lane: ReplicaId, index: number, again: A[]): void {
    const appends = this.inflight[lane].get(index);
    if (appends === undefined) return;
    this.inflight[lane].delete(index);
    for (const append of appends) {
      again.push(append);
      this.inflightBytes -= append.bytes;
    }
  }

  /** Own entries that became committed since the last call, as acknowledgements. */
  acknowledge(lane: Lane<Content, A>, acknowledged: Acknowledged<Content, A>[]): void {
    const { clock } = this.context;
    const inflight = this.inflight[lane.id];
    const { committed } = lane.log;
    let index = this.acknowledgedTo[lane.id];
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
    const inflight = this.inflight[entry.lane];
    const appends = inflight.get(entry.index);
    if (appends === undefined) return null;
    inflight.delete(entry.index);
    for (const append of appends) this.inflightBytes -= append.bytes;
    return appends;
  }
}
