/**
 * `npm run bench -- catchup`: a replica that was away comes back under load. Three replicas take a
 * steady load; one is killed, the others take the given number of bytes, and it is started again. Says
 * how fast it catches up, and what the others' appends take before and meanwhile.
 */
import { randomUUID } from 'node:crypto';
import { Appender } from '../../libs/client/appender.ts';
import { Regions } from '../../libs/client/regions.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { round } from '../../libs/telemetry/figures.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';
import type { Instance } from './instance.ts';
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
  const regions = new Regions({ replicas: instance.replicas, region: 'a' });
  const { cluster, name } = instance;
  const writer = { id: randomUUID(), epoch: 1, lastSeq: 0 };
  const appender = new Appender({ cluster, instance: name, regions, ack: 'QUORUM', writer });
  const body = new Uint8Array(bytes).fill(120);
  const load = { appender, stream: 'bench', body, seconds };
  try {
    const victim = instance.children[VICTIM];
    if (victim === undefined) throw new Error('no such replica');
    await closedLoop({ ...load, seconds: SLICE_SECONDS }, INFLIGHT);
    const before = (await openLoop(load, rate)).latency;
    await victim.kill();
    let missed = 0;
    while (missed < mebibytes * 1024 * 1024) {
      const slice = await closedLoop({ ...load, seconds: SLICE_SECONDS }, INFLIGHT);
      missed += slice.latency.count * bytes;
    }
    await victim.start();
    await statusOf(instance, regions, VICTIM, 30_000);
    const since = performance.now();
    const during: Figures[] = [];
    let caughtUp = false;
    while (!caughtUp) {
      during.push((await openLoop({ ...load, seconds: SLICE_SECONDS }, rate)).latency);
      const [here, there] = await Promise.all(
        [0, VICTIM].map((replica) => statusOf(instance, regions, replica, 5_000)),
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
    appender.close();
    regions.close();
    await instance.stop();
  }
}

/** Asks until it answers. */
async function statusOf(
  instance: Instance,
  regions: Regions,
  replica: number,
  deadlineMs: number,
): Promise<StatusResponse> {
  const deadline = performance.now() + deadlineMs;
  const { cluster, name } = instance;
  const { channel } = regions.named(instance.replicas[replica]?.region ?? '');
  for (;;) {
    try {
      const request = { target: { cluster, instance: name } };
      return await channel.unary(JournalService.method.status, request, { deadlineMs: 1_000 });
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
