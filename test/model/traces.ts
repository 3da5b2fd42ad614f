/**
 * What a run of the simulation did to one lane, in the words of the specification (trace.pml): so that
 * the two cannot drift apart. The lane's home is replica 0 there, epochs are numbered from 1.
 *
 * The specification lets a promise wait in memory until all that was written before is on disk; nothing
 * outside tells the difference, because nothing is said of it before. So what follows a promise in a
 * replica's writes is told once the promise is on disk. Its disk goes straight to what memory holds: an
 * entry that is replaced before it is on disk is not told to have been there.
 *
 * Deliberately not told: which promises were counted (the checker finds it), clocks and the order, names
 * of records. A trace ends where a disk is lost or replaced, and at the bounds of the specification.
 */
import type { Write } from '../../libs/lane/types.ts';
import { at } from '../../libs/values/assert.ts';
import type { LaneId, ReplicaId } from '../../libs/values/numbers.ts';
import { REPLICAS, writerOf } from '../../libs/values/numbers.ts';
import type { LogListener } from '../simulation/checkers.ts';

/** Numbers of trace.pml. */
const KINDS = {
  prepares: 1,
  promises: 2,
  keeps: 3,
  takes: 4,
  marks: 5,
  stamps: 6,
  syncs: 7,
  truncates: 8,
  restarts: 9,
  claims: 10,
} as const;

export type Kind = keyof typeof KINDS;

export interface TraceEvent {
  readonly kind: Kind;
  readonly replica: ReplicaId;
  /** Of the entry; 0 where there is none. */
  readonly index: number;
  /** Of the promise, or of the entry that is taken or claimed; 0 where the replica's own is meant. */
  readonly epoch: number;
}

export interface TraceBounds {
  readonly epochs: number;
  readonly entries: number;
  readonly events: number;
}

type Staged = Exclude<Write<unknown>, { type: 'reserve' | 'incarnation' | 'recovered' }>;

interface Waiting {
  readonly write: Staged;
  told: boolean;
  /** A later write replaces it. */
  isVoid: boolean;
}

export class LaneTrace implements LogListener {
  readonly events: TraceEvent[] = [];
  private readonly lane: LaneId;
  private readonly bounds: TraceBounds;
  private readonly waiting: Waiting[][] = REPLICAS.map(() => []);
  private readonly promised = REPLICAS.map(() => 0);
  private readonly claimedTo = REPLICAS.map(() => 0);
  private readonly syncedTo = REPLICAS.map(() => 0);
  /** Something void is on the disk, and what replaces it is not yet. */
  private readonly dirty = REPLICAS.map(() => false);
  private readonly epochs = new Set<number>();
  private over = false;

  constructor(lane: LaneId, bounds: TraceBounds) {
    this.lane = lane;
    this.bounds = bounds;
  }

  staged(replica: ReplicaId, write: Write<unknown>): void {
    if (!isOfLane(write, this.lane)) return;
    const waiting = at(this.waiting, replica);
    if (write.type === 'truncate') {
      for (const item of waiting) {
        item.isVoid ||= item.write.type === 'entry' && item.write.entry.index >= write.from;
      }
    }
    waiting.push({ write, told: false, isVoid: false });
    this.tellMemory(replica);
  }

  durable(replica: ReplicaId, write: Write<unknown>): void {
    if (this.over || !isOfLane(write, this.lane)) return;
    const first = at(this.waiting, replica).shift();
    if (first?.write !== write) throw new Error(`a disk of r${replica} wrote out of order`);
    if (write.type === 'promise') {
      this.promised[replica] = write.epoch;
      if (writerOf(write.epoch) === replica) {
        this.epochs.add(write.epoch);
        this.tell('prepares', replica, 0, write.epoch);
      } else {
        this.tell('promises', replica, 0, write.epoch);
        this.tell('keeps', replica, 0, write.epoch);
      }
    }
    this.tellMemory(replica);
    if (write.type === 'truncate') this.truncated(replica, write.from);
    else if (write.type === 'entry' && first.isVoid) this.dirty[replica] = true;
    else if (write.type === 'entry') {
      this.syncedTo[replica] = write.entry.index;
      this.tell('syncs', replica, write.entry.index);
    }
  }

  private truncated(replica: ReplicaId, from: number): void {
    this.dirty[replica] = false;
    if (at(this.syncedTo, replica) < from) return;
    this.syncedTo[replica] = from - 1;
    this.tell('truncates', replica, 0);
  }

  crashed(replica: ReplicaId): void {
    this.waiting[replica] = [];
    if (at(this.dirty, replica)) this.over = true;
    this.claimedTo[replica] = 0;
    this.tell('restarts', replica, 0);
  }

  replaced(): void {
    this.over = true;
  }

  claimed(replica: ReplicaId, lane: LaneId, index: number, epoch: number): void {
    if (lane !== this.lane || index <= at(this.claimedTo, replica)) return;
    this.claimedTo[replica] = index;
    this.tell('claims', replica, index, epoch);
  }

  /** A line an event, for the checker. */
  text(): string {
    const order = [0, ...this.epochs].sort((a, b) => a - b);
    const line = ({ kind, replica, index, epoch }: TraceEvent): string => {
      const home = (replica - this.lane + 3) % 3;
      const name = order.indexOf(epoch);
      if (name < 0) throw new Error(`nobody has prepared epoch ${epoch}`);
      return `${KINDS[kind]} ${home} ${index === 0 ? name : index} ${name}\n`;
    };
    return this.events.map(line).join('');
  }

  /** Entries are in memory as soon as no promise before them waits for the disk. */
  private tellMemory(replica: ReplicaId): void {
    for (const item of at(this.waiting, replica)) {
      if (item.write.type === 'promise') return;
      if (item.write.type !== 'entry' || item.told || item.isVoid) continue;
      item.told = true;
      const { epoch, index, kind } = item.write.entry;
      const own = epoch === this.promised[replica] && writerOf(epoch) === replica;
      if (!own) this.tell('takes', replica, index, epoch);
      else this.tell(kind === 'marker' ? 'marks' : 'stamps', replica, index);
    }
  }

  private tell(kind: Kind, replica: ReplicaId, index: number, epoch = 0): void {
    const { bounds, epochs, events } = this;
    if (index > bounds.entries || epochs.size > bounds.epochs) this.over = true;
    if (events.length >= bounds.events) this.over = true;
    if (!this.over) events.push({ kind, replica, index, epoch });
  }
}

/** All lanes of one run. */
export class RunTrace implements LogListener {
  readonly lanes: readonly LaneTrace[];

  constructor(bounds: TraceBounds) {
    this.lanes = REPLICAS.map((lane) => new LaneTrace(lane, bounds));
  }

  staged(replica: ReplicaId, write: Write<unknown>): void {
    for (const lane of this.lanes) lane.staged(replica, write);
  }

  durable(replica: ReplicaId, write: Write<unknown>): void {
    for (const lane of this.lanes) lane.durable(replica, write);
  }

  crashed(replica: ReplicaId): void {
    for (const lane of this.lanes) lane.crashed(replica);
  }

  replaced(): void {
    for (const lane of this.lanes) lane.replaced();
  }

  claimed(replica: ReplicaId, lane: LaneId, index: number, epoch: number): void {
    for (const each of this.lanes) each.claimed(replica, lane, index, epoch);
  }
}

function isOfLane(write: Write<unknown>, lane: LaneId): write is Staged {
  if (write.type === 'entry') return write.entry.lane === lane;
  return (write.type === 'promise' || write.type === 'truncate') && write.lane === lane;
}
