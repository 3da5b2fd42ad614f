/**
 * `npm run bench -- restart`: how long a replica that was killed is away. Three replicas take the
 * given number of bytes in records of 1 KiB, under a load that makes groups; then one is killed (-9)
 * and started again, and for comparison stopped in order and started again.
 *
 * `listeningSeconds`: from the start of the process until it answers its clients at all: program and
 * log loaded. `caughtUpSeconds`: until everything the others had released is released here too.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { round } from '../../libs/telemetry/figures.ts';
import type { Child } from '../../libs/processes/child.ts';
import { Client } from './client.ts';
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
const DEADLINE_MS = 1000;

export async function benchRestart(options: RestartBenchOptions): Promise<object> {
  const { bytes, mebibytes, inflight } = options;
  const instance = await startInstance('restart');
  const client = new Client(instance, { bytes });
  const rows: Row[] = [];
  let records = 0;
  try {
    const loadedAt = performance.now();
    for (let slice = 0; records * bytes < mebibytes * 1024 * 1024; slice += 1) {
      const stream = `bench-${slice % options.streams}`;
      const result = await closedLoop({ ...client.load(SLICE_SECONDS), stream }, inflight);
      records += result.latency.count;
    }
    const loadSeconds = round((performance.now() - loadedAt) / 1000);
    console.log(`${records} records in ${loadSeconds} s`);
    const victim = instance.children[VICTIM];
    if (victim === undefined) throw new Error('no such replica');
    rows.push(await measure('killed', client, victim));
    rows.push(await measure('stopped', client, victim));
  } finally {
    client.close();
    await instance.stop();
  }
  return { bench: 'restart', bytes, mebibytes, inflight, records, rows };
}

async function measure(end: Row['end'], client: Client, victim: Child): Promise<Row> {
  await (end === 'killed' ? victim.kill() : victim.stop());
  const target = await client.status('a', DEADLINE_MS);
  const startedAt = performance.now();
  const since = (): number => round((performance.now() - startedAt) / 1000);
  await victim.start();
  let listeningSeconds = 0;
  for (;;) {
    const status = await client.status('b', DEADLINE_MS).catch(() => null);
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

function residentMebibytes(pid: number | null): number {
  const status = readFileSync(`/proc/${String(pid)}/status`, 'utf8');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}
