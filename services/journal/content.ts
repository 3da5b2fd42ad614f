/**
 * The cores' type parameters in production: an entry's content is its entry frame
 * (libs/frames/SPEC.md), an append is a batch frame that waits for its answer.
 */
import type { Append, Entry, Packet, RefusalReason } from '../../libs/lane/types.ts';
import type { BatchHeader, Outcome } from '../../libs/order/types.ts';

/** An encoded entry frame, header included. */
export type Frame = Uint8Array;

export type JournalEntry = Entry<Frame>;
export type JournalPacket = Packet<Frame>;

/** Who hears what became of an append. */
export interface AppendOwner {
  /** Committed, durable in two regions; its place in the order is not known. The outcome has the timestamp only. */
  committed(append: PendingAppend, outcome: Outcome): void;
  /** Its place is final and this is what it did there. Always the last word. */
  decided(append: PendingAppend, outcome: Outcome): void;
  /** Certainly without effect, now and later. Always the last word. */
  refused(append: PendingAppend, reason: RefusalReason): void;
}

/** One batch of a client between its arrival and its release. */
export interface PendingAppend extends Append {
  /** Who traces appends puts itself before the session. */
  owner: AppendOwner;
  /** The batch frame, verified. */
  readonly frame: Uint8Array;
  readonly header: BatchHeader;
  /** Monotonic microseconds of its arrival, for the latency. */
  readonly arrivedAt: number;
  /** What the client will hear; null while it is not known. */
  answer: Outcome | null;
  /** true: `answer` is the order's word, with sequence numbers; false: only the quorum's. */
  placed: boolean;
}
