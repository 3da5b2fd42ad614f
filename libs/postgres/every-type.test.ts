/**
 * A schema with everything in it: every kind of type at its limits, every replica identity, partitions,
 * cascades, savepoints. Copied as it stands, then changed in every way, and compared by content.
 */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { replicationPair } from './testing-pair.ts';

/** Far more than it takes; the machine may be busy with something else. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const pair = replicationPair({ beforeAll, afterAll, beforeEach, afterEach });

const TYPES = `
  CREATE TYPE mood AS ENUM ('sad', 'so "so"', 'hap,py');
  CREATE TYPE place AS (x int, label text, at timestamptz[]);
  CREATE TYPE floats AS RANGE (subtype = float8);
  CREATE DOMAIN positive AS numeric(20, 5) CHECK (VALUE > 0);
  CREATE DOMAIN places AS place[];
  CREATE TABLE everything (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, n numeric, np numeric(30, 10), m money,
    b bool, t text, v varchar(20), c char(5), nm name, by bytea, ch "char",
    d date, ti time(3), tz timetz, ts timestamp, tt timestamptz, iv interval,
    u uuid, j json, jb jsonb, jp jsonpath, x xml, ip inet, net cidr, mac macaddr, mac8 macaddr8,
    bi bit(5), vb varbit, p point, l line, s lseg, bx box, pa path, po polygon, ci circle,
    tv tsvector, tq tsquery, o oid, rc regclass, ls pg_lsn, sn pg_snapshot,
    r4 int4range, r8 int8range, rn numrange, rd daterange, rt tstzrange, rf floats,
    mr int4multirange, mf datemultirange,
    e mood, co place, po2 positive, pl places, ea mood[], i4a int[], ta text[], i2d int[][], na numeric[], ja jsonb[],
    tta timestamptz[], ra int4range[], coa place[],
    twice numeric GENERATED ALWAYS AS (i4::numeric * 2) STORED,
    dflt text DEFAULT 'default'
  )`;

const ROWS = [
  // Everything unknown.
  `INSERT INTO everything (i4) VALUES (NULL)`,
  // The far ends.
  `INSERT INTO everything (i2, i4, i8, f4, f8, n, np, m, d, ts, tt, iv, o, ls, rd, rt, mf, r8) VALUES
    (-32768, -2147483648, -9223372036854775808, '-Infinity', '-1.7976931348623157e308', 'NaN',
     '-99999999999999999999.9999999999', '-92233720368547758.08', '4713-01-01 BC', '4713-01-01 00:00:00 BC',
     '-infinity', '-178000000 years', 0, '0/0', '(-infinity,)', '[-infinity,infinity]', '{}', '(,)'),
    (32767, 2147483647, 9223372036854775807, 'Infinity', 'NaN', '-Infinity', '99999999999999999999.9999999999',
     '92233720368547758.07', '5874897-12-31', '294276-12-31 23:59:59.999999', 'infinity',
     '178000000 years 11 mons 30 days 23:59:59.999999', 4294967295, 'FFFFFFFF/FFFFFFFF', 'empty',
     '(,"2024-01-01 00:00:00+00"]', '{[2024-01-01,2024-02-01),(2025-01-01,)}', 'empty'),
    (0, 0, 0, '1e-45', '4.9e-324', 1e-16383, '-0.0000000001', '0', 'infinity', '-infinity',
     '0001-01-01 00:00:00 BC', '-00:00:00.000001', 1, '1/0', NULL, NULL, NULL, NULL),
    (1, 1, 1, 0.1, 0.1, repeat('9', 3000)::numeric, 0, '1.50', '-infinity', 'infinity', '1970-01-01',
     '1 mon -1 day 1 us', 2, '16/B374D848', NULL, NULL, NULL, NULL)`,
  // Everything said in text that has to be quoted somewhere.
  `INSERT INTO everything (b, t, v, c, nm, by, ch, u, j, jb, jp, x, ip, net, mac, mac8, bi, vb) VALUES
    (true, E'\\\\ " '' , { } ( ) \\n \\r \\t NULL \\u00e4 \\U0001F600', '', 'a', 'N"a''me', '\\x00ff5c270d0a22', '\\134',
     'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', ' {"a" : 1,  "a":"\\\\"} ', '{"a": [1, null, "\\u00e4\\"", 1e400]}',
     '$."a b"[*] ? (@ > 1)', '<a b="c">&amp;</a>', '::ffff:1.2.3.4/120', '10.0.0.0/8', '08:00:2b:01:02:03',
     '08:00:2b:01:02:03:04:05', B'10101', B''),
    (false, 'NULL', 'null', '     ', '', '', 'x', NULL, 'null', 'null', '$', NULL, '10.1.2.3', '::/0', NULL, NULL, B'00000',
     B'1')`,
  `INSERT INTO everything (p, l, s, bx, pa, po, ci, tv, tq, rc, sn) VALUES
    ('(1e-300,-Infinity)', '{1,-1,0.1}', '[(0,0),(1,1)]', '((1,1),(0,0))', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))',
     '<(1,2),3>', '''a''''b'':1A c:2', '''a b'' & !c:*', 'pg_class', '10:20:10,14')`,
  `INSERT INTO everything (e, co, po2, pl, ea, i4a, ta, i2d, na, ja, tta, ra, coa, rf, mr, r4, rn) VALUES
    ('so "so"', ROW(1, E'a,"b"\\\\(c)', ARRAY['infinity'::timestamptz, NULL]), 0.00001,
     ARRAY[ROW(NULL, '', '{}')::place, NULL]::places, ARRAY['hap,py', NULL, 'sad']::mood[], '{}', ARRAY['', 'NULL', NULL, '"', E'\\\\'],
     '[2:3][-1:0]={{1,2},{3,NULL}}', ARRAY['NaN', 1.10]::numeric[], ARRAY['{"a":"b"}', 'null']::jsonb[],
     ARRAY['-infinity'::timestamptz], ARRAY['[1,2)', 'empty', '(,)']::int4range[], ARRAY[ROW(1, NULL, NULL)::place],
     '[1.5,NaN]', '{[1,3),[5,8)}', '(1,5]', '[0.1,1e100)')`,
];

/** Of everything that can be compared with itself, and of what cannot. */
const CHANGES = [
  'UPDATE everything SET i4 = 7 WHERE id = 1',
  "UPDATE everything SET t = 'other', j = '{}', x = '<b/>', p = '(3,4)', ea = NULL, dflt = NULL",
  "UPDATE everything SET e = 'sad', co = ROW(2, 'z', NULL), f8 = 'NaN', n = 'Infinity', tt = '-infinity' WHERE id % 2 = 0",
  'DELETE FROM everything WHERE id = 3',
  'INSERT INTO everything (id, i4) OVERRIDING SYSTEM VALUE VALUES (9223372036854775807, 1)',
];

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
