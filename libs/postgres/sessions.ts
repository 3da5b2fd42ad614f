/**
 * Other people's sessions, at a change of roles: who may write, who waits for a quorum, and what must
 * end. A COMMIT that waits is never let go as if it had been confirmed: its session is ended, and its
 * client hears an error.
 */
import type pg from 'pg';
import { fromPostgres, sqlStateOf } from './connection.ts';
import { LOCK_OURS, quoteIdentifier } from './sql.ts';

/**
 * New sessions of this database only read, unless they say otherwise; those that are there go on. Returns
 * the time of the server, before which those began.
 */
export async function setReadOnly(client: pg.Client, readOnly: boolean): Promise<string> {
  const { rows } = await client.query<{ it: string }>('SELECT current_database() AS it');
  const database = quoteIdentifier(rows[0]?.it ?? '');
  const change = readOnly ? 'SET default_transaction_read_only = on' : null;
  // One transaction; two sessions that change one row of the catalogue at once: the later one fails.
  await client.query(
    `${LOCK_OURS}; ALTER DATABASE ${database} ${change ?? 'RESET default_transaction_read_only'}`,
  );
  const now = await client.query<{ it: string }>('SELECT clock_timestamp()::text AS it');
  return now.rows[0]?.it ?? '';
}

/** Ends the sessions of this name that a process of ours left, if that is permitted, and waits for their end. */
export async function endSessions(client: pg.Client, applicationName: string): Promise<void> {
  try {
    await client.query(
      `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
       WHERE application_name = $1 AND pid <> pg_backend_pid() AND datname = current_database()`,
      [applicationName.slice(0, 63)],
    );
  } catch (error) {
    if (sqlStateOf(error) !== '42501') throw fromPostgres(error);
  }
}

/** Ends every session of this cluster whose COMMIT waits for a standby; returns how many. */
export async function endCommitWaiters(client: pg.Client): Promise<number> {
  const { rowCount } = await client.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
     WHERE wait_event = 'SyncRep' AND pid <> pg_backend_pid()`,
  );
  return rowCount ?? 0;
}

/**
 * Ends the other sessions of this database that began before, except ours and, for the moment, those whose
 * COMMIT waits. Returns how many there were of both: call it again until there are none.
 */
export async function endOtherSessions(
  client: pg.Client,
  ours: string,
  before: string,
): Promise<number> {
  const { rowCount } = await client.query(
    `SELECT CASE WHEN wait_event IS DISTINCT FROM 'SyncRep' THEN pg_terminate_backend(pid) END
     FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend'
       AND pid <> pg_backend_pid()
       AND application_name !~ '^meridian ' AND NOT starts_with(application_name, $1)
       AND backend_start < $2::timestamptz`,
    [`${ours} `, before],
  );
  return rowCount ?? 0;
}
