/**
 * `npm run bench -- catchup`: a replica that was away comes back under load. Three replicas take a
 * steady load; one is killed, the others take the given number of bytes, and it is started again. Says
 * how fast it catches up, and what the others' appends take before and meanwhile.
 */
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { round } from '../../libs/telemetry/figures.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';
import { Client } from './client.ts';
import { startInstance } from './instance.ts';
import { closedLoop, openLoop } from './load.ts';

export interface CatchUpBenchOptions {
  readonly bytes: number;
  /** What the replica misses, MiB. */
  readonly mebibytes: number;
  /** Appends per second of the load whose latency counts. */
  readonly rate: number;
  /** Length of the measurement before, seconds. */
  readonly seconds: number;
}

const VICTIM = 2;
const INFLIGHT = 64;
const SLICE_SECONDS = 1;

export async function benchCatchUp(options: CatchUpBenchOptions): Promise<object> {
  const { bytes, mebibytes, rate, seconds } = options;
  const instance = await startInstance('catchup');
  const client = new Client(instance, { bytes });
  const regionOf = (replica: number): string => instance.replicas[replica]?.region ?? '';
  try {
    const victim = instance.children[VICTIM];
    if (victim === undefined) throw new Error('no such replica');
    await closedLoop(client.load(SLICE_SECONDS), INFLIGHT);
    const before = (await openLoop(client.load(seconds), rate)).latency;
    await victim.kill();
    let missed = 0;
    while (missed < mebibytes * 1024 * 1024) {
      const slice = await closedLoop(client.load(SLICE_SECONDS), INFLIGHT);
      missed += slice.latency.count * bytes;
    }
    await victim.start();
    await statusOf(client, regionOf(VICTIM), 30_000);
    const since = performance.now();
    const during: Figures[] = [];
    let caughtUp = false;
    while (!caughtUp) {
      during.push((await openLoop(client.load(SLICE_SECONDS), rate)).latency);
      const [here, there] = await Promise.all(
        [0, VICTIM].map((replica) => statusOf(client, regionOf(replica), 5_000)),
      );
      caughtUp = (here?.releasedEntries ?? 0n) - (there?.releasedEntries ?? 0n) < BigInt(rate);
    }
    const catchUpSeconds = (performance.now() - since) / 1000;
    const meanwhileP99Ms = Math.max(...during.map(({ p99Ms }) => p99Ms));
    return {
      bench: 'catchup',
      bytes,
      rate,
      missedMebibytes: round(missed / 1024 / 1024),
      catchUpSeconds: round(catchUpSeconds),
      mebibytesPerSecond: round(missed / 1024 / 1024 / catchUpSeconds),
      before: { p50Ms: before.p50Ms, p99Ms: before.p99Ms },
      meanwhile: { p50Ms: Math.max(...during.map(({ p50Ms }) => p50Ms)), p99Ms: meanwhileP99Ms },
    };
  } finally {
    client.close();
    await instance.stop();
  }
}

/** Asks until it answers. */
async function statusOf(
  client: Client,
  region: string,
  deadlineMs: number,
): Promise<StatusResponse> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    try {
      return await client.status(region, 1_000);
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
