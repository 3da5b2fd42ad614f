/** A read-only view of the core, for status pages and checkers. */
import type { Epoch, Index, LaneId, ReplicaId, Timestamp } from '../values/numbers.ts';
import type { Clock } from './clock.ts';
import type { Hearing } from './hearing.ts';
import type { Lane, Role } from './lane.ts';
import type { Append } from './types.ts';

export interface LaneInspection {
  readonly id: LaneId;
  readonly promised: Epoch;
  readonly writer: ReplicaId | null;
  readonly role: Role['name'];
  /** Entries at or below have left the log. */
  readonly base: Index;
  readonly last: Index;
  readonly synced: Index;
  readonly committed: Index;
  readonly resolved: Timestamp;
  /** Entries in memory. */
  readonly hot: number;
}

/** A lane itself, as far as others may look at it. */
export interface LaneView {
  readonly promised: Epoch;
  /** `final`: committed, and held synced here. */
  readonly log: { readonly final: Index };
}

export interface PeerInspection {
  readonly replica: ReplicaId;
  /** Something arrived directly a moment ago. */
  readonly heard: boolean;
  /** The peer says it hears this replica. */
  readonly hearsUs: boolean;
  readonly roundTripMicros: number | null;
  /** The peer's wall clock minus ours. */
  readonly clockOffsetMicros: number | null;
  /** By lane, the last entry that has left its log, as it said last; null: it has said nothing yet. */
  readonly bases: readonly Index[] | null;
}

export interface Inspection {
  readonly watermark: Timestamp;
  readonly clock: Timestamp;
  readonly reservation: Timestamp;
  readonly clockSafe: boolean;
  readonly voting: boolean;
  readonly hears: readonly boolean[];
  readonly peers: readonly PeerInspection[];
  readonly lanes: readonly LaneInspection[];
  /** Appends that wait to be stamped. */
  readonly queued: number;
  /** Bytes of own appends that are stamped and not released. */
  readonly inflightBytes: number;
  /** Bytes of a lane sent to a peer and not confirmed, of the lane and peer with the most. */
  readonly fedBytes: number;
}

export function inspectPeer<C, A extends Append>(
  self: ReplicaId,
  replica: ReplicaId,
  hearing: Hearing<C, A>,
  clock: Clock,
): PeerInspection {
  const status = hearing.statuses[replica] ?? null;
  return {
    replica,
    heard: hearing.hears(replica),
    hearsUs: status?.hears[self] === true,
    roundTripMicros: hearing.roundTripOf(replica),
    clockOffsetMicros: clock.offsetOf(replica),
    bases: status?.lanes.map(({ base }) => base.index) ?? null,
  };
}

export function inspectLane<C, A extends Append>(lane: Lane<C, A>): LaneInspection {
  return {
    id: lane.id,
    promised: lane.promised,
    writer: lane.writer,
    role: lane.role.name,
    base: lane.log.base.index,
    last: lane.log.last,
    synced: lane.log.synced,
    committed: lane.log.committed,
    resolved: lane.resolved,
    hot: lane.log.hotCount,
  };
}
