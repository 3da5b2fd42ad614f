/**
 * One seed: sets up three replicas and their clients on virtual time, lets the faults strike, heals
 * everything, and demands that all is well again within the bound. Same seed, same run, same hash.
 */
import type { LogListener } from './checkers.ts';
import { Cluster } from './cluster.ts';
import { parts as realParts, type Parts } from './core.ts';
import { StrikeNumbers } from './strike-numbers.ts';
import type { SimulationOptions } from './options.ts';
import { Scheduler } from './scheduler.ts';
import { Trace } from './trace.ts';
import { check, Violation } from './violation.ts';
import type { Accounts } from './workload.ts';

export interface RunResult {
  readonly seed: number;
  readonly violation: { readonly rule: string; readonly message: string } | null;
  readonly hash: string;
  readonly accounts: Accounts;
  readonly simulatedSeconds: number;
  readonly steps: number;
  readonly events: number;
  readonly released: number;
  /** Times a fault struck, or would have. */
  readonly strikes: number;
  /** How often each kind of fault did, and what else a run is to have (coverage.ts). */
  readonly counts: Readonly<Record<string, number>>;
}

export interface RunSettings {
  readonly print?: ((line: string) => void) | null;
  readonly parts?: Parts;
  readonly listener?: LogListener | null;
}

export function run(options: SimulationOptions, given: RunSettings = {}): RunResult {
  const simulation = new Simulation(options, given);
  const violation = simulation.play();
  return simulation.result(violation);
}

class Simulation {
  private readonly options: SimulationOptions;
  private readonly scheduler = new Scheduler();
  private readonly numbers = new StrikeNumbers();
  private readonly trace: Trace;
  private readonly cluster: Cluster;

  constructor(options: SimulationOptions, given: RunSettings) {
    this.options = options;
    const { parts = realParts, print = null, listener = null } = given;
    const { scheduler, numbers } = this;
    const trace = new Trace(scheduler, print);
    this.trace = trace;
    this.cluster = new Cluster(options, {
      scheduler,
      trace,
      parts,
      listener,
      numbers,
      side: null,
    });
  }

  play(): RunResult['violation'] {
    try {
      this.cluster.begin();
      this.endure();
      this.recover();
      return null;
    } catch (error) {
      return told(error, this.trace);
    }
  }

  result(violation: RunResult['violation']): RunResult {
    const { replicas, workload, checkers } = this.cluster;
    return {
      seed: this.options.seed,
      violation,
      hash: this.trace.hash(),
      accounts: workload.accounts,
      simulatedSeconds: this.scheduler.now / 1e6,
      steps: replicas.reduce((sum, replica) => sum + replica.steps, 0),
      events: this.scheduler.executed,
      released: checkers.order.list.length,
      strikes: this.numbers.last,
      counts: this.cluster.counts,
    };
  }

  private endure(): void {
    const { faultPhase, workload } = this.options;
    const enough = (): boolean =>
      this.scheduler.now >= faultPhase &&
      this.cluster.workload.operations >= workload.operationsMin;
    this.scheduler.runUntil(2 * faultPhase, enough);
  }

  private recover(): void {
    const { scheduler, cluster } = this;
    cluster.heal();
    scheduler.runUntil(scheduler.now + 1_000_000, () => false);
    cluster.probe();
    const deadline = scheduler.now + this.options.healBound;
    const well = scheduler.runUntil(deadline, () => cluster.well);
    check(well, 'no-progress', () => cluster.diagnosis());
    cluster.checkers.session.finished();
    // Who finds itself wrong only now recovers first.
    scheduler.runUntil(deadline, () => cluster.agreed);
    check(cluster.hashes.size === 1, 'machine-hash', () => [...cluster.hashes].join(' '));
    cluster.checkers.log.survey();
    cluster.validate();
  }
}

/** What ended a run, as its result and in its trace. */
export function told(error: unknown, trace: Trace): NonNullable<RunResult['violation']> {
  const isViolation = error instanceof Violation;
  const name = error instanceof Error ? error.name : 'thrown';
  const rule = isViolation ? error.rule : name;
  const message = error instanceof Error ? error.message : String(error);
  trace.text(-1, `VIOLATION ${rule}: ${message}`);
  if (trace.print !== null && error instanceof Error && !isViolation) {
    trace.text(-1, error.stack ?? '');
  }
  return { rule, message };
}
