/**
 * The source side of a replication: what must hold before it can start (preflight), the publication,
 * the slot, and `synchronous_standby_names`. Every call is safe to repeat.
 *
 * It decides nothing about the journal: whether a slot may be made anew is the shipper's knowledge.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { MeridianError } from '../errors/errors.ts';
import type { Source } from './change-format.ts';
import { fromPostgres, sqlStateOf } from './connection.ts';
import { parseLsn } from './lsn.ts';
import type { Lsn } from './lsn.ts';
import { quoteIdentifier, quoteLiteral, quoteTable } from './sql.ts';
import { OWN_SCHEMA } from './transaction-encoder.ts';

/** Tables to ship: all of them, those to come included, or these (`schema.table`). */
export type TableChoice = 'all' | readonly { readonly schema: string; readonly table: string }[];

export interface SlotState {
  /** Postgres has been told that everything before this is durable. */
  readonly confirmed: Lsn;
  /** Process that uses it. */
  readonly activePid: number | null;
  /** The log it needs is gone. */
  readonly lost: boolean;
}

const VERSION_MIN = 140_000;
const DROP_TIMEOUT_MS = 10_000;
const RETRY_MS = 20;

/** Who this is; on a replication connection. */
export async function identifySource(client: pg.Client): Promise<Source> {
  const row = await one<Record<string, string>>(client, 'IDENTIFY_SYSTEM');
  return {
    systemId: row['systemid'] ?? '',
    timeline: Number(row['timeline']),
    database: row['dbname'] ?? '',
  };
}

/** Whether logical replication can work here at all; one clear error for each obstacle. */
export async function preflightSource(client: pg.Client): Promise<void> {
  const row = await one<Record<string, string>>(
    client,
    `SELECT current_setting('server_version_num') AS version,
       current_setting('wal_level') AS wal_level,
       current_setting('max_replication_slots') AS slots,
       current_setting('max_wal_senders') AS senders,
       current_setting('server_encoding') AS encoding,
       current_setting('is_superuser') AS superuser,
       pg_is_in_recovery()::text AS standby,
       (SELECT rolreplication::text FROM pg_roles WHERE rolname = current_user) AS replication,
       current_user AS role`,
  );
  const get = (name: string): string => row[name] ?? '';
  const version = Number(get('version'));
  if (version < VERSION_MIN) {
    throw refused(`Postgres ${version} is too old: 14 or newer is needed`);
  }
  if (get('wal_level') !== 'logical') {
    throw refused(
      `wal_level is ${get('wal_level')}, must be logical: ALTER SYSTEM SET wal_level = logical, ` +
        'then restart Postgres',
    );
  }
  for (const [name, setting] of [
    ['slots', 'max_replication_slots'],
    ['senders', 'max_wal_senders'],
  ] as const) {
    if (Number(get(name)) > 0) continue;
    throw refused(`${setting} is 0: set it to 4 or more, then restart Postgres`);
  }
  if (get('encoding') !== 'UTF8') {
    throw refused(`the database is encoded in ${get('encoding')}; only UTF8 travels without loss`);
  }
  if (get('standby') === 'true') throw refused('this Postgres is a standby: ship from its primary');
  if (get('superuser') !== 'on' && get('replication') !== 'true') {
    throw new MeridianError(
      'PERMISSION_DENIED',
      `the role ${get('role')} may not replicate: ALTER ROLE ${get('role')} REPLICATION`,
    );
  }
}

/**
 * Makes the publication, or checks that the one that exists publishes what was chosen. Refuses to
 * make one that holds tables without replica identity, for Postgres would refuse their updates from
 * then on. Where it exists already, that has happened: returns their names.
 */
export async function ensurePublication(
  client: pg.Client,
  name: string,
  tables: TableChoice,
): Promise<string[]> {
  const existing = await run<Record<string, string>>(
    client,
    `SELECT puballtables::text AS all, (pubinsert AND pubupdate AND pubdelete AND pubtruncate)::text
       AS complete, (SELECT coalesce(string_agg(quote_ident(schemaname) || '.' ||
         quote_ident(tablename), ', ' ORDER BY 1), '') FROM pg_publication_tables t
         WHERE t.pubname = p.pubname) AS tables
     FROM pg_publication p WHERE pubname = $1`,
    [name],
  );
  const row = existing.rows[0];
  if (row === undefined) {
    await refuseTablesWithoutIdentity(client, tables);
    const what =
      tables === 'all'
        ? 'FOR ALL TABLES'
        : `FOR TABLE ${tables.map(({ schema, table }) => quoteTable(schema, table)).join(', ')}`;
    await run(client, `CREATE PUBLICATION ${quoteIdentifier(name)} ${what}`);
    return [];
  }
  await refuseFilters(client, name);
  if (row['complete'] !== 'true') {
    throw refused(`the publication ${name} leaves out inserts, updates, deletes or truncates`);
  }
  if ((row['all'] === 'true') !== (tables === 'all')) {
    throw refused(
      `the publication ${name} exists and publishes ${row['all'] === 'true' ? 'all tables' : String(row['tables'])}, ` +
        'which is not what the configuration says: drop it, or change the configuration',
    );
  }
  if (tables !== 'all') {
    const list = tables.map(({ schema, table }) => quoteTable(schema, table)).join(', ');
    await run(client, `ALTER PUBLICATION ${quoteIdentifier(name)} SET TABLE ${list}`);
  }
  return tablesWithoutIdentity(client, tables);
}

/** Rows that wander in and out of a filter, and columns left out, are beyond what an applier can follow. */
async function refuseFilters(client: pg.Client, name: string): Promise<void> {
  const version = await one<{ it: string }>(
    client,
    "SELECT current_setting('server_version_num') AS it",
  );
  if (Number(version.it) < 150_000) return; // there are none
  const { rows } = await run<{ it: string }>(
    client,
    `SELECT prrelid::regclass::text AS it FROM pg_publication_rel r
     JOIN pg_publication p ON p.oid = r.prpubid
     WHERE p.pubname = $1 AND (prqual IS NOT NULL OR prattrs IS NOT NULL) ORDER BY 1`,
    [name],
  );
  if (rows.length === 0) return;
  const tables = rows.map(({ it }) => it).join(', ');
  throw refused(`the publication ${name} filters rows or columns of ${tables}: publish them whole`);
}

/** Tables that have no way to name a row, of those chosen. */
export async function tablesWithoutIdentity(
  client: pg.Client,
  tables: TableChoice,
): Promise<string[]> {
  const { rows } = await run<{ schema: string; table: string }>(
    client,
    `SELECT n.nspname AS schema, c.relname AS table
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence = 'p'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', $1) AND n.nspname !~ '^pg_toast'
       AND (c.relreplident = 'n' OR (c.relreplident = 'd' AND NOT EXISTS (
         SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)))
     ORDER BY 1, 2`,
    [OWN_SCHEMA],
  );
  return rows
    .filter(
      (row) =>
        tables === 'all' ||
        tables.some(({ schema, table }) => schema === row.schema && table === row.table),
    )
    .map(({ schema, table }) => quoteTable(schema, table));
}

async function refuseTablesWithoutIdentity(client: pg.Client, tables: TableChoice): Promise<void> {
  const without = await tablesWithoutIdentity(client, tables);
  if (without.length === 0) return;
  throw new MeridianError(
    'REFUSED',
    `these tables have no replica identity, so their updates and deletes cannot be shipped: ` +
      `${without.join(', ')}. Give each a primary key, or ALTER TABLE … REPLICA IDENTITY FULL`,
    { details: { tables: without.join(', ') } },
  );
}

/** null: there is none. Throws REFUSED when the name belongs to another kind of slot. */
export async function slotState(client: pg.Client, slot: string): Promise<SlotState | null> {
  const { rows } = await run<Record<string, string | null>>(
    client,
    `SELECT slot_type, plugin, database = current_database() AS here, active_pid::text AS pid,
       confirmed_flush_lsn::text AS confirmed, wal_status
     FROM pg_replication_slots WHERE slot_name = $1`,
    [slot],
  );
  const row = rows[0];
  if (row === undefined) return null;
  if (row['slot_type'] !== 'logical' || row['plugin'] !== 'pgoutput' || row['here'] !== 't') {
    throw refused(`the slot ${slot} exists, but not for pgoutput in this database: choose a name`);
  }
  return {
    confirmed: parseLsn(row['confirmed'] ?? '0/0'),
    activePid: row['pid'] == null ? null : Number(row['pid']),
    lost: row['wal_status'] === 'lost' || row['confirmed'] == null,
  };
}

/** Ends the session that uses the slot; true when there was one and we were allowed to. */
export async function endSlotUser(client: pg.Client, slot: string): Promise<boolean> {
  const { rows } = await run<{ ended: string }>(
    client,
    `SELECT pg_terminate_backend(active_pid) AS ended FROM pg_replication_slots
     WHERE slot_name = $1 AND active_pid IS NOT NULL`,
    [slot],
  );
  return rows[0]?.ended === 't';
}

/** Drops it even if a session uses it; UNAVAILABLE when that session does not end in time. */
export async function dropSlot(client: pg.Client, slot: string): Promise<void> {
  const deadline = Date.now() + DROP_TIMEOUT_MS;
  for (;;) {
    await endSlotUser(client, slot);
    try {
      await client.query('SELECT pg_drop_replication_slot($1)', [slot]);
      return;
    } catch (error) {
      const inUse = sqlStateOf(error) === '55006';
      if (!inUse || Date.now() > deadline) throw fromPostgres(error, `cannot drop slot ${slot}`);
    }
    await sleep(RETRY_MS);
  }
}

/**
 * Makes the slot on a replication connection. The snapshot, which shows the database at `from`, can
 * be imported by other sessions for as long as this one runs nothing else.
 */
export async function createSlot(
  client: pg.Client,
  slot: string,
): Promise<{ readonly from: Lsn; readonly snapshot: string }> {
  const row = await one<Record<string, string>>(
    client,
    `CREATE_REPLICATION_SLOT ${quoteIdentifier(slot)} LOGICAL pgoutput EXPORT_SNAPSHOT`,
  );
  return {
    from: parseLsn(row['consistent_point'] ?? ''),
    snapshot: row['snapshot_name'] ?? '',
  };
}

/** What COMMIT waits for; empty: nothing. */
export async function synchronousStandbys(client: pg.Client): Promise<string> {
  const sql = "SELECT current_setting('synchronous_standby_names') AS names";
  return (await one<{ names: string }>(client, sql)).names;
}

/** Commits a message of no bytes, so that the log grows, up to disk, although nobody writes. */
export async function touchLog(client: pg.Client): Promise<void> {
  await run(client, "SELECT pg_logical_emit_message(true, 'meridian', '')");
}

/**
 * Makes every COMMIT wait for the session of this application name. Refuses to replace a setting of
 * someone else; says what to run when it may not change it.
 */
export async function ensureSynchronous(client: pg.Client, applicationName: string): Promise<void> {
  const names = await synchronousStandbys(client);
  const wanted = standbyNames(applicationName);
  if (names === wanted) return;
  const command = `ALTER SYSTEM SET synchronous_standby_names = ${quoteLiteral(wanted)}`;
  if (names !== '') {
    throw refused(
      `synchronous_standby_names is ${JSON.stringify(names)} and not ours to replace; to let ` +
        `COMMIT wait for the journal: ${command}; SELECT pg_reload_conf()`,
    );
  }
  try {
    await client.query(command);
    await client.query('SELECT pg_reload_conf()');
  } catch (error) {
    throw fromPostgres(
      error,
      `may not set synchronous_standby_names; have a superuser run: ${command}; SELECT pg_reload_conf()`,
    );
  }
}

/** COMMIT waits for nobody any more; a setting of someone else stays. Whoever waits is told "committed". */
export async function stopSynchronous(client: pg.Client, applicationName: string): Promise<void> {
  if ((await synchronousStandbys(client)) !== standbyNames(applicationName)) return;
  await run(client, 'ALTER SYSTEM RESET synchronous_standby_names');
  await run(client, 'SELECT pg_reload_conf()');
}

function standbyNames(applicationName: string): string {
  return `FIRST 1 (${quoteIdentifier(applicationName)})`;
}

/** Empties every table of the database but our own. */
export async function truncateAll(client: pg.Client): Promise<void> {
  const { rows } = await run<{ schema: string; table: string }>(
    client,
    `SELECT n.nspname AS schema, c.relname AS table
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema', $1) AND n.nspname !~ '^pg_toast'`,
    [OWN_SCHEMA],
  );
  if (rows.length === 0) return;
  const tables = rows.map(({ schema, table }) => quoteTable(schema, table));
  await run(client, `TRUNCATE ${tables.join(', ')}`);
}

async function one<Row extends pg.QueryResultRow>(client: pg.Client, sql: string): Promise<Row> {
  const { rows } = await run<Row>(client, sql);
  const row = rows[0];
  if (row === undefined) throw refused(`Postgres answered nothing to ${sql}`);
  return row;
}

async function run<Row extends pg.QueryResultRow>(
  client: pg.Client,
  sql: string,
  values: readonly string[] = [],
): Promise<pg.QueryResult<Row>> {
  try {
    // Without values as a simple query: replication commands exist only there.
    return await (values.length === 0
      ? client.query<Row>(sql)
      : client.query<Row>(sql, [...values]));
  } catch (error) {
    throw fromPostgres(error);
  }
}

function refused(message: string): MeridianError {
  return new MeridianError('REFUSED', message);
}
