/** What the parts of the core share: one replica's clock, settings, outbox and pending writes. */
import { AssertionError } from '../values/assert.ts';
import type { LaneId, Micros, ReplicaId } from '../values/numbers.ts';
import type { Clock } from './clock.ts';
import type { RuleId } from './rules.ts';
import type { Append, Control, EntryHeader, LaneSettings, LaneStatus } from './types.ts';
import type { Space, Status, Write } from './types.ts';

export interface Context<Content, A extends Append> {
  readonly self: ReplicaId;
  readonly settings: LaneSettings;
  readonly clock: Clock;
  readonly broken: ReadonlySet<RuleId>;
  readonly assemble: (
    header: EntryHeader,
    appends: readonly A[],
  ) => { content: Content; bytes: number };
  /** The driver's monotonic clock at this step. */
  now: Micros;
  /** Room on the disk, as the driver said last. */
  space: Space;
  /** Adds to the writes of this step; returns the number under which they are persisted. */
  write(write: Write<Content>): number;
  /** Sends a control message, directly or through the third replica. */
  letter(to: ReplicaId, control: Control): void;
  /** News for the peer that somebody waits for: a packet leaves at the end of this step. */
  wake(peer: ReplicaId): void;
  /** News that nobody waits for: a packet leaves within `settings.lazy`. */
  nudge(): void;
}

/** Made once: this is asked several times a step. */
const OTHERS: Readonly<Record<ReplicaId, readonly [ReplicaId, ReplicaId]>> = {
  0: [1, 2],
  1: [0, 2],
  2: [0, 1],
};

export function others(self: ReplicaId): readonly [ReplicaId, ReplicaId] {
  return OTHERS[self];
}

/** The replica that is neither of the two. */
export function third(a: ReplicaId, b: ReplicaId): ReplicaId {
  return (3 - a - b) as ReplicaId;
}

/** What a statement says of the lane. Not `at`, which serves lists of every kind: this is asked for six times a step. */
export function claimIn({ lanes }: Status, lane: LaneId): LaneStatus {
  const claim = lanes[lane];
  if (claim === undefined) throw new AssertionError(`a statement without lane ${String(lane)}`);
  return claim;
}
