/**
 * What clients do and what becomes of it. An operation is what the client means; an attempt is one
 * time it was handed to a replica. The content of an entry is the list of its attempts, by
 * reference: nothing is encoded in the simulation, and nothing can appear that was never sent.
 */
import type { Append } from '../../libs/lane/types.ts';
import type { BatchHeader, FirstOutcome } from '../../libs/order/types.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';

export type Ack = 'QUORUM' | 'ORDERED';

/** An append as its client means it, with what the checkers note about it. */
export interface Operation {
  readonly id: number;
  readonly client: number;
  /** Of a session in a replica's own process: how it was answered. */
  ack: Ack;
  readonly batch: BatchHeader;
  readonly bytes: number;
  readonly invokedAt: number;
  /** Between invocation and answer two replicas could always work together. */
  serviceable: boolean;
  result: 'pending' | 'ok' | 'failed' | 'indefinite';
  /** Checkers: the first outcome in the order, and where. */
  effective: FirstOutcome | null;
  effectiveTimestamp: number;
  /** Checkers: times it took effect. */
  effects: number;
  /** Times it was handed to a replica. */
  attempts: number;
}

export interface Attempt extends Append {
  readonly number: number;
  readonly operation: Operation;
  readonly session: Session;
  /** Checkers: where it was submitted, and the highest watermark announced anywhere before that. */
  lane: ReplicaId;
  floor: number;
  /** Checkers: highest timestamp acknowledged before, for runs with `maxClockError`. */
  quorumFloor: number;
  refused: boolean;
  submittedAt: number;
  /** Timestamp told to the client; 0: none. */
  acknowledged: number;
  released: number;
}

export type Content = readonly Attempt[];

/** An ordered pipe from a client to one life of one replica. */
export interface Session {
  readonly id: number;
  readonly client: number;
  readonly replica: ReplicaId;
  /** Life of the replica it is bound to; 0 until the first request arrived. */
  life: number;
  /** Ended by the client or by the replica; nothing passes any more. */
  closed: boolean;
  /** Arrival of the last request and answer: each direction keeps its order. */
  lastRequest: number;
  lastAnswer: number;
}

/** A linearizable read: heartbeat, wait for the watermark, look. */
export interface Read {
  readonly id: number;
  readonly client: number;
  readonly stream: string;
  /** Set when it reaches the replica. */
  ackFloor: number;
  visibleFloor: number;
  tailFloor: number;
}
