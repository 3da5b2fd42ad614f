/**
 * A workload: what its clients do, and how what came of it is judged. A scenario runs one or more of
 * them beside each other, each on streams of its own, while faults come and go; then heals everything,
 * calls `finish`, closes the recorder, reads the file back and calls `judge`.
 */
import type { History } from '../model/history.ts';
import type { Recorder } from '../model/recorder.ts';
import type { Verdict } from '../model/verdict.ts';
import type { Endpoints } from './endpoints.ts';

export interface Traffic {
  readonly endpoints: Endpoints;
  /**
   * Names this run, in letters, digits and dashes. Several runs follow one another on one cluster, so what
   * a workload makes there (streams, tables, writer ids) begins with it and is met by no other.
   */
  readonly run: string;
  /** The same seed gives every client the same choices (not the same interleaving). */
  readonly seed: number;
  readonly record: Recorder;
}

export interface Workload {
  readonly name: string;
  /** What it does, in one line, for lists and reports. */
  readonly about: string;
  readonly needs: {
    readonly instances: number;
    readonly crossbars: boolean;
    readonly databases: boolean;
  };
  /** Runs its clients until `until` is aborted; resolves when all of them have stopped. */
  run(traffic: Traffic, until: AbortSignal): Promise<void>;
  /** After everything has healed: records what stands there now. Fails when it cannot be read. */
  finish(traffic: Traffic): Promise<void>;
  /** Pure. The history may hold other workloads' operations too. */
  judge(history: History): readonly Verdict[];
}
