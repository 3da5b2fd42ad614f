/** What the core says of its logs as a whole, mostly to whoever takes or needs a checkpoint (SPEC.md §8). */
import { at } from '../values/assert.ts';
import type { PerReplica, ReplicaId, Timestamp } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { claimIn, others } from './context.ts';
import type { Hearing } from './hearing.ts';
import type { Lane } from './lane.ts';
import type { Append, CoreCheckpoint, Mark } from './types.ts';

type Lanes<C, A extends Append> = PerReplica<Lane<C, A>>;

/** C1: of everything released up to the watermark. */
export function checkpointOf<C, A extends Append>(
  lanes: Lanes<C, A>,
  watermark: number,
): CoreCheckpoint {
  return {
    watermark: watermark as Timestamp,
    lanes: lanes.map(({ log }) => {
      const { base, released } = log;
      return { base, released, epochs: log.epochsUpTo(released.index) };
    }),
  };
}

export function trimLanes<C, A extends Append>(lanes: Lanes<C, A>, bases: readonly Mark[]): void {
  for (const lane of lanes) lane.log.trim(at(bases, lane.id));
}

/**
 * A peer that is heard and whose log begins, in some lane, where ours has ended or holds something else
 * (which was never committed, for its base is); null: none (C3).
 */
export function peerAhead<C, A extends Append>(
  context: Context<C, A>,
  lanes: Lanes<C, A>,
  hearing: Hearing<C, A>,
): ReplicaId | null {
  for (const peer of others(context.self)) {
    const theirs = hearing.statuses[peer];
    if (theirs?.voting !== true || !hearing.hears(peer)) continue;
    for (const { id, log } of lanes) if (!log.has(claimIn(theirs, id).base)) return peer;
  }
  return null;
}

/** Highest timestamp on this replica's disk in any lane: what a heartbeat asks for. */
export function persistedTimestamp<C, A extends Append>(lanes: Lanes<C, A>): Timestamp {
  let highest = 0;
  for (const { log } of lanes) highest = Math.max(highest, log.timestampAt(log.synced));
  return highest as Timestamp;
}
