/**
 * What a sidecar needs of a journal, and nothing more: tests give it one in memory, the service one
 * of three regions (journal-client.ts).
 */
import type { JournalPosition } from '../../libs/postgres/applied-position.ts';

/** Who may append to the stream; every grant has a higher token, and fences those before. */
export interface Lease {
  readonly holder: string;
  readonly token: number;
  /** Journal time, microseconds: nobody else can have it before. */
  readonly expiresAt: number;
}

export interface ShipJournal {
  /** Makes the stream where it is missing; from then on it takes nothing without the token. */
  requireFencing(): Promise<void>;
  /** Throws LEASE_HELD while another holds it. The same holder gets a new token at once. */
  acquireLease(holder: string, ttlMs: number): Promise<Lease>;
  /** Throws LEASE_LOST when there was a later grant. */
  renewLease(lease: Lease, ttlMs: number): Promise<Lease>;
  releaseLease(lease: Lease): Promise<void>;
  /** Who holds it, linearizable; null: nobody, or there is no stream. */
  leaseHolder(): Promise<Lease | null>;
  /**
   * The last batches of the stream, oldest first, linearizable: whole ones only, of its last `count`
   * records. `complete`: there is nothing before them.
   */
  tail(count: number): Promise<StreamTail>;
  /** A chain of appends; goes on where one of that id has ended. */
  openWriter(id: string, token: number): ShipWriter;
  /** A batch that belongs to no chain; resolves when its place in the order is final. */
  appendPart(records: readonly Uint8Array[], token: number): Promise<void>;
}

export interface StreamTail {
  readonly batches: readonly (readonly Uint8Array[])[];
  readonly complete: boolean;
}

export interface ShipWriter {
  /**
   * Resolves when the batch is durable, in its final place and certainly in effect. Appends take effect
   * in the order of the calls. Rejects with FENCED, WRITER_FENCED, WRITER_GAP, …; the writer is then
   * used up.
   */
  append(records: readonly Uint8Array[], seq: number): Promise<void>;
  close(): void;
}

/** What a follower gets, in order. */
export type FeedItem =
  | {
      readonly kind: 'batch';
      readonly position: JournalPosition;
      readonly records: readonly Uint8Array[];
      readonly bytes: number;
    }
  /** Nothing at or below the watermark is still to come. */
  | {
      readonly kind: 'progress';
      readonly watermark: number;
      /** Resumes after everything up to the watermark. */
      readonly position: JournalPosition;
    };

export interface FeedHandler {
  onItems(items: readonly FeedItem[]): void;
  /** Once, and nothing after it. */
  onEnd(error: Error): void;
}

export interface Feed {
  pause(): void;
  resume(): void;
  cancel(): void;
}

export interface ApplyJournal {
  /** Batches of the stream after the position (null: from the beginning), and progress. */
  follow(after: JournalPosition | null, handler: FeedHandler): Feed;
  /** No append completed before the call lies above the answer. */
  heartbeat(): Promise<number>;
}
