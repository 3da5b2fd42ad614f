/**
 * One subscriber. States:
 *
 *   waiting      too far behind for the window, and no slot to read the instances with, or it is not known
 *                yet who they are at its place
 *   catchingUp   served by a merge of its own, from its position on
 *   live         served from the window of the trunk
 *   over         told that it has ended
 *
 * catchingUp → live as soon as the window holds everything after its position; live → waiting when it
 * is so slow that the window has moved on; catchingUp → waiting when its connection takes nothing for
 * the moment and others wait for a slot. A slow subscriber costs itself; one that takes nothing at all is
 * cut off as SLOW_READER. In every state it is sent the same sequence, so it cannot tell them apart.
 */
import type { MeridianError } from '../../libs/errors/errors.ts';
import { assert } from '../../libs/values/assert.ts';
import type { CatchUpSlots } from './catch-up-slots.ts';
import type { Filter } from './filter.ts';
import type { MergedEntry } from './merged-entry.ts';
import { MergedFeed } from './merged-feed.ts';
import type { FeedOptions, MergedSink } from './merged-feed.ts';
import { Outbox } from './outbox.ts';
import type { ResponseStream, Room } from './outbox.ts';
import type { Position } from './position.ts';
import type { Trunk } from './trunk.ts';

export interface SubscriberPace {
  /** Shortest time between two messages that only say progress, ms. */
  readonly progressIntervalMs: number;
  /** Time after which a stall is told again, ms. */
  readonly stallRepeatMs: number;
  /** How long a subscriber may read the instances for itself while others wait for that, ms. */
  readonly catchUpTurnMs: number;
  /** How long a connection may leave what waits for it untouched, ms. */
  readonly slowReaderMs: number;
}

export interface SubscriptionOptions {
  readonly stream: ResponseStream;
  readonly after: Position;
  /** The subscriber's own, which says `after`; empty: it has none. */
  readonly cursor: Uint8Array;
  /** null: everything. */
  readonly filter: Filter | null;
  readonly trunk: Trunk;
  readonly slots: CatchUpSlots;
  readonly room: Room;
  /** For the merge of its own. */
  readonly feed: Omit<FeedOptions, 'after' | 'keyRanges' | 'sink'>;
  readonly pace: SubscriberPace;
  /** The call is over and nothing waits for it any more. */
  readonly onClosed: () => void;
}

type State =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'catchingUp'; readonly feed: MergedFeed; readonly since: number }
  | { readonly kind: 'live'; next: number }
  | { readonly kind: 'over' };

export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #outbox: Outbox;
  #state: State = { kind: 'waiting' };
  #release: () => void = () => undefined;
  /** It has a slot, or stands in line for one. */
  #inLine = false;
  #offered = 0;
  #progressAt = -Infinity;
  #stallAt = -Infinity;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    const { stream, filter, after, cursor, feed, room } = options;
    this.#outbox = new Outbox({
      stream,
      filter,
      after,
      cursor,
      room,
      positions: feed.positions,
      now: feed.now,
      onRoom: () => {
        this.#room();
      },
    });
  }

  get state(): State['kind'] {
    return this.#state.kind;
  }

  /** What waits for its connection. */
  get heldBytes(): number {
    return this.#outbox.heldBytes;
  }

  /** Streams that it has named; 0: all. */
  get streamCount(): number {
    return this.#options.filter?.streamCount ?? 0;
  }

  /** The call may be over already. */
  start(): void {
    this.#options.stream.onClose(() => {
      this.#becomeOver();
      this.#outbox.close();
      this.#options.onClosed();
    });
    if (this.#state.kind !== 'over') this.#becomeServed(this.#outbox.position);
  }

  /** The trunk has moved or has come into being, or more of the members is known. */
  trunkMoved(): void {
    if (this.#state.kind === 'live') this.#pump(this.#state);
    else if (this.#state.kind === 'waiting') {
      const { position } = this.#outbox;
      if (!this.#inLine || this.#covered(position)) this.#becomeServed(position);
    }
  }

  /** From time to time: cuts off who takes nothing (then true), says who holds the watermark up. */
  tick(): boolean {
    if (this.#state.kind === 'over') return false;
    if (this.#outbox.untouchedMs > this.#options.pace.slowReaderMs) {
      this.fail(this.#outbox.slowReader());
      return true;
    }
    this.#maybeYield();
    this.#maybeTellStall();
    return false;
  }

  /** Ends the call; it counts until its client has taken what waits for it, or is gone. */
  fail(error: unknown): void {
    if (this.#state.kind === 'over') return;
    this.#becomeOver();
    this.#options.stream.fail(error);
  }

  #maybeTellStall(): void {
    const hasTurn = this.#state.kind !== 'waiting' || !this.#inLine;
    if (!hasTurn || this.#outbox.full) return;
    const names =
      this.#state.kind === 'catchingUp'
        ? this.#state.feed.stalledBy()
        : this.#options.trunk.stalledBy();
    const now = this.#options.feed.now();
    if (names.length === 0 || now - this.#stallAt < this.#options.pace.stallRepeatMs) return;
    this.#stallAt = now;
    this.#outbox.progress(this.#offered, names);
  }

  #covered(position: Position): boolean {
    return this.#options.trunk.window?.covers(position) === true;
  }

  /** From the window if it reaches back to the position, else by a merge of its own. */
  #becomeServed(position: Position): void {
    if (this.#covered(position)) {
      this.#becomeLive(position);
      return;
    }
    this.#state = { kind: 'waiting' };
    this.#giveBack();
    if (this.#outbox.full || !this.#options.feed.membership.knows(position)) return;
    this.#inLine = true;
    this.#release = this.#options.slots.take(() => {
      this.#becomeCatchingUp(position);
    });
  }

  #becomeCatchingUp(after: Position): void {
    const sink: MergedSink = {
      entry: (entry) => this.#caughtUpWith(entry),
      progress: (watermark) => {
        this.#offer(watermark);
        this.#maybeBecomeLive(this.#options.feed.positions.atWatermark(watermark));
      },
      failed: (_instance, error) => this.#instanceFailed(error),
    };
    const keyRanges = this.#options.filter?.keyRanges ?? [];
    const feed = new MergedFeed({ ...this.#options.feed, after, keyRanges, sink });
    this.#state = { kind: 'catchingUp', feed, since: this.#options.feed.now() };
    feed.start();
  }

  #caughtUpWith(entry: MergedEntry): boolean {
    this.#outbox.add(entry);
    this.#maybeBecomeLive(this.#outbox.position);
    this.#maybeYield();
    return !this.#outbox.full;
  }

  /** Its turn is over, it cannot go on at the moment, and others wait: they are first. */
  #maybeYield(): void {
    const { slots, feed, pace } = this.#options;
    if (this.#state.kind !== 'catchingUp' || !this.#outbox.full || slots.waiting === 0) return;
    if (feed.now() - this.#state.since < pace.catchUpTurnMs) return;
    this.#state.feed.stop();
    this.#state = { kind: 'waiting' };
    this.#giveBack();
  }

  #maybeBecomeLive(position: Position): void {
    if (this.#state.kind !== 'catchingUp' || !this.#covered(position)) return;
    this.#becomeLive(position);
  }

  #becomeLive(position: Position): void {
    const { window } = this.#options.trunk;
    assert(window !== null, 'live from a window');
    if (this.#state.kind === 'catchingUp') this.#state.feed.stop();
    this.#state = { kind: 'live', next: window.locate(position) };
    this.#giveBack();
    this.#pump(this.#state);
  }

  #giveBack(): void {
    const release = this.#release;
    this.#release = () => undefined;
    this.#inLine = false;
    release();
  }

  #pump(live: { next: number }): void {
    const { window, watermark } = this.#options.trunk;
    assert(window !== null, 'live from a window');
    while (!this.#outbox.full && live.next < window.end) {
      if (live.next < window.first) {
        this.#becomeServed(this.#outbox.position);
        return;
      }
      const bytes = this.#outbox.messageBytes;
      const run = this.#options.filter === null ? window.run(live.next, bytes) : null;
      if (run !== null && this.#outbox.addRun(run)) {
        live.next = run.next;
        continue;
      }
      this.#outbox.add(window.get(live.next));
      live.next += 1;
    }
    if (!this.#outbox.full) this.#offer(watermark);
  }

  /** Everything up to the watermark is in the outbox. */
  #offer(watermark: number): void {
    this.#offered = Math.max(this.#offered, watermark);
    if (this.#outbox.full) return;
    if (!this.#outbox.flush() || this.#timer !== null) return;
    const wait =
      this.#progressAt + this.#options.pace.progressIntervalMs - this.#options.feed.now();
    if (wait <= 0) this.#progress();
    else {
      this.#timer = setTimeout(() => {
        this.#timer = null;
        if (this.#state.kind !== 'over' && !this.#outbox.full) this.#progress();
      }, wait);
    }
  }

  #progress(): void {
    this.#progressAt = this.#options.feed.now();
    this.#outbox.progress(this.#offered, []);
  }

  #room(): void {
    if (this.#state.kind === 'live') this.#pump(this.#state);
    else if (this.#state.kind === 'waiting') this.#becomeServed(this.#outbox.position);
    else if (this.#state.kind === 'catchingUp') {
      this.#state.feed.resume();
      // What was reached while the connection was full is still to be told.
      this.#offer(this.#offered);
    }
  }

  #instanceFailed(error: MeridianError): boolean {
    if (error.retry) return true;
    this.fail(error);
    return false;
  }

  #becomeOver(): void {
    if (this.#state.kind === 'over') return;
    if (this.#state.kind === 'catchingUp') this.#state.feed.stop();
    this.#state = { kind: 'over' };
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#giveBack();
  }
}
