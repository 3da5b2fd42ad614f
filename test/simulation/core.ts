/**
 * The only place where the simulation touches the code under test: the lane core and the ordered
 * state machine, behind the few members the harness uses. Tests of the harness put others here.
 */
import { LaneCore } from '../../libs/lane/core.ts';
import type { Inspection, LaneView } from '../../libs/lane/inspect.ts';
import type { CoreCheckpoint, Effects, Input, LaneOptions } from '../../libs/lane/types.ts';
import {
  createOrderMachine,
  restoreOrderMachine,
  type HashedOrderMachine,
} from '../../libs/order/machine.ts';
import type { LaneId, Micros, ReplicaId } from '../../libs/values/numbers.ts';
import type { Attempt, Content } from './operations.ts';

export interface Core {
  step(
    inputs: readonly Input<Content, Attempt>[],
    now: Micros,
    wall: number,
  ): Effects<Content, Attempt>;
  inspect(): Inspection;
  view(lane: LaneId): LaneView;
  checkpoint(): CoreCheckpoint;
  behind(): ReplicaId | null;
  /** Peers know more of this replica than its disk does. */
  readonly voided: number | null;
  othersVote(): boolean;
}

export interface Parts {
  createCore(options: LaneOptions<Content, Attempt>): Core;
  createOrderMachine(): HashedOrderMachine;
  restoreOrderMachine(chunks: Iterable<Uint8Array>): HashedOrderMachine;
}

export const parts: Parts = {
  createCore: (options) => new LaneCore<Content, Attempt>(options),
  createOrderMachine: () => createOrderMachine(),
  restoreOrderMachine: (chunks) => restoreOrderMachine(chunks),
};
