/**
 * Availability as a number: each single fault, and how long clients had no append and no linearizable read
 * answered meanwhile, here and in three etcd members struck in the same way. Both by the same fleet rates,
 * links and measure (traffic/gaps.ts). Replicas run with their default timings.
 *
 * A fault is struck three times: at a replica in each region here, at whoever leads in etcd, whose followers'
 * failures are no event. The worst of the three counts.
 */
import { join } from 'node:path';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Part } from '../cluster/cluster.ts';
import { Cluster } from '../cluster/cluster.ts';
import { EtcdCluster } from '../cluster/etcd.ts';
import type { Network } from '../cluster/network.ts';
import type { ToxiproxyServer } from '../cluster/toxiproxy-server.ts';
import { othersOf, REGIONS, WIDE_AREAS } from '../cluster/wide-area.ts';
import type { Region } from '../cluster/wide-area.ts';
import { slowDisk } from '../faults/disk-faults.ts';
import type { Fault } from '../faults/fault.ts';
import { pause } from '../faults/fault.ts';
import { cutOneWay, cutPair, isolate, slowRegion } from '../faults/network-faults.ts';
import { freeze, kill } from '../faults/process-faults.ts';
import { readHistory } from '../model/history.ts';
import { Recorder } from '../model/recorder.ts';
import { runEtcdFleet } from '../traffic/etcd-fleet.ts';
import { fleet } from '../traffic/fleet.ts';
import type { Kind, Span } from '../traffic/gaps.ts';
import { longestGapUs } from '../traffic/gaps.ts';

/**
 * Low, so that a small machine which runs all of it is no bottleneck, and with little under way: what waits
 * in a fault and is tried again would otherwise be measured, and not the fault.
 */
const RATES = { appendsPerSecond: 40, readsPerSecond: 20, openMax: 10 };
const HOLD_MS = 3_000;
/** Between two strikes, after everything answers again. */
const CALM_MS = 2_000;
const ANSWERS_MS = 60_000;

/** What a fault strikes, in either system. */
interface Target {
  readonly network: Network;
  process(region: Region): Part & { signal(signal: NodeJS.Signals): void };
  /** null: this system's disks cannot be made slow from outside. */
  slowDisk(region: Region, ms: number): Fault | null;
}

interface Strike {
  readonly name: string;
  /** A single link, where nobody has a reason to change who leads. */
  readonly isLink: boolean;
  fault(target: Target, region: Region): Fault | null;
  struck(region: Region): readonly Region[];
}

const one = (region: Region): readonly Region[] => [region];
const next = (region: Region): Region => othersOf(region)[0];

const STRIKES: readonly Strike[] = [
  {
    name: 'kill -9',
    isLink: false,
    struck: one,
    fault: (target, region) => kill([target.process(region)]),
  },
  {
    name: 'SIGSTOP',
    isLink: false,
    struck: one,
    fault: (target, region) => freeze([target.process(region)]),
  },
  {
    name: 'region cut off',
    isLink: false,
    struck: one,
    fault: ({ network }, region) => isolate(network, region),
  },
  {
    name: 'region 150 ms farther',
    isLink: false,
    struck: one,
    fault: ({ network }, region) => slowRegion(network, region, 150, 15),
  },
  {
    name: 'disk 200 ms slower',
    isLink: false,
    struck: one,
    fault: (target, region) => target.slowDisk(region, 200),
  },
  {
    name: 'one link cut',
    isLink: true,
    struck: (region) => [region, next(region)],
    fault: ({ network }, region) => cutPair(network, region, next(region)),
  },
  {
    name: 'one link, one way lost',
    isLink: true,
    struck: (region) => [region, next(region)],
    fault: ({ network }, region) => cutOneWay(network, region, next(region)),
  },
];

/** Milliseconds, the longest of all strikes; null where it was not measured. */
export interface Gaps {
  readonly appendsElsewhere: number;
  readonly appendsThere: number;
  readonly readsElsewhere: number;
  readonly readsThere: number;
}

export interface Row {
  readonly fault: string;
  readonly isLink: boolean;
  readonly meridian: Gaps & { readonly epochChanges: number };
  readonly etcd: Gaps | null;
}

interface Struck extends Span {
  readonly strike: Strike;
  readonly regions: readonly Region[];
  readonly epochChanges: number;
}

export interface AvailabilityOptions {
  readonly directory: string;
  readonly server: ToxiproxyServer;
  readonly seed: number;
  readonly onEvent: (text: string) => void;
  /** What is missing in the table, and why. */
  readonly onProblem: (text: string) => void;
}

export async function measureAvailability(options: AvailabilityOptions): Promise<Row[]> {
  const ours = await measureMeridian(options);
  const theirs = await measureEtcd(options).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    options.onProblem(`etcd could not be measured: ${why}`);
    return new Map<string, Gaps>();
  });
  return STRIKES.flatMap(({ name, isLink }) => {
    const meridian = ours.get(name);
    if (meridian === undefined) return [];
    return [{ fault: name, isLink, meridian, etcd: theirs.get(name) ?? null }];
  });
}

async function measureMeridian(options: AvailabilityOptions) {
  const cluster = await Cluster.start({
    directory: join(options.directory, 'meridian'),
    name: `meridian-${String(process.pid)}`,
    size: 'journal',
    server: options.server,
    area: WIDE_AREAS.europe,
  });
  try {
    const target: Target = {
      network: cluster.network,
      process: (region) => cluster.replica(region),
      slowDisk: (region, ms) => slowDisk(cluster.replica(region), ms),
    };
    const epochs = async (): Promise<string[]> => {
      const { lanes } = await cluster.status('one', 'c');
      return lanes.map(({ epoch }) => String(epoch));
    };
    const workload = fleet({ ...RATES, orderedShare: 0 });
    const run = (record: Recorder, until: AbortSignal): Promise<void> =>
      workload.run(
        { endpoints: cluster.endpoints(), run: 'availability', seed: options.seed, record },
        until,
      );
    const strikeAt = (round: number): Promise<Region> => Promise.resolve(REGIONS[round] ?? 'a');
    return await measure('meridian', options, { target, epochs, run, strikeAt });
  } finally {
    await cluster.stop();
  }
}

async function measureEtcd(options: AvailabilityOptions) {
  const cluster = await EtcdCluster.start({
    directory: join(options.directory, 'etcd'),
    name: `etcd-${String(process.pid)}`,
    server: options.server,
    area: WIDE_AREAS.europe,
  });
  try {
    return await measure('etcd', options, {
      target: {
        network: cluster.network,
        process: (region) => cluster.member(region),
        slowDisk: () => null,
      },
      epochs: () => Promise.resolve([]),
      run: (record, until) => runEtcdFleet(cluster, RATES, record, until),
      strikeAt: () => cluster.leader(),
    });
  } finally {
    await cluster.stop();
  }
}

interface System {
  readonly target: Target;
  epochs(): Promise<string[]>;
  run(record: Recorder, until: AbortSignal): Promise<void>;
  strikeAt(round: number): Promise<Region>;
}

async function measure(name: string, options: AvailabilityOptions, system: System) {
  const path = join(options.directory, `${name}.jsonl`);
  const record = new Recorder({
    path,
    scenario: `availability/${name}`,
    seed: options.seed,
    regions: REGIONS,
    command: 'npm run chaos -- availability',
  });
  const answers = new Answers(record);
  const over = new AbortController();
  const running = system.run(record, over.signal);
  const struck: Struck[] = [];
  try {
    for (const strike of STRIKES) {
      for (const round of REGIONS.keys()) {
        const region = await system.strikeAt(round);
        const fault = strike.fault(system.target, region);
        if (fault === null) continue;
        await answers.everywhere(ANSWERS_MS);
        await pause(CALM_MS);
        options.onEvent(`${name}: ${strike.name} at ${region}`);
        struck.push({ strike, ...(await strikeOnce(fault, region, strike, record, system)) });
      }
    }
    await answers.everywhere(ANSWERS_MS);
  } finally {
    over.abort();
    await running;
    record.close();
  }
  return gapsOf(await readHistory(path), struck);
}

async function strikeOnce(
  fault: Fault,
  region: Region,
  strike: Strike,
  record: Recorder,
  system: System,
): Promise<Omit<Struck, 'strike'>> {
  const before = await system.epochs();
  const over = record.fault(fault.name, fault.target);
  const fromUs = record.nowUs();
  await fault.inject();
  await pause(HOLD_MS);
  const untilUs = record.nowUs();
  await fault.heal();
  over();
  const after = await system.epochs();
  const epochChanges = before.filter((epoch, lane) => epoch !== after[lane]).length;
  return { regions: strike.struck(region), fromUs, untilUs, epochChanges };
}

/** By fault, the longest of every strike. */
function gapsOf(history: Awaited<ReturnType<typeof readHistory>>, struck: readonly Struck[]) {
  const rows = new Map<string, Gaps & { readonly epochChanges: number }>();
  for (const { strike, regions, fromUs, untilUs, epochChanges } of struck) {
    const worst = (kind: Kind, there: boolean): number =>
      Math.max(
        0,
        ...REGIONS.filter((region) => regions.includes(region) === there).map((region) =>
          Math.round(
            longestGapUs(history, { fromUs, untilUs }, kind, (each) => each.region === region) /
              1000,
          ),
        ),
      );
    const before = rows.get(strike.name);
    rows.set(strike.name, {
      appendsElsewhere: Math.max(before?.appendsElsewhere ?? 0, worst('append', false)),
      appendsThere: Math.max(before?.appendsThere ?? 0, worst('append', true)),
      readsElsewhere: Math.max(before?.readsElsewhere ?? 0, worst('read', false)),
      readsThere: Math.max(before?.readsThere ?? 0, worst('read', true)),
      epochChanges: (before?.epochChanges ?? 0) + epochChanges,
    });
  }
  return rows;
}

/** Hears when operations of every region and kind succeed, and in their own region. */
class Answers {
  readonly #record: Recorder;
  readonly #begunUs = new Map<string, number>();

  constructor(record: Recorder) {
    this.#record = record;
    record.onOperation(({ region, action, invokedUs, outcome }) => {
      if (outcome.kind !== 'ok') return;
      // A client that is still elsewhere because of the last fault would be struck by the next one there.
      const { servedBy = region } = outcome.answer;
      if (servedBy !== region) return;
      this.#begunUs.set(`${region} ${action.kind === 'append' ? 'append' : 'read'}`, invokedUs);
    });
  }

  /** Resolves when all have succeeded with something begun since the call. */
  async everywhere(deadlineMs: number): Promise<void> {
    const sinceUs = this.#record.nowUs();
    const wanted = REGIONS.flatMap((region) => [`${region} append`, `${region} read`]);
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const missing = wanted.filter((key) => (this.#begunUs.get(key) ?? -1) < sinceUs);
      if (missing.length === 0) return;
      if (performance.now() > deadline)
        throw new MeridianError('DEADLINE', `no answer: ${missing.join(', ')}`);
      await pause(20);
    }
  }
}
