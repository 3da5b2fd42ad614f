/**
 * Where the one order comes from, as its consumers see it: the crossbars of a database (crossbars.ts), or
 * a single instance that is read without one (journal-source.ts).
 */
import type { MeridianError } from '../errors/errors.ts';
import type { KeyRange } from '../frames/key-filter.ts';

export interface Wish {
  /** A cursor that this source gave out, whatever the filter then. null: from the beginning. */
  readonly after: Uint8Array | null;
  /** Only these; empty for all. */
  readonly streams: readonly string[];
  /** Only batches with a key in one of these; empty for all. Such batches come whole. */
  readonly keys: readonly KeyRange[];
}

/** Records that were asked for and do not come. */
export interface SourceGap {
  readonly kind: 'trimmed' | 'lost';
  /** Name of the instance; empty where there is only one. */
  readonly instance: string;
  /** Timestamps: of the first that is missing, and of the last. */
  readonly from: number;
  readonly to: number;
}

export interface SourceHandler {
  /** Delivery frames (libs/frames/SPEC.md) in the one order; the cursor is behind the last of them. */
  onBatches(frames: Uint8Array, cursor: Uint8Array): void;
  /**
   * Nothing at or below the watermark is still to come. `stalledBy`: instances that hold it up, by name;
   * empty while it moves.
   */
  onProgress(watermark: number, cursor: Uint8Array, stalledBy: readonly string[]): void;
  onGap(gap: SourceGap): void;
  /** Once, and nothing after it: it cannot go on anywhere. */
  onEnd(error: MeridianError): void;
}

export interface SourceSubscription {
  /** Who serves it at the moment; empty while nobody does. */
  readonly source: string;
  /** At most what is on its way still comes. */
  pause(): void;
  resume(): void;
  /** No callback comes any more. */
  cancel(): void;
}

export interface Source {
  /** Goes on elsewhere when a server fails: nothing is lost, repeated or reordered. */
  subscribe(wish: Wish, handler: SourceHandler): SourceSubscription;
  /** No append that completed before the call lies above the answer. */
  readPoint(deadlineMs: number): Promise<number>;
}
