/**
 * The merge at the tail, run once for all subscribers: follows every instance from where the slowest
 * of them stood at the start, and keeps the newest part of the order in the window. First it learns who
 * the members are. Until every one has said where it stands there is no window, and subscribers read for
 * themselves.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { comparePlaces } from '../../libs/merge/members.ts';
import type { Instance } from './instance.ts';
import { learnWhatIsReleased } from './member-history.ts';
import type { Membership } from './membership.ts';
import { MergedFeed } from './merged-feed.ts';
import type { FeedBounds, InputView } from './merged-feed.ts';
import type { Positions } from './position.ts';
import { Window } from './window.ts';

export interface TrunkOptions {
  readonly membership: Membership;
  readonly positions: Positions;
  readonly bounds: FeedBounds;
  readonly windowBytesMax: number;
  readonly now: () => number;
  /** Who the members are is known up to where the registry was at the start. */
  readonly onLearned: () => void;
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
  /** Whose answer is awaited. */
  readonly #asked = new Set<Instance>();
  #retry: NodeJS.Timeout | null = null;
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
    this.#learn();
  }

  stop(): void {
    this.#stopped = true;
    this.#feed?.stop();
    if (this.#retry !== null) clearTimeout(this.#retry);
  }

  stalledBy(): string[] {
    if (this.#feed !== null) return this.#feed.stalledBy();
    // Before it has answered nobody else has been asked.
    const { registry } = this.#options.membership;
    if (!this.#starts.has(registry)) return [registry.name];
    return this.#members()
      .filter((instance) => !this.#starts.has(instance))
      .map((instance) => instance.name);
  }

  inputs(): InputView[] {
    if (this.#feed !== null) return this.#feed.inputs();
    return this.#members().map((instance) => ({
      instance,
      watermark: this.#starts.get(instance) ?? 0,
      source: '',
      waitingBytes: 0,
    }));
  }

  #members(): Instance[] {
    const { membership } = this.#options;
    return membership.now.map((number) => membership.instance(number));
  }

  #learn(): void {
    const { membership, onLearned } = this.#options;
    this.#attempt(membership.registry, async () => {
      this.#starts.set(membership.registry, await learnWhatIsReleased(membership));
      if (this.#stopped || this.#feed !== null) return;
      onLearned();
      this.#maybeBegin();
    });
  }

  /**
   * Members come and go in the meantime too: who is not reached may have left and be gone for good, and a
   * heartbeat may have told of one that joined. So all is asked again, not only who did not answer.
   */
  #again(): void {
    if (this.#feed !== null) return;
    this.#learn();
    if (this.#starts.has(this.#options.membership.registry)) this.#maybeBegin();
  }

  #attempt(instance: Instance, ask: () => Promise<void>): void {
    if (this.#asked.has(instance)) return;
    this.#asked.add(instance);
    const answered = ask().finally(() => {
      this.#asked.delete(instance);
    });
    answered.catch((error: unknown) => {
      if (this.#stopped) return;
      if (!(error instanceof MeridianError)) throw error;
      if (isFatal(error)) {
        this.#options.onFatal(error);
        return;
      }
      this.#options.onTrouble(instance.name, error);
      this.#retry ??= setTimeout(() => {
        this.#retry = null;
        this.#again();
      }, this.#options.bounds.retryMs);
    });
  }

  /** Not before the last change that is known: who left by it may be gone for good. */
  #maybeBegin(): void {
    if (this.#stopped || this.#feed !== null) return;
    const members = this.#members();
    const missing = members.filter((instance) => !this.#starts.has(instance));
    for (const instance of missing) {
      this.#attempt(instance, async () => {
        this.#starts.set(instance, await instance.watermark());
        this.#maybeBegin();
      });
    }
    if (missing.length > 0) return;
    const starts = members.map((instance) => this.#starts.get(instance) ?? 0);
    const { membership, positions, bounds, now, windowBytesMax } = this.#options;
    const least = positions.atWatermark(Math.min(...starts));
    const last = membership.members.changes.at(-1)?.at ?? least;
    const after = comparePlaces(least, last) < 0 ? last : least;
    const window = new Window(windowBytesMax, after);
    this.#window = window;
    this.#feed = new MergedFeed({
      membership,
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
          if (isFatal(error)) {
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

/** What an instance says cannot be, or this crossbar cannot go on behind it. */
function isFatal({ reason }: MeridianError): boolean {
  return reason === 'CORRUPT' || reason === 'INVALID' || reason === 'REFUSED';
}
