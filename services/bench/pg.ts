/**
 * `npm run bench -- pg`: what waiting for two regions adds to a COMMIT. The same inserts, one row a
 * transaction, first with a local commit, then with the sidecar as synchronous standby, alternating
 * so that both see the same machine.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster } from '../../libs/postgres/cluster.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { LatencyRecorder } from '../../libs/telemetry/figures.ts';
import type { Figures } from '../../libs/telemetry/figures.ts';
import { CLUSTER, startInstance } from './instance.ts';
import type { Instance } from './instance.ts';

export interface PgBenchOptions {
  readonly seconds: number;
  readonly clients: readonly number[];
}

interface Row {
  readonly commit: 'local' | 'two regions';
  readonly clients: number;
  readonly commitsPerSecond: number;
  readonly latency: Figures;
}

const SIDECAR = fileURLToPath(new URL('../sidecar/main.js', import.meta.url));
const SYNCHRONOUS_WITHIN_MS = 60_000;
/** Sidecar and replicas compile their hot paths; shorter, and the first rows measure the compiler. */
const WARM_UP_SECONDS = 3;

export async function benchPg(options: PgBenchOptions): Promise<object> {
  const root = mkdtempSync(join(tmpdir(), 'meridian-bench-pg-'));
  const ports = await reservePorts(2);
  const [postgresPort = 0, sidecarPort = 0] = ports;
  const cleanUp: (() => Promise<unknown>)[] = [];
  try {
    const cluster = await createCluster({ directory: join(root, 'postgres'), port: postgresPort });
    cleanUp.push(() => cluster.stop('immediate'));
    await cluster.start();
    const admin = await connectPostgres({ address: cluster.address(), applicationName: 'bench' });
    cleanUp.push(() => admin.end());
    await admin.query('CREATE TABLE public.bench (id bigserial PRIMARY KEY, body text NOT NULL)');
    const instance = await startInstance('pg');
    cleanUp.push(() => instance.stop());
    const sidecar = await startSidecar(root, cluster, instance, sidecarPort);
    cleanUp.push(() => sidecar.stop());
    await sidecar.ready(
      {
        probe: async () => {
          const { rows } = await admin.query<{ state: string }>(
            'SELECT sync_state AS state FROM pg_stat_replication',
          );
          return rows.some(({ state }) => state === 'sync' || state === 'quorum');
        },
      },
      SYNCHRONOUS_WITHIN_MS,
    );
    for (const clients of [8, 1]) await measure(cluster, 'two regions', clients, WARM_UP_SECONDS);
    const rows: Row[] = [];
    for (const clients of options.clients) {
      for (const commit of ['local', 'two regions'] as const) {
        const row = await measure(cluster, commit, clients, options.seconds);
        rows.push(row);
        print(rows.length, row);
      }
    }
    return { bench: 'pg', seconds: options.seconds, rows };
  } finally {
    for (const end of cleanUp.reverse()) await end().catch(() => undefined);
    releasePorts(ports);
    rmSync(root, { recursive: true, force: true });
  }
}

async function startSidecar(
  root: string,
  cluster: Cluster,
  instance: Instance,
  port: number,
): Promise<Child> {
  const file = join(root, 'sidecar.json');
  const config = {
    cluster: CLUSTER,
    region: 'a',
    listen: `127.0.0.1:${port}`,
    roles: ['ship'],
    postgres: cluster.url(),
    stream: 'pg.bench',
    instance: { name: instance.name, replicas: instance.replicas },
    ship: { synchronous: true },
  };
  writeFileSync(file, JSON.stringify(config));
  const args = [SIDECAR, '--config', file];
  return spawnChild({ name: 'sidecar', command: process.execPath, args });
}

async function measure(
  cluster: Cluster,
  commit: Row['commit'],
  clients: number,
  seconds: number,
): Promise<Row> {
  const recorder = new LatencyRecorder();
  let commits = 0;
  const started = performance.now();
  const end = started + seconds * 1000;
  const client = async (): Promise<void> => {
    const session = await connectPostgres({
      address: cluster.address(),
      applicationName: 'bench-client',
    });
    await session.query(`SET synchronous_commit = ${commit === 'local' ? 'local' : 'on'}`);
    const insert = { name: 'insert', text: 'INSERT INTO public.bench (body) VALUES ($1)' };
    for (let at = performance.now(); at < end; at = performance.now()) {
      await session.query({ ...insert, values: ['x'.repeat(100)] });
      recorder.record((performance.now() - at) * 1000);
      commits += 1;
    }
    await session.end();
  };
  await Promise.all(Array.from({ length: clients }, client));
  const elapsed = (performance.now() - started) / 1000;
  return {
    commit,
    clients,
    commitsPerSecond: Math.round(commits / elapsed),
    latency: recorder.figures({ inflight: clients, seconds: elapsed }),
  };
}

function print(number: number, { commit, clients, commitsPerSecond, latency }: Row): void {
  const line = (cells: readonly (string | number)[]): void => {
    console.log(cells.map((cell) => String(cell).padStart(13)).join(''));
  };
  if (number === 1) line(['COMMIT', 'clients', 'commits/s', 'p50 ms', 'p99 ms', 'p99.9 ms']);
  line([commit, clients, commitsPerSecond, latency.p50Ms, latency.p99Ms, latency.p999Ms]);
}
