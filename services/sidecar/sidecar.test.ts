/**
 * Two real Postgres clusters, and between them a journal in memory whose answers can be held back and
 * which fails on demand. The journal of three regions takes its place in test/postgres.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster } from '../../libs/postgres/cluster.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import type { PostgresClient } from '../../libs/postgres/connection.ts';
import { decodeChangeBatch } from '../../libs/postgres/change-format.ts';
import { dropSlot } from '../../libs/postgres/source.ts';
import { freePort } from '../../libs/postgres/testing-pair.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { createLogger } from '../../libs/telemetry/logger.ts';
import { sidecarSchema } from './config.ts';
import type { SidecarConfig } from './config.ts';
import { MemoryJournal } from './memory-journal.ts';
import { Sidecar } from './sidecar.ts';

const directory = mkdtempSync(join(tmpdir(), 'meridian-sidecar-'));
/** Far more than it takes; the machine may be busy with something else. */
const PATIENCE_MS = 60_000;
vi.setConfig({ testTimeout: 2 * PATIENCE_MS, hookTimeout: PATIENCE_MS });
const logger = createLogger({ service: 'sidecar', level: 'silent' });
let primary: Cluster;
let replica: Cluster;
let database = '';
let count = 0;
let sql: PostgresClient;
let copy: PostgresClient;
let journal: MemoryJournal;
const sidecars: Sidecar[] = [];
const clients: PostgresClient[] = [];

beforeAll(async () => {
  [primary, replica] = (await Promise.all(
    ['primary', 'replica'].map(async (name) => {
      const cluster = await createCluster({
        directory: join(directory, name),
        port: await freePort(),
        // They are killed, the machine is not; and a crash recovery syncs every file there is.
        settings: { fsync: 'off' },
      });
      await cluster.start();
      return cluster;
    }),
  )) as [Cluster, Cluster];
});

afterAll(async () => {
  await Promise.all([primary.stop('immediate'), replica.stop('immediate')]);
  rmSync(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  journal = new MemoryJournal();
  database = `d${++count}`;
  for (const cluster of [primary, replica]) {
    const admin = await open(cluster, 'postgres');
    await admin.query(`CREATE DATABASE ${database}`);
  }
  sql = await open(primary);
  copy = await open(replica);
});

afterEach(async () => {
  journal.failure = () => null;
  journal.release();
  for (const sidecar of sidecars.splice(0)) await sidecar.stop();
  const admin = await open(primary, database);
  await admin.query('ALTER SYSTEM RESET synchronous_standby_names');
  await admin.query('SELECT pg_reload_conf()');
  const slots = await admin.query<{ slot_name: string }>(
    'SELECT slot_name FROM pg_replication_slots WHERE database = current_database()',
  );
  for (const { slot_name } of slots.rows) await dropSlot(admin, slot_name);
  for (const client of clients.splice(0)) await client.end().catch(() => undefined);
});

test('ships and applies every transaction once, although journal, feeds and sessions keep failing', async () => {
  await define(`CREATE TABLE account (id int PRIMARY KEY, balance bigint, note text);
      CREATE TABLE log (id bigserial PRIMARY KEY, account int, amount int);
      ALTER TABLE account ALTER note SET STORAGE EXTERNAL`);
  await sql.query(
    'INSERT INTO account SELECT i, 0, repeat(md5(i::text), 200) FROM generate_series(1, 40) i',
  );
  await start('apply');
  await start('ship', { ship: { batchBytesMax: 65_536 } });
  let appends = 0;
  journal.failure = () => {
    appends += 1;
    if (appends % 37 === 0) return 'before';
    return appends % 53 === 0 ? 'after' : null;
  };
  const until = Date.now() + 4_000;
  let transfers = 0;
  const work = async (seed: number): Promise<void> => {
    const client = await open(primary);
    for (let i = 0; Date.now() < until; i++) {
      const [from, to] = [1 + ((i * 7 + seed) % 40), 1 + ((i * 11 + seed * 3) % 40)];
      await client.query('BEGIN');
      for (const [id, sign] of [
        [Math.min(from, to), -1],
        [Math.max(from, to), 1],
      ] as const) {
        await client.query('UPDATE account SET balance = balance + $1 WHERE id = $2', [
          sign * (i % 9),
          id,
        ]);
        await client.query('INSERT INTO log (account, amount) VALUES ($1, $2)', [
          id,
          sign * (i % 9),
        ]);
      }
      if (i % 50 === 25)
        await client.query("UPDATE account SET note = repeat('n', 9000) || $1 WHERE id = $2", [
          i,
          Math.min(from, to),
        ]);
      await client.query(i % 13 === 0 ? 'ROLLBACK' : 'COMMIT');
      transfers += 1;
      if (i % 40 === 7) journal.breakFeeds();
    }
  };
  const disturb = async (): Promise<void> => {
    while (Date.now() < until) {
      await sleep(400);
      const victims = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE datname = current_database() AND application_name LIKE 'meridian%'`;
      await (Math.random() < 0.5 ? sql : copy).query(victims);
    }
  };
  await Promise.all([work(1), work(2), work(3), disturb()]);
  journal.failure = () => null;
  await sql.query("SELECT pg_logical_emit_message(true, 'x', '')");
  await sql.query('DELETE FROM account WHERE id = 40');
  await eventually(
    async () =>
      (await copy.query('SELECT FROM account WHERE id = 40')).rowCount === 0 &&
      (await copy.query('SELECT FROM account')).rowCount === 39,
  );
  await expectSame('account');
  await expectSame('log');
  expect(transfers).toBeGreaterThan(100);
  expect(shippedTwice()).toEqual([]);
});

test('lets COMMIT return only when the journal has acknowledged it', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  await start('ship', { ship: { synchronous: true } });
  await synchronous();
  journal.hold();
  const other = await open(primary);
  let returned = false;
  const commit = other.query('INSERT INTO t VALUES (1)').then(() => {
    returned = true;
  });
  await eventually(() => journal.heldCount > 0);
  // What the sidecar tells Postgres meanwhile must not release it.
  const heard = new Set<string>();
  await eventually(async () => heard.add(await lastStatus()).size === 3);
  expect(returned).toBe(false);
  expect((await sql.query('SELECT FROM t')).rowCount).toBe(0);
  journal.release();
  await commit;
  expect((await sql.query('SELECT FROM t')).rowCount).toBe(1);
});

test('does not let commits hang of which nothing is shipped', async () => {
  await sql.query('CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)');
  await start('ship', { ship: { synchronous: true, tables: ['public.a'] } });
  await synchronous();
  const elsewhere = await open(primary, 'postgres');
  await elsewhere.query('CREATE TABLE IF NOT EXISTS e (i int)');
  const waiting = await open(primary);
  await waiting.query('SET statement_timeout = 30000');
  await elsewhere.query('SET statement_timeout = 30000');
  for (let i = 0; i < 20; i++) {
    await waiting.query('INSERT INTO b VALUES ($1)', [i]);
    await waiting.query(`CREATE TABLE ddl${i} (id int PRIMARY KEY)`);
    await elsewhere.query('INSERT INTO e VALUES ($1)', [i]);
    await waiting.query('INSERT INTO a VALUES ($1)', [i]);
  }
  expect(shipped('transaction')).toBe(21); // the copy included
  expect(shipped('watermark')).toBeGreaterThan(20);
  const { rows } = await elsewhere.query('SELECT count(*)::int AS n FROM e');
  expect(rows).toEqual([{ n: '20' }]);
});

/** In the journal, answered or not. */
function shipped(kind: 'transaction' | 'watermark'): number {
  const kinds = journal.batches.map(({ records }) => decodeChangeBatch(records).header.kind);
  return kinds.filter((one) => one === kind).length;
}

test('goes on where the journal stands after Postgres crashed with a COMMIT waiting', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  await start('apply');
  await start('ship', { ship: { synchronous: true } });
  await synchronous();
  await sql.query('INSERT INTO t VALUES (1)');
  const before = shipped('transaction');
  journal.hold();
  const other = await open(primary);
  const commit = other.query('INSERT INTO t VALUES (2)').catch(() => 'cut off');
  await eventually(() => shipped('transaction') > before);
  await primary.stop('immediate');
  expect(await commit).toBe('cut off');
  await primary.start();
  journal.release();
  sql = await open(primary);
  await sql.query('INSERT INTO t VALUES (3)');
  await replica.stop('immediate');
  await replica.start();
  copy = await open(replica);
  await eventually(async () => (await copy.query('SELECT FROM t')).rowCount === 3);
  await expectSame('t');
  expect(shippedTwice()).toEqual([]);
});

test('starts an interrupted initial copy over, and loses and doubles nothing', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY, a text)');
  await sql.query("INSERT INTO t SELECT i, repeat('a', 100) FROM generate_series(1, 3000) i");
  let failures = 3;
  journal.failure = () => {
    if (failures === 0 || journal.batches.length % 4 !== 3) return null;
    failures -= 1;
    return 'after';
  };
  await start('apply');
  await start('ship', { ship: { batchBytesMax: 65_536 } });
  await sql.query('UPDATE t SET a = id WHERE id <= 10');
  await eventually(async () => (await copy.query("SELECT FROM t WHERE a = '10'")).rowCount === 1);
  await expectSame('t');
  expect(failures).toBe(0);
});

test('a large transaction arrives once and whole however often its shipping breaks off', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY, a text)');
  await sql.query("INSERT INTO t SELECT i, '' FROM generate_series(1, 3000) i");
  await start('apply');
  await start('ship', { ship: { batchBytesMax: 65_536 } });
  await eventually(async () => (await copy.query('SELECT FROM t')).rowCount === 3000);
  let [appends, failures] = [0, 0];
  journal.failure = () => {
    appends += 1;
    if (failures === 12 || appends % 4 !== 3) return null;
    failures += 1;
    return failures % 2 === 0 ? 'before' : 'after';
  };
  await sql.query("UPDATE t SET a = repeat('a', 200)");
  await sql.query('DELETE FROM t WHERE id = 1');
  await eventually(async () => (await copy.query('SELECT FROM t')).rowCount === 2999);
  await expectSame('t');
  expect(failures).toBe(12);
  expect(shippedTwice()).toEqual([]);
});

// One that read the journal before the slot took what was confirmed in between for a gap, and ended.
test('a second sidecar takes the slot over; the first ends as fenced', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  const { sidecar: first, end: firstEnd } = await start('ship');
  await eventually(() => journal.batches.length >= 2);
  await start('ship');
  await eventually(async () => {
    await sql.query('INSERT INTO t SELECT coalesce(max(id), 0) + 1 FROM t');
    return (await Promise.race([firstEnd, sleep(50)])) !== undefined;
  });
  expect(await firstEnd).toMatchObject({ reason: 'WRITER_FENCED' });
  await first.stop();
  expect(shippedTwice()).toEqual([]);
});

test('refuses to ship over a gap: slot gone, slot moved by hand', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  const { sidecar: first } = await start('ship');
  await eventually(() => journal.batches.length >= 2);
  await first.stop();
  await sql.query('INSERT INTO t VALUES (1)');
  await sql.query("SELECT pg_replication_slot_advance('meridian', pg_current_wal_lsn())");
  const { end: moved } = await start('ship');
  expect(await moved).toMatchObject({ reason: 'OUT_OF_RANGE', message: /slot stands at/ });
  await sql.query("SELECT pg_drop_replication_slot('meridian')");
  const { end: gone } = await start('ship');
  expect(await gone).toMatchObject({ reason: 'OUT_OF_RANGE', message: /slot is gone/ });
});

test('refuses to start with a table without identity, and stays up when Postgres is away', async () => {
  await sql.query('CREATE TABLE bad (a int)');
  const { end } = await start('ship');
  expect(await end).toMatchObject({ reason: 'REFUSED', message: /"public"."bad"/ });
  const { sidecar: away } = await start('ship', {
    postgres: `postgres://x@127.0.0.1:${await freePort()}/d`,
  });
  const channel = connect(`127.0.0.1:${away.port}`);
  await eventually(async () => {
    const { ship } = await channel.unary(
      SidecarService.method.status,
      { cluster: 'test' },
      { deadlineMs: 2_000 },
    );
    return ship?.state === 'waiting' && ship.error.startsWith('UNAVAILABLE');
  });
  channel.close();
});

test('stops at a conflict, says so, and goes on by itself once it is repaired', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  const { sidecar: applying } = await start('apply');
  await start('ship');
  await sql.query('INSERT INTO t VALUES (1)');
  await eventually(async () => (await copy.query('SELECT FROM t')).rowCount === 1);
  await copy.query('INSERT INTO t VALUES (2)');
  await sql.query('INSERT INTO t VALUES (2)');
  await sql.query('INSERT INTO t VALUES (3)');
  const channel = connect(`127.0.0.1:${applying.port}`);
  await eventually(async () => {
    const { apply } = await channel.unary(
      SidecarService.method.status,
      { cluster: 'test' },
      { deadlineMs: 2_000 },
    );
    return apply?.error.includes('CONFLICT: cannot insert in "public"."t" (id=2)') === true;
  });
  channel.close();
  expect((await copy.query('SELECT FROM t WHERE id = 3')).rowCount).toBe(0);
  await copy.query('DELETE FROM t WHERE id = 2');
  await eventually(async () => (await copy.query('SELECT FROM t WHERE id = 3')).rowCount === 1);
});

test('a linearizable read contains every commit that had returned: by gRPC and by SQL', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  const { sidecar: applying } = await start('apply');
  await start('ship', { ship: { synchronous: true } });
  await synchronous();
  const channel = connect(`127.0.0.1:${applying.port}`);
  const reader = await open(replica);
  const offered = "SELECT FROM pg_proc WHERE proname = 'wait_linearizable'";
  await eventually(async () => (await reader.query(offered)).rowCount === 1);
  for (let i = 1; i <= 40; i++) {
    await sql.query('INSERT INTO t VALUES ($1)', [i]);
    if (i % 2 === 0) await reader.query('SELECT meridian.wait_linearizable()');
    else {
      const answer = await channel.unary(
        SidecarService.method.wait,
        { cluster: 'test' },
        { deadlineMs: 5_000 },
      );
      expect(answer.watermark).toBeGreaterThanOrEqual(answer.readPoint);
    }
    expect((await reader.query('SELECT FROM t')).rowCount).toBe(i);
  }
  await expect(
    channel.unary(SidecarService.method.wait, { cluster: 'other' }, { deadlineMs: 5_000 }),
  ).rejects.toMatchObject({ reason: 'WRONG_TARGET' });
  channel.close();
  await reader.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await expect(reader.query('SELECT meridian.wait_linearizable()')).rejects.toThrow(
    /READ COMMITTED/,
  );
  await reader.query('ROLLBACK');
});

test('a linearizable read at the primary shows what a replica may show already, though its COMMIT waits', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  const { sidecar: shipping } = await start('ship', { ship: { synchronous: true } });
  await synchronous();
  const channel = connect(`127.0.0.1:${shipping.port}`);
  const reader = await open(primary);
  const offered = "SELECT FROM pg_proc WHERE proname = 'wait_linearizable'";
  await eventually(async () => (await reader.query(offered)).rowCount === 1);
  for (let i = 1; i <= 6; i++) {
    journal.hold();
    const known = shipped('transaction');
    const committed = sql.query('INSERT INTO t VALUES ($1)', [i]);
    await eventually(() => shipped('transaction') > known);
    let over = false;
    const waited = (
      i % 2 === 0
        ? reader.query('SELECT meridian.wait_linearizable()')
        : channel.unary(SidecarService.method.wait, { cluster: 'test' }, { deadlineMs: 30_000 })
    ).then(() => {
      over = true;
    });
    // It asks Postgres again and again, and the row is not there.
    for (let look = 0; look < 20; look++) expect((await copy.query('SELECT 1')).rowCount).toBe(1);
    expect(over).toBe(false);
    journal.release();
    await waited;
    expect((await reader.query('SELECT FROM t')).rowCount).toBe(i);
    await committed;
  }
  channel.close();
  await reader.query('SET default_transaction_read_only = on');
  await expect(reader.query('SELECT meridian.wait_linearizable()')).rejects.toThrow(/only read/);
  await reader.query('SET default_transaction_read_only = off');
});

type Overrides = Partial<Record<'ship' | 'apply', Record<string, unknown>>> & { postgres?: string };

/** The sidecar, and what ends one of its roles for good. */
async function start(
  role: 'ship' | 'apply',
  overrides: Overrides = {},
): Promise<{ sidecar: Sidecar; end: Promise<unknown> }> {
  const config: SidecarConfig = sidecarSchema.parse({
    ...{ cluster: 'test', region: 'a', listen: '127.0.0.1:0', roles: [role], stream: 'pg.test' },
    postgres: (role === 'ship' ? primary : replica).url(database),
    instance: { name: 'one', replicas: [{ region: 'a', address: '127.0.0.1:1' }] },
    timings: { retryMs: 20, retryMsMax: 200, takeOverMs: 300, drainMs: 500 },
    ...overrides,
  });
  const sidecar = new Sidecar({
    config,
    logger,
    security: null,
    shipTo: role === 'ship' ? journal : null,
    applyFrom: role === 'apply' ? journal : null,
  });
  sidecars.push(sidecar);
  let tell: (error: unknown) => void = () => undefined;
  const end = new Promise<unknown>((resolve) => {
    tell = resolve;
  });
  await sidecar.start(tell);
  return { sidecar, end };
}

async function define(ddl: string): Promise<void> {
  await sql.query(ddl);
  await copy.query(ddl);
}

/** COMMIT waits from now on. */
async function synchronous(): Promise<void> {
  await eventually(async () => {
    const { rows } = await sql.query<{ s: string }>(
      "SELECT coalesce(max(sync_state), '') AS s FROM pg_stat_replication WHERE application_name = 'meridian'",
    );
    return rows[0]?.s === 'sync';
  });
}

/** When Postgres last heard from the sidecar. */
async function lastStatus(): Promise<string> {
  const { rows } = await sql.query<{ at: string }>(
    "SELECT reply_time AS at FROM pg_stat_replication WHERE application_name = 'meridian'",
  );
  return rows[0]?.at ?? '';
}

/** End LSNs of transactions that are in the journal more than once. */
function shippedTwice(): number[] {
  const seen = new Set<number>();
  const twice: number[] = [];
  for (const { records } of journal.batches) {
    const { header } = decodeChangeBatch(records);
    if (header.kind !== 'transaction' || !header.final) continue;
    if (seen.has(header.endLsn)) twice.push(header.endLsn);
    seen.add(header.endLsn);
  }
  return twice;
}

async function expectSame(table: string): Promise<void> {
  const query = `SELECT md5(t::text) AS row FROM ${table} t ORDER BY 1`;
  const [here, there] = await Promise.all([sql.query(query), copy.query(query)]);
  expect(here.rows.length).toBeGreaterThan(0);
  expect(there.rows).toEqual(here.rows);
}

/** As a program would connect: waits for what COMMIT waits for. */
async function open(cluster: Cluster, name = database): Promise<PostgresClient> {
  const client = await connectPostgres(
    { address: cluster.address(name), applicationName: 'test' },
    () => undefined,
  );
  clients.push(client);
  await client.query('SET search_path = public');
  await client.query('SET synchronous_commit = on');
  return client;
}

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new MeridianError('DEADLINE', 'it did not become true');
    await sleep(10);
  }
}
