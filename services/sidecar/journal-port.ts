/**
 * What a sidecar needs of a journal, and nothing more: tests give it one in memory, the service one
 * of three regions (journal-client.ts).
 */
import type { JournalPosition } from '../../libs/postgres/applied-position.ts';

export interface WriterState {
  /** 0: not known. */
  readonly epoch: number;
  readonly lastSeq: number;
}

export interface ShipJournal {
  /** What the order knows of the writer; linearizable. */
  writerState(id: string): Promise<WriterState>;
  /** Number of the stream's next record; linearizable. */
  streamTail(): Promise<number>;
  /** Continues the writer's chain after `lastSeq`. */
  openWriter(start: WriterStart): ShipWriter;
  /** A batch that belongs to no chain; resolves when its place in the order is final. */
  appendPart(records: readonly Uint8Array[]): Promise<void>;
}

export interface WriterStart {
  readonly id: string;
  readonly epoch: number;
  readonly lastSeq: number;
  readonly ack: 'QUORUM' | 'ORDERED';
}

export interface ShipWriter {
  /**
   * Resolves when the batch is durable (`ORDERED`: and decided). Appends take effect in the order of
   * the calls. Rejects with WRITER_FENCED, WRITER_GAP, …; the writer is then used up.
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
