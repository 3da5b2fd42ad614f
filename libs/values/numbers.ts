/**
 * The numbers of the journal, each a type of its own so that they cannot be mixed by mistake.
 * All are safe integers: 64-bit arithmetic with BigInt costs 10–70 ns an operation, this costs one.
 */
import { AssertionError } from './assert.ts';

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** Microseconds since 1970 on the hybrid logical clock; unique inside a journal; 0 = before all. */
export type Timestamp = Branded<'Timestamp'>;
/** Generation of a lane's writer; `epoch % EPOCH_STRIDE` names the replica that writes it; 0 = none. */
export type Epoch = Branded<'Epoch'>;
/** Slot number in a lane, dense from 1; 0 = before the first. */
export type Index = Branded<'Index'>;
/** Number of a record in its stream, dense from 0. */
export type SeqNum = Branded<'SeqNum'>;
/** Microseconds of a replica's monotonic clock; only differences mean anything. */
export type Micros = Branded<'Micros'>;

/** Replica number inside an instance, also the number of the lane it is home of. */
export type ReplicaId = 0 | 1 | 2;
export type LaneId = ReplicaId;
export const REPLICAS: readonly ReplicaId[] = [0, 1, 2];
/** One of each replica, or of each lane: no index of these types is outside. */
export type PerReplica<T> = readonly [T, T, T];

/** Lane r issues only timestamps congruent to r modulo this, so a timestamp names one entry. */
export const TIMESTAMP_STRIDE = 8;
export const EPOCH_STRIDE = 8;

export const timestamp = (value: number): Timestamp => checked(value, 'timestamp') as Timestamp;
export const epoch = (value: number): Epoch => checked(value, 'epoch') as Epoch;
export const index = (value: number): Index => checked(value, 'index') as Index;
export const seqNum = (value: number): SeqNum => checked(value, 'sequence number') as SeqNum;
export const micros = (value: number): Micros => value as Micros;

/** The replica that writes a lane in this epoch. */
export function writerOf(value: Epoch): ReplicaId {
  const writer = value % EPOCH_STRIDE;
  // The message is built only on failure: this runs everywhere.
  if (value > 0 && isReplicaId(writer)) return writer;
  throw new AssertionError(`epoch ${String(value)} names no replica`);
}

/** The smallest epoch of `replica` above `above`. */
export function nextEpoch(above: Epoch, replica: ReplicaId): Epoch {
  return epoch((Math.floor(above / EPOCH_STRIDE) + 1) * EPOCH_STRIDE + replica);
}

/** The lane whose entry bears this timestamp. */
export function laneOf(value: Timestamp): LaneId {
  const lane = value % TIMESTAMP_STRIDE;
  if (isReplicaId(lane)) return lane;
  throw new AssertionError(`timestamp ${String(value)} names no lane`);
}

/** The smallest timestamp of `lane` strictly above `above`. */
export function nextTimestamp(above: number, lane: LaneId): Timestamp {
  const base = above - (above % TIMESTAMP_STRIDE) + lane;
  return (base > above ? base : base + TIMESTAMP_STRIDE) as Timestamp;
}

export function perReplica<T>(make: (replica: ReplicaId) => T): [T, T, T] {
  return [make(0), make(1), make(2)];
}

export function isReplicaId(value: number): value is ReplicaId {
  return value === 0 || value === 1 || value === 2;
}

function checked(value: number, name: string): number {
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new AssertionError(`${name} ${String(value)} is not one`);
}
