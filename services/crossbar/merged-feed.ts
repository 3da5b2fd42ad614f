/**
 * The merged order of all instances from a position on, given to one sink. The crossbar runs one of
 * these at the tail for everybody, and one for each subscriber that is too far behind for the window.
 *
 * Owns the inputs and their restarts, and follows who is a member: behind a join the new instance is read,
 * behind a leave the old one no more. Does not own what becomes of entries. Progress is told only when
 * everything it covers has been given, so it never overtakes a record.
 */
import type { MeridianError } from '../../libs/errors/errors.ts';
import type { KeyRange } from '../../libs/frames/key-filter.ts';
import type { MemberEvent } from '../../libs/frames/member-record.ts';
import { MemberMerge } from '../../libs/merge/member-merge.ts';
import type { Place, PlacedChange } from '../../libs/merge/members.ts';
import type { Instance } from './instance.ts';
import { InstanceInput } from './instance-input.ts';
import type { Membership } from './membership.ts';
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
  /** Knows every change up to `after`. */
  readonly membership: Membership;
  readonly positions: Positions;
  readonly after: Position;
  /** Only batches with such a key; empty for all. */
  readonly keyRanges: readonly KeyRange[];
  readonly sink: MergedSink;
  readonly bounds: FeedBounds;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

export interface InputView {
  readonly instance: Instance;
  readonly watermark: number;
  /** The replica that is read; empty while there is none. */
  readonly source: string;
  /** Of entries that wait for other instances. */
  readonly waitingBytes: number;
}

export class MergedFeed {
  readonly #options: FeedOptions;
  readonly #merge: MemberMerge<MergedEntry, MemberEvent>;
  readonly #inputs = new Map<number, InstanceInput>();
  readonly #retries = new Set<NodeJS.Timeout>();
  #stopped = false;
  #held = false;
  #draining = false;
  #told: number;
  #movedAt: number;

  constructor(options: FeedOptions) {
    const { membership, after } = options;
    this.#options = options;
    this.#merge = new MemberMerge(membership.members, after, (entry) =>
      entry.change === null ? null : membership.admit(entry.change, entry),
    );
    for (const number of this.#merge.members) this.#addInput(number, after);
    this.#told = this.#merge.watermark;
    this.#movedAt = options.now();
  }

  start(): void {
    for (const input of this.#inputs.values()) input.follow();
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#retries) clearTimeout(timer);
    for (const input of this.#inputs.values()) input.stop();
  }

  /** The sink takes entries again. */
  resume(): void {
    if (!this.#held || this.#stopped) return;
    this.#held = false;
    for (const input of this.#inputs.values()) input.hold(false);
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
    const inputs = [...this.#inputs.values()];
    const least = Math.min(...inputs.map(({ closed }) => closed));
    return inputs.filter((input) => input.closed === least).map((input) => input.instance.name);
  }

  /** Each member, ascending by number. */
  inputs(): InputView[] {
    return this.#merge.members.flatMap((number) => {
      const input = this.#inputs.get(number);
      if (input === undefined) return [];
      const { instance, closed: watermark, source, waitingBytes } = input;
      return { instance, watermark, source, waitingBytes };
    });
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      if (!this.#stopped && !this.#held) {
        for (const change of this.#merge.drain(this.#give)) this.#follow(change);
      }
    } finally {
      this.#draining = false;
    }
    this.#tell();
  }

  /** false: the sink, which may have enough after any entry, has enough. */
  readonly #give = (entry: MergedEntry): boolean => {
    const more = this.#options.sink.entry(entry);
    if (!more) this.#hold();
    this.#inputs.get(entry.instance)?.left(entry);
    return more && !this.#stopped;
  };

  #follow({ change: { kind, instance }, at }: PlacedChange<MemberEvent>): void {
    if (kind === 'leave') {
      this.#inputs.get(instance)?.stop();
      this.#inputs.delete(instance);
    } else if (!this.#stopped && this.#merge.members.includes(instance)) {
      const input = this.#addInput(instance, at);
      input.hold(this.#held);
      input.follow();
    }
  }

  #addInput(number: number, after: Place): InstanceInput {
    const { membership, positions, keyRanges, bounds } = this.#options;
    const input = new InstanceInput({
      instance: membership.instance(number),
      owner: {
        changed: () => {
          this.#drain();
        },
        failed: (failed, error) => {
          this.#retry(failed, error);
        },
      },
      merge: this.#merge,
      after: positions.of(after, number),
      keyRanges,
      bytesMax: bounds.inputBytesMax,
      changes: number === membership.registry.number ? membership : null,
    });
    this.#inputs.set(number, input);
    return input;
  }

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
    for (const input of this.#inputs.values()) input.hold(true);
  }

  #retry(input: InstanceInput, error: MeridianError): void {
    if (this.#stopped) return;
    if (!this.#options.sink.failed(input.instance.name, error)) return;
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      if (this.#inputs.get(input.instance.number) === input) input.follow();
    }, this.#options.bounds.retryMs);
    this.#retries.add(timer);
  }
}
