/** Definitions travel in order with the data, and what cannot travel is refused where it is said. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { dropDefinitionTriggers } from './definition-triggers.ts';
import { replicationPair } from './testing-pair.ts';

/** Far more than it takes; the machine may be busy with something else. */
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });
const pair = replicationPair({ beforeAll, afterAll, beforeEach, afterEach });

/** Everything that psql's \d would show of the tables, types and functions of a database. */
async function schemaOf(side: 'sql' | 'replica'): Promise<unknown> {
  const { rows } = await pair[side].query(`
    SELECT 'column' AS kind, attrelid::regclass::text AS of, attname AS name,
      format_type(atttypid, atttypmod) || ' ' || attnotnull::text || ' ' || attidentity::text || attgenerated::text || ' ' ||
      coalesce(pg_get_expr(adbin, adrelid), '') AS detail
    FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace::regnamespace::text IN ('public', 'app') AND attnum > 0 AND NOT attisdropped
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE connamespace::regnamespace::text IN ('public', 'app')
    UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname IN ('public', 'app')
    UNION ALL SELECT 'type', enumtypid::regtype::text, enumlabel, '' FROM pg_enum
    UNION ALL SELECT 'function', proname, pg_get_function_arguments(oid), prosrc FROM pg_proc
    WHERE pronamespace::regnamespace::text IN ('public', 'app')
    UNION ALL SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT 'view', viewname, '', definition FROM pg_views WHERE schemaname IN ('public', 'app')
    ORDER BY 1, 2, 3, 4`);
  return rows;
}

async function expectSameSchema(): Promise<void> {
  await pair.caughtUp();
  expect(await schemaOf('replica')).toEqual(await schemaOf('sql'));
}

describe('definitions', () => {
  it('travel in order with the data, inside one transaction too', async () => {
    await pair.define('CREATE TABLE t (id int PRIMARY KEY, a text)');
    await pair.start();
    await pair.sql.query("INSERT INTO t VALUES (1, 'before')");
    await pair.sql.query(`BEGIN;
      INSERT INTO t VALUES (2, 'old shape');
      ALTER TABLE t ADD COLUMN n int DEFAULT 7, DROP COLUMN a;
      INSERT INTO t VALUES (3, 33);
      CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t);
      INSERT INTO u VALUES (1, 3);
      ALTER TABLE u RENAME TO v; ALTER TABLE v RENAME COLUMN t TO tt;
      INSERT INTO v VALUES (2, 1);
      COMMIT`);
    await expectSameSchema();
    await pair.expectSame('t');
    await pair.expectSame('v');
  });

  it('of every common kind give the same schema', async () => {
    await pair.start();
    for (const statement of [
      'CREATE SCHEMA app',
      "CREATE TYPE mood AS ENUM ('glad', 'sad')",
      "ALTER TYPE mood ADD VALUE 'so;so' BEFORE 'sad'",
      'CREATE DOMAIN app.positive AS int CHECK (VALUE > 0)',
      'CREATE TYPE app.pair AS (x int, y text)',
      'CREATE TABLE app.item (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, m mood, p app.positive, q app.pair, twice int GENERATED ALWAYS AS (p * 2) STORED)',
      "INSERT INTO app.item (m, p, q) VALUES ('so;so', 3, (1, 'a'))",
      'CREATE UNIQUE INDEX CONCURRENTLY item_m ON app.item (m, id)',
      'CREATE INDEX ON app.item (lower((q).y))',
      'ALTER TABLE app.item ADD CHECK (id < 1000), ALTER p SET NOT NULL, ADD COLUMN note varchar(20)',
      'ALTER TABLE app.item ALTER note TYPE text, ADD half int GENERATED ALWAYS AS (p / 2) STORED',
      `CREATE OR REPLACE FUNCTION app.f(a int) RETURNS int LANGUAGE plpgsql AS $b$ BEGIN -- ; '
         RETURN a + 1; END $b$`,
      "CREATE FUNCTION app.g(a text DEFAULT E'it''s; \\' $x$') RETURNS text RETURN upper(a)",
      'CREATE FUNCTION app.h() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END',
      'CREATE VIEW app.glad AS SELECT * FROM app.item WHERE m = $$glad$$',
      'CREATE FUNCTION app.t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$',
      'CREATE TRIGGER tr BEFORE UPDATE ON app.item FOR EACH ROW EXECUTE FUNCTION app.t()',
      'CREATE TABLE part (id int PRIMARY KEY, a text) PARTITION BY RANGE (id)',
      'CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10)',
      'CREATE TABLE part2 (LIKE part INCLUDING ALL)',
      'ALTER TABLE part ATTACH PARTITION part2 FOR VALUES FROM (10) TO (20)',
      "INSERT INTO part VALUES (1, 'a'), (11, 'b')",
      'COMMENT ON TABLE part IS $$in parts$$',
      'DROP INDEX CONCURRENTLY app.item_m',
      'DROP FUNCTION app.g(text)',
      'DROP TABLE IF EXISTS never_there',
      'CREATE TABLE IF NOT EXISTS part (other int)',
    ]) {
      await pair.sql.query(statement);
    }
    await expectSameSchema();
    await pair.expectSame('app.item');
    await pair.expectSame('part');
    await pair.sql.query('DROP SCHEMA app CASCADE; DROP TYPE mood');
    await expectSameSchema();
  });

  it('are found in a query of many statements, comments and quotes between them', async () => {
    await pair.start();
    await pair.sql.query(`
      -- CREATE TABLE no1 (id int);
      /* CREATE TABLE no2 (id int); /* nested; */ ' */
      CREATE TABLE a (id int PRIMARY KEY, s text DEFAULT 'x; CREATE TABLE no3 (id int);');
      INSERT INTO a VALUES (1, $q$; CREATE TABLE no4 (id int); $q$), (2, E'\\'; DROP TABLE a;');
      CREATE /* b */ TABLE "b;""c" (id int PRIMARY KEY);
      GRANT SELECT ON a TO PUBLIC;
      DROP TABLE IF EXISTS zzz; CREATE TABLE IF NOT EXISTS a (q int);
      CREATE TEMP TABLE passing (id int); DROP TABLE passing;
      create unlogged table fast (id int primary key);
      DO $$ BEGIN
        FOR i IN 1..3 LOOP EXECUTE format('CREATE TABLE loop%s (id int PRIMARY KEY)', i); END LOOP;
        DROP TABLE loop2; INSERT INTO loop1 VALUES (5);
      END $$;
      ALTER TABLE a ADD COLUMN z int;
      UPDATE a SET z = id`);
    await expectSameSchema();
    await pair.expectSame('a');
    await pair.expectSame('loop1');
    expect((await pair.replica.query('SELECT FROM "b;""c"')).rowCount).toBe(0);
  });

  it('mean at the target what they meant at the source: search path, standard strings', async () => {
    await pair.start();
    await pair.sql.query('CREATE SCHEMA app');
    await pair.sql.query("SET search_path = app, public; SET DateStyle = 'German'");
    await pair.sql.query("CREATE TABLE here (id int PRIMARY KEY, d date DEFAULT '03.04.2026')");
    await pair.sql.query('INSERT INTO here (id) VALUES (1)');
    expect((await pair.sql.query('SHOW search_path')).rows).toEqual([
      { search_path: 'app, public' },
    ]);
    await pair.sql.query('SET search_path = public; RESET DateStyle');
    await expectSameSchema();
    await pair.expectSame('app.here');
    expect((await pair.replica.query('SHOW search_path')).rows).toEqual([
      { search_path: 'public' },
    ]);
  });

  it('are taken back with their transaction', async () => {
    await pair.define('CREATE TABLE t (id int PRIMARY KEY)');
    await pair.start();
    await pair.sql.query('BEGIN; CREATE TABLE gone (id int); ROLLBACK');
    await pair.sql.query(
      'BEGIN; SAVEPOINT s; DROP TABLE t; ROLLBACK TO s; INSERT INTO t VALUES (1); COMMIT',
    );
    await expectSameSchema();
    await pair.expectSame('t');
  });

  it.each([
    ['CREATE TABLE copy AS SELECT 1 AS id', /rows are a query's result/],
    ['SELECT 1 AS id INTO copy', /rows are a query's result/],
    ['ALTER TABLE t ADD COLUMN r float DEFAULT random()', /would compute other values/],
    ['ALTER TABLE t ADD COLUMN s serial', /would compute other values/],
    ['DROP OWNED BY somebody', /roles belong to each cluster/],
    ['SELECT hidden()', /text is not known/],
  ])('that cannot be the same everywhere are refused at once: %s', async (statement, why) => {
    await pair.define('CREATE TABLE t (id int PRIMARY KEY)');
    await pair.start();
    await pair.sql.query(
      "CREATE FUNCTION hidden() RETURNS void LANGUAGE sql AS 'CREATE TABLE from_sql (id int)'",
    );
    await pair.sql.query(
      `DO $$ BEGIN CREATE ROLE somebody; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
       CREATE TABLE theirs (id int); ALTER TABLE theirs OWNER TO somebody`,
    );
    await pair.sql.query('INSERT INTO t VALUES (1)');
    await expect(pair.sql.query(statement)).rejects.toThrow(why);
    await expectSameSchema();
    await pair.expectSame('t');
  });

  it('that fail at the target stop it with the statement, and nothing is skipped', async () => {
    await pair.start();
    await pair.replica.query('CREATE TABLE taken (other text)');
    await pair.sql.query('CREATE TABLE taken (id int PRIMARY KEY); INSERT INTO taken VALUES (1)');
    await expect(pair.caughtUp()).rejects.toMatchObject({
      reason: 'CONFLICT',
      message: expect.stringContaining('CREATE TABLE taken (id int PRIMARY KEY)') as string,
      details: { change: 'CREATE TABLE', sqlState: '42P07' },
    });
    await pair.replica.query('DROP TABLE taken');
    await pair.reopen();
    await expectSameSchema();
    await pair.expectSame('taken');
  });

  it('of temporary tables, of rights, and of our own schema stay where they are', async () => {
    await pair.start();
    const before = pair.feed.batches.length;
    await pair.sql.query(`CREATE TEMP TABLE x (id int); ALTER TABLE x ADD y int; DROP TABLE x;
      GRANT USAGE ON SCHEMA public TO PUBLIC; CREATE TABLE meridian.own (id int); DROP TABLE meridian.own`);
    await pair.caughtUp();
    expect(pair.feed.batches.length).toBe(before);
  });

  it('are not carried any more once the triggers are gone', async () => {
    await pair.start();
    await dropDefinitionTriggers(pair.sql);
    const before = pair.feed.batches.length;
    await pair.sql.query('CREATE TABLE alone (id int PRIMARY KEY)');
    await pair.caughtUp();
    expect(pair.feed.batches.length).toBe(before);
    await dropDefinitionTriggers(pair.sql);
  });
});
