/**
 * The crossbar without its network: the trunk, the subscriptions and the heartbeat rounds of one
 * process. Owns the bounds on subscribers and what is refused. Stateless: everything here can be
 * built again from the instances and the subscribers' cursors.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { CatchUpSlots } from './catch-up-slots.ts';
import { Filter } from './filter.ts';
import type { FilterWish } from './filter.ts';
import { HeartbeatRounds } from './heartbeat-rounds.ts';
import type { Instance } from './instance.ts';
import { learnWhatIsReleased } from './member-history.ts';
import { Membership } from './membership.ts';
import type { MemberDescription, MemberLife } from './membership.ts';
import type { FeedBounds } from './merged-feed.ts';
import type { ResponseStream, Room } from './outbox.ts';
import { Positions } from './position.ts';
import type { Position } from './position.ts';
import { Subscription } from './subscription.ts';
import type { SubscriberPace } from './subscription.ts';
import { Trunk } from './trunk.ts';
import { Waiters } from './waiters.ts';

export interface CrossbarSettings extends FeedBounds, SubscriberPace {
  /** Memory of the shared window. */
  readonly windowBytesMax: number;
  /** Subscribers at once; more are refused as OVERLOADED. */
  readonly subscribersMax: number;
  /** Subscribers that may read the instances for themselves at once; more wait in line. */
  readonly catchUpsMax: number;
  /** Streams that one subscriber may name. */
  readonly streamsPerSubscriberMax: number;
  /** Bytes that may wait for one subscriber's connection, and for all of them together. */
  readonly subscriberBytesMax: number;
  readonly subscribersBytesMax: number;
  /** Calls at once that wait for a place in the order. */
  readonly waitersMax: number;
}

export interface CrossbarOptions {
  readonly cluster: string;
  /** Those that make up the database before any change of the members. */
  readonly instances: readonly Instance[];
  /** For who joins. */
  readonly connect: (joined: MemberDescription) => Instance;
  readonly settings: CrossbarSettings;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
  /** Microseconds since 1970; only to recognize a cursor from the far future. */
  readonly wall: () => number;
  /** Something did not work and is tried again. */
  readonly onTrouble: (instance: string, error: MeridianError) => void;
  readonly onFatal: (error: MeridianError) => void;
  /** Every instance has answered and is followed. */
  readonly onReady: () => void;
}

export interface SubscribeWish extends FilterWish {
  readonly cluster: string;
  readonly cursor: Uint8Array;
}

export interface CrossbarStatus {
  readonly watermark: number;
  /** Name of the instance whose journal says who the members are. */
  readonly registry: string;
  /** The members, and who was one. */
  readonly lives: readonly MemberLife[];
  /** Every change of the members up to here is known; 0 before the registry has answered. */
  readonly changesKnownTo: number;
  readonly subscribers: number;
  readonly instances: readonly {
    readonly name: string;
    readonly number: number;
    readonly watermark: number;
    readonly source: string;
    readonly stalling: boolean;
  }[];
}

/** Counted since the start. */
export interface CrossbarFigures {
  subscriptions: number;
  refused: number;
  /** Ended as SLOW_READER. */
  cutOff: number;
  /** By name of the instance. */
  readonly troubles: Map<string, number>;
}

export interface CrossbarLoad {
  readonly subscribers: Readonly<Record<'live' | 'catchingUp' | 'waiting', number>>;
  readonly windowBytes: number;
  readonly windowEntries: number;
  /** Bytes that wait for connections. */
  readonly heldBytes: number;
  /** Of the subscriber with the most. */
  readonly subscriberBytes: number;
  /** Streams that one subscriber has named, of the one with the most. */
  readonly subscriberStreams: number;
  /** Bytes of one instance that wait for another, of the one with the most. */
  readonly inputBytes: number;
  readonly waiters: number;
}

/** More than clocks of regions may differ by (design T4 has them stop long before). */
const FUTURE_MICROS = 3600 * 1_000_000;
/** However many subscribers: less makes messages too small to be worth their cost. */
const SHARE_BYTES_MIN = 64 * 1024;
/** Subscribers are served at most this often, and for at most half of the time: each message carries more. */
const PUMP_MS = 1;

export class Crossbar {
  readonly #options: CrossbarOptions;
  readonly #membership: Membership;
  readonly #positions: Positions;
  readonly #trunk: Trunk;
  readonly #slots: CatchUpSlots;
  readonly #heartbeats: HeartbeatRounds;
  readonly #waiters: Waiters;
  readonly #room: { shareBytes: number; heldBytes: number } & Room;
  readonly #subscriptions = new Set<Subscription>();
  readonly figures: CrossbarFigures = {
    subscriptions: 0,
    refused: 0,
    cutOff: 0,
    troubles: new Map(),
  };
  #ready = false;
  #ticker: NodeJS.Timeout | null = null;
  #pumpFrom = -Infinity;
  #late: NodeJS.Timeout | null = null;

  constructor(options: CrossbarOptions) {
    const { settings, now } = options;
    this.#options = options;
    this.#membership = new Membership(options.instances, options.connect, () => {
      learnWhatIsReleased(this.#membership).catch((error: unknown) => {
        if (!(error instanceof MeridianError)) throw error;
        options.onTrouble(this.#membership.registry.name, error);
      });
    });
    this.#positions = new Positions(options.cluster, this.#membership);
    this.#slots = new CatchUpSlots(settings.catchUpsMax);
    this.#heartbeats = new HeartbeatRounds(this.#membership);
    this.#waiters = new Waiters(settings.waitersMax);
    this.#room = { shareBytes: settings.subscriberBytesMax, heldBytes: 0 };
    this.#trunk = new Trunk({
      membership: this.#membership,
      positions: this.#positions,
      bounds: settings,
      now,
      windowBytesMax: settings.windowBytesMax,
      onLearned: () => {
        this.#pump();
      },
      onProgress: () => {
        this.#trunkMoved();
      },
      onTrouble: (instance, error) => {
        this.figures.troubles.set(instance, (this.figures.troubles.get(instance) ?? 0) + 1);
        options.onTrouble(instance, error);
      },
      onFatal: options.onFatal,
    });
  }

  start(): void {
    this.#trunk.start();
    this.#ticker = setInterval(() => {
      for (const subscription of this.#subscriptions) {
        if (subscription.tick()) this.figures.cutOff += 1;
      }
    }, this.#options.settings.stallAfterMs / 2);
  }

  /** Subscribers are told to resume elsewhere. */
  stop(): void {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    if (this.#late !== null) clearTimeout(this.#late);
    this.#trunk.stop();
    const message = 'the crossbar is going down: resume from the last cursor at another one';
    const error = new MeridianError('UNAVAILABLE', message);
    for (const subscription of this.#subscriptions) subscription.fail(error);
    this.#waiters.fail(error);
    this.#membership.close();
  }

  get watermark(): number {
    return this.#trunk.watermark;
  }

  /** Throws WRONG_TARGET, INVALID, TOO_LARGE or OVERLOADED; from then on the stream is served. */
  subscribe(wish: SubscribeWish, stream: ResponseStream): Subscription {
    const { settings } = this.#options;
    this.checkCluster(wish.cluster);
    const after = this.#positions.fromCursor(wish.cursor);
    this.#checkReachable(after);
    const filter = Filter.from(wish, settings.streamsPerSubscriberMax);
    if (this.#subscriptions.size >= settings.subscribersMax) {
      this.figures.refused += 1;
      throw new MeridianError(
        'OVERLOADED',
        `${this.#subscriptions.size} subscribers are served already; try another crossbar`,
        { details: { limit: settings.subscribersMax, retryAfterMs: 1000 } },
      );
    }
    const subscription: Subscription = new Subscription({
      stream,
      after,
      cursor: wish.cursor,
      filter,
      trunk: this.#trunk,
      slots: this.#slots,
      room: this.#room,
      feed: {
        membership: this.#membership,
        positions: this.#positions,
        bounds: settings,
        now: this.#options.now,
      },
      pace: settings,
      onClosed: () => {
        this.#subscriptions.delete(subscription);
        this.#divide();
      },
    });
    this.#subscriptions.add(subscription);
    this.figures.subscriptions += 1;
    this.#divide();
    subscription.start();
    return subscription;
  }

  /** `wait`: until the watermark has reached the read point. */
  async heartbeat(
    cluster: string,
    wait = false,
    signal?: AbortSignal,
  ): Promise<{ readPoint: number; watermark: number; cursor: Uint8Array }> {
    this.checkCluster(cluster);
    const readPoint = await this.#heartbeats.readPoint();
    if (wait) await this.#waiters.reached(readPoint, signal);
    const cursor = this.#positions.toCursor(this.#positions.atWatermark(readPoint));
    return { readPoint, watermark: this.#trunk.watermark, cursor };
  }

  /** Resolves with the watermark, once it covers the place. */
  waitFor(cluster: string, place: Uint8Array | number, signal?: AbortSignal): Promise<number> {
    this.checkCluster(cluster);
    const position =
      typeof place === 'number'
        ? this.#positions.atWatermark(place)
        : this.#positions.fromCursor(place);
    this.#checkReachable(position);
    return this.#waiters.reached(position.timestamp, signal);
  }

  status(): CrossbarStatus {
    const stalledBy = this.#trunk.stalledBy();
    return {
      watermark: this.#trunk.watermark,
      subscribers: this.#subscriptions.size,
      registry: this.#membership.registry.name,
      lives: this.#membership.lives(),
      changesKnownTo: this.#membership.through,
      instances: this.#trunk.inputs().map(({ instance, watermark, source }) => ({
        name: instance.name,
        number: instance.number,
        watermark,
        source,
        stalling: stalledBy.includes(instance.name),
      })),
    };
  }

  /** Every instance has answered and is followed. */
  get ready(): boolean {
    return this.#ready;
  }

  load(): CrossbarLoad {
    const subscribers = { live: 0, catchingUp: 0, waiting: 0 };
    let subscriberBytes = 0;
    let subscriberStreams = 0;
    for (const { state, heldBytes, streamCount } of this.#subscriptions) {
      if (state !== 'over') subscribers[state] += 1;
      subscriberBytes = Math.max(subscriberBytes, heldBytes);
      subscriberStreams = Math.max(subscriberStreams, streamCount);
    }
    const { window } = this.#trunk;
    return {
      subscribers,
      windowBytes: window?.bytes ?? 0,
      windowEntries: window === null ? 0 : window.end - window.first,
      heldBytes: this.#room.heldBytes,
      subscriberBytes,
      subscriberStreams,
      inputBytes: Math.max(0, ...this.#trunk.inputs().map(({ waitingBytes }) => waitingBytes)),
      waiters: this.#waiters.size,
    };
  }

  checkCluster(meant: string): void {
    const { cluster } = this.#options;
    if (meant === cluster) return;
    throw new MeridianError(
      'WRONG_TARGET',
      `this is cluster ${JSON.stringify(cluster)}, the call is meant for ${JSON.stringify(meant)}`,
      { details: { field: 'cluster', expected: meant, actual: cluster } },
    );
  }

  /** A subscriber with such a cursor would wait in silence for a day that may never come. */
  #checkReachable({ timestamp }: Position): void {
    const latest = Math.max(this.#trunk.watermark, this.#options.wall()) + FUTURE_MICROS;
    if (timestamp <= latest) return;
    throw new MeridianError(
      'OUT_OF_RANGE',
      `the cursor stands at ${timestamp}, in the future: the watermark is ${this.#trunk.watermark}`,
      { details: { timestamp, watermark: this.#trunk.watermark } },
    );
  }

  #divide(): void {
    const { subscriberBytesMax, subscribersBytesMax } = this.#options.settings;
    const share = Math.floor(subscribersBytesMax / Math.max(1, this.#subscriptions.size));
    this.#room.shareBytes = Math.min(subscriberBytesMax, Math.max(SHARE_BYTES_MIN, share));
  }

  #trunkMoved(): void {
    this.#membership.reached(this.#trunk.watermark);
    if (!this.#ready) {
      this.#ready = true;
      this.#options.onReady();
    }
    this.#waiters.advance(this.#trunk.watermark);
    const wait = this.#pumpFrom - this.#options.now();
    if (wait <= 0) this.#pump();
    else {
      this.#late ??= setTimeout(() => {
        this.#late = null;
        this.#pump();
      }, Math.ceil(wait));
    }
  }

  #pump(): void {
    const began = this.#options.now();
    for (const subscription of this.#subscriptions) subscription.trunkMoved();
    const ended = this.#options.now();
    const took = ended - began;
    this.#pumpFrom = took === 0 ? ended : ended + Math.max(PUMP_MS, took);
  }
}
