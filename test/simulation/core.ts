/**
 * The only place where the simulation touches the code under test: the lane core and the ordered
 * state machine, behind the few members the harness uses. Tests of the harness put others here.
 */
import { LaneCore } from '../../libs/lane/core.ts';
import type { LaneView } from '../../libs/lane/inspect.ts';
import type { CoreCheckpoint, Effects, Input, LaneOptions } from '../../libs/lane/types.ts';
import {
  createOrderMachine,
  restoreOrderMachine,
  type HashedOrderMachine,
} from '../../libs/order/machine.ts';
import type {
  Epoch,
  Index,
  LaneId,
  Micros,
  ReplicaId,
  Timestamp,
} from '../../libs/values/numbers.ts';
import type { Attempt, Content } from './operations.ts';

export interface Core {
  step(
    inputs: readonly Input<Content, Attempt>[],
    now: Micros,
    wall: number,
  ): Effects<Content, Attempt>;
  inspect(): CoreView;
  view(lane: LaneId): LaneView;
  checkpoint(): CoreCheckpoint;
  behind(): ReplicaId | null;
  /** Peers know more of this replica than its disk does. */
  readonly voided: number | null;
  othersVote(): boolean;
}

export interface LaneState {
  readonly promised: Epoch;
  readonly last: Index;
  readonly synced: Index;
  readonly committed: Index;
  readonly resolved: Timestamp;
}

export interface CoreView {
  readonly lanes: readonly LaneState[];
  readonly watermark: Timestamp;
  readonly clock: Timestamp;
  readonly voting: boolean;
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
