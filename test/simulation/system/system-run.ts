/**
 * One seed of the whole system: instances under crossbars, appliers with databases, subscribers and an archive, in
 * one process on virtual time. Faults strike all of them, then everything is healed and must be well within the bound.
 * Same seed, same run, same hash.
 */
import { at } from '../../../libs/values/assert.ts';
import { Cluster } from '../cluster.ts';
import { parts } from '../core.ts';
import { StrikeNumbers } from '../strike-numbers.ts';
import { Prng } from '../prng.ts';
import type { Replica } from '../replica.ts';
import { told, type RunResult } from '../run.ts';
import { Scheduler } from '../scheduler.ts';
import { Trace } from '../trace.ts';
import { check } from '../violation.ts';
import { ArchiveChecker } from './archive-checker.ts';
import { SimulatedArchive } from './archive-side.ts';
import { ApplierProcess, Subscriber } from './consumers.ts';
import { ClientChecker } from './client-checker.ts';
import { CrossbarProcess } from './crossbar-process.ts';
import { JournalClient } from './journal-client.ts';
import { Steward, nameOf } from './members.ts';
import { MergedChecker } from './merged-checker.ts';
import { ModelDatabase } from './model-database.ts';
import { CLUSTER, ReplicaServer } from './replica-side.ts';
import { SimulatedStore } from './simulated-store.ts';
import { SystemFaults } from './system-faults.ts';
import type { SystemOptions } from './system-options.ts';
import { Calls, Line, type Server } from './virtual-calls.ts';
import { VirtualTime } from './virtual-time.ts';

export async function runSystem(
  options: SystemOptions,
  print: ((line: string) => void) | null = null,
): Promise<RunResult> {
  const system = new System(options, print);
  return system.play();
}

/** After the healing everything that was acknowledged is in every database within this, microseconds. */
const SETTLE = 60_000_000;

/** As long for the archive, which may have halted for a minute. */
const ARCHIVED = 150_000_000;

class System {
  private readonly options: SystemOptions;
  private readonly scheduler = new Scheduler();
  private readonly numbers = new StrikeNumbers();
  private readonly trace: Trace;
  private readonly traces: Trace[] = [];
  private readonly time: VirtualTime;
  private readonly calls: Calls;
  private readonly clusters: Cluster[] = [];
  /** Of each instance; none where a run has no archive. */
  private readonly stores: SimulatedStore[] = [];
  private readonly archives: ArchiveChecker[] = [];
  private readonly histories: SimulatedArchive[] = [];
  private readonly servers: ReplicaServer[][];
  /** null: nobody joins or leaves. */
  private readonly steward: Steward | null;
  private readonly lines: Line[] = [];
  private readonly checker: MergedChecker;
  private readonly crossbars: readonly CrossbarProcess[];
  private readonly appliers: readonly ApplierProcess[];
  private readonly subscribers: readonly Subscriber[];
  private readonly faults: SystemFaults;
  /** Of each instance; none where a run has no clients of the library. */
  private readonly clientCheckers: ClientChecker[] = [];
  private readonly users: JournalClient[] = [];

  constructor(options: SystemOptions, print: ((line: string) => void) | null) {
    this.options = options;
    const { seed, bug, silenceMs, settings } = options;
    const { scheduler, numbers, traces } = this;
    this.servers = options.instances.map(() => []);
    const trace = new Trace(scheduler, print);
    this.trace = trace;
    const time = new VirtualTime(scheduler, new Prng(seed, 'chance'));
    this.time = time;
    const calls = new Calls(time, new Prng(seed, 'calls'));
    this.calls = calls;
    options.instances.forEach((instance, i) => {
      const named =
        print &&
        ((line: string): void => {
          print(`i${i + 1} ${line}`);
        });
      const own = new Trace(scheduler, named);
      traces.push(own);
      const archive = this.archive(i);
      const side = (replica: Replica): ReplicaServer => this.server(i, replica, archive);
      const common = { scheduler, trace: own, parts, listener: null, numbers };
      const cluster = new Cluster(instance, { ...common, side });
      this.clusters.push(cluster);
      cluster.checkers.order.ofSide = this.clientCheckers[i] ?? null;
      const store = this.stores[i];
      if (store === undefined) return;
      const archived = new ArchiveChecker(store, cluster, own);
      store.listener = archived;
      this.archives.push(archived);
    });
    for (const { checkers } of this.clusters) {
      const others = this.clusters.filter((other) => other.checkers !== checkers);
      checkers.session.elsewhere = () =>
        Math.max(...others.map((other) => other.checkers.session.acknowledgedQuorum));
    }
    this.steward =
      options.members === null
        ? null
        : new Steward(this.clusters, scheduler, new Prng(seed, 'steward'));
    this.checker = new MergedChecker(this.clusters, this.steward);
    this.crossbars = Array.from({ length: options.crossbars }, (_, number) => {
      const lines = this.servers.map((servers) => this.linesTo(servers, number));
      return new CrossbarProcess({
        number,
        time,
        calls,
        trace,
        lines,
        settings,
        silenceMs,
        bug,
      });
    });
    for (const crossbar of this.crossbars) this.breakWith(crossbar);
    const consumer = (number: number): ConstructorParameters<typeof Subscriber>[0] => ({
      number,
      time,
      prng: new Prng(seed, `consumer ${number}`),
      calls,
      trace,
      checker: this.checker,
      lines: this.linesTo(this.crossbars, number),
      silenceMs,
      bug,
    });
    this.appliers = Array.from({ length: options.appliers }, (_, number) => {
      const who = `the database of applier ${number}`;
      const prng = new Prng(seed, `database ${number}`);
      const { slowness, failing } = options.database;
      const { checker } = this;
      const database = new ModelDatabase({ who, time, prng, checker, slowness, failing, bug });
      return new ApplierProcess({ ...consumer(number), readEvery: options.readEvery }, database);
    });
    this.subscribers = Array.from({ length: options.subscribers }, (_, number) => {
      const stream = number % 2 === 0 ? null : 'stream-0';
      return new Subscriber(consumer(options.appliers + number), stream);
    });
    this.users.push(...this.usersOfAll());
    const { crossbars, appliers, subscribers, lines, stores, users } = this;
    this.faults = new SystemFaults(options, {
      scheduler,
      time,
      trace,
      numbers,
      calls,
      crossbars,
      appliers,
      subscribers,
      lines,
      stores,
      users,
    });
  }

  async play(): Promise<RunResult> {
    this.time.install();
    let violation: RunResult['violation'] = null;
    try {
      await this.endure();
      await this.recover();
    } catch (error) {
      violation = told(error, this.trace);
    } finally {
      this.end();
      this.time.remove();
    }
    return this.result(violation);
  }

  private async endure(): Promise<void> {
    const { clusters, scheduler, options } = this;
    this.time.enter(() => {
      for (const cluster of clusters) cluster.begin();
      for (const crossbar of this.crossbars) crossbar.start();
      for (const subscriber of this.subscribers) subscriber.start();
      for (const user of this.users) user.start();
      for (const applier of this.appliers) {
        applier.start();
        applier.readNow();
      }
    });
    const { members } = options;
    if (members !== null) this.steward?.start(members);
    this.faults.start();
    const phase = Math.max(...options.instances.map(({ faultPhase }) => faultPhase));
    const enough = (): boolean =>
      scheduler.now >= phase &&
      clusters.every(
        ({ workload, options: { workload: wanted } }) =>
          workload.operations >= wanted.operationsMin,
      );
    await this.time.runUntil(2 * phase, enough);
  }

  private async recover(): Promise<void> {
    const { clusters, scheduler, checker } = this;
    for (const cluster of clusters) {
      // Its clocks go on from where its hybrid ones are, and those of the other from elsewhere.
      cluster.checkers.session.elsewhere = () => 0;
      cluster.heal();
    }
    this.faults.heal();
    await this.time.runUntil(scheduler.now + 1_000_000, () => false);
    for (const cluster of clusters) cluster.probe();
    this.time.enter(() => {
      for (const user of this.users) user.conclude();
    });
    const deadline = scheduler.now + SETTLE;
    const well = await this.time.runUntil(deadline, () => {
      return this.users.every((user) => user.isConcluded) && clusters.every((it) => it.well);
    });
    check(well, 'no-progress', () => {
      const waiting = this.users.filter((user) => !user.isConcluded).map((user) => user.state);
      const untold = this.clientCheckers.map((checker) => checker.untold);
      return [
        ...waiting,
        `untold: ${untold.join('; ')}`,
        ...clusters.map((it) => it.diagnosis()),
      ].join('\n');
    });
    for (const cluster of clusters) cluster.checkers.session.finished();
    for (const checker of this.clientCheckers) checker.finished();
    await this.time.runUntil(deadline, () => clusters.every((it) => it.agreed));
    for (const { hashes } of clusters) {
      check(hashes.size === 1, 'machine-hash', () => [...hashes].join(' '));
    }
    const floor = Math.max(...checker.acknowledged);
    const caughtUp = (): boolean => {
      const count = checker.countUpTo(Math.min(floor, checker.final));
      return (
        checker.final >= floor &&
        this.appliers.every(({ database }) => database.count >= count) &&
        this.subscribers.every(({ observer }) => observer.watermark >= floor)
      );
    };
    const reads = this.appliers.map((applier) => applier.reads);
    const read = (): boolean => this.appliers.every(({ reads: now }, i) => now > (reads[i] ?? 0));
    const read2 = await this.time.runUntil(scheduler.now + SETTLE, () => caughtUp() && read());
    check(read2, 'merged-no-progress', () => this.diagnosis(floor));
    for (const { database } of this.appliers) database.checkRows();
    await this.checkArchives();
    for (const cluster of clusters) cluster.checkers.log.survey();
    this.validate();
  }

  /** I25, of all instances together: that one of them had a bad time is no reason to learn nothing from the others. */
  private validate(): void {
    const total = { serviceable: 0, serviceableOk: 0 };
    for (const { workload } of this.clusters) {
      total.serviceable += workload.accounts.serviceable;
      total.serviceableOk += workload.accounts.serviceableOk;
    }
    check(total.serviceableOk * 2 >= total.serviceable, 'invalid-run', () => {
      return `${total.serviceableOk} of ${total.serviceable} appends succeeded`;
    });
  }

  /** Everything released by now gets into the archive, and an archive alone is enough. */
  private async checkArchives(): Promise<void> {
    const { archives, scheduler } = this;
    const wanted = archives.map(({ released }) => released);
    const archived = (): boolean =>
      archives.every(({ manifest }, i) => (manifest?.end ?? 0) >= (wanted[i] ?? 0));
    const well = await this.time.runUntil(scheduler.now + ARCHIVED, archived);
    check(well, 'archive-no-progress', () => {
      const ends = archives.map(({ manifest }) => manifest?.end ?? 0);
      return `archived up to ${ends.join(', ')} of ${wanted.join(', ')}`;
    });
    const over = { restored: 0 };
    this.time.enter(() => {
      archives.forEach((archive, i) => {
        archive.checkRestore(CLUSTER, nameOf(i)).then(
          () => {
            over.restored += 1;
          },
          (error: unknown) => {
            this.time.fail(error);
          },
        );
      });
    });
    await this.time.runUntil(scheduler.now + ARCHIVED, () => over.restored === archives.length);
    check(over.restored === archives.length, 'restore-no-progress', () => 'a restore hangs');
  }

  /** Nothing of a run goes on behind it. */
  private end(): void {
    for (const subscriber of this.subscribers) subscriber.leave();
    for (const user of this.users) user.crash();
    for (const applier of this.appliers) applier.crash();
    for (const crossbar of this.crossbars) crossbar.crash();
    for (const { replicas } of this.clusters) for (const { side } of replicas) side?.crashed();
  }

  private result(violation: RunResult['violation']): RunResult {
    const { clusters, scheduler } = this;
    const accounts = { appends: 0, reads: 0, ok: 0, failed: 0, indefinite: 0 };
    const more = { serviceable: 0, serviceableOk: 0 };
    const total = { ...accounts, ...more };
    for (const { workload } of clusters) {
      for (const key of Object.keys(total) as (keyof typeof total)[]) {
        total[key] += workload.accounts[key];
      }
    }
    const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
    const replicas = clusters.flatMap((cluster) => cluster.replicas);
    return {
      seed: this.options.seed,
      violation,
      hash: [this.trace, ...this.traces].map((trace) => trace.hash()).join('-'),
      accounts: total,
      simulatedSeconds: scheduler.now / 1e6,
      steps: sum(replicas.map((replica) => replica.steps)),
      events: scheduler.executed,
      released: this.checker.order.length,
      strikes: this.numbers.last,
      counts: {
        ...Object.fromEntries(this.faults.counts),
        merged: this.checker.order.length,
        mergedReads: sum(this.appliers.map(({ reads }) => reads)),
        failedReads: sum(this.appliers.map(({ failedReads }) => failedReads)),
        transactions: sum(this.appliers.map(({ database }) => database.committed)),
        databaseFailures: sum(this.appliers.map(({ database }) => database.failed)),
        applierRestarts: sum(this.appliers.map(({ restarts }) => restarts)),
        manifests: sum(this.archives.map(({ manifest }) => manifest?.number ?? 0)),
        trims: sum(this.archives.map(({ trims }) => trims)),
        storeCalls: sum(this.stores.map(({ calls: made }) => made)),
        storeFailures: sum(this.stores.map(({ failures }) => failures)),
        damagedReads: sum(this.stores.map(({ damaged }) => damaged)),
        archiveFetches: sum(this.histories.map(({ fetches }) => fetches)),
        resumed: sum(this.subscribers.map(({ resumed }) => resumed)),
        ...this.clientCounts(),
        joins: this.changed('join'),
        leaves: this.changed('leave'),
      },
    };
  }

  private changed(wanted: 'join' | 'leave'): number {
    return this.steward?.made.filter(({ kind }) => kind === wanted).length ?? 0;
  }

  private clientCounts(): Record<string, number> {
    const total: Record<string, number> = {};
    for (const { counts } of this.clientCheckers) {
      for (const [name, count] of Object.entries(counts)) total[name] = (total[name] ?? 0) + count;
    }
    return total;
  }

  private usersOfAll(): JournalClient[] {
    const { time, calls, trace, options } = this;
    const swarm = options.clients;
    if (swarm === null) return [];
    return this.clientCheckers.flatMap((checker, i) =>
      Array.from({ length: swarm.clients }, (_, each) => {
        const number = i * 10 + each;
        const prng = new Prng(options.seed, `user ${number}`);
        const lines = this.linesTo(this.servers[i] ?? [], each);
        const instance = nameOf(i);
        return new JournalClient({
          ...{ number, instance, time, prng, calls, trace, checker, swarm, lines },
        });
      }),
    );
  }

  private archive(i: number): SimulatedArchive | null {
    const { time } = this;
    const { archive: options, bug, seed } = this.options;
    if (options === null) return null;
    const prng = new Prng(seed, `store ${i}`);
    const store = new SimulatedStore({ time, prng, archive: options, bug });
    this.stores.push(store);
    const checker = (): ArchiveChecker => at(this.archives, i);
    const instance = nameOf(i);
    const given = { cluster: CLUSTER, instance, options, store, checker, time, bug };
    const simulated = new SimulatedArchive(given);
    this.histories.push(simulated);
    return simulated;
  }

  private server(i: number, replica: Replica, archive: SimulatedArchive | null): ReplicaServer {
    const { time, options } = this;
    const { clients, bug } = options;
    const server = new ReplicaServer({
      replica,
      instance: nameOf(i),
      order: () => this.clusters[i]?.checkers.order,
      time,
      archive,
      shareBytes: options.shareBytes,
      clients: clients && { checker: this.clientChecker(i), settings: clients.sessions, bug },
    });
    this.servers[i]?.push(server);
    this.breakWith(server);
    return server;
  }

  private clientChecker(i: number): ClientChecker {
    const checker =
      this.clientCheckers[i] ?? new ClientChecker(() => at(this.clusters, i), this.options.bug);
    this.clientCheckers[i] = checker;
    return checker;
  }

  /** The nearest is another one for each caller. */
  private linesTo(servers: readonly Server[], caller: number): Line[] {
    const prng = new Prng(this.options.seed, `lines ${this.lines.length}`);
    const lines = servers.map((_, i) => {
      const server = servers[(i + caller) % servers.length];
      if (server === undefined) throw new RangeError('no server');
      return new Line(server, prng.between(100, this.options.lineDelayMax));
    });
    this.lines.push(...lines);
    return lines;
  }

  private breakWith(server: Server & { onCrash: () => void }): void {
    server.onCrash = () => {
      this.time.enter(() => {
        for (const line of this.lines) if (line.server === server) this.calls.break(line);
      });
    };
  }

  private diagnosis(floor: number): string {
    const { checker } = this;
    const lines = [
      `not everything up to ${floor} is everywhere; final ${checker.final}, in the order ${checker.order.length}`,
      ...this.crossbars.map(({ number, watermark, running }) => {
        return `crossbar ${number} running ${running} watermark ${watermark}`;
      }),
      ...this.appliers.map(({ database, reads }, i) => {
        return `applier ${i} has ${database.count}, ${reads} reads`;
      }),
      ...this.subscribers.map(({ observer }, i) => {
        return `subscriber ${i} at ${observer.place}, watermark ${observer.watermark}`;
      }),
    ];
    return lines.join('\n  ');
  }
}
