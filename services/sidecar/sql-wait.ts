/**
 * `SELECT meridian.wait_linearizable()`: a linearizable read for whoever has only SQL.
 *
 * A statement cannot hand a question to another process in a table: nobody sees the row before the
 * transaction ends. But sequences are outside of transactions: what nextval does is visible to
 * everybody at once. So the function draws a ticket from one sequence and waits until another one,
 * which the sidecar sets, has reached it. The sidecar looks at the last ticket *before* it asks for the
 * read point, so every ticket up to that one was drawn before the question, which is all it takes.
 *
 * It looks often while somebody asks and seldom otherwise: the first read after a pause waits up to
 * IDLE_MS longer.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connectPostgres, fromPostgres, sqlStateOf } from '../../libs/postgres/connection.ts';
import type { PostgresAddress, PostgresClient } from '../../libs/postgres/connection.ts';
import { LOCK_OURS } from '../../libs/postgres/sql.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { LinearizableReads } from './reads.ts';

export interface SqlWaitOptions {
  readonly address: PostgresAddress;
  readonly name: string;
  readonly reads: Pick<LinearizableReads, 'wait'>;
  readonly logger: Logger;
}

const IDLE_MS = 20;
const BUSY_MS = 2;
/** After the last ticket it stays attentive for this long. */
const BUSY_FOR_MS = 1_000;
const WAIT_MS = 10_000;

const DEFINITION = `
${LOCK_OURS};
CREATE SCHEMA IF NOT EXISTS meridian;
CREATE SEQUENCE IF NOT EXISTS meridian.read_asked AS bigint;
CREATE SEQUENCE IF NOT EXISTS meridian.read_answered AS bigint MINVALUE 0 START 0;
CREATE OR REPLACE FUNCTION meridian.wait_linearizable(timeout interval DEFAULT '10 s')
RETURNS void LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $function$
DECLARE
  ticket bigint;
  answered bigint;
  deadline timestamptz := clock_timestamp() + timeout;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'meridian.wait_linearizable works in READ COMMITTED only: at this level the snapshot is older than the wait'
      USING ERRCODE = 'invalid_transaction_state';
  END IF;
  IF current_setting('transaction_read_only') = 'on' THEN
    RAISE EXCEPTION 'meridian.wait_linearizable draws a ticket from a sequence, and this transaction may only read'
      USING ERRCODE = 'read_only_sql_transaction',
        HINT = 'SET default_transaction_read_only = off; but in a primary that was fenced nobody answers before it has rejoined.';
  END IF;
  ticket := nextval('meridian.read_asked');
  LOOP
    SELECT last_value INTO answered FROM meridian.read_answered;
    EXIT WHEN answered >= ticket;
    IF clock_timestamp() > deadline THEN
      RAISE EXCEPTION 'not applied in time: is the sidecar up, and has the journal a quorum?'
        USING ERRCODE = 'query_canceled';
    END IF;
    PERFORM pg_sleep(0.0005);
  END LOOP;
END $function$;
GRANT USAGE ON SCHEMA meridian TO PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.wait_linearizable(interval) TO PUBLIC;
`;

/** Serves until `signal` aborts (resolves) or the connection is lost (rejects). */
export async function serveSqlWaits(options: SqlWaitOptions, signal: AbortSignal): Promise<void> {
  const { address, name, logger } = options;
  const applicationName = `meridian reads ${name}`;
  const client = await connectPostgres({ address, applicationName, until: signal });
  try {
    if (!(await define(client))) {
      logger.warn('may not create meridian.wait_linearizable(): reads by SQL are not offered');
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve, { once: true });
        if (signal.aborted) resolve(undefined);
      });
      return;
    }
    await answer(client, options, signal);
  } catch (error) {
    throw fromPostgres(error);
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function answer(
  client: PostgresClient,
  { reads }: SqlWaitOptions,
  signal: AbortSignal,
): Promise<void> {
  let answered = -1;
  let busyUntil = 0;
  while (!signal.aborted) {
    const asked = await lastTicket(client);
    if (asked > answered) {
      busyUntil = Date.now() + BUSY_FOR_MS;
      try {
        await reads.wait(AbortSignal.any([signal, AbortSignal.timeout(WAIT_MS)]));
      } catch {
        // No quorum, or far behind: the tickets stay unanswered and their owners time out.
        await sleep(IDLE_MS, undefined, { signal }).catch(() => undefined);
        continue;
      }
      await client.query("SELECT setval('meridian.read_answered', $1)", [String(asked)]);
      answered = asked;
      continue;
    }
    const pauseMs = Date.now() < busyUntil ? BUSY_MS : IDLE_MS;
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

/** -1: none was ever drawn. */
async function lastTicket(client: PostgresClient): Promise<number> {
  const { rows } = await client.query<{ ticket: string }>(
    'SELECT CASE WHEN is_called THEN last_value ELSE -1 END AS ticket FROM meridian.read_asked',
  );
  return Number(rows[0]?.ticket ?? -1);
}

async function define(client: PostgresClient): Promise<boolean> {
  try {
    await client.query(DEFINITION);
    return true;
  } catch (error) {
    if (sqlStateOf(error) === '42501') return false;
    throw error;
  }
}
