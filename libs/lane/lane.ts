/**
 * One lane as one replica sees it: the promise, the log, what is known of the others, and up to
 * where the lane is resolved (SPEC.md §3, §5). Following the writer happens here; becoming the
 * writer in writer.ts; feeding others in feeder.ts.
 */
import { assert } from '../values/assert.ts';
import type { Epoch, Index, LaneId, Micros, ReplicaId, Timestamp } from '../values/numbers.ts';
import { writerOf } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { Facts } from './facts.ts';
import { LaneLog } from './lane-log.ts';
import type { Announcement, Append, Entry, Feed, LaneStart, LaneStatus, Tail } from './types.ts';

/**
 * follower: takes what the promised epoch's writer wrote. preparing: waits for a second promise.
 * adopting: copies the better tail of `source`. marking: waits for a reservation to stamp the marker.
 * writing: its epoch's writer; adds records if it is the home (open), else only closes (sealed).
 */
export type Role =
  | { readonly name: 'follower' }
  | { readonly name: 'preparing'; sentAt: number }
  | {
      readonly name: 'adopting';
      readonly source: ReplicaId;
      readonly target: Tail;
      /** What was asked for: the entries that follow. Other answers are repetitions. */
      after: Tail;
      sentAt: number;
    }
  | { readonly name: 'marking' }
  | { readonly name: 'writing' };

export class Lane<Content, A extends Append> {
  readonly id: LaneId;
  readonly log: LaneLog<Content>;
  readonly facts: Facts;
  role: Role = { name: 'follower' };
  promised: Epoch;
  /** Highest epoch anybody was seen to have promised. */
  seen: Epoch;
  /** When the writer's word last advanced, by whatever path. */
  heardAt: Micros;
  resolved = 0 as Timestamp;
  announced: Announcement | null = null;
  /** Last mismatch told to a feeder, so that a burst of feeds gets one answer. */
  mismatchAt = 0;
  private promisedOnDisk: Epoch;
  private promiseSeq = 0;
  private readonly context: Context<Content, A>;

  constructor(
    context: Context<Content, A>,
    id: LaneId,
    promised: Epoch,
    start: LaneStart<Content>,
    readBack: (index: Index) => Entry<Content> | null,
  ) {
    this.context = context;
    this.id = id;
    this.log = new LaneLog(start, readBack);
    this.facts = new Facts(context.broken);
    this.promised = promised;
    this.promisedOnDisk = promised;
    this.seen = promised;
    this.heardAt = context.now;
    this.learnOwn();
  }

  /** null before any writer. */
  get writer(): ReplicaId | null {
    return this.promised === 0 ? null : writerOf(this.promised);
  }

  isWriting(): boolean {
    return this.role.name === 'writing';
  }

  get durablyPromised(): boolean {
    return this.promisedOnDisk >= this.promised;
  }

  /** Takes no epoch below from here on; it counts towards anything only once it is on disk (L4). */
  promise(epoch: Epoch): void {
    assert(epoch > this.promised, 'promises rise');
    this.promised = epoch;
    this.seen = Math.max(this.seen, epoch) as Epoch;
    this.role = { name: 'follower' };
    this.heardAt = this.context.now;
    if (this.context.broken.has('L4-promise-volatile')) this.promisedOnDisk = epoch;
    else this.promiseSeq = this.context.write({ type: 'promise', lane: this.id, epoch });
  }

  persisted(seq: number): void {
    const promisedOnDisk = this.promiseSeq <= seq ? this.promised : this.promisedOnDisk;
    const kept = promisedOnDisk > this.promisedOnDisk;
    this.promisedOnDisk = promisedOnDisk;
    const grew = this.log.persisted(seq);
    if (!grew && !kept) return;
    this.learnOwn();
    const { writer } = this;
    if (writer !== null && writer !== this.context.self) this.context.wake(writer);
    this.context.nudge();
  }

  /** This replica's own statement (L4: only what is on disk). */
  status(feeder: ReplicaId): LaneStatus {
    return {
      promised: this.promisedOnDisk,
      tail: this.context.broken.has('L4-ack-unsynced') ? this.log.tail : this.log.syncedTail,
      closed: this.closedKnown,
      feeder,
      base: { epoch: this.log.base.epoch, index: this.log.base.index },
    };
  }

  learnOwn(): void {
    const { log, context, promisedOnDisk } = this;
    const index = context.broken.has('L4-ack-unsynced') ? log.last : log.synced;
    const epoch = log.epochAt(index);
    this.facts.accept(context.self, promisedOnDisk, epoch, index, this.closedKnown);
  }

  /** The writer's word that this replica goes by, as far as it survives a restart (O5). */
  private get closedKnown(): Timestamp {
    const { announced, context } = this;
    if (announced?.epoch !== this.promisedOnDisk) return 0 as Timestamp;
    return Math.min(announced.closed, context.clock.ceiling) as Timestamp;
  }

  /** A writer's word, from itself or passed on. Higher epochs are promised on the way (fencing). */
  hear(announcement: Announcement): void {
    if (announcement.epoch < this.promised) return;
    if (announcement.epoch > this.promised) this.promise(announcement.epoch);
    const before = this.announced;
    const news =
      before === null ||
      announcement.epoch > before.epoch ||
      (announcement.epoch === before.epoch && announcement.closed > before.closed);
    if (!news) return;
    // The last word of a dead writer, passed on late, is no sign of life.
    this.heardAt = Math.max(this.heardAt, this.context.now - announcement.age) as Micros;
    this.context.clock.merge(announcement.closed);
    this.announced = announcement;
    this.learnOwn();
  }

  /** Entries of the promised epoch's writer, from itself or fed by the third. */
  follow(feed: Feed<Content>, from: ReplicaId): void {
    const fenced = feed.epoch < this.promised && !this.context.broken.has('fence-off');
    if (fenced || writerOf(feed.epoch) === this.context.self) return;
    if (feed.epoch > this.promised) this.promise(feed.epoch);
    if (this.role.name !== 'follower') return;
    if (!this.log.has(feed.previous)) {
      this.tellMismatch(feed, from);
      return;
    }
    const taken = this.withRoom(feed);
    this.take(taken);
    if (this.context.broken.has('L2-writer-assumed')) {
      const tail = { epoch: feed.epoch, index: this.log.last };
      const claim = { ...this.status(from), promised: feed.epoch, tail, closed: 0 as Timestamp };
      if (this.log.lastEpoch === feed.epoch) this.facts.learn(writerOf(feed.epoch), claim);
    }
    const matched = taken.previous.index + taken.entries.length;
    this.log.commit(Math.min(feed.committed, matched));
  }

  /** What of the feed this disk has room for: on a full one the entries it holds, and markers (§10). */
  private withRoom(feed: Feed<Content>): Feed<Content> {
    if (this.context.space !== 'none') return feed;
    const held = ({ index, epoch }: Entry<Content>): boolean => this.log.has({ index, epoch });
    const full = feed.entries.findIndex((entry) => entry.kind === 'batches' && !held(entry));
    return full === -1 ? feed : { ...feed, entries: feed.entries.slice(0, full) };
  }

  /** Makes the log agree with the feed, whose `previous` it has; returns own entries that fell out. */
  take(feed: Feed<Content>): void {
    let next = feed.previous.index + 1;
    for (const entry of feed.entries) {
      assert(entry.index === next && entry.lane === this.id, 'a feed is contiguous');
      next += 1;
      if (entry.index <= this.log.last) {
        // C3: what has left the log is committed, so it is in every log that may be taken from.
        if (entry.index <= this.log.base.index) continue;
        if (this.log.epochAt(entry.index) === entry.epoch) continue;
        this.truncate(entry.index);
      }
      this.append(entry);
    }
  }

  append(entry: Entry<Content>): void {
    // However far ahead: what stands in a log is ordered and read only once all have passed it.
    const { broken, clock } = this.context;
    if (broken.has('T2-marker-behind')) clock.merge(entry.timestamp);
    else clock.raise(entry.timestamp);
    this.log.append(entry, this.context.write({ type: 'entry', entry }));
  }

  private truncate(from: Index): void {
    const removed = this.log.truncate(from);
    this.context.write({ type: 'truncate', lane: this.id, from });
    // O2: what was announced over the removed history is void with it.
    if (this.announced !== null && this.announced.index >= from) {
      if (!this.context.broken.has('O2-keep-closed')) this.announced = null;
    }
    this.onRemoved(removed);
  }

  /** Set by the core for the home's lane: its own entries that fell out are appended again (L6). */
  onRemoved: (entries: readonly Entry<Content>[]) => void = () => undefined;

  private tellMismatch(feed: Feed<Content>, from: ReplicaId): void {
    if (this.context.now < this.mismatchAt + this.context.settings.resend / 4) return;
    this.mismatchAt = this.context.now;
    const resume = this.log.agreement(feed.previous);
    this.context.letter(from, { type: 'mismatch', lane: this.id, epoch: feed.epoch, resume });
  }

  /** L1, L2: concludes commitment from what is known to be synced. True when it grew. */
  conclude(): boolean {
    const epoch = this.log.lastEpoch;
    if (epoch === 0) return false;
    return this.log.commit(this.facts.committed(epoch));
  }

  /** O1–O3, O5: raises `resolved` to what is certain now. */
  resolve(): void {
    const { log, context } = this;
    const final = context.broken.has('L3-release-unsynced') ? log.committed : log.final;
    const floor = log.timestampAt(final);
    const word = this.announced;
    // In most steps nothing is there that could raise it.
    if (floor <= this.resolved && (word === null || word.closed <= this.resolved)) return;
    let resolved = floor;
    const sameHistory =
      word !== null && (word.epoch === log.lastEpoch || context.broken.has('O2-keep-closed'));
    if (sameHistory) resolved = Math.max(resolved, this.resolvedBy(word, final));
    // Whoever releases up to here must still know it when a new writer asks for clocks (L8, O5).
    resolved = Math.min(resolved, Math.max(context.clock.ceiling, floor));
    if (resolved > this.resolved) this.resolved = resolved as Timestamp;
  }

  private resolvedBy(word: Announcement, final: number): number {
    const { broken } = this.context;
    const sealed = writerOf(word.epoch) !== this.id;
    let closed: number = word.closed;
    if (sealed) {
      if (final < word.index && !broken.has('O3-one-knows')) return 0;
      closed = Math.min(closed, this.facts.closedKnown(word.epoch));
    }
    if (final >= word.index || broken.has('O1-unsynced')) return closed;
    if (final >= this.log.last) return 0;
    if (broken.has('O1-uncommitted')) return closed;
    return Math.min(closed, this.log.timestampAt(final + 1) - 1);
  }
}
