/**
 * The merged order of all instances from a position on, given to one sink. The crossbar runs one of
 * these at the tail for everybody, and one for each subscriber that is too far behind for the window.
 *
 * Owns the inputs and their restarts; does not own what becomes of entries. Progress is told only
 * when everything it covers has been given, so it never overtakes a record.
 */
import type { MeridianError } from '../../libs/errors/errors.ts';
import type { KeyRange } from '../../libs/frames/key-filter.ts';
import { Merge } from '../../libs/merge/merge.ts';
import { at } from '../../libs/values/assert.ts';
import type { Instance } from './instance.ts';
import { InstanceInput } from './instance-input.ts';
import type { MergedEntry } from './merged-entry.ts';
import type { Position, Positions } from './position.ts';

export interface MergedSink {
  /** In the order. false: no more until `resume` is called. */
  entry(entry: MergedEntry): boolean;
  /** Everything up to here has been given; strictly increasing. */
  progress(watermark: number): void;
  /** An instance cannot be followed. true: try again from the same place in a while. */
  failed(instance: string, error: MeridianError): boolean;
}

export interface FeedBounds {
  /** Bytes of whole entries that may wait per instance because another is behind. */
  readonly inputBytesMax: number;
  /** Pause before an instance that could not be followed is tried again, ms. */
  readonly retryMs: number;
  /** Time without movement after which the watermark counts as held up, ms. */
  readonly stallAfterMs: number;
}

export interface FeedOptions {
  /** Ascending by number. */
  readonly instances: readonly Instance[];
  readonly positions: Positions;
  readonly after: Position;
  /** Only batches with such a key; empty for all. */
  readonly keyRanges: readonly KeyRange[];
  readonly sink: MergedSink;
  readonly bounds: FeedBounds;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

export class MergedFeed {
  readonly #options: FeedOptions;
  readonly #merge: Merge<MergedEntry>;
  readonly #inputs: readonly InstanceInput[];
  readonly #retries = new Set<NodeJS.Timeout>();
  #stopped = false;
  #held = false;
  #draining = false;
  #told: number;
  #movedAt: number;

  constructor(options: FeedOptions) {
    const { instances, positions, after, keyRanges, bounds } = options;
    this.#options = options;
    this.#merge = new Merge(instances.length);
    const owner = {
      changed: () => {
        this.#drain();
      },
      failed: (input: InstanceInput, error: MeridianError) => {
        this.#retry(input, error);
      },
    };
    this.#inputs = instances.map(
      (instance, input) =>
        new InstanceInput({
          instance,
          input,
          owner,
          merge: this.#merge,
          after: positions.of(after, instance.number),
          keyRanges,
          bytesMax: bounds.inputBytesMax,
        }),
    );
    this.#told = this.#merge.watermark;
    this.#movedAt = options.now();
  }

  start(): void {
    for (const input of this.#inputs) input.follow();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#retries) clearTimeout(timer);
    for (const input of this.#inputs) input.stop();
  }

  /** The sink takes entries again. */
  resume(): void {
    if (!this.#held || this.#stopped) return;
    this.#held = false;
    for (const input of this.#inputs) input.hold(false);
    this.#drain();
  }

  /** Everything up to here has been given. */
  get watermark(): number {
    return this.#told;
  }

  /** Names of the instances that hold the watermark up; empty while it moves. */
  stalledBy(): string[] {
    if (this.#held || this.#options.now() - this.#movedAt < this.#options.bounds.stallAfterMs) {
      return [];
    }
    const least = this.#merge.watermark;
    return this.#inputs
      .filter((input) => input.closed === least)
      .map((input) => input.instance.name);
  }

  /** Watermark and source of each instance, in the order of the inputs. */
  inputs(): { readonly instance: Instance; readonly watermark: number; readonly source: string }[] {
    return this.#inputs.map((input) => ({
      instance: input.instance,
      watermark: input.closed,
      source: input.source,
    }));
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      if (!this.#stopped && !this.#held) this.#merge.drain(this.#give);
    } finally {
      this.#draining = false;
    }
    this.#tell();
  }

  /** false: the sink, which may have enough after any entry, has enough. */
  readonly #give = (entry: MergedEntry, input: number): boolean => {
    const more = this.#options.sink.entry(entry);
    if (!more) this.#hold();
    at(this.#inputs, input).left(entry);
    return more && !this.#stopped;
  };

  #tell(): void {
    const watermark = this.#merge.watermark;
    if (this.#stopped || this.#held || watermark <= this.#told) return;
    this.#told = watermark;
    this.#movedAt = this.#options.now();
    this.#options.sink.progress(watermark);
  }

  #hold(): void {
    if (this.#stopped) return;
    this.#held = true;
    for (const input of this.#inputs) input.hold(true);
  }

  #retry(input: InstanceInput, error: MeridianError): void {
    if (this.#stopped) return;
    if (!this.#options.sink.failed(input.instance.name, error)) return;
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      input.follow();
    }, this.#options.bounds.retryMs);
    this.#retries.add(timer);
  }
}
