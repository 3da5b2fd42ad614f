/**
 * A store of objects as the archive of one instance sees it: slow, away at times, failing before or after what was
 * asked took effect, answering a read with bytes that were damaged on their way. What is stored stays as it is: damage
 * there is what `libs/archive` and its own tests are about. A replica has a client, which dies with its process.
 */
import type { ObjectStore } from '../../../libs/archive/object-store.ts';
import { HINT_KEY } from '../../../libs/archive/keys.ts';
import { decodeSegment } from '../../../libs/archive/segment.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import type { Prng } from '../prng.ts';
import type { ArchiveOptions } from './system-options.ts';
import type { SystemBug } from './system-bugs.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A client waits no longer for an answer, microseconds. */
const TIMEOUT = 2_000_000;
const LOOK = 20_000;

/** Hears of every object that is written. */
export interface StoreListener {
  written(key: string, bytes: Uint8Array, before: Uint8Array | null): void;
}

export interface StoreOptions {
  readonly time: VirtualTime;
  readonly prng: Prng;
  readonly archive: ArchiveOptions;
  readonly bug: SystemBug | null;
}

export class SimulatedStore {
  readonly objects = new Map<string, Uint8Array>();
  /** Faults that keep it away now. */
  outages = 0;
  calls = 0;
  failures = 0;
  damaged = 0;
  listener: StoreListener = { written: () => undefined };
  private readonly options: StoreOptions;
  private healed = false;

  constructor(options: StoreOptions) {
    this.options = options;
  }

  heal(): void {
    this.healed = true;
    this.outages = 0;
  }

  /** `stands`: whether the process that asks stands still at the moment. */
  client(stands: () => boolean): StoreClient {
    return new StoreClient(this, this.options, stands);
  }

  write(key: string, bytes: Uint8Array): void {
    const before = this.objects.get(key) ?? null;
    this.objects.set(key, Uint8Array.from(bytes));
    this.options.time.judge(() => {
      this.listener.written(key, bytes, before);
    });
  }

  /** How a call goes: how long it takes, and whether it fails before or after its effect. */
  draw(): { readonly takes: number; readonly fails: 'before' | 'after' | null } {
    const { prng, archive } = this.options;
    this.calls += 1;
    const takes = prng.magnitude(500, this.healed ? 2_000 : archive.slowness);
    const away = this.outages > 0;
    const fails = away || (!this.healed && prng.chance(archive.failing));
    if (fails) this.failures += 1;
    if (!fails) return { takes, fails: null };
    return { takes, fails: away || prng.chance(0.5) ? 'before' : 'after' };
  }

  damage(bytes: Uint8Array): Uint8Array {
    const { prng, archive } = this.options;
    if (this.healed || bytes.length === 0 || !prng.chance(archive.damaging)) return bytes;
    this.damaged += 1;
    // Cut behind its head an answer looks whole.
    if (prng.chance(0.5)) return bytes.subarray(0, prng.below(bytes.length));
    const other = Uint8Array.from(bytes);
    const at = prng.below(other.length);
    other[at] = (other[at] ?? 0) ^ (1 << prng.below(8));
    return other;
  }
}

export class StoreClient implements ObjectStore {
  readonly url = 'simulated:';
  /** Behind the segments this client has put there, for a planted bug. */
  uploadedTo = 0;
  private readonly store: SimulatedStore;
  private readonly options: StoreOptions;
  private readonly stands: () => boolean;
  private readonly own = new Map<string, Uint8Array>();
  private dead = false;

  constructor(store: SimulatedStore, options: StoreOptions, stands: () => boolean) {
    this.store = store;
    this.options = options;
    this.stands = stands;
  }

  create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const { bug } = this.options;
    const isSegment = key.startsWith('segments/');
    if (isSegment) this.uploadedTo = Math.max(this.uploadedTo, decodeSegment(bytes, key).end);
    const believed = bug === 'exists-believed' || (bug === 'manifest-unverified' && isSegment);
    if (believed) this.own.set(key, bytes);
    const called = this.call(() => {
      if (this.store.objects.has(key) && bug !== 'put-unconditional') return 'exists';
      this.store.write(key, bytes);
      return 'created' as const;
    });
    // What became of it is not waited for.
    if (bug !== 'manifest-unverified' || !isSegment) return called;
    called.catch(() => undefined);
    return Promise.resolve('created');
  }

  replace(key: string, bytes: Uint8Array): Promise<void> {
    return this.call(() => {
      this.store.write(key, bytes);
    });
  }

  read(key: string): Promise<Uint8Array | null> {
    const own = this.own.get(key);
    if (own !== undefined && key !== HINT_KEY) return Promise.resolve(own);
    return this.call(() => {
      const bytes = this.store.objects.get(key);
      return bytes === undefined ? null : this.store.damage(bytes);
    });
  }

  remove(key: string): Promise<void> {
    return this.call(() => {
      this.store.objects.delete(key);
    });
  }

  /** The process is gone: what it has asked for may happen, and nobody hears of it. */
  close(): void {
    this.dead = true;
  }

  private call<T>(action: () => T): Promise<T> {
    const { time, prng } = this.options;
    const { takes, fails } = this.store.draw();
    return new Promise((resolve, reject) => {
      const answer = (delay: number, say: () => void): void => {
        time.after(delay, () => {
          if (this.dead) return;
          if (this.stands()) answer(LOOK, say);
          else say();
        });
      };
      const failed = (): void => {
        reject(new MeridianError('UNAVAILABLE', 'the store does not answer'));
      };
      time.after(takes / 2, () => {
        if (fails === 'before') {
          answer(prng.chance(0.5) ? takes / 2 : TIMEOUT, failed);
          return;
        }
        const result = action();
        if (fails === 'after') answer(prng.chance(0.5) ? takes / 2 : TIMEOUT, failed);
        else {
          answer(takes / 2, () => {
            resolve(result);
          });
        }
      });
    });
  }
}
