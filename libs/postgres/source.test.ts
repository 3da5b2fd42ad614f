/** What stands in the way of shipping a database, told by a real Postgres: one clear error each. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { createCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { connectPostgres } from './connection.ts';
import { ensurePublication, preflightSource } from './source.ts';
import { freePort } from './testing-pair.ts';

const directory = mkdtempSync(join(tmpdir(), 'meridian-source-'));
/** Far more than it takes; the machine may be busy with something else. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
let cluster: Cluster;
let sql: pg.Client;

/** With less in its log than shipping needs. */
beforeAll(async () => {
  cluster = await createCluster({
    directory,
    port: await freePort(),
    settings: { fsync: 'off', wal_level: 'replica' },
  });
  await cluster.start();
  sql = await connectPostgres({ address: cluster.address(), applicationName: 'test' });
  await sql.query('SET search_path = public');
});

afterAll(async () => {
  await sql.end();
  await cluster.stop('immediate');
  rmSync(directory, { recursive: true, force: true });
});

test('says what to do about a wal_level that is too low', async () => {
  await expect(preflightSource(sql)).rejects.toMatchObject({
    reason: 'REFUSED',
    message: expect.stringContaining('wal_level is replica, must be logical') as string,
  });
});

test('refuses a publication that leaves something out', async () => {
  await sql.query('CREATE TABLE t (id int PRIMARY KEY, a int)');
  await sql.query('CREATE PUBLICATION part FOR TABLE t WHERE (id > 5)');
  await sql.query("CREATE PUBLICATION half FOR ALL TABLES WITH (publish = 'insert')");
  const t = [{ schema: 'public', table: 't' }];
  await expect(ensurePublication(sql, 'part', t)).rejects.toThrow(/filters rows or columns/);
  await expect(ensurePublication(sql, 'half', 'all')).rejects.toThrow(/leaves out/);
});

test('lists the tables without replica identity instead of breaking their updates', async () => {
  await sql.query(
    'CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE bad (a int); CREATE TABLE "Bad2" (b int)',
  );
  await expect(ensurePublication(sql, 'p', 'all')).rejects.toMatchObject({
    reason: 'REFUSED',
    details: { tables: '"public"."Bad2", "public"."bad"' },
  });
  await ensurePublication(sql, 'p', [{ schema: 'public', table: 'good' }]);
  await expect(ensurePublication(sql, 'p', 'all')).rejects.toMatchObject({ reason: 'REFUSED' });
});

test('names the obstacle: no server, wrong password role, missing permission', async () => {
  const port = await freePort();
  await expect(
    connectPostgres({ address: `postgres://u:secret@127.0.0.1:${port}/d`, applicationName: 'x' }),
  ).rejects.toMatchObject({
    reason: 'UNAVAILABLE',
    message: expect.stringMatching(/^(?!.*secret).*127\.0\.0\.1/) as string,
  });
  await expect(
    connectPostgres({
      address: { ...cluster.address(), user: 'nobody_here' },
      applicationName: 'x',
    }),
  ).rejects.toMatchObject({ reason: 'UNAUTHENTICATED' });
  await sql.query('CREATE ROLE weak LOGIN');
  await sql.query('ALTER SYSTEM SET wal_level = logical');
  await sql.end();
  await cluster.stop();
  await cluster.start();
  sql = await connectPostgres({ address: cluster.address(), applicationName: 'test' });
  await preflightSource(sql);
  const weak = await connectPostgres({
    address: { ...cluster.address(), user: 'weak' },
    applicationName: 'x',
  });
  await expect(preflightSource(weak)).rejects.toMatchObject({ reason: 'PERMISSION_DENIED' });
  await weak.end();
});
