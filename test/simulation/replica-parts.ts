/** What a replica of the simulation is given, and whom it tells what. */
import type { Entry, LaneSettings, RefusalReason } from '../../libs/lane/types.ts';
import type { Outcome } from '../../libs/order/types.ts';
import type { ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import type { Checkers } from './checkers.ts';
import type { Clocks } from './clocks.ts';
import type { Parts } from './core.ts';
import type { Disk, StoredCheckpoint } from './disk.ts';
import type { Network } from './network.ts';
import type { Attempt, Content, Read, Session } from './operations.ts';
import type { SimulationOptions } from './options.ts';
import type { Prng } from './prng.ts';
import type { Replica } from './replica.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';

/** Where answers go; the client decides how long they take. */
export interface Answers {
  appended(attempt: Attempt, timestamp: Timestamp, outcome: Outcome | null): void;
  refused(attempt: Attempt): void;
  read(read: Read, session: Session, timestamp: Timestamp, tail: number): void;
  /** The process is gone, and every session with it. */
  crashed(replica: ReplicaId): void;
}

/**
 * What else runs in the process of a replica, and sees what is released there: readers and the archive
 * (system/replica-side.ts).
 */
export interface ReplicaSide {
  /** A life begins, with everything executed that the newest checkpoint on disk covers. */
  started(): void;
  crashed(): void;
  released(entry: Entry<Content>, outcomes: readonly Outcome[]): void;
  watermarkShown(watermark: Timestamp): void;
  resumed(): void;
  /** Appends to be handed to the core with the step that begins. */
  taken(): readonly Attempt[];
  /** Two replicas have it, of an attempt that this side has handed in. */
  committed(entry: Entry<Content>, attempt: Attempt): void;
  /** Its place is final; comes after `released`. */
  decided(entry: Entry<Content>, attempt: Attempt, outcome: Outcome): void;
  /** Certainly without effect. */
  refused(attempt: Attempt, reason: RefusalReason): void;
  /** The log up to this checkpoint is nowhere needed. */
  mayTrim(base: StoredCheckpoint): boolean;
  trimmed(base: StoredCheckpoint): void;
}

export interface WaitingRead {
  readonly read: Read;
  readonly session: Session;
  readPoint: number | null;
}

/** Heartbeats of reads have the numbers of the run below. */
export const QUESTIONS_FROM = 2 ** 40;

/** Stands for a client in the sessions of a replica's own process: `ReplicaSide` hears of their attempts. */
export const OF_SIDE = -1;

export function isOfSide({ session }: Attempt): boolean {
  return session.client === OF_SIDE;
}

export interface ReplicaParts {
  readonly options: SimulationOptions;
  readonly parts: Parts;
  readonly scheduler: Scheduler;
  readonly network: Network;
  readonly disk: Disk;
  readonly clocks: Clocks;
  readonly checkers: Checkers;
  readonly trace: Trace;
  readonly prng: Prng;
  readonly answers: Answers;
  readonly settings: LaneSettings;
  readonly side: ((replica: Replica) => ReplicaSide) | null;
  /** All three. */
  readonly replicas: () => readonly Replica[];
}
