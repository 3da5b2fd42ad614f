/** What a read needs of its replica, and what all reads share. */
import type { MeridianError } from '../../libs/errors/errors.ts';
import type { OrderMachine } from '../../libs/order/types.ts';
import type { Micros } from '../../libs/values/numbers.ts';
import type { History } from './archive-history.ts';
import type { LaneStore } from './lane-store.ts';
import type { ReleaseIndex } from './release-index.ts';
import type { SharedChunks } from './shared-chunks.ts';
import type { Watermark } from './watermark.ts';

export interface ReaderContext {
  readonly index: ReleaseIndex;
  readonly store: Pick<LaneStore, 'content'>;
  readonly order: OrderMachine;
  /** Of what has left the log; null: there is no archive. */
  readonly history: History | null;
  readonly watermark: Watermark;
  /** Bytes that may wait for this reader at the moment, and those that do, of all readers. */
  readonly room: Room;
  /** Longest time without progress while the watermark moves. */
  readonly progressMicros: number;
  /** Time without a move of the watermark after which the view counts as stalled. */
  readonly stalledMicros: number;
  /** Longest time that a client may leave what waits for it untouched. */
  readonly slowReaderMicros: number;
  readonly now: () => Micros;
  readonly figures: { bytes: number; batches: number };
  readonly chunks: SharedChunks;
  /** Stored bytes are not what they were. */
  readonly onUnreadable: (error: MeridianError) => void;
}

/** The bound on what waits for slow clients; owned by whoever owns all readers. */
export interface Room {
  /** What one reader may have waiting; at least one batch always may. */
  readonly shareBytes: number;
  heldBytes: number;
}

export interface ReaderView {
  readonly client: string;
  /** null: the whole journal. */
  readonly stream: string | null;
  readonly position: number;
  readonly heldBytes: number;
}

/** What a pump leaves behind: nothing to do, more to look through at once, or the end. */
export type Pumped = 'idle' | 'more' | 'done';
