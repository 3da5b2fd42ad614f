/**
 * What a developer writes: a store that takes the journal's changes. Everything else (following, failing
 * over, flow control, linearizable reads) is applier.ts.
 */
import type { RecordView } from '../frames/batch.ts';

/** A place in the order, as it is stored beside the data. */
export interface Position {
  /** Opaque; what a source resumes from. */
  readonly cursor: Uint8Array;
  /** Everything at or below this timestamp is in the data. */
  readonly watermark: number;
}

/** A batch as it was appended: all of it belongs together. */
export interface AppliedBatch {
  readonly stream: string;
  /** Number of the instance; 0 when there is only one. */
  readonly instance: number;
  /** Microseconds since 1970 on the journal's clock. */
  readonly timestamp: number;
  /** Number of the first record among those of the instance with this timestamp. */
  readonly recordOffset: number;
  /** Number of the first record in its stream. */
  readonly firstSeqNum: number;
  /** Views into the received message: copy what you keep. Also those that a key filter did not ask for. */
  readonly records: readonly RecordView[];
}

export interface Chunk {
  /** In the order; may be empty, when only the position has moved. */
  readonly batches: readonly AppliedBatch[];
  /** Behind all of them. */
  readonly position: Position;
}

export interface Target {
  /** The position that is stored with the data; null: there is no data, so it begins at the beginning. */
  position(): Promise<Position | null>;
  /**
   * Applies the batches in their order and stores the position, both or neither: in one transaction, one
   * file, or one turn of the event loop. Never called before the last call has settled. A
   * MeridianError that is worth a retry (UNAVAILABLE, say) makes the applier ask for the position again
   * and go on from there; every other error ends it.
   */
  apply(chunk: Chunk): void | Promise<void>;
}
