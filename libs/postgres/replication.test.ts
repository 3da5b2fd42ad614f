/** A real Postgres on both sides: changes of every kind, and what must not be applied (SPEC.md). */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import type { MeridianError } from '../errors/errors.ts';
import { connectPostgres } from './connection.ts';
import { lsn } from './lsn.ts';
import { encodeMessage } from './pgoutput.ts';
import { ReplicationSession } from './replication-session.ts';
import { SequenceScribe, advanceSequences } from './sequences.ts';
import { createSlot, dropSlot, ensurePublication, identifySource } from './source.ts';
import { SLOT, replicationPair } from './testing-pair.ts';
import { PartBuilder, PART_LIMITS, TransactionEncoder } from './transaction-encoder.ts';

/** Far more than it takes; the machine may be busy with something else. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const pair = replicationPair({ beforeAll, afterAll, beforeEach, afterEach });
const feedsToClose: ReplicationSession[] = [];

test('copies what was there and then follows every kind of change', async () => {
  await pair.define(`CREATE TABLE t (id int PRIMARY KEY, a text, b numeric(10,2), c timestamptz, d jsonb,
    e int[], f bool, g bytea, h char(4))`);
  await pair.sql
    .query(`INSERT INTO t SELECT i, 'row "' || i || '" \\ {x,y}', i / 3.0, 'epoch'::timestamptz
    + i * interval '1 day', jsonb_build_object('i', i), ARRAY[i, NULL, -i], i % 2 = 0,
    decode('00ff5c', 'hex'), 'ab' FROM generate_series(1, 2500) i`);
  await pair.start();
  await pair.caughtUp();
  await pair.expectSame('t');
  const { copy } = pair.feed;
  expect(copy.at(-1)).toMatchObject({ table: '"public"."t"', tables: 1, rows: 2500 });
  expect(copy.map(({ rows }) => rows)).toEqual([0, 1000, 2000, 2500]);
  await pair.sql.query("INSERT INTO t (id, a, b) VALUES (9001, NULL, 'NaN'), (9002, '', 0)");
  await pair.sql.query("UPDATE t SET a = a || '!', b = b + 1 WHERE id <= 100");
  await pair.sql.query('UPDATE t SET id = id + 20000 WHERE id <= 10');
  await pair.sql.query('DELETE FROM t WHERE id BETWEEN 50 AND 150');
  await pair.sql.query(
    "BEGIN; DELETE FROM t WHERE id = 200; INSERT INTO t VALUES (200, 'again'); UPDATE t SET a = 'thrice' WHERE id = 200; COMMIT",
  );
  await pair.caughtUp();
  await pair.expectSame('t');
  await pair.sql.query("BEGIN; TRUNCATE t; INSERT INTO t VALUES (1, 'new'); COMMIT");
  await pair.caughtUp();
  await pair.expectSame('t');
});

test('keeps large values that an update did not touch', async () => {
  await pair.define(
    'CREATE TABLE t (id int PRIMARY KEY, n int, big text); ALTER TABLE t ALTER big SET STORAGE EXTERNAL',
  );
  await pair.sql.query(
    'INSERT INTO t SELECT i, 0, repeat(md5(i::text), 300) FROM generate_series(1, 20) i',
  );
  await pair.start();
  await pair.sql.query('UPDATE t SET n = n + 1');
  await pair.sql.query('UPDATE t SET id = id + 100 WHERE id <= 5');
  await pair.caughtUp();
  await pair.expectSame('t');
});

test('finds rows by replica identity FULL, an index, and among alike rows', async () => {
  await pair.define(`
    CREATE TABLE alike (a int, b text, j json, p point);
    ALTER TABLE alike REPLICA IDENTITY FULL;
    CREATE TABLE fullkey (id int PRIMARY KEY, big text, n int);
    ALTER TABLE fullkey ALTER big SET STORAGE EXTERNAL;
    ALTER TABLE fullkey REPLICA IDENTITY FULL;
    CREATE TABLE indexed (a int NOT NULL, b text NOT NULL, c int);
    CREATE UNIQUE INDEX indexed_key ON indexed (b, a);
    ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_key`);
  await pair.start();
  await pair.sql.query(
    `INSERT INTO alike VALUES (1, 'x', '{"k": 1}', '(1,2)'), (1, 'x', '{"k": 1}', '(1,2)'), (NULL, NULL, NULL, NULL)`,
  );
  await pair.sql.query(
    "UPDATE alike SET b = 'y' WHERE ctid = (SELECT ctid FROM alike WHERE a = 1 LIMIT 1)",
  );
  await pair.sql.query('UPDATE alike SET a = 2 WHERE a IS NULL');
  await pair.sql.query("DELETE FROM alike WHERE b = 'x'");
  await pair.sql.query(
    "INSERT INTO fullkey VALUES (1, repeat('z', 9000), 1), (2, repeat('w', 9000), 1)",
  );
  await pair.sql.query(
    'UPDATE fullkey SET n = 2; UPDATE fullkey SET id = 3 WHERE id = 1; DELETE FROM fullkey WHERE id = 2',
  );
  await pair.sql.query("INSERT INTO indexed VALUES (1, 'a', 1), (1, 'b', 1), (2, 'a', 1)");
  await pair.sql.query(
    "UPDATE indexed SET c = 2; UPDATE indexed SET b = 'z' WHERE a = 2; DELETE FROM indexed WHERE b = 'b'",
  );
  await pair.caughtUp();
  for (const table of ['alike', 'fullkey', 'indexed']) await pair.expectSame(table);
});

test('quotes what it must: names from hell, identity columns, generated ones, own types', async () => {
  await pair.define(`
    CREATE SCHEMA "we""ird";
    CREATE TYPE "we""ird"."mood ""x""" AS ENUM ('so''so', 'a,b', '{}');
    CREATE DOMAIN "we""ird".positive AS int CHECK (VALUE > 0);
    CREATE TYPE "we""ird".pair AS (a int, b text);
    CREATE TABLE "we""ird"."Ta'b;le--" ("i d" int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
      "sel""ect" "we""ird"."mood ""x""", "p" "we""ird".positive, "pr" "we""ird".pair,
      "arr" "we""ird"."mood ""x"""[], twice int GENERATED ALWAYS AS (p * 2) STORED)`);
  await pair.start();
  await pair.sql.query(`INSERT INTO "we""ird"."Ta'b;le--" ("sel""ect", p, pr, arr)
    VALUES ('so''so', 1, ROW(1, 'x"y'), ARRAY['a,b', '{}']::"we""ird"."mood ""x"""[]), ('a,b', 2, NULL, NULL)`);
  await pair.sql.query(`UPDATE "we""ird"."Ta'b;le--" SET p = p + 5, "sel""ect" = '{}'`);
  await pair.sql.query(`DELETE FROM "we""ird"."Ta'b;le--" WHERE "i d" = 2`);
  await pair.caughtUp();
  await pair.expectSame(`"we""ird"."Ta'b;le--"`);
});

test('applies a swap of unique values, which joined statements cannot', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE)');
  await pair.sql.query('INSERT INTO t SELECT i, i FROM generate_series(1, 50) i');
  await pair.start();
  await pair.sql.query(`DO $$ BEGIN FOR i IN REVERSE 50..1 LOOP
    UPDATE t SET u = u + 1 WHERE id = i; END LOOP; END $$`);
  await pair.caughtUp();
  await pair.expectSame('t');
});

test('carries a transaction of many batches, and a row larger than a batch, as one', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY, a text)');
  await pair.start({ bytesMax: 2_000, recordsMax: 20 });
  await pair.sql.query(
    "INSERT INTO t SELECT i, repeat('a', i % 50) FROM generate_series(1, 500) i",
  );
  await pair.sql.query("INSERT INTO t VALUES (1000, repeat('b', 30000))");
  await pair.sql.query("UPDATE t SET a = a || 'c' WHERE id > 400");
  await pair.caughtUp();
  await pair.expectSame('t');
  expect(pair.feed.batches.length).toBeGreaterThan(30);
});

test('a view says what the database is and how far it is behind', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY)');
  await pair.start();
  await pair.caughtUp();
  await pair.applier.saveProgress({
    ...pair.applier.position.journal,
    timestamp: (Date.now() - 60_000) * 1000,
  });
  const { rows } = await pair.replica.query(
    `SELECT role, database, lag > '50 s' AND lag < '10 min' AS lags, committed_at IS NOT NULL AS known
     FROM meridian.replication`,
  );
  expect(rows).toEqual([{ role: 'replica', database: pair.database, lags: 't', known: 't' }]);
});

test('stops with the table and the key when a row is missing, and applies nothing of it', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY, a text)');
  await pair.sql.query("INSERT INTO t SELECT i, 'a' FROM generate_series(1, 20) i");
  await pair.start();
  await pair.caughtUp();
  await pair.replica.query('DELETE FROM t WHERE id = 7');
  await pair.sql.query("BEGIN; INSERT INTO t VALUES (100, 'x'); UPDATE t SET a = 'b'; COMMIT");
  const error = await pair.caughtUp().catch((it: unknown) => it as MeridianError);
  expect(error).toMatchObject({
    reason: 'CONFLICT',
    details: { change: 'update', table: '"public"."t"', key: 'id=7' },
  });
  expect((await pair.replica.query('SELECT FROM t WHERE id = 100')).rowCount).toBe(0);
  await pair.replica.query("INSERT INTO t VALUES (7, 'a')");
  await pair.reopen();
  await pair.caughtUp();
  await pair.expectSame('t');
});

test('stops with the key when a row is there already, and when the target lacks the table', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY, a text)');
  await pair.replica.query("INSERT INTO t VALUES (9, 'stranger')");
  await pair.start();
  await expect(pair.caughtUp()).rejects.toMatchObject({
    reason: 'CONFLICT',
    details: { change: 'snapshot', table: '"public"."t"' },
  });
  await pair.replica.query('TRUNCATE t');
  await pair.reopen();
  await pair.caughtUp();
  await pair.replica.query("INSERT INTO t VALUES (3, 'stranger')");
  await pair.sql.query("INSERT INTO t SELECT i, 'a' FROM generate_series(1, 5) i");
  await expect(pair.caughtUp()).rejects.toMatchObject({
    reason: 'CONFLICT',
    details: { change: 'insert', table: '"public"."t"', key: 'id=3', sqlState: '23505' },
  });
  await pair.replica.query('DELETE FROM t');
  await pair.sql.query('CREATE TABLE elsewhere (id int PRIMARY KEY)');
  await pair.reopen();
  await pair.caughtUp();
  await pair.replica.query('DROP TABLE elsewhere');
  await pair.sql.query('INSERT INTO elsewhere VALUES (1)');
  await pair.reopen();
  await expect(pair.caughtUp()).rejects.toMatchObject({
    reason: 'REFUSED',
    message: expect.stringContaining('"public"."elsewhere"') as string,
  });
});

test('applies once: what is read again after a restart changes nothing', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY, n int)');
  await pair.sql.query('INSERT INTO t VALUES (1, 0)');
  await pair.start();
  for (let i = 0; i < 5; i++) await pair.sql.query('UPDATE t SET n = n + 1');
  await pair.caughtUp();
  await pair.reopen();
  pair.feed.applied = 0; // everything once more
  for (let i = 0; i < 3; i++) await pair.sql.query('UPDATE t SET n = n + 1');
  await pair.caughtUp();
  await pair.expectSame('t');
});

test('applies a transaction whose commit record begins where the initial copy stands', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY)');
  await pair.start();
  await pair.caughtUp();
  const { endLsn, commitLsn, source: from } = pair.applier.position;
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
  await pair.applier.apply(batches);
  expect((await pair.replica.query('SELECT FROM t')).rowCount).toBe(1);
  await pair.applier.apply(batches); // and once only
  expect((await pair.replica.query('SELECT FROM t')).rowCount).toBe(1);
});

test('sequences follow, and at a failover step over what can have been handed out', async () => {
  await pair.define(`CREATE TABLE t (id serial PRIMARY KEY, small smallserial, n int DEFAULT 1);
    CREATE SEQUENCE loose; CREATE SEQUENCE down INCREMENT -2 MAXVALUE 100 START 100`);
  await pair.start();
  const scribe = new SequenceScribe();
  await pair.sql.query("SELECT nextval('loose') FROM generate_series(1, 70)");
  await pair.sql.query("SELECT nextval('down'), nextval('down')");
  await pair.sql.query('INSERT INTO t (n) SELECT 1 FROM generate_series(1, 30)');
  await scribe.write(pair.sql);
  // Behind it in the same local transaction, and not to be lost with it.
  await pair.sql.query('INSERT INTO t VALUES (20000, 40, 2)');
  await pair.caughtUp();
  await pair.expectSame('t');
  const values = async (): Promise<Record<string, number>> => {
    const { rows } = await pair.replica.query<{ name: string; value: string }>(
      "SELECT sequencename AS name, last_value AS value FROM pg_sequences WHERE schemaname = 'public'",
    );
    return Object.fromEntries(rows.map(({ name, value }) => [name, Number(value)]));
  };
  expect(await values()).toEqual({ loose: 70, down: 98, t_id_seq: 30, t_small_seq: 30 });
  expect(await advanceSequences(pair.replica)).toBe(4);
  const after = await values();
  expect(after).toMatchObject({ loose: 10_070, t_id_seq: 30_000, down: 98 - 20_000 });
  expect(after['t_small_seq']).toBe(40 + Math.floor((32_767 - 40) / 10));
  const before = pair.feed.batches.length;
  await scribe.write(pair.sql); // nothing has changed
  await pair.caughtUp();
  expect(pair.feed.batches.length).toBe(before);
});

test('lets the later of two appliers win', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY)');
  await pair.start();
  await pair.caughtUp();
  const old = pair.applier;
  await pair.reopen();
  await pair.sql.query('INSERT INTO t VALUES (1)');
  await pair.caughtUp();
  const again = pair.feed.batches.slice(-1);
  // Its session was ended by the successor, or, had that not been permitted, its epoch is too low.
  await expect(old.apply(again)).rejects.toMatchObject({ reason: /FENCED|UNAVAILABLE/ });
  await pair.expectSame('t');
  await old.close();
  // Rows that are there already are no conflict when another one has applied them.
  await pair.replica.query('INSERT INTO t VALUES (2)');
  await pair.replica.query('UPDATE meridian.applied SET epoch = epoch + 1');
  await pair.sql.query('INSERT INTO t VALUES (2)');
  await expect(pair.caughtUp()).rejects.toMatchObject({ reason: 'FENCED' });
});

test('names the row also when it meets a table for the first time behind it', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE later (id int PRIMARY KEY)');
  await pair.start();
  await pair.caughtUp();
  await pair.replica.query('INSERT INTO t VALUES (7)');
  // More than one statement holds, so the first has failed when the other table is looked up.
  await pair.sql.query(
    'BEGIN; INSERT INTO t SELECT generate_series(1, 1500); INSERT INTO later VALUES (1); COMMIT',
  );
  await pair.reopen();
  await expect(pair.caughtUp()).rejects.toMatchObject({
    reason: 'CONFLICT',
    details: { change: 'insert', table: '"public"."t"', key: 'id=7', sqlState: '23505' },
  });
});

test('makes the next local transaction while one is committed, and commits it behind that one', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY, n int)');
  await pair.sql.query('INSERT INTO t VALUES (1, 0)');
  await pair.start();
  await pair.caughtUp();
  const { replica, applier } = pair;
  await pair.sql.query('UPDATE t SET n = 1');
  const first = await pair.waiting();
  pair.feed.applied += first.length;
  await pair.sql.query('INSERT INTO t VALUES (2, 0)');
  await pair.sql.query('UPDATE t SET n = n + 1');
  const second = await pair.waiting();
  pair.feed.applied += second.length;
  // Somebody holds the row: the first one cannot end.
  await replica.query('BEGIN; SELECT FROM t FOR UPDATE');
  const before = applier.position.journal.timestamp;
  await applier.stage(first);
  const staging = applier.stage(second);
  expect((await replica.query('SELECT FROM t')).rowCount).toBe(1);
  expect(applier.position.journal.timestamp).toBe(before);
  await replica.query('COMMIT');
  await staging;
  expect(applier.position.journal).toEqual(first.at(-1)?.position);
  await applier.committed();
  expect(applier.position.journal).toEqual(second.at(-1)?.position);
  await pair.expectSame('t');
});

test('loses nothing that was staged behind a local transaction that needs a second attempt', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY, n int UNIQUE)');
  await pair.sql.query('INSERT INTO t VALUES (1, 1), (2, 2)');
  await pair.start();
  await pair.caughtUp();
  // Joined into one statement they meet each other's values.
  await pair.sql.query(
    'UPDATE t SET n = 3 WHERE id = 1; UPDATE t SET n = 1 WHERE id = 2; UPDATE t SET n = 2 WHERE id = 1',
  );
  const first = await pair.waiting();
  pair.feed.applied += first.length;
  // Its first statement is complete, and ready to be sent, when the second one comes.
  await pair.sql.query('INSERT INTO t VALUES (3, 3); UPDATE t SET n = n + 10');
  const second = await pair.waiting();
  pair.feed.applied += second.length;
  await pair.applier.stage(first);
  await pair.applier.stage(second);
  await pair.applier.committed();
  await pair.expectSame('t');
});

test('executes nothing that was staged behind a local transaction that does not fit', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY, n int)');
  await pair.sql.query('INSERT INTO t VALUES (1, 0), (2, 0)');
  await pair.start();
  await pair.caughtUp();
  await pair.replica.query('DELETE FROM t WHERE id = 1');
  await pair.sql.query('UPDATE t SET n = 1 WHERE id = 1');
  const first = await pair.waiting();
  pair.feed.applied += first.length;
  await pair.sql.query('UPDATE t SET n = 2 WHERE id = 2');
  const second = await pair.waiting();
  pair.feed.applied -= first.length;
  await pair.applier.stage(first);
  await expect(pair.applier.stage(second)).rejects.toMatchObject({
    reason: 'CONFLICT',
    details: { key: 'id=1' },
  });
  await pair.applier.close();
  expect((await pair.replica.query('SELECT FROM t WHERE n <> 0')).rowCount).toBe(0);
  await pair.replica.query('INSERT INTO t VALUES (1, 0)');
  await pair.reopen();
  await pair.caughtUp();
  await pair.expectSame('t');
});

test('lets every update be seen where a trigger fires at the replica, though only the last one lasts', async () => {
  await pair.define(
    'CREATE TABLE t (id int PRIMARY KEY, n int); CREATE TABLE seen (id int PRIMARY KEY, n int)',
  );
  await pair.replica.query(`CREATE TABLE log (n int);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN INSERT INTO public.log VALUES (NEW.n); RETURN NULL; END';
    CREATE TRIGGER note AFTER UPDATE ON seen FOR EACH ROW EXECUTE FUNCTION note();
    ALTER TABLE seen ENABLE ALWAYS TRIGGER note`);
  await pair.sql.query('INSERT INTO t VALUES (1, 0), (2, 0); INSERT INTO seen VALUES (1, 0)');
  await pair.start();
  await pair.caughtUp();
  await pair.sql.query(`DO $$ BEGIN FOR i IN 1..9 LOOP
    UPDATE t SET n = i WHERE id = 1; UPDATE seen SET n = i; UPDATE t SET n = -i WHERE id = 2; END LOOP; END $$`);
  await pair.caughtUp();
  for (const table of ['t', 'seen']) await pair.expectSame(table);
  const { rows } = await pair.replica.query<{ n: string }>('SELECT n FROM log ORDER BY n');
  expect(rows.map(({ n }) => Number(n))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('marks what it applies with an origin, which the encoder of that side leaves out', async () => {
  await pair.define('CREATE TABLE t (id int PRIMARY KEY)');
  await pair.start();
  await pair.sql.query('INSERT INTO t VALUES (1)');
  await pair.caughtUp();
  const address = pair.targetAddress;
  await ensurePublication(pair.replica, 'back', 'all');
  const maker = await connectPostgres({ address, applicationName: 'x', replication: 'database' });
  const { from } = await createSlot(maker, 'back');
  const encoder = new TransactionEncoder({
    source: await identifySource(maker),
    attempt: 1,
    after: from,
  });
  await maker.end();
  await pair.sql.query('INSERT INTO t VALUES (2)');
  await pair.caughtUp();
  await pair.replica.query('INSERT INTO t VALUES (3)');
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
  await dropSlot(pair.replica, 'back');
});

test('carries a partitioned table that is published as a whole', async () => {
  await pair.define(`CREATE TABLE p (id int PRIMARY KEY, a text) PARTITION BY RANGE (id);
    CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
    CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (1000)`);
  await pair.sql.query("INSERT INTO p SELECT i, 'a' FROM generate_series(1, 200) i");
  await pair.sql.query(
    `CREATE PUBLICATION ${SLOT} FOR ALL TABLES WITH (publish_via_partition_root)`,
  );
  await pair.start();
  await pair.sql.query(
    'UPDATE p SET id = id + 90 WHERE id BETWEEN 50 AND 60 AND id + 90 NOT IN (SELECT id FROM p)',
  );
  await pair.sql.query('DELETE FROM p WHERE id > 150');
  await pair.sql.query('UPDATE p SET id = 900 WHERE id = 7');
  await pair.caughtUp();
  await pair.expectSame('p');
});
