/**
 * `npm run bench -- append`: one client, three replicas, sync on every replica. Closed loops with
 * more and more appends under way, each right after the yardstick (bare.ts) with as many; then an open
 * loop at half the best rate. Says where the time goes.
 */
import { round } from '../../libs/telemetry/figures.ts';
import { startYardstick } from './bare.ts';
import type { BareRow } from './bare.ts';
import type { Transport } from './bare-pipe.ts';
import { Client } from './client.ts';
import type { Instance } from './instance.ts';
import { requireAllRunning, startInstance } from './instance.ts';
import { closedLoop, openLoop } from './load.ts';
import type { LoadResult } from './load.ts';
import { processorSeconds } from './processor-time.ts';

export interface AppendBenchOptions {
  readonly seconds: number;
  readonly bytes: number;
  readonly inflight: readonly number[];
  readonly acks: readonly ('QUORUM' | 'ORDERED')[];
  /** A running instance to measure; without it one is started. Its processor time is not known. */
  readonly running?: Instance;
}

interface Row extends LoadResult {
  readonly ack: string;
  /** The yardsticks with as many in flight, measured just before; null for an open loop. */
  readonly bare: Bare | null;
  readonly where: Where;
}

type Bare = Readonly<Record<Transport, BareRow>>;

/** Where the time of a run went. */
interface Where {
  /** Appends that shared an entry of the lane, on average: group commit. */
  readonly appendsPerEntry: number;
  /** Median of one sync of the home's log, ms. */
  readonly syncP50Ms: number;
  /** Median from arrival at the replica to its answer, ms; the rest of the latency is the client and gRPC. */
  readonly replicaP50Ms: number;
  /** Microseconds of processor time per append: client, home, the two followers together. */
  readonly clientMicros: number;
  readonly homeMicros: number;
  readonly followersMicros: number;
}

/** Four processes compile their hot paths; V8 is at it for some twenty seconds, with up to a fifth of the processor. */
const WARM_UP_SECONDS = 20;
const BARE_SECONDS = 2;

export async function benchAppend(options: AppendBenchOptions): Promise<object> {
  const yardsticks = await startYardsticks(options.bytes);
  const starting = options.running ?? startInstance('append');
  const instance = await Promise.resolve(starting).catch(async (error: unknown) => {
    await yardsticks.stop();
    throw error;
  });
  const rows: Row[] = [];
  try {
    for (const ack of options.acks) {
      const client = new Client(instance, { bytes: options.bytes, stream: `bench-${ack}`, ack });
      try {
        await measureAck(ack, { options, instance, client, yardsticks, rows });
      } finally {
        client.close();
      }
    }
  } finally {
    await instance.stop();
    await yardsticks.stop();
  }
  return { bench: 'append', bytes: options.bytes, seconds: options.seconds, rows };
}

interface Setup {
  readonly options: AppendBenchOptions;
  readonly instance: Instance;
  readonly client: Client;
  readonly yardsticks: Yardsticks;
  readonly rows: Row[];
}

async function measureAck(ack: Row['ack'], setup: Setup): Promise<void> {
  const { options, instance, client, yardsticks, rows } = setup;
  const load = client.load(options.seconds);
  const measure = async (inflight: number | null): Promise<void> => {
    const bare = inflight === null ? null : await yardsticks.measure(inflight);
    const before = await observe(instance, client);
    const result = await (inflight === null
      ? openLoop(load, Math.floor(best() / 2))
      : closedLoop(load, inflight));
    const where = difference(before, await observe(instance, client), result);
    const row = { ack, ...result, bare, where };
    rows.push(row);
    print(rows.length, row);
  };
  const best = (): number =>
    Math.max(...rows.map((row) => (row.ack === ack ? row.recordsPerSecond : 0)));
  await yardsticks.measure(64);
  const [many, one] = rows.length === 0 ? [0.8, 0.2] : [0.1, 0.1];
  await closedLoop(client.load(WARM_UP_SECONDS * many), 64);
  await closedLoop(client.load(WARM_UP_SECONDS * one), 1);
  for (const inflight of options.inflight) await measure(inflight);
  await measure(null);
}

interface Yardsticks {
  measure(inflight: number): Promise<Bare>;
  stop(): Promise<void>;
}

/** Over plain TCP: what the machine can do. Over grpc-js: what is left of it behind our transport. */
async function startYardsticks(bytes: number): Promise<Yardsticks> {
  const tcp = await startYardstick(bytes, 'tcp');
  const grpc = await startYardstick(bytes, 'grpc').catch(async (error: unknown) => {
    await tcp.stop();
    throw error;
  });
  return {
    measure: async (inflight) => ({
      tcp: await tcp.measure(inflight, BARE_SECONDS),
      grpc: await grpc.measure(inflight, BARE_SECONDS),
    }),
    stop: async () => {
      await Promise.all([tcp.stop(), grpc.stop()]);
    },
  };
}

interface Observation {
  readonly cpu: readonly number[];
  readonly client: number;
  readonly entries: number;
  readonly syncP50: number;
  readonly replicaP50: number;
}

async function observe(instance: Instance, client: Client): Promise<Observation> {
  await requireAllRunning(instance);
  const status = await client.status(instance.replicas[0]?.region ?? '', 5000);
  const { user, system } = process.cpuUsage();
  return {
    cpu: instance.children.map(({ pid }) => (pid === null ? 0 : (processorSeconds(pid) ?? 0))),
    client: (user + system) / 1e6,
    entries: Number(status.lanes[status.replica]?.lastIndex ?? 0),
    syncP50: status.syncLatency?.p50Seconds ?? 0,
    replicaP50: status.appendLatency?.p50Seconds ?? 0,
  };
}

function difference(before: Observation, after: Observation, { latency }: LoadResult): Where {
  const appends = Math.max(1, latency.count);
  const cpu = after.cpu.map((seconds, replica) => seconds - (before.cpu[replica] ?? 0));
  const micros = (seconds: number): number => round((seconds * 1e6) / appends);
  return {
    appendsPerEntry: round(appends / Math.max(1, after.entries - before.entries)),
    syncP50Ms: round(after.syncP50 * 1000),
    replicaP50Ms: round(after.replicaP50 * 1000),
    clientMicros: micros(after.client - before.client),
    homeMicros: micros(cpu[0] ?? 0),
    followersMicros: micros((cpu[1] ?? 0) + (cpu[2] ?? 0)),
  };
}

function print(number: number, row: Row): void {
  const columns = [8, 12, 10, 9, 9, 9, 15, 15, 10, 9, 9, 22];
  const line = (cells: readonly string[]): void => {
    console.log(cells.map((cell, i) => cell.padStart(columns[i] ?? 0)).join(''));
  };
  if (number === 1) {
    line([
      ...[
        'ack',
        'load',
        'appends/s',
        'p50 ms',
        'p99 ms',
        'p99.9',
        'of tcp /s p50',
        'of grpc /s p50',
      ],
      ...['per entry', 'sync ms', 'replica', 'cpu µs cl/home/foll'],
    ]);
  }
  const { latency, where, bare } = row;
  const ratios = (theirs: BareRow | undefined): string =>
    theirs === undefined
      ? ''
      : [row.recordsPerSecond / theirs.recordsPerSecond, latency.p50Ms / theirs.latency.p50Ms]
          .map((ratio) => ratio.toFixed(2))
          .join(' ');
  line([
    row.ack,
    row.inflight === null ? `${String(row.rate)}/s` : `${row.inflight} in fl.`,
    String(row.recordsPerSecond),
    ...[latency.p50Ms, latency.p99Ms, latency.p999Ms].map(String),
    ratios(bare?.tcp),
    ratios(bare?.grpc),
    ...[where.appendsPerEntry, where.syncP50Ms, where.replicaP50Ms].map(String),
    `${where.clientMicros}/${where.homeMicros}/${where.followersMicros}`,
  ]);
}
