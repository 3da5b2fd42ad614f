/**
 * Segments in memory, for readers: fetched when asked for, the next ones ahead of time, at most so many
 * at once, and kept up to a bound in bytes; what was used longest ago goes first. Readers share them.
 * A reader that waits is called back; what it gets is good until it lets go, and it asks again for
 * every stretch, so that many readers hold no more than the bound.
 */
import { MeridianError } from '../errors/errors.ts';
import type { SegmentRef } from './manifest.ts';

export interface SegmentCacheOptions<Loaded> {
  /** Reads and checks one segment. */
  readonly fetch: (ref: SegmentRef) => Promise<Loaded>;
  /** Which segment holds the ordinal; null: none does. */
  readonly locate: (ordinal: number) => Promise<SegmentRef | null>;
  readonly bytesMax: number;
  /** Fetches under way at the same time. */
  readonly fetchesMax: number;
  /** Segments fetched before anybody asks for them. */
  readonly readAhead: number;
}

export interface CacheFigures {
  hits: number;
  fetches: number;
  failures: number;
  bytes: number;
}

interface Kept<Loaded> {
  readonly ref: SegmentRef;
  readonly loaded: Loaded;
}

export type Answer<Loaded> = (error: MeridianError | null, loaded: Loaded | null) => void;

export class SegmentCache<Loaded> {
  readonly #options: SegmentCacheOptions<Loaded>;
  /** By key; in order of use, the latest last. */
  readonly #kept = new Map<string, Kept<Loaded>>();
  /** By key: who waits for it. */
  readonly #waiting = new Map<string, Answer<Loaded>[]>();
  readonly #queue: SegmentRef[] = [];
  #running = 0;
  #bytes = 0;
  readonly figures: CacheFigures = { hits: 0, fetches: 0, failures: 0, bytes: 0 };

  constructor(options: SegmentCacheOptions<Loaded>) {
    this.#options = options;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Fetches under way. */
  get running(): number {
    return this.#running;
  }

  /** The segment with this ordinal if it is here; null says nothing about where it is. */
  peek(ordinal: number): Loaded | null {
    for (const [key, kept] of this.#kept) {
      if (ordinal < kept.ref.first || ordinal >= kept.ref.end) continue;
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      this.figures.hits += 1;
      return kept.loaded;
    }
    return null;
  }

  /** Fetches it; null in the answer: no segment holds the ordinal. */
  ask(ordinal: number, answer: Answer<Loaded>): void {
    this.#options.locate(ordinal).then(
      (ref) => {
        if (ref === null) answer(null, null);
        else this.#want(ref, answer);
      },
      (error: unknown) => {
        answer(asMeridianError(error), null);
      },
    );
  }

  #want(ref: SegmentRef, answer: Answer<Loaded>): void {
    const kept = this.#kept.get(ref.key);
    if (kept !== undefined) answer(null, kept.loaded);
    else {
      this.#enqueue(ref, answer);
      this.#ahead(ref, this.#options.readAhead);
    }
  }

  #enqueue(ref: SegmentRef, answer: Answer<Loaded> | null): void {
    const waiting = this.#waiting.get(ref.key);
    if (waiting !== undefined) {
      if (answer !== null) waiting.push(answer);
      return;
    }
    this.#waiting.set(ref.key, answer === null ? [] : [answer]);
    this.#queue.push(ref);
    this.#run();
  }

  #ahead(ref: SegmentRef, left: number): void {
    const room = this.#options.bytesMax - this.#pendingBytes();
    if (left === 0 || ref.bytes * 2 > room) return;
    void this.#options.locate(ref.end).then(
      (next) => {
        if (next === null || this.#kept.has(next.key)) return;
        this.#enqueue(next, null);
        this.#ahead(next, left - 1);
      },
      // Whoever comes there finds out.
      () => undefined,
    );
  }

  #pendingBytes(): number {
    return this.#queue.reduce((sum, ref) => sum + ref.bytes, 0);
  }

  #run(): void {
    while (this.#running < this.#options.fetchesMax) {
      const ref = this.#queue.shift();
      if (ref === undefined) return;
      this.#running += 1;
      this.figures.fetches += 1;
      this.#options.fetch(ref).then(
        (loaded) => {
          this.#keep({ ref, loaded });
          this.#settle(ref, null, loaded);
        },
        (error: unknown) => {
          this.figures.failures += 1;
          this.#settle(ref, asMeridianError(error), null);
        },
      );
    }
  }

  #settle(ref: SegmentRef, error: MeridianError | null, loaded: Loaded | null): void {
    this.#running -= 1;
    const waiting = this.#waiting.get(ref.key) ?? [];
    this.#waiting.delete(ref.key);
    for (const answer of waiting) answer(error, loaded);
    this.#run();
  }

  #keep(kept: Kept<Loaded>): void {
    this.figures.bytes += kept.ref.bytes;
    this.#kept.set(kept.ref.key, kept);
    this.#bytes += kept.ref.bytes;
    for (const [key, oldest] of this.#kept) {
      // The one that has just come is wanted, however large it is.
      if (this.#bytes <= this.#options.bytesMax || key === kept.ref.key) break;
      this.#kept.delete(key);
      this.#bytes -= oldest.ref.bytes;
    }
  }
}

function asMeridianError(error: unknown): MeridianError {
  if (error instanceof MeridianError) return error;
  throw error;
}
