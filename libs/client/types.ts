/**
 * What users of the library see: options, results, and the three kinds of things a read yields.
 * Everything that fails, fails with a `MeridianError`: its `reason` is one of a closed list, and its
 * `noEffect` says whether what was asked for certainly did not happen.
 */
import type { RecordView } from '../frames/batch.ts';
import type { KeyRange } from '../frames/key-filter.ts';
import type { MeridianError } from '../errors/errors.ts';
import type { ClientSecurity } from '../security/client-security.ts';
import type { ReplicaAddress } from './regions.ts';

export type { RecordInput, RecordView } from '../frames/batch.ts';
export { keyPrefix } from '../frames/key-filter.ts';
export type { KeyRange } from '../frames/key-filter.ts';
export type { ReplicaAddress } from './regions.ts';
export type { ClientSecurity } from '../security/client-security.ts';
export type {
  AcquireLeaseOptions,
  AppendIdentity,
  AppendResolution,
  FenceOptions,
  LeaseGrant,
  LeaseHolder,
  ListStreamsOptions,
  LocalTail,
  StreamConfig,
  StreamDescription,
  StreamPage,
  TrimOptions,
} from './streams.ts';

export interface JournalOptions {
  /** Name of the cluster; a replica of another one refuses every call. */
  readonly cluster: string;
  /** Name of the instance in the cluster. */
  readonly instance: string;
  /** The instance's replicas, nearest first. */
  readonly replicas: readonly ReplicaAddress[];
  /** The region to prefer; the others are used when it fails. Default: the first replica's. */
  readonly region?: string;
  /** How long a call or an append is tried before it fails, ms. Default 30,000. */
  readonly deadlineMs?: number;
  /** How long a replica may leave something unanswered before another is tried, ms. Default 2,000. */
  readonly silenceMs?: number;
  /** Bytes of appends that may be unanswered; beyond, `append` fails as OVERLOADED. Default 64 MiB. */
  readonly queueBytesMax?: number;
  /** Bytes in flight towards this client, per connection. Default 16 MiB. */
  readonly windowBytes?: number;
  /**
   * Certificate, key and authorities, or authorities and a token. Default: calls go in the clear, which
   * replicas take on loopback only.
   */
  readonly security?: ClientSecurity;
  /** Decides which appends are traced and hears how they ended. Default: none is. */
  readonly tracer?: AppendTracer;
}

/** One instance of a database. */
export interface InstanceAddress {
  /** Its name in the cluster. */
  readonly instance: string;
  /** Its replicas, nearest first. */
  readonly replicas: readonly ReplicaAddress[];
}

/** Those of a journal hold for each instance; where one has no replica in `region`, its first is preferred. */
export interface InstancesOptions extends Omit<JournalOptions, 'instance' | 'replicas'> {
  /** All that appends are spread over; the order says nothing. Give every process the same. */
  readonly instances: readonly InstanceAddress[];
}

export interface SpreadOptions {
  /** What decides which instance takes the append. Default: the name of the stream. */
  readonly spreadBy?: string;
}

/** For example `appendTracer` of libs/telemetry, or a few lines over an SDK of your own. */
export interface AppendTracer {
  /** null: not traced. `traceparent`: what the caller gave. */
  begin(stream: string, traceparent: string | undefined): AppendSpan | null;
}

/** One traced append. */
export interface AppendSpan {
  /** 16 bytes of trace id and 8 of span id: travels with the batch to all replicas. */
  readonly context: Uint8Array;
  /** Called once. */
  end(error: MeridianError | null, result: AppendResult | null): void;
}

/**
 * When an append is answered. `QUORUM`: it is on disk in two regions. `ORDERED`: that, and its place
 * in the one order is final, so its sequence number and outcome are known.
 */
export type AckMode = 'QUORUM' | 'ORDERED';

export interface AppendOptions {
  /** Default `ORDERED`; an append with a condition is always `ORDERED`. */
  readonly ack?: AckMode;
  /** Appends only if the stream's next sequence number is this, else fails as CONDITION_FAILED. */
  readonly matchSeqNum?: number;
  /** Appends only if this is the stream's fencing token, else fails as FENCED. */
  readonly fencingToken?: number;
  /** true: fails as STREAM_NOT_FOUND where the stream does not exist, instead of creating it. */
  readonly mustExist?: boolean;
  /**
   * The append gets a timestamp above this (microseconds): what the caller has seen elsewhere, in
   * another instance say, then comes before it. Default: no wish.
   */
  readonly minTimestamp?: number;
  /** W3C traceparent of the caller's span; heard by the journal's `tracer`. */
  readonly traceparent?: string;
  /** Overrides the journal's. */
  readonly deadlineMs?: number;
}

export interface WriterOptions {
  /** 1 to 64 bytes of UTF-8. Default: a random one. */
  readonly id?: string;
  /**
   * Generation of the writer: the first append with a higher one fences all lower ones. Default: one
   * above the highest the journal knows.
   */
  readonly epoch?: number;
  /** Default `ORDERED`. */
  readonly ack?: AckMode;
}

export interface WriterAppendOptions extends Omit<AppendOptions, 'ack'> {
  /** Number of this append, above the one before; may leave gaps (an LSN, say). Default: one more. */
  readonly seq?: number;
}

export interface AppendResult {
  /** Microseconds since 1970 on the journal's clock; shared by appends that were written together. */
  readonly timestamp: number;
  /** Number of the first record in its stream; null for `QUORUM`, where it is not known yet. */
  readonly firstSeqNum: number | null;
  /** true: a repetition; timestamp and number are those of the first time. */
  readonly duplicate: boolean;
  /** The region whose replica answered. */
  readonly region: string;
  /**
   * The region that forwarded between that replica and the third one, because the link between those
   * two is down or too slow; null when everything went directly.
   */
  readonly forwardedVia: string | null;
}

/** A place in the order: after this record. */
export interface Position {
  /** Timestamp of the record. */
  readonly timestamp: number;
  /** Number of the record among those with this timestamp. */
  readonly recordOffset: number;
}

/** Position after everything with this timestamp. */
export const OFFSET_END = 0xffff_ffff;

export type ReadFrom =
  /** The beginning of the journal or stream. */
  | 'start'
  /** After everything that was completed, by anyone, before the call. */
  | 'end'
  /** At the record with this number; needs a stream. */
  | { readonly seqNum: number }
  /** At the first record with this timestamp (microseconds) or a later one. */
  | { readonly timestamp: number }
  /** After this position: where an earlier read stopped. */
  | { readonly after: Position }
  /** This many records before the stream's tail; needs a stream. */
  | { readonly tailOffset: number };

export interface ReadOptions {
  /** Default: all streams, in one order. */
  readonly stream?: string;
  readonly from: ReadFrom;
  /** Stop before this timestamp, microseconds. Default: no end. */
  readonly until?: number;
  /** Stop before the record with this number; needs a stream. Default: no end. */
  readonly untilSeqNum?: number;
  /** Stop after this many records; `read` and `follow` give the last batch whole. Default: no limit. */
  readonly limit?: number;
  /** Stop after the batch that makes it this many bytes of batches. Default: no limit. */
  readonly limitBytes?: number;
  /**
   * Only records with a key in one of these ranges; at most 64. Records without a key are in none.
   * `follow` gives batches with such a record whole. Default: all records.
   */
  readonly keys?: readonly KeyRange[];
  /** true: wait for what comes; false: end at what is there. Default false. */
  readonly follow?: boolean;
}

/** A batch as it was appended. */
export interface ReadBatch {
  readonly stream: string;
  readonly timestamp: number;
  /** Number of the first record among those with this timestamp. */
  readonly recordOffset: number;
  /** Number of the first record in its stream. */
  readonly firstSeqNum: number;
  /** Views into the received message: copy what you keep for long. Without what `keys` leaves out. */
  readonly records: readonly RecordView[];
  /** Number in the batch of each of the records; null when none is left out. */
  readonly indexes: readonly number[] | null;
}

export interface ReadBatches {
  readonly type: 'batches';
  readonly batches: readonly ReadBatch[];
  /** Resumes after these batches. */
  readonly position: Position;
}

/** Everything up to the watermark has been yielded; nothing at or below it is still to come. */
export interface ReadProgress {
  readonly type: 'progress';
  readonly watermark: number;
  /** Next number of the stream that is read, at this watermark; 0 when all streams are read. */
  readonly tailSeqNum: number;
  /** true: the replica cannot confirm that its view still moves; another one is being tried. */
  readonly stalled: boolean;
}

/** Records that were asked for and do not come. */
export interface ReadGap {
  readonly type: 'gap';
  readonly kind: 'trimmed' | 'filtered' | 'lost';
  /** First position that is missing. */
  readonly from: Position;
  /** First position that is not missing any more. */
  readonly to: Position;
  /** Of a stream that was trimmed: the first number that is missing, and the first that is not. */
  readonly seqNums?: { readonly from: number; readonly to: number };
}

export type ReadItem = ReadBatches | ReadProgress | ReadGap;

/** One record with its place. */
export interface ReadRecord extends RecordView, Position {
  readonly stream: string;
  readonly seqNum: number;
}

/** For services: whole chunks of delivery frames, as they came (libs/frames/SPEC.md). */
export interface FollowHandler {
  /** `frames`: delivery frames; `position`: after the last of them. */
  onBatches(frames: Uint8Array, position: Position, region: string): void;
  onProgress(progress: ReadProgress, region: string): void;
  onGap(gap: ReadGap): void;
  /** Once: null when the read is complete, else why it cannot go on anywhere. */
  onEnd(error: MeridianError | null): void;
}

export interface Follow {
  /** Where it stands: after what has been delivered or progress has covered; null at the beginning. */
  readonly position: Position | null;
  /** The region that is read at the moment; empty while there is none. */
  readonly source: string;
  pause(): void;
  resume(): void;
  /** No callback comes any more. */
  cancel(): void;
}

/** What the journal knows of a writer. */
export interface WriterState {
  readonly epoch: number;
  /** Last sequence number that was decided; 0 for none. */
  readonly lastSeq: number;
  /** Timestamp of that append; 0 for none. */
  readonly timestamp: number;
}

export interface HeartbeatOptions {
  /** true: answers only when everything up to the read point can be read at the replica. Default false. */
  readonly waitForWatermark?: boolean;
  /** Overrides the journal's. */
  readonly deadlineMs?: number;
}

export interface ReadPoint {
  /** Microseconds: no append completed before the call lies above it. */
  readonly readPoint: number;
  /** Everything up to here can be read at the replica that answered. */
  readonly watermark: number;
}

export interface Tail {
  /** The number the stream's next record will get. */
  readonly nextSeqNum: number;
  /** Timestamp of the stream's last record; 0 when there is none. */
  readonly timestamp: number;
  /** The read point that makes this linearizable. */
  readonly readPoint: number;
}
