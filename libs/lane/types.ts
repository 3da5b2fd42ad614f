/**
 * What goes into and comes out of the lane core (SPEC.md): the contract between the core and its
 * driver. The core owns the protocol state of one replica of one instance; the driver owns disk,
 * network, clocks and the bytes. `Content` is opaque to the core: encoded bytes in production,
 * operations in simulation.
 *
 * The driver's duties, in the order of an `Effects` value:
 *  1. append `writes` to the log, in order; when they are on disk, step with `persisted(seq)`;
 *  2. send `packets`; losing, delaying, repeating or reordering them is allowed;
 *  3. answer `acknowledged`, `refused` and `readPoints`;
 *  4. execute `released`, in order, then publish `watermark`.
 * What must not leave the replica before it is on disk (L4), the core holds back by itself.
 */
import type { RuleId } from './rules.ts';
import type { Epoch, Index, LaneId, Micros, ReplicaId, Timestamp } from '../values/numbers.ts';

/** What the driver knows of an append; the core moves it around and looks only at its size. */
export interface Append {
  /** Encoded bytes of the batch; bounds the size of an entry. */
  readonly bytes: number;
  /** The entry's timestamp will be above this (0: no wish). */
  readonly minTimestamp: number;
  /** A few bytes that may make room, such as a trim: taken while the disk is nearly full (§10). */
  readonly small?: boolean;
  /** Whose it is: sources share the lane by bytes, and the appends of one keep their order. */
  readonly source?: number;
}

/**
 * Room on the replica's disk (§10). `low`: none for own appends. `none`: none for entries of the others
 * either; promises, reservations and markers still fit.
 */
export type Space = 'ample' | 'low' | 'none';

export interface EntryHeader {
  readonly lane: LaneId;
  readonly epoch: Epoch;
  readonly index: Index;
  readonly timestamp: Timestamp;
  /** A marker is the first entry of an epoch (L1); it carries no records. */
  readonly kind: 'batches' | 'marker';
}

export interface Entry<Content> extends EntryHeader {
  /** Encoded size, for windows and bounds. */
  readonly bytes: number;
  /** null once the driver has evicted it from memory; it then reads it back by lane and index. */
  content: Content | null;
}

/** Identity of a log position: two logs that agree on it agree on everything before it. */
export interface Tail {
  readonly epoch: Epoch;
  readonly index: Index;
}

/** A position with its timestamp: where a log begins, or how far it has been released. */
export interface Mark extends Tail {
  readonly timestamp: Timestamp;
}

/** From `from` on the entries of the log were written in `epoch`. */
export interface EpochRun {
  readonly epoch: Epoch;
  readonly from: Index;
}

// ---- what the log keeps ---------------------------------------------------------------------

export type Write<Content> =
  | { readonly type: 'entry'; readonly entry: Entry<Content> }
  /** Entries of the lane at and above `from` are void; later writes replace them. */
  | { readonly type: 'truncate'; readonly lane: LaneId; readonly from: Index }
  | { readonly type: 'promise'; readonly lane: LaneId; readonly epoch: Epoch }
  /** No timestamp above `timestamp` is used before a later reservation is on disk (T1). */
  | { readonly type: 'reserve'; readonly timestamp: Timestamp }
  /** The peer lost its disk and is another one now: what its earlier incarnation said is void. */
  | { readonly type: 'incarnation'; readonly replica: ReplicaId; readonly incarnation: number }
  /**
   * The replica was heard in this life and told this clock, at least (M2, M3). Of the own replica: it began this
   * life, with this reservation (M1).
   */
  | {
      readonly type: 'life';
      readonly replica: ReplicaId;
      readonly incarnation: number;
      readonly life: number;
      readonly clock: number;
    }
  /** The peer has said that it goes by this life of the own replica (M6). */
  | { readonly type: 'named'; readonly replica: ReplicaId; readonly life: number }
  /** Recovery from both others is complete: from here on the replica votes again. */
  | { readonly type: 'recovered' };

// ---- what travels between replicas ----------------------------------------------------------

/** One start of a replica, as it tells it: what its disk knew then (M1). */
export interface Life {
  /** Higher than any before it of this incarnation, and like none; 0: the replica does not tell. */
  readonly number: number;
  /** The life before this one, by its own disk; 0: this is the first. */
  readonly previous: number;
  /** The clock reservation that it began with. */
  readonly reservation: Timestamp;
}

/** A life of a data directory, and the clock reservation that it began with. */
export interface Birth {
  readonly life: number;
  readonly reservation: Timestamp;
}

/** Ascending: the newest life that a peer is known to go by, those that began since, the present one (lineage.ts). */
export type Lineage = readonly Birth[];

/** The answer of a directory to a peer that goes by `life` (M6). */
export interface Descent {
  readonly life: number;
  /** With which the life after it began; null: the directory has never lived it. */
  readonly reservation: Timestamp | null;
}

/** A replica's own statements about itself; each was true on disk when it was made. */
export interface Status {
  readonly replica: ReplicaId;
  /** See `Recovered.incarnation`. */
  readonly incarnation: number;
  readonly life: Life;
  /** The newest life of each replica that this one goes by; 0: none (M5). */
  readonly lives: readonly number[];
  /** For each replica, the life by which it goes as far as is known here; null: an earlier version tells none (M6). */
  readonly descent: readonly Descent[] | null;
  /** Grows with every statement, restarts included; an older statement is ignored. */
  readonly version: number;
  /** Replicas from which something arrived directly a moment ago, and not much later than it could. */
  readonly hears: readonly boolean[];
  readonly lanes: readonly LaneStatus[];
  readonly voting: boolean;
}

export interface LaneStatus {
  readonly promised: Epoch;
  /** Last synced entry. Where its epoch equals `promised`, the replica has accepted that writer's log up to it. */
  readonly tail: Tail;
  /** Highest closed timestamp of epoch `promised` that this replica has accepted (O3). */
  readonly closed: Timestamp;
  /** From whom this replica wants the lane's entries. */
  readonly feeder: ReplicaId;
  /** What is at or before it has left its log (C1): whoever lacks it, or holds something else there, needs a checkpoint. */
  readonly base: Tail;
}

/** A writer's word: every record of the lane up to `closed` is at or before `index` (O2). */
export interface Announcement {
  readonly lane: LaneId;
  readonly epoch: Epoch;
  readonly closed: Timestamp;
  readonly index: Index;
  /** Microseconds since the word reached who passes it on; 0 from the writer itself (L7). */
  readonly age: number;
}

export interface Feed<Content> {
  readonly lane: LaneId;
  /** Epoch of the writer whose log this is; for an adoption, the epoch of the adopter. */
  readonly epoch: Epoch;
  readonly previous: Tail;
  readonly entries: readonly Entry<Content>[];
  /** Committed index of the feeder. */
  readonly committed: Index;
  /** Set when a promiser hands its tail to a new writer, or both others to a recovering replica. */
  readonly adoption: boolean;
}

export interface PromiseLetter {
  readonly lane: LaneId;
  readonly epoch: Epoch;
  readonly tail: Tail;
  readonly committed: Index;
  readonly clock: Timestamp;
}

export type Control =
  | { readonly type: 'prepare'; readonly lane: LaneId; readonly epoch: Epoch }
  | ({ readonly type: 'promise' } & PromiseLetter)
  /** The feeder's `previous` does not match; `resume` is where the logs may agree. */
  | {
      readonly type: 'mismatch';
      readonly lane: LaneId;
      readonly epoch: Epoch;
      readonly resume: Tail;
    }
  /** L7: do you hear the lane's writer of this epoch? */
  | { readonly type: 'ask'; readonly lane: LaneId; readonly epoch: Epoch; readonly nonce: number }
  | {
      readonly type: 'answer';
      readonly lane: LaneId;
      readonly epoch: Epoch;
      readonly nonce: number;
      readonly hears: boolean;
    }
  /** The adopter (or the recovering replica) asks for what follows `after`. */
  | { readonly type: 'fetch'; readonly lane: LaneId; readonly epoch: Epoch; readonly after: Tail }
  | { readonly type: 'heartbeat'; readonly round: number }
  | { readonly type: 'heartbeatAnswer'; readonly round: number; readonly persisted: Timestamp }
  | { readonly type: 'recover'; readonly nonce: number; readonly incarnation: number }
  | {
      readonly type: 'recoverAnswer';
      readonly nonce: number;
      readonly clock: Timestamp;
      readonly lanes: readonly {
        readonly promised: Epoch;
        readonly tail: Tail;
        readonly committed: Index;
      }[];
    }
  /** M4: this life of this incarnation is not believed; a new incarnation must be above `known`. */
  | {
      readonly type: 'void';
      readonly incarnation: number;
      readonly life: number;
      readonly known: number;
    };

/** A control message and whom it concerns; the third replica passes it on where a link is cut. */
export interface Letter {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly control: Control;
}

/** Everything one replica tells another in one message. */
export interface Packet<Content> {
  readonly status: Status;
  /** Sender's monotonic clock, and the receiver's last one with the time it was held: round trip. */
  readonly sentAt: Micros;
  readonly echo: { readonly sentAt: Micros; readonly heldMicros: number } | null;
  /** Sender's wall clock, microseconds since 1970, for the offset (T4). */
  readonly wall: number;
  /** Sender's hybrid clock (merged by the receiver within `maxClockOffset`). */
  readonly clock: Timestamp;
  /** Version of the newest statement that the sender has of the third directly; 0: it is not heard. */
  readonly heardThird: number;
  readonly announcements: readonly Announcement[];
  readonly feeds: readonly Feed<Content>[];
  /** The third replica's newest status, where the receiver does not hear it. */
  readonly relayed: Status | null;
  readonly letters: readonly Letter[];
}

// ---- the step -------------------------------------------------------------------------------

export type Input<Content, A extends Append = Append> =
  | { readonly type: 'append'; readonly appends: readonly A[] }
  | { readonly type: 'packet'; readonly from: ReplicaId; readonly packet: Packet<Content> }
  /** All writes up to and including `seq` are on disk. */
  | { readonly type: 'persisted'; readonly seq: number }
  /** A new connection to the peer stands: what was under way on the old one may be lost. */
  | { readonly type: 'connected'; readonly peer: ReplicaId }
  /** The connection over which the peer is heard has ended: not silence, but no certain death either. */
  | { readonly type: 'disconnected'; readonly peer: ReplicaId }
  | { readonly type: 'heartbeat'; readonly id: number }
  /** Entries at or below these marks, one a lane, have left the log; a checkpoint covers them (C2). */
  | { readonly type: 'trimmed'; readonly bases: readonly Mark[] }
  /** How much room the disk has from now on; `ample` until it is said. */
  | { readonly type: 'space'; readonly space: Space }
  /** The wall clock is at most this far from the truth, says who measures it (T5). */
  | { readonly type: 'clockError'; readonly micros: number }
  | { readonly type: 'tick' };

export type RefusalReason = 'CLOCK_UNSAFE' | 'OVERLOADED' | 'RECOVERING' | 'DISK_FULL';

export interface Effects<Content, A extends Append = Append> {
  readonly writes: readonly Write<Content>[];
  /** Number of these writes, to be returned in `persisted`; unchanged when `writes` is empty. */
  readonly seq: number;
  readonly packets: readonly { readonly to: ReplicaId; readonly packet: Packet<Content> }[];
  /** Own appends that are committed (QUORUM), in order; those of one entry together. */
  readonly acknowledged: readonly {
    readonly entry: Entry<Content>;
    readonly appends: readonly A[];
  }[];
  /** Entries whose place is final, in the order; own ones with the appends they hold. */
  readonly released: readonly {
    readonly entry: Entry<Content>;
    readonly appends: readonly A[] | null;
  }[];
  /** Everything up to here is released; only grows while the process lives. */
  readonly watermark: Timestamp;
  /** Heartbeats answered: no completed append lies above `readPoint`. */
  readonly readPoints: readonly { readonly id: number; readonly readPoint: Timestamp }[];
  /** Certainly without effect. */
  readonly refused: readonly { readonly append: A; readonly reason: RefusalReason }[];
}

/** One lane's log at start: where it begins, what a checkpoint covers, and the entries after that. */
export interface LaneStart<Content> {
  /** Entries at or below are not in the log any more; zeros for a whole log. */
  readonly base: Mark;
  /** Everything up to here was released before the checkpoint; equal to `base` without one. */
  readonly released: Mark;
  /** Epochs of the entries above `base` up to `released`, ascending. */
  readonly epochs: readonly EpochRun[];
  /** The entries above `released`, in index order. */
  readonly entries: readonly Entry<Content>[];
}

/** Where the core's logs stand; with the state of everything released, a checkpoint (C1). */
export interface CoreCheckpoint {
  readonly watermark: Timestamp;
  readonly lanes: readonly Omit<LaneStart<never>, 'entries'>[];
}

/** What the log and the checkpoint held at start. */
export interface Recovered<Content> {
  readonly lanes: readonly (LaneStart<Content> & {
    /** The highest promised epoch. */
    readonly promised: Epoch;
  })[];
  /** Everything up to here is in the checkpoint; 0 without one. */
  readonly watermark: Timestamp;
  readonly reservation: Timestamp;
  /** Number of this data directory's life, chosen when it was made: higher than any before it (wall clock microseconds). */
  readonly incarnation: number;
  /** Highest incarnations of each replica that were written; 0 where none was. */
  readonly incarnations: readonly number[];
  /** This start, a new number, and the one before it, as it was written. Zeros: lives are not told (M1). */
  readonly life: { readonly number: number; readonly previous: number };
  /** What was written of each replica's newest life; zeros where nothing was. */
  readonly heard: readonly { readonly life: number; readonly clock: number }[];
  /** Own lives before this one, for each peer; empty where none was written. */
  readonly lineages: readonly Lineage[];
  /** false: the directory was empty or damaged, so promises may be forgotten (design §3, Membership). */
  readonly voting: boolean;
}

export interface LaneOptions<Content, A extends Append> {
  readonly self: ReplicaId;
  readonly recovered: Recovered<Content>;
  /** Builds an entry's content from its appends (empty for a marker); pure. */
  readonly assemble: (
    header: EntryHeader,
    appends: readonly A[],
  ) => { content: Content; bytes: number };
  /**
   * Reads an entry back that `entry` of the core's log no longer holds in memory, by place; null when the
   * disk does not give it back at the moment: then nobody is fed beyond it.
   */
  readonly readBack: (lane: LaneId, index: Index) => Entry<Content> | null;
  readonly settings: LaneSettings;
  /** Rules switched off, to prove that the checks notice. Empty in production. */
  readonly broken?: ReadonlySet<RuleId>;
}

/** All times in microseconds of the monotonic clock. */
export interface LaneSettings {
  /** Silence after which a beacon is sent. Default 40 ms: who waits for news does not wait for a beacon. */
  readonly beacon: number;
  /** Longest delay of news that nobody waits for. Default 2 ms. */
  readonly lazy: number;
  /**
   * Silence of a peer on the direct link after which the third is used, and how much later than
   * through the third its words may come before that. Default 150 ms.
   */
  readonly detour: number;
  /** Silence of a lane's writer, by any path, after which others may seal it. Default 300 ms. */
  readonly sealTimeout: number;
  /** Time after which something unanswered is sent again. Default 200 ms. */
  readonly resend: number;
  /** How far ahead of use the clock is reserved. Default 1 s. */
  readonly reserve: number;
  /** A clock further from the median than this is unsafe (T4). Default 500 ms. */
  readonly maxClockOffset: number;
  /** Known bound on the wall clock's error; null: acknowledgements do not wait (T5). Default null. */
  readonly maxClockError: number | null;
  /** The driver says what the own error is; appends are refused without a word within the bound. Default false. */
  readonly clockErrorMeasured?: boolean;
  /** Largest entry, in bytes of appends. Default 1 MiB. */
  readonly entryBytesMax: number;
  /**
   * Own bytes stamped and not yet released (until then they are in memory); beyond, appends wait in the
   * queue. Default 64 MiB.
   */
  readonly inflightBytesMax: number;
  /** Bytes waiting to be stamped; beyond, appends are refused as OVERLOADED. Default 64 MiB. */
  readonly queueBytesMax: number;
  /** Bytes sent to one peer and not yet confirmed by it. Default 16 MiB. */
  readonly feedBytesMax: number;
  /** Released entries of a lane kept in memory for peers that are a little behind. Default 1024. */
  readonly hotEntriesMax: number;
}
