/**
 * A schema with everything in it: every kind of type at its limits, every replica identity, partitions,
 * cascades, savepoints. Copied as it stands, then changed in every way, and compared by content.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { replicationPair } from './testing-pair.ts';
import { CHANGES, ROWS, TYPES } from './testing-types.ts';

/** Far more than it takes; the machine may be busy with something else. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const pair = replicationPair({ beforeAll, afterAll, beforeEach, afterEach });

test('carries every type at its limits, in the copy and in the stream, also where whole rows are the key', async () => {
  await pair.define(TYPES);
  await pair.define(
    `CREATE TABLE alike AS TABLE everything; ALTER TABLE alike REPLICA IDENTITY FULL`,
  );
  for (const sql of ROWS) await pair.sql.query(sql);
  await pair.sql.query('INSERT INTO alike TABLE everything');
  const { rows } = await pair.sql.query<{ n: string }>('SELECT count(*) AS n FROM everything');
  expect(Number(rows[0]?.n)).toBe(9);
  await pair.start();
  await pair.caughtUp();
  await pair.expectSame('everything');
  await pair.expectSame('alike');
  for (const sql of [...ROWS, ...CHANGES]) await pair.sql.query(sql);
  await pair.sql.query("UPDATE alike SET t = 'whole', i2 = 5 WHERE id <= 4 OR t IS NULL");
  await pair.sql.query('DELETE FROM alike WHERE id % 3 = 0');
  await pair.caughtUp();
  await pair.expectSame('everything');
  await pair.expectSame('alike');
});

test('carries partitions, cascades, keys that move, and only what was not rolled back', async () => {
  await pair.define(`
    CREATE TABLE owner (id int PRIMARY KEY, name text UNIQUE DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE thing (owner int REFERENCES owner ON UPDATE CASCADE ON DELETE CASCADE, no int, big text, note text,
      PRIMARY KEY (owner, no));
    ALTER TABLE thing ALTER big SET STORAGE EXTERNAL;
    CREATE TABLE log (at date NOT NULL, id int NOT NULL, region text NOT NULL, what text,
      PRIMARY KEY (at, region, id)) PARTITION BY RANGE (at);
    CREATE TABLE log_old PARTITION OF log FOR VALUES FROM (MINVALUE) TO ('2020-01-01');
    CREATE TABLE log_new PARTITION OF log FOR VALUES FROM ('2020-01-01') TO (MAXVALUE) PARTITION BY LIST (region);
    CREATE TABLE log_new_eu PARTITION OF log_new FOR VALUES IN ('eu');
    CREATE TABLE log_new_rest PARTITION OF log_new DEFAULT;
    CREATE TABLE keyed (a int NOT NULL, b text, c int);
    CREATE UNIQUE INDEX keyed_a ON keyed (a);
    ALTER TABLE keyed REPLICA IDENTITY USING INDEX keyed_a`);
  await pair.sql.query("INSERT INTO owner SELECT i, 'n' || i FROM generate_series(1, 20) i");
  await pair.sql.query(`INSERT INTO thing SELECT o, n, repeat(md5(o::text || n), 200), ''
    FROM generate_series(1, 20) o, generate_series(1, 3) n`);
  const log = `INSERT INTO log SELECT '2018-01-01'::date + i * 40, i, CASE i % 3 WHEN 0 THEN 'eu' ELSE 'us' || i % 3 END, 'x'`;
  await pair.sql.query(`${log} FROM generate_series(1, 60) i`);
  await pair.start();
  await pair.sql.query('UPDATE owner SET id = id + 100 WHERE id <= 5'); // cascades into half of a key
  await pair.sql.query("UPDATE thing SET note = 'big unchanged' WHERE no = 2");
  await pair.sql.query('UPDATE thing SET no = no + 10, big = NULL WHERE owner = 101');
  await pair.sql.query('DELETE FROM owner WHERE id BETWEEN 6 AND 8');
  await pair.sql.query(`UPDATE owner a SET name = b.name FROM owner b
    WHERE a.id IN (9, 10) AND b.id IN (9, 10) AND a.id <> b.id`); // a swap, deferred
  await pair.sql.query("UPDATE log SET region = 'eu' WHERE region = 'us1'"); // from partition to partition
  await pair.sql.query(
    "UPDATE log SET at = '2019-05-05', id = id + 1000 WHERE id BETWEEN 40 AND 45",
  );
  await pair.sql.query('INSERT INTO keyed SELECT i, NULL, i FROM generate_series(1, 9) i');
  await pair.sql.query(
    "UPDATE keyed SET a = a + 100, b = 'moved' WHERE a > 5; DELETE FROM keyed WHERE a = 1",
  );
  await pair.sql.query(`BEGIN; INSERT INTO keyed VALUES (1000, 'stays', 0);
    SAVEPOINT a; INSERT INTO keyed VALUES (1001, 'goes', 0); UPDATE keyed SET b = 'goes';
    SAVEPOINT b; DELETE FROM keyed; ROLLBACK TO a;
    INSERT INTO keyed VALUES (1001, 'comes', 0); RELEASE a; COMMIT`);
  await pair.sql.query(`DO $$ BEGIN FOR i IN 1..100 LOOP BEGIN
      INSERT INTO keyed VALUES (2000 + i / 2, 'first', i); EXCEPTION WHEN unique_violation THEN NULL; END; END LOOP; END $$`);
  await pair.sql.query('BEGIN; DELETE FROM thing; INSERT INTO owner VALUES (500, NULL); ROLLBACK');
  await pair.caughtUp();
  const tables = ['owner', 'thing', 'log', 'log_old', 'log_new_eu', 'log_new_rest', 'keyed'];
  for (const table of tables) await pair.expectSame(table);
  await pair.sql.query('BEGIN; TRUNCATE owner CASCADE; INSERT INTO owner VALUES (1, NULL); COMMIT');
  await pair.sql.query('TRUNCATE log_new; TRUNCATE keyed RESTART IDENTITY');
  await pair.caughtUp();
  for (const table of tables) await pair.expectSame(table);
  expect((await pair.replica.query('SELECT FROM thing')).rowCount).toBe(0);
});
