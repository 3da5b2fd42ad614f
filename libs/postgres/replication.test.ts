/**
 * A real Postgres on both sides, and between them the change format: session → encoder → batches in
 * memory → applier. What the journal would hold is an array here.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { MeridianError } from '../errors/errors.ts';
import { Applier } from './applier.ts';
import type { IncomingBatch } from './applier.ts';
import { createCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { connectPostgres } from './connection.ts';
import { LSN_ZERO, lsn } from './lsn.ts';
import type { Lsn } from './lsn.ts';
import { encodeMessage } from './pgoutput.ts';
import { ReplicationSession } from './replication-session.ts';
import { readSnapshot } from './snapshot.ts';
import {
  createSlot,
  dropSlot,
  ensurePublication,
  identifySource,
  preflightSource,
  slotState,
} from './source.ts';
import { PART_LIMITS, PartBuilder, TransactionEncoder } from './transaction-encoder.ts';
import type { PartLimits } from './transaction-encoder.ts';

const directory = mkdtempSync(join(tmpdir(), 'meridian-replication-'));
/** Far more than it takes; the machine may be busy with something else. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const SLOT = 'meridian_test';
let source: Cluster;
let target: Cluster;
let sql: pg.Client;
let replica: pg.Client;
let number = 0;
let database = '';
let feed: Feed | null = null;
let applier: Applier | null = null;

beforeAll(async () => {
  [source, target] = (await Promise.all(
    ['source', 'target'].map(async (name) => {
      const cluster = await createCluster({
        directory: join(directory, name),
        port: await freePort(),
        settings: { fsync: 'off' },
      });
      await cluster.start();
      return cluster;
    }),
  )) as [Cluster, Cluster];
});

afterAll(async () => {
  await source.stop('immediate');
  await target.stop('immediate');
  rmSync(directory, { recursive: true, force: true });
});

/** Every test has a database of its own on both sides. */
beforeEach(async () => {
  database = `d${++number}`;
  for (const cluster of [source, target]) {
    const admin = await connectPostgres({ address: cluster.address(), applicationName: 'test' });
    await admin.query(`CREATE DATABASE ${database}`);
    await admin.end();
  }
  sql = await connectPostgres({ address: source.address(database), applicationName: 'test' });
  replica = await connectPostgres({ address: target.address(database), applicationName: 'test' });
  for (const client of [sql, replica]) await client.query('SET search_path = public');
});

afterEach(async () => {
  await feed?.stop();
  await applier?.close();
  feed = null;
  applier = null;
  const slot = await slotState(sql, SLOT);
  if (slot !== null) await dropSlot(sql, SLOT);
  // A cluster has room for few, and every test here is another database.
  await replica.query('SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin');
  await sql.end();
  await replica.end();
});

test('copies what was there and then follows every kind of change', async () => {
  await define(`CREATE TABLE t (id int PRIMARY KEY, a text, b numeric(10,2), c timestamptz, d jsonb,
    e int[], f bool, g bytea, h char(4))`);
  await sql.query(`INSERT INTO t SELECT i, 'row "' || i || '" \\ {x,y}', i / 3.0, 'epoch'::timestamptz
    + i * interval '1 day', jsonb_build_object('i', i), ARRAY[i, NULL, -i], i % 2 = 0,
    decode('00ff5c', 'hex'), 'ab' FROM generate_series(1, 2500) i`);
  await start();
  await caughtUp();
  await expectSame('t');
  await sql.query("INSERT INTO t (id, a, b) VALUES (9001, NULL, 'NaN'), (9002, '', 0)");
  await sql.query("UPDATE t SET a = a || '!', b = b + 1 WHERE id <= 100");
  await sql.query('UPDATE t SET id = id + 20000 WHERE id <= 10');
  await sql.query('DELETE FROM t WHERE id BETWEEN 50 AND 150');
  await sql.query(
    "BEGIN; DELETE FROM t WHERE id = 200; INSERT INTO t VALUES (200, 'again'); UPDATE t SET a = 'thrice' WHERE id = 200; COMMIT",
  );
  await caughtUp();
  await expectSame('t');
  await sql.query("BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, 'new'); COMMIT");
  await caughtUp();
  await expectSame('t');
});

test('keeps large values that an update did not touch', async () => {
  await define(
    'CREATE TABLE t (id int PRIMARY KEY, n int, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL',
  );
  await sql.query(
    'INSERT INTO t SELECT i, 0, repeat(md5(i::text), 300) FROM generate_series(1, 20) i',
  );
  await start();
  await sql.query('UPDATE t SET n = n + 1');
  await sql.query('UPDATE t SET id = id + 100 WHERE id <= 5');
  await caughtUp();
  await expectSame('t');
});

test('finds rows by replica identity FULL, an index, and among alike rows', async () => {
  await define(`
    CREATE TABLE alike (a int, b text, j json, p point);
    ALTER TABLE alike REPLICA IDENTITY FULL;
    CREATE TABLE fullkey (id int PRIMARY KEY, big text, n int);
    ALTER TABLE fullkey ALTER big SET STORAGE EXTERNAL;
    ALTER TABLE fullkey REPLICA IDENTITY FULL;
    CREATE TABLE indexed (a int NOT NULL, b text NOT NULL, c int);
    CREATE UNIQUE INDEX indexed_key ON indexed (b, a);
    ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_key`);
  await start();
  await sql.query(
    `INSERT INTO alike VALUES (1, 'x', '{"k": 1}', '(1,2)'), (1, 'x', '{"k": 1}', '(1,2)'), (NULL, NULL, NULL, NULL)`,
  );
  await sql.query(
    "UPDATE alike SET b = 'y' WHERE ctid = (SELECT ctid FROM alike WHERE a = 1 LIMIT 1)",
  );
  await sql.query('UPDATE alike SET a = 2 WHERE a IS NULL');
  await sql.query("DELETE FROM alike WHERE b = 'x'");
  await sql.query(
    "INSERT INTO fullkey VALUES (1, repeat('z', 9000), 1), (2, repeat('w', 9000), 1)",
  );
  await sql.query(
    'UPDATE fullkey SET n = 2; UPDATE fullkey SET id = 3 WHERE id = 1; DELETE FROM fullkey WHERE id = 2',
  );
  await sql.query("INSERT INTO indexed VALUES (1, 'a', 1), (1, 'b', 1), (2, 'a', 1)");
  await sql.query(
    "UPDATE indexed SET c = 2; UPDATE indexed SET b = 'z' WHERE a = 2; DELETE FROM indexed WHERE b = 'b'",
  );
  await caughtUp();
  for (const table of ['alike', 'fullkey', 'indexed']) await expectSame(table);
});

test('quotes what it must: names from hell, identity columns, generated ones, own types', async () => {
  await define(`
    CREATE SCHEMA "we""ird";
    CREATE TYPE "we""ird"."mood ""x""" AS ENUM ('so''so', 'a,b', '{}');
    CREATE DOMAIN "we""ird".positive AS int CHECK (VALUE > 0);
    CREATE TYPE "we""ird".pair AS (a int, b text);
    CREATE TABLE "we""ird"."Ta'b;le--" ("i d" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      "sel""ect" "we""ird"."mood ""x""", "p" "we""ird".positive, "pr" "we""ird".pair,
      "arr" "we""ird"."mood ""x"""[], twice int GENERATED ALWAYS AS (p * 2) STORED)`);
  await start();
  await sql.query(`INSERT INTO "we""ird"."Ta'b;le--" ("sel""ect", p, pr, arr)
    VALUES ('so''so', 1, ROW(1, 'x"y'), ARRAY['a,b', '{}']::"we""ird"."mood ""x"""[]), ('a,b', 2, NULL, NULL)`);
  await sql.query(`UPDATE "we""ird"."Ta'b;le--" SET p = p + 5, "sel""ect" = '{}'`);
  await sql.query(`DELETE FROM "we""ird"."Ta'b;le--" WHERE "i d" = 2`);
  await caughtUp();
  await expectSame(`"we""ird"."Ta'b;le--"`);
});

test('applies a swap of unique values, which joined statements cannot', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)');
  await sql.query('INSERT INTO t SELECT i, i FROM generate_series(1, 50) i');
  await start();
  await sql.query(`DO $$ BEGIN FOR i IN REVERSE 50..1 LOOP
    UPDATE t SET u = u + 1 WHERE id = i; END LOOP; END $$`);
  await caughtUp();
  await expectSame('t');
});

test('carries a transaction of many batches, and a row larger than a batch, as one', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY, a text)');
  await start({ bytesMax: 2_000, recordsMax: 20 });
  await sql.query("INSERT INTO t SELECT i, repeat('a', i % 50) FROM generate_series(1, 500) i");
  await sql.query("INSERT INTO t VALUES (1000, repeat('b', 30000))");
  await sql.query("UPDATE t SET a = a || 'c' WHERE id > 400");
  await caughtUp();
  await expectSame('t');
  expect(required(feed).batches.length).toBeGreaterThan(30);
});

test('stops with the table and the key when a row is missing, and applies nothing of it', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY, a text)');
  await sql.query("INSERT INTO t SELECT i, 'a' FROM generate_series(1, 20) i");
  await start();
  await caughtUp();
  await replica.query('DELETE FROM t WHERE id = 7');
  await sql.query("BEGIN; INSERT INTO t VALUES (100, 'x'); UPDATE t SET a = 'b'; COMMIT");
  const error = await caughtUp().catch((it: unknown) => it as MeridianError);
  expect(error).toMatchObject({
    reason: 'CONFLICT',
    details: { change: 'update', table: '"public"."t"', key: 'id=7' },
  });
  expect((await replica.query('SELECT FROM t WHERE id = 100')).rowCount).toBe(0);
  await replica.query("INSERT INTO t VALUES (7, 'a')");
  await reopen();
  await caughtUp();
  await expectSame('t');
});

test('stops with the key when a row is there already, and when the target lacks the table', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY, a text)');
  await replica.query("INSERT INTO t VALUES (9, 'stranger')");
  await start();
  await expect(caughtUp()).rejects.toMatchObject({
    reason: 'CONFLICT',
    details: { change: 'snapshot', table: '"public"."t"' },
  });
  await replica.query('TRUNCATE t');
  await reopen();
  await caughtUp();
  await replica.query("INSERT INTO t VALUES (3, 'stranger')");
  await sql.query("INSERT INTO t SELECT i, 'a' FROM generate_series(1, 5) i");
  await expect(caughtUp()).rejects.toMatchObject({
    reason: 'CONFLICT',
    details: { change: 'insert', table: '"public"."t"', key: 'id=3', sqlState: '23505' },
  });
  await replica.query('DELETE FROM t');
  await sql.query('CREATE TABLE elsewhere (id int PRIMARY KEY)');
  await sql.query('INSERT INTO elsewhere VALUES (1)');
  await reopen();
  await expect(caughtUp()).rejects.toMatchObject({
    reason: 'REFUSED',
    message: expect.stringContaining('"public"."elsewhere"') as string,
  });
});

test('applies once: what is read again after a restart changes nothing', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY, n int)');
  await sql.query('INSERT INTO t VALUES (1, 0)');
  await start();
  for (let i = 0; i < 5; i++) await sql.query('UPDATE t SET n = n + 1');
  await caughtUp();
  await reopen();
  required(feed).applied = 0; // everything once more
  for (let i = 0; i < 3; i++) await sql.query('UPDATE t SET n = n + 1');
  await caughtUp();
  await expectSame('t');
});

test('applies a transaction whose commit record begins where the initial copy stands', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  await start();
  await caughtUp();
  const { endLsn, commitLsn, source: from } = required(applier).position;
  expect(commitLsn).toBeLessThanOrEqual(endLsn);
  if (from === null) throw new Error('the copy is not applied');
  const relation = {
    ...{ kind: 'relation' as const, id: 1, schema: 'public', table: 't' },
    identity: 'default' as const,
    columns: [{ name: 'id', key: true, typeId: 23, typeModifier: -1 }],
  };
  const next = new PartBuilder(
    { source: from, snapshot: false, attempt: 2, xid: 9, commitLsn: endLsn, commitTime: 0 },
    PART_LIMITS,
  );
  next.add(encodeMessage(relation));
  next.add(encodeMessage({ kind: 'insert', relation: 1, values: ['1'] }));
  const { records } = next.finish(lsn(endLsn + 40));
  const position = { instance: 0, timestamp: 1_000, recordOffset: 0, cursor: null };
  const batches = [{ position, records }];
  await required(applier).apply(batches);
  expect((await replica.query('SELECT FROM t')).rowCount).toBe(1);
  await required(applier).apply(batches); // and once only
  expect((await replica.query('SELECT FROM t')).rowCount).toBe(1);
});

test('lets the later of two appliers win', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  await start();
  await caughtUp();
  const old = required(applier);
  await reopen();
  await sql.query('INSERT INTO t VALUES (1)');
  await caughtUp();
  const again = required(feed).batches.slice(-1);
  // Its session was ended by the successor, or, had that not been permitted, its epoch is too low.
  await expect(old.apply(again)).rejects.toMatchObject({ reason: /FENCED|UNAVAILABLE/ });
  await expectSame('t');
  await old.close();
});

test('marks what it applies with an origin, which the encoder of that side leaves out', async () => {
  await define('CREATE TABLE t (id int PRIMARY KEY)');
  await start();
  await sql.query('INSERT INTO t VALUES (1)');
  await caughtUp();
  const address = target.address(database);
  await ensurePublication(replica, 'back', 'all');
  const maker = await connectPostgres({ address, applicationName: 'x', replication: 'database' });
  const { from } = await createSlot(maker, 'back');
  const encoder = new TransactionEncoder({
    source: await identifySource(maker),
    attempt: 1,
    after: from,
  });
  await maker.end();
  await sql.query('INSERT INTO t VALUES (2)');
  await caughtUp();
  await replica.query('INSERT INTO t VALUES (3)');
  const kinds: string[] = [];
  await new Promise<void>((resolve, reject) => {
    void ReplicationSession.start(
      { address, applicationName: 'x', slot: 'back', publication: 'back', from },
      {
        message: (bytes) => {
          for (const out of encoder.push(bytes)) kinds.push(out.kind);
          if (kinds.includes('part')) resolve();
        },
        keepalive: () => undefined,
        ended: (error) => {
          if (error !== null) reject(error);
        },
      },
    ).then((session) => {
      feedsToClose.push(session);
    }, reject);
  });
  expect(kinds).toEqual(['skipped', 'part']);
  for (const session of feedsToClose.splice(0)) await session.close();
  await dropSlot(replica, 'back');
});

test('carries a partitioned table that is published as a whole', async () => {
  await define(`CREATE TABLE p (id int PRIMARY KEY, a text) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (1000)`);
  await sql.query("INSERT INTO p SELECT i, 'a' FROM generate_series(1, 200) i");
  await sql.query(`CREATE PUBLICATION ${SLOT} FOR ALL TABLES WITH (publish_via_partition_root)`);
  await start();
  await sql.query(
    'UPDATE p SET id = id + 90 WHERE id BETWEEN 50 AND 60 AND id + 90 NOT IN (SELECT id FROM p)',
  );
  await sql.query('DELETE FROM p WHERE id > 150');
  await sql.query('UPDATE p SET id = 900 WHERE id = 7');
  await caughtUp();
  await expectSame('p');
});

const feedsToClose: ReplicationSession[] = [];

/** Both sides get the same definitions; nothing carries them. */
async function define(ddl: string): Promise<void> {
  await sql.query(ddl);
  await replica.query(ddl);
}

async function start(limits: PartLimits = PART_LIMITS): Promise<void> {
  await preflightSource(sql);
  await ensurePublication(sql, SLOT, 'all');
  feed = await Feed.start(limits);
  await reopen();
}

async function reopen(): Promise<void> {
  applier = await Applier.open(
    { address: target.address(database), name: database },
    () => undefined,
  );
  const { timestamp } = applier.position.journal;
  required(feed).applied = timestamp;
}

/** Everything committed so far is applied. */
async function caughtUp(): Promise<void> {
  const { rows } = await sql.query<{ lsn: string }>(
    "SELECT pg_logical_emit_message(true, 'test', 'here')::text AS lsn",
  );
  expect(rows).toHaveLength(1);
  const it = required(feed);
  await it.passed(
    (await sql.query<{ l: string }>('SELECT pg_current_wal_flush_lsn()::text AS l')).rows[0]?.l ??
      '',
  );
  while (it.applied < it.batches.length) {
    const next = it.batches.slice(it.applied, it.applied + 7);
    await required(applier).apply(next);
    it.applied += next.length;
  }
}

async function expectSame(table: string): Promise<void> {
  const query = `SELECT t::text AS row FROM ${table} t ORDER BY 1`;
  const [here, there] = await Promise.all([sql.query(query), replica.query(query)]);
  expect(there.rows).toEqual(here.rows);
}

/** What the shipper will be, without a journal. */
class Feed {
  readonly batches: IncomingBatch[] = [];
  applied = 0;
  #end = LSN_ZERO;
  #session: ReplicationSession | null = null;
  #waiting: (() => void)[] = [];

  static async start(limits: PartLimits): Promise<Feed> {
    const feed = new Feed();
    const address = source.address(database);
    const maker = await connectPostgres({ address, applicationName: 'x', replication: 'database' });
    const identity = await identifySource(maker);
    const { from, snapshot } = await createSlot(maker, SLOT);
    const copy = new PartBuilder(
      { source: identity, snapshot: true, attempt: 1, xid: 0, commitLsn: from, commitTime: 0 },
      limits,
    );
    for await (const message of readSnapshot({ address, applicationName: 'x' }, snapshot, SLOT)) {
      for (const part of copy.add(message) ?? []) feed.#put(part.records);
    }
    feed.#put(copy.finish(from).records);
    await maker.end();
    const encoder = new TransactionEncoder({ source: identity, attempt: 1, after: from, limits });
    feed.#session = await ReplicationSession.start(
      { address, applicationName: 'x', slot: SLOT, publication: SLOT, from },
      {
        message: (bytes) => {
          for (const out of encoder.push(bytes)) {
            if (out.kind === 'part') feed.#put(out.records);
            if (out.kind === 'skipped' || out.header.final) {
              feed.#reach(out.kind === 'skipped' ? out.endLsn : out.header.endLsn);
            }
          }
        },
        keepalive: (end) => {
          feed.#reach(end);
        },
        ended: () => undefined,
      },
    );
    return feed;
  }

  async passed(text: string): Promise<void> {
    const [high, low] = text.split('/').map((part) => parseInt(part, 16));
    const wanted = (high ?? 0) * 0x1_0000_0000 + (low ?? 0);
    while (this.#end < wanted) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async stop(): Promise<void> {
    await this.#session?.close();
  }

  #put(records: readonly Uint8Array[]): void {
    const timestamp = this.batches.length + 1;
    this.batches.push({
      position: { instance: 0, timestamp, recordOffset: 0, cursor: null },
      records,
    });
  }

  #reach(end: Lsn): void {
    this.#end = end;
    this.#session?.confirm(end);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function required<T>(it: T | null): T {
  if (it === null) throw new Error('not started');
  return it;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
