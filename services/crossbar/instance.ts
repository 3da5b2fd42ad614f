/**
 * What the crossbar needs of a journal instance, and no more: the merge, the window and the
 * subscriptions are written and tested against this. `journal-instance.ts` provides it through the
 * client library, which owns the choice of the replica, failover and resuming.
 */
import type { MeridianError } from '../../libs/errors/errors.ts';
import type { KeyRange } from '../../libs/frames/key-filter.ts';
import type { RecordView } from '../../libs/frames/record.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';

/** After record `recordOffset` of the entry with this timestamp, in one instance. */
export interface InstancePosition {
  readonly timestamp: number;
  readonly recordOffset: number;
}

export interface InstanceGap {
  readonly kind: 'trimmed' | 'lost';
  /** Timestamp of the first record that is missing. */
  readonly from: number;
  /** First position that is not missing any more: a record of this number, or a whole entry for 0. */
  readonly to: InstancePosition;
}

/** A record of one stream. */
export interface StreamRecord {
  readonly seqNum: number;
  readonly timestamp: number;
  readonly record: RecordView;
}

export interface FollowHandlers {
  /**
   * Delivery frames in the instance's order, each exactly once whatever fails underneath. Those of one
   * entry bear the same timestamp and may come in several calls. The bytes are the receiver's.
   */
  batches(frames: Uint8Array): void;
  /** Records that do not come, in their place in the order. */
  gap(gap: InstanceGap): void;
  /** Everything up to here has been delivered; may be lower than before after a failover. */
  progress(watermark: number): void;
  /** It is over, and only trying again from the last position may help. Nothing comes after this. */
  failed(error: MeridianError): void;
}

export interface Following {
  /** The replica that is read at the moment; empty while there is none. */
  readonly source: string;
  pause(): void;
  resume(): void;
  stop(): void;
}

export interface Instance {
  readonly name: string;
  /** Breaks ties of equal timestamps; unique in the cluster. */
  readonly number: number;
  /**
   * Batches with a key in one of the ranges, all for none; progress covers the others too. May call the
   * handlers only after it has returned.
   */
  follow(
    after: InstancePosition,
    keyRanges: readonly KeyRange[],
    handlers: FollowHandlers,
  ): Following;
  /** A linearizable read point of this instance: asked for after the call, not before. */
  heartbeat(): Promise<Timestamp>;
  /** The watermark of some replica at the moment. */
  watermark(): Promise<Timestamp>;
  /** As some replica sees it, without a quorum: all records of the stream up to its watermark are counted. */
  localTail(stream: string): Promise<{ readonly watermark: Timestamp; readonly records: number }>;
  /** How many records the stream has, linearizable; 0 where it does not exist. */
  tail(stream: string): Promise<number>;
  /**
   * The records of the stream from one number up to below another one, without those at the beginning that
   * are trimmed. CORRUPT where others are gone.
   */
  records(stream: string, from: number, to: number): Promise<readonly StreamRecord[]>;
  close(): void;
}
