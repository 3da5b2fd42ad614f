/**
 * One instance on virtual time: three replicas with their disks, clocks and network, their clients, the adversary
 * and the checkers. It begins, is healed and is judged here; when, and what else there is beside it, is the business
 * of who plays it: run.ts has one, system/run.ts several beneath crossbars.
 */
import { REPLICAS } from '../../libs/values/numbers.ts';
import { Checkers, type LogListener } from './checkers.ts';
import { Client } from './client.ts';
import { Clocks } from './clocks.ts';
import type { Parts } from './core.ts';
import { Disk } from './disk.ts';
import { Faults } from './faults.ts';
import { Network } from './network.ts';
import { MAX_CLOCK_OFFSET, type SimulationOptions } from './options.ts';
import { Prng } from './prng.ts';
import { Probe } from './probe.ts';
import { Replica } from './replica.ts';
import type { ReplicaSide } from './replica-parts.ts';
import type { Scheduler } from './scheduler.ts';
import type { StrikeNumbers } from './strike-numbers.ts';
import type { Trace } from './trace.ts';
import { check } from './violation.ts';
import { Workload } from './workload.ts';

export interface ClusterParts {
  readonly scheduler: Scheduler;
  readonly trace: Trace;
  readonly parts: Parts;
  readonly listener: LogListener | null;
  /** Counts the strikes of all adversaries of a run. */
  readonly numbers: StrikeNumbers;
  /** What stands beside a replica and sees what it releases; null: nothing does. */
  readonly side: ((replica: Replica) => ReplicaSide) | null;
}

export class Cluster {
  readonly options: SimulationOptions;
  readonly checkers: Checkers;
  readonly network: Network;
  readonly replicas: readonly Replica[];
  readonly workload: Workload;
  readonly faults: Faults;
  private readonly scheduler: Scheduler;
  private readonly clients: Client[] = [];
  private probes: readonly Probe[] = [];

  constructor(options: SimulationOptions, given: ClusterParts) {
    this.options = options;
    const { scheduler, trace, parts, listener, numbers, side } = given;
    const { seed, settings, workload, bug } = options;
    this.scheduler = scheduler;
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
        side,
        replicas: () => this.replicas,
      });
    });
    checkers.log.attach(this.replicas.map((replica) => replica.disk));
    network.attach(this.replicas);
    const { replicas, workload: clients } = this;
    for (let id = 0; id < workload.clients; id++) {
      const prng = new Prng(seed, `client ${id}`);
      const client = { options: workload, scheduler, prng, trace, replicas, bug };
      this.clients.push(new Client(id, clients, client));
    }
    clients.clients.push(...this.clients);
    this.faults = new Faults(options, {
      scheduler,
      prng: new Prng(seed, 'faults'),
      network,
      replicas: this.replicas,
      trace,
      latency: checkers.latency,
      numbers,
    });
  }

  begin(): void {
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

  heal(): void {
    this.checkers.log.survey();
    this.faults.heal();
  }

  /** No new operations; from now on each replica is asked to work. */
  probe(): void {
    this.workload.closed = true;
    this.probes = this.replicas.map((replica) => {
      const id = this.workload.clients.length;
      const probe = new Probe(id, this.workload, replica, this.scheduler);
      this.workload.clients.push(probe);
      probe.ask();
      return probe;
    });
  }

  /** What has happened to it, by name. */
  get counts(): Record<string, number> {
    const { network, replicas, workload, faults } = this;
    const sum = (of: (replica: Replica) => number): number =>
      replicas.reduce((total, replica) => total + of(replica), 0);
    return {
      ...Object.fromEntries(faults.counts),
      lost: network.lost,
      repeated: network.repeated,
      haunted: network.haunted,
      outages: workload.outages,
      torn: sum(({ disk }) => disk.torn),
      stalls: sum(({ disk }) => disk.stalls),
      metRotten: sum(({ disk }) => disk.rot.metRotten),
      metMisdirected: sum(({ disk }) => disk.rot.metMisdirected),
      repaired: sum(({ disk }) => disk.rot.repaired),
      unheard: faults.unheard,
      setAside: sum((replica) => replica.setAsideCount),
      abandoned: sum((replica) => replica.abandoned),
      retries: workload.retries,
    };
  }

  /** Everything asked is answered, and all replicas have released the same. */
  get well(): boolean {
    return this.workload.idle && this.converged;
  }

  get agreed(): boolean {
    return this.hashes.size === 1 && this.converged;
  }

  get hashes(): Set<string> {
    return new Set(this.replicas.map((it) => it.machineHash));
  }

  get converged(): boolean {
    const { order, session } = this.checkers;
    return REPLICAS.every(
      (replica) =>
        order.countOf(replica) === order.list.length &&
        session.watermarkOf(replica) >= session.acknowledged,
    );
  }

  /** I25: a run in which nothing worked proves nothing. */
  validate(): void {
    const { accounts } = this.workload;
    // Where clocks are far apart only the replica in the middle stamps (T4), and clients have to find it.
    const least = this.options.clocks.offset > MAX_CLOCK_OFFSET ? 1 / 4 : 1 / 2;
    check(
      accounts.serviceable < 50 || accounts.serviceableOk >= accounts.serviceable * least,
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
      const rooms = [x.room.space, y.room.space];
      // Little room is enough to help, but not to take appends.
      if (rooms.includes('none') || !rooms.includes('ample')) return false;
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

  diagnosis(): string {
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
