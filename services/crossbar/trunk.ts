/**
 * The merge at the tail, run once for all subscribers: follows every instance from where the slowest
 * of them stood at the start, and keeps the newest part of the order in the window. Until every
 * instance has said where it stands there is no window, and subscribers read for themselves.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { MergedFeed } from './merged-feed.ts';
import type { FeedBounds } from './merged-feed.ts';
import type { Instance } from './instance.ts';
import type { Positions } from './position.ts';
import { Window } from './window.ts';

export interface TrunkOptions {
  readonly instances: readonly Instance[];
  readonly positions: Positions;
  readonly bounds: FeedBounds;
  readonly windowBytesMax: number;
  readonly now: () => number;
  /** The window holds everything up to the watermark. */
  readonly onProgress: () => void;
  /** Something did not work and is tried again. */
  readonly onTrouble: (instance: string, error: MeridianError) => void;
  /** An instance says what cannot be: going on would pass it on (P8). */
  readonly onFatal: (error: MeridianError) => void;
}

export class Trunk {
  readonly #options: TrunkOptions;
  readonly #starts = new Map<Instance, number>();
  readonly #retries = new Set<NodeJS.Timeout>();
  #feed: MergedFeed | null = null;
  #window: Window | null = null;
  #stopped = false;

  constructor(options: TrunkOptions) {
    this.#options = options;
  }

  /** null: not every instance has answered yet. */
  get window(): Window | null {
    return this.#window;
  }

  get watermark(): number {
    return this.#feed?.watermark ?? 0;
  }

  start(): void {
    for (const instance of this.#options.instances) this.#ask(instance);
  }

  stop(): void {
    this.#stopped = true;
    this.#feed?.stop();
    for (const timer of this.#retries) clearTimeout(timer);
  }

  stalledBy(): string[] {
    if (this.#feed !== null) return this.#feed.stalledBy();
    return this.#options.instances
      .filter((instance) => !this.#starts.has(instance))
      .map((instance) => instance.name);
  }

  /** Watermark and source of each instance. */
  inputs(): { readonly instance: Instance; readonly watermark: number; readonly source: string }[] {
    if (this.#feed !== null) return this.#feed.inputs();
    return this.#options.instances.map((instance) => ({
      instance,
      watermark: this.#starts.get(instance) ?? 0,
      source: '',
    }));
  }

  #ask(instance: Instance): void {
    instance.watermark().then(
      (watermark) => {
        this.#starts.set(instance, watermark);
        if (this.#starts.size === this.#options.instances.length) this.#begin();
      },
      (error: unknown) => {
        if (this.#stopped) return;
        if (!(error instanceof MeridianError)) throw error;
        this.#options.onTrouble(instance.name, error);
        const timer = setTimeout(() => {
          this.#retries.delete(timer);
          this.#ask(instance);
        }, this.#options.bounds.retryMs);
        this.#retries.add(timer);
      },
    );
  }

  #begin(): void {
    if (this.#stopped) return;
    const { instances, positions, bounds, now, windowBytesMax } = this.#options;
    const after = positions.atWatermark(Math.min(...this.#starts.values()));
    const window = new Window(windowBytesMax, after);
    this.#window = window;
    this.#feed = new MergedFeed({
      instances,
      positions,
      bounds,
      now,
      after,
      keyRanges: [],
      sink: {
        entry: (entry) => {
          window.append(entry);
          return true;
        },
        progress: () => {
          this.#options.onProgress();
        },
        failed: (instance, error) => {
          if (error.reason === 'CORRUPT' || error.reason === 'INVALID') {
            this.#options.onFatal(error);
            return false;
          }
          this.#options.onTrouble(instance, error);
          return true;
        },
      },
    });
    this.#feed.start();
    this.#options.onProgress();
  }
}
