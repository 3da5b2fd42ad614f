/**
 * `npm run bench -- restart`: how long a replica that was killed is away. Three replicas take the
 * given number of bytes in records of 1 KiB, under a load that makes groups; then one is killed (-9)
 * and started again, and for comparison stopped in order and started again.
 *
 * `listeningSeconds`: from the start of the process until it answers its clients at all: program and
 * log loaded. `caughtUpSeconds`: until everything the others had released is released here too.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Appender } from '../../libs/client/appender.ts';
import { Regions } from '../../libs/client/regions.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { round } from '../../libs/telemetry/figures.ts';
import type { Child } from '../../libs/processes/child.ts';
import type { Instance } from './instance.ts';
import { startInstance } from './instance.ts';
import { closedLoop } from './load.ts';

export interface RestartBenchOptions {
  readonly bytes: number;
  /** Of log, in MiB. */
  readonly mebibytes: number;
  readonly inflight: number;
  /** Streams that the records go to, in turn. */
  readonly streams: number;
}

interface Row {
  readonly end: 'killed' | 'stopped';
  readonly listeningSeconds: number;
  readonly caughtUpSeconds: number;
  readonly releasedEntries: number;
  /** Resident memory of the process when it had caught up, MiB. */
  readonly residentMebibytes: number;
}

const SLICE_SECONDS = 2;
const VICTIM = 1;

export async function benchRestart(options: RestartBenchOptions): Promise<object> {
  const { bytes, mebibytes, inflight } = options;
  const instance = await startInstance('restart');
  const regions = new Regions({ replicas: instance.replicas, region: 'a' });
  const rows: Row[] = [];
  let records = 0;
  try {
    const writer = { id: randomUUID(), epoch: 1, lastSeq: 0 };
    const { cluster, name } = instance;
    const appender = new Appender({ cluster, instance: name, regions, ack: 'QUORUM', writer });
    const body = new Uint8Array(bytes).fill(120);
    const loadedAt = performance.now();
    for (let slice = 0; records * bytes < mebibytes * 1024 * 1024; slice += 1) {
      const stream = `bench-${slice % options.streams}`;
      const load = { appender, stream, body, seconds: SLICE_SECONDS };
      const result = await closedLoop(load, inflight);
      records += result.latency.count;
    }
    const loadSeconds = round((performance.now() - loadedAt) / 1000);
    console.log(`${records} records in ${loadSeconds} s`);
    const victim = instance.children[VICTIM];
    if (victim === undefined) throw new Error('no such replica');
    rows.push(await measure('killed', instance, regions, victim));
    rows.push(await measure('stopped', instance, regions, victim));
    appender.close();
  } finally {
    regions.close();
    await instance.stop();
  }
  return { bench: 'restart', bytes, mebibytes, inflight, records, rows };
}

async function measure(
  end: Row['end'],
  instance: Instance,
  regions: Regions,
  victim: Child,
): Promise<Row> {
  await (end === 'killed' ? victim.kill() : victim.stop());
  const target = await statusOf(instance, regions, 'a');
  const startedAt = performance.now();
  const since = (): number => round((performance.now() - startedAt) / 1000);
  await victim.start();
  let listeningSeconds = 0;
  for (;;) {
    const status = await statusOf(instance, regions, 'b').catch(() => null);
    if (status !== null && listeningSeconds === 0) listeningSeconds = since();
    if (status !== null && status.watermark >= target.watermark) {
      const row = {
        end,
        listeningSeconds,
        caughtUpSeconds: since(),
        releasedEntries: Number(status.releasedEntries),
        residentMebibytes: residentMebibytes(victim.pid),
      };
      console.log(JSON.stringify(row));
      return row;
    }
    await sleep(20);
  }
}

function statusOf(instance: Instance, regions: Regions, region: string): Promise<StatusResponse> {
  const { cluster, name } = instance;
  return regions
    .named(region)
    .channel.unary(
      JournalService.method.status,
      { target: { cluster, instance: name } },
      { deadlineMs: 1000 },
    );
}

function residentMebibytes(pid: number | null): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}
