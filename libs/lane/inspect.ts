/** A read-only view of the core, for status pages and checkers. */
import type { Epoch, Index, LaneId, ReplicaId, Timestamp } from '../values/numbers.ts';
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
  };
}
