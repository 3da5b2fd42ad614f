/**
 * One subscriber. States:
 *
 *   waiting      no slot to read the instances with, and too far behind for the window
 *   catchingUp   served by a merge of its own, from its position on
 *   live         served from the window of the trunk
 *   over         the call has ended
 *
 * catchingUp → live as soon as the window holds everything after its position; live → waiting when it
 * is so slow that the window has moved on: a slow subscriber costs itself. In every state it is sent
 * the same sequence, so it cannot tell them apart.
 */
import type { MeridianError } from '../../libs/errors/errors.ts';
import { assert } from '../../libs/values/assert.ts';
import type { CatchUpSlots } from './catch-up-slots.ts';
import type { MergedEntry } from './merged-entry.ts';
import { MergedFeed } from './merged-feed.ts';
import type { FeedOptions, MergedSink } from './merged-feed.ts';
import { Outbox } from './outbox.ts';
import type { ResponseStream } from './outbox.ts';
import type { Position } from './position.ts';
import type { Trunk } from './trunk.ts';

export interface SubscriptionOptions {
  readonly stream: ResponseStream;
  readonly after: Position;
  /** Only these; null for all. */
  readonly streams: ReadonlySet<string> | null;
  readonly trunk: Trunk;
  readonly slots: CatchUpSlots;
  /** For the merge of its own. */
  readonly feed: Omit<FeedOptions, 'after' | 'sink'>;
  /** Shortest time between two messages that only say progress, ms. */
  readonly progressIntervalMs: number;
  /** Time after which a stall is told again, ms. */
  readonly stallRepeatMs: number;
  readonly onOver: () => void;
}

type State =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'catchingUp'; readonly feed: MergedFeed }
  | { readonly kind: 'live'; next: number }
  | { readonly kind: 'over' };

export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #outbox: Outbox;
  #state: State = { kind: 'waiting' };
  #release: () => void = () => undefined;
  #offered = 0;
  #progressAt = -Infinity;
  #stallAt = -Infinity;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    const { stream, streams, after, feed } = options;
    this.#outbox = new Outbox({
      stream,
      streams,
      after,
      positions: feed.positions,
      onRoom: () => {
        this.#room();
      },
    });
    stream.onClose(() => {
      this.#over();
    });
  }

  get state(): State['kind'] {
    return this.#state.kind;
  }

  start(): void {
    this.#becomeServed(this.#outbox.position);
  }

  /** The trunk has moved, or has come into being. */
  trunkMoved(): void {
    if (this.#state.kind === 'live') this.#pump(this.#state);
    else if (this.#state.kind === 'waiting' && this.#covered(this.#outbox.position)) {
      this.#becomeLive(this.#outbox.position);
    }
  }

  /** From time to time: says who holds the watermark up. */
  tick(): void {
    const { kind } = this.#state;
    if (kind === 'over' || kind === 'waiting' || this.#outbox.full) return;
    const names =
      this.#state.kind === 'catchingUp'
        ? this.#state.feed.stalledBy()
        : this.#options.trunk.stalledBy();
    const now = this.#options.feed.now();
    if (names.length === 0 || now - this.#stallAt < this.#options.stallRepeatMs) return;
    this.#stallAt = now;
    this.#outbox.progress(this.#offered, names);
  }

  /** Ends the call. */
  fail(error: unknown): void {
    if (this.#state.kind === 'over') return;
    this.#over();
    this.#options.stream.fail(error);
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
    const feed = new MergedFeed({ ...this.#options.feed, after, sink });
    this.#state = { kind: 'catchingUp', feed };
    feed.start();
  }

  #caughtUpWith(entry: MergedEntry): boolean {
    this.#outbox.add(entry);
    this.#maybeBecomeLive(this.#outbox.position);
    return !this.#outbox.full;
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
    const release = this.#release;
    this.#release = () => undefined;
    release();
    this.#pump(this.#state);
  }

  #pump(live: { next: number }): void {
    const { window, watermark } = this.#options.trunk;
    assert(window !== null, 'live from a window');
    while (!this.#outbox.full && live.next < window.end) {
      if (live.next < window.first) {
        this.#becomeServed(this.#outbox.position);
        return;
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
    const wait = this.#progressAt + this.#options.progressIntervalMs - this.#options.feed.now();
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
    if (this.#state.kind === 'catchingUp') this.#state.feed.resume();
    if (this.#state.kind === 'live') this.#pump(this.#state);
    else if (this.#state.kind !== 'over') this.#offer(this.#offered);
  }

  #instanceFailed(error: MeridianError): boolean {
    if (error.retry) return true;
    this.fail(error);
    return false;
  }

  #over(): void {
    if (this.#state.kind === 'over') return;
    if (this.#state.kind === 'catchingUp') this.#state.feed.stop();
    this.#state = { kind: 'over' };
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#release();
    this.#options.onOver();
  }
}
