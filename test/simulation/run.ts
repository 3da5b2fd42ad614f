/**
 * One seed: sets up three replicas and their clients on virtual time, lets the faults strike, heals
 * everything, and demands that all is well again within the bound. Same seed, same run, same hash.
 */
import { REPLICAS } from '../../libs/values/numbers.ts';
import { Checkers, type LogListener } from './checkers.ts';
import { Client } from './client.ts';
import { Clocks } from './clocks.ts';
import { parts as realParts, type Parts } from './core.ts';
import { Disk } from './disk.ts';
import { Faults } from './faults.ts';
import { Network } from './network.ts';
import type { SimulationOptions } from './options.ts';
import { Prng } from './prng.ts';
import { Probe } from './probe.ts';
import { Replica } from './replica.ts';
import { Scheduler } from './scheduler.ts';
import { Trace } from './trace.ts';
import { check, Violation } from './violation.ts';
import { Workload, type Accounts } from './workload.ts';

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
  private readonly trace: Trace;
  private readonly checkers: Checkers;
  private readonly network: Network;
  private readonly replicas: readonly Replica[];
  private readonly workload: Workload;
  private readonly faults: Faults;
  private readonly clients: Client[] = [];
  private probes: readonly Probe[] = [];

  constructor(options: SimulationOptions, given: RunSettings) {
    this.options = options;
    const { parts = realParts, print = null, listener = null } = given;
    const { seed, settings, workload, bug } = options;
    const { scheduler } = this;
    const trace = new Trace(scheduler, print);
    this.trace = trace;
    const checkers = new Checkers(options, scheduler, listener);
    this.checkers = checkers;
    const network = new Network(options.network, scheduler, new Prng(seed, 'network'), trace);
    this.network = network;
    this.workload = new Workload(workload, scheduler, trace);
    this.replicas = REPLICAS.map((id) => {
      const prng = new Prng(seed, `replica ${id}`);
      const disk = new Disk(id, options.disk, scheduler, prng, checkers, bug);
      return new Replica(id, {
        options,
        parts,
        scheduler,
        network,
        disk,
        clocks: new Clocks(),
        checkers,
        trace,
        prng,
        answers: this.workload,
        settings,
        replicas: () => this.replicas,
      });
    });
    checkers.log.attach(this.replicas.map((replica) => replica.disk));
    network.attach(this.replicas);
    const { replicas, workload: clients } = this;
    for (let id = 0; id < workload.clients; id++) {
      const prng = new Prng(seed, `client ${id}`);
      const given = { options: workload, scheduler, prng, trace, replicas, bug };
      this.clients.push(new Client(id, clients, given));
    }
    clients.clients.push(...this.clients);
    const prng = new Prng(seed, 'faults');
    this.faults = new Faults(options, {
      scheduler,
      prng,
      network,
      replicas: this.replicas,
      trace,
      latency: checkers.latency,
    });
  }

  play(): RunResult['violation'] {
    try {
      this.begin();
      this.endure();
      this.recover();
      return null;
    } catch (error) {
      const rule = error instanceof Violation ? error.rule : errorName(error);
      const message = error instanceof Error ? error.message : String(error);
      this.trace.text(-1, `VIOLATION ${rule}: ${message}`);
      if (this.trace.print !== null && error instanceof Error && !(error instanceof Violation)) {
        this.trace.text(-1, error.stack ?? '');
      }
      return { rule, message };
    }
  }

  result(violation: RunResult['violation']): RunResult {
    return {
      seed: this.options.seed,
      violation,
      hash: this.trace.hash(),
      accounts: this.workload.accounts,
      simulatedSeconds: this.scheduler.now / 1e6,
      steps: this.replicas.reduce((sum, replica) => sum + replica.steps, 0),
      events: this.scheduler.executed,
      released: this.checkers.order.list.length,
      strikes: this.faults.strikes,
    };
  }

  private begin(): void {
    this.faults.setClocks();
    for (const replica of this.replicas) replica.start();
    for (const client of this.clients) client.start();
    this.observe();
    if (this.options.single !== 'link') {
      this.faults.start();
      return;
    }
    // P5 is about links cut in a system at work.
    this.scheduler.at(3_000_000, () => {
      const epochs = this.replicas[0]?.core?.inspect().lanes.map((lane) => lane.promised) ?? [];
      this.checkers.settled(epochs);
      this.faults.start();
    });
  }

  private endure(): void {
    const { faultPhase, workload } = this.options;
    const enough = (): boolean =>
      this.scheduler.now >= faultPhase && this.workload.operations >= workload.operationsMin;
    this.scheduler.runUntil(2 * faultPhase, enough);
  }

  private recover(): void {
    this.checkers.log.survey();
    this.faults.heal();
    const { healBound } = this.options;
    const { scheduler, checkers } = this;
    scheduler.runUntil(scheduler.now + 1_000_000, () => false);
    this.workload.closed = true;
    this.probes = this.replicas.map((replica) => {
      const id = this.workload.clients.length;
      const probe = new Probe(id, this.workload, replica, scheduler);
      this.workload.clients.push(probe);
      probe.ask();
      return probe;
    });
    const deadline = scheduler.now + healBound;
    const well = scheduler.runUntil(deadline, () => this.workload.idle && this.converged());
    check(well, 'no-progress', () => this.diagnosis());
    checkers.session.finished();
    const hashes = (): Set<string> => new Set(this.replicas.map((it) => it.machineHash));
    // Who finds itself wrong only now recovers first.
    scheduler.runUntil(deadline, () => hashes().size === 1 && this.converged());
    check(hashes().size === 1, 'machine-hash', () => [...hashes()].join(' '));
    checkers.log.survey();
    this.validate();
  }

  private converged(): boolean {
    const { order, session } = this.checkers;
    return REPLICAS.every(
      (replica) =>
        order.countOf(replica) === order.list.length &&
        session.watermarkOf(replica) >= session.acknowledged,
    );
  }

  /** I25: a run in which nothing worked proves nothing. */
  private validate(): void {
    const { accounts } = this.workload;
    check(
      accounts.serviceable < 50 || accounts.serviceableOk * 2 >= accounts.serviceable,
      'invalid-run',
      () => `${accounts.serviceableOk} of ${accounts.serviceable} appends succeeded`,
    );
  }

  /** Marks the appends under way whenever no two replicas can work together. */
  private observe(): void {
    const able = (a: number, b: number): boolean => {
      const [x, y] = [this.replicas[a], this.replicas[b]];
      if (x === undefined || y === undefined) return false;
      if (!x.running || !y.running || x.paused || y.paused) return false;
      if (x.disk.lost || y.disk.lost || x.disk.slowness > 20 || y.disk.slowness > 20) {
        return false;
      }
      return this.network.joined(x.id, y.id);
    };
    if (!able(0, 1) && !able(0, 2) && !able(1, 2)) this.workload.outage();
    this.scheduler.after(100_000, () => {
      this.observe();
    });
  }

  private diagnosis(): string {
    const { order, session } = this.checkers;
    const lines = this.replicas.map((replica) => {
      const view = replica.core?.inspect();
      const lanes = view?.lanes
        .map((l) => `p${l.promised} ${l.synced}/${l.last} c${l.committed} res ${l.resolved}`)
        .join(' | ');
      return (
        `r${replica.id} released ${order.countOf(replica.id)} of ${order.list.length} watermark ` +
        `${session.watermarkOf(replica.id)} clock ${view?.clock} voting ${view?.voting} ${lanes}`
      );
    });
    return [
      `not well ${this.options.healBound / 1e6} s after healing; clients idle: ` +
        `${this.workload.idle}; probes: ${this.probes.map((probe) => probe.state()).join('; ')}; acknowledged ${session.acknowledged}`,
      ...lines,
    ].join('\n  ');
  }
}

function errorName(error: unknown): string {
  return error instanceof Error ? error.name : 'thrown';
}
