/**
 * Where an applier stands, in the target itself: one row of `meridian.applied` per applier, changed
 * in the transaction that applies, by compare-and-set. So after any crash of either side the rows and
 * the position agree, and a second applier, or one that was thought dead, changes nothing.
 */
import type pg from 'pg';
import { MeridianError } from '../errors/errors.ts';
import { LSN_ZERO, formatLsn, parseLsn } from './lsn.ts';
import type { Lsn } from './lsn.ts';
import type { Source } from './change-format.ts';
import { fromPostgres } from './connection.ts';
import { LOCK_OURS } from './sql.ts';

/** A place in the journal's order, and where a subscription resumes after it. */
export interface JournalPosition {
  /** Number of the instance; 0 when there is one. */
  readonly instance: number;
  readonly timestamp: number;
  readonly recordOffset: number;
  /** What the crossbar wants back; null when the journal is read directly. */
  readonly cursor: Uint8Array | null;
}

/** What a database is to its stream; a replica becomes the primary by applying a handover to itself. */
export type Role = 'primary' | 'replica';

export interface AppliedPosition {
  /** Grows with each applier that takes over. */
  readonly epoch: number;
  /** null: nothing has been applied yet. */
  readonly source: Source | null;
  /** Of the last applied transaction. */
  readonly commitLsn: Lsn;
  readonly endLsn: Lsn;
  readonly commitTime: number;
  readonly journal: JournalPosition;
  readonly role: Role;
  /** Sources that have handed over. */
  readonly past: readonly Source[];
  /** Handovers up to this journal timestamp are history: none of them makes this database the primary. */
  readonly historyUntil: number;
}

const DEFINITION = `
  ${LOCK_OURS};
  CREATE SCHEMA IF NOT EXISTS meridian;
  CREATE TABLE IF NOT EXISTS meridian.applied (
    name text PRIMARY KEY,
    epoch bigint NOT NULL,
    system_id text,
    timeline int,
    database text,
    commit_lsn pg_lsn NOT NULL DEFAULT '0/0',
    end_lsn pg_lsn NOT NULL DEFAULT '0/0',
    commit_time bigint NOT NULL DEFAULT 0,
    instance int NOT NULL DEFAULT 0,
    journal_timestamp bigint NOT NULL DEFAULT 0,
    record_offset bigint NOT NULL DEFAULT 0,
    cursor bytea,
    changed_at timestamptz NOT NULL DEFAULT now()
  );
  ALTER TABLE meridian.applied ADD COLUMN IF NOT EXISTS role text NOT NULL DEFAULT 'replica',
    ADD COLUMN IF NOT EXISTS past jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN IF NOT EXISTS history_until bigint NOT NULL DEFAULT 0;
  CREATE OR REPLACE VIEW meridian.replication AS
    SELECT name, role, system_id, database, commit_lsn,
      to_timestamp(nullif(commit_time, 0) / 1e6) AS committed_at,
      CASE role WHEN 'replica' THEN to_timestamp(nullif(journal_timestamp, 0) / 1e6) END AS applied_until,
      CASE role WHEN 'replica'
        THEN greatest(clock_timestamp() - to_timestamp(nullif(journal_timestamp, 0) / 1e6), '0') END AS lag
    FROM meridian.applied;
  GRANT USAGE ON SCHEMA meridian TO PUBLIC;
  GRANT SELECT ON meridian.replication TO PUBLIC;
  COMMENT ON TABLE meridian.applied IS 'Positions of Meridian appliers; changing it by hand loses or doubles transactions';
`;

/** Makes the table when it is missing, and takes over: every earlier applier of that name is fenced. */
export async function takeOver(client: pg.Client, name: string): Promise<AppliedPosition> {
  await ensureTable(client);
  const { rows } = await client.query<Record<string, string | null>>(
    `INSERT INTO meridian.applied AS a (name, epoch) VALUES ($1, 1)
     ON CONFLICT (name) DO UPDATE SET epoch = a.epoch + 1
     RETURNING epoch::text, system_id, timeline::text, database, commit_lsn::text, end_lsn::text,
       commit_time::text, instance::text, journal_timestamp::text, record_offset::text,
       encode(cursor, 'hex') AS cursor, role, past::text,
       history_until::text`,
    [name],
  );
  const row = rows[0] ?? {};
  const get = (column: string): string => row[column] ?? '';
  const systemId = row['system_id'] ?? null;
  const database = get('database');
  const cursor = row['cursor'] ?? null;
  return {
    epoch: Number(get('epoch')),
    source: systemId === null ? null : { systemId, timeline: Number(get('timeline')), database },
    commitLsn: parseLsn(row['commit_lsn'] ?? formatLsn(LSN_ZERO)),
    endLsn: parseLsn(row['end_lsn'] ?? formatLsn(LSN_ZERO)),
    commitTime: Number(get('commit_time')),
    journal: {
      instance: Number(get('instance')),
      timestamp: Number(get('journal_timestamp')),
      recordOffset: Number(get('record_offset')),
      cursor: cursor === null ? null : Buffer.from(cursor, 'hex'),
    },
    role: get('role') === 'primary' ? 'primary' : 'replica',
    past: JSON.parse(get('past')) as Source[],
    historyUntil: Number(get('history_until')),
  };
}

/** The column that came last tells whether all are there. */
async function ensureTable(client: pg.Client): Promise<void> {
  const view = "SELECT to_regclass('meridian.replication')::text AS it";
  const { rows } = await client.query<{ it: string | null }>(view);
  if (rows[0]?.it == null || !(await isComplete(client))) await client.query(DEFINITION);
}

async function isComplete(client: pg.Client): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM pg_attribute WHERE attrelid = to_regclass('meridian.applied')
     AND attname = 'history_until' AND NOT attisdropped`,
  );
  return rowCount === 1;
}

/** What this database is; null: nothing was ever applied here. */
export async function roleOf(client: pg.Client, name: string): Promise<Role | null> {
  try {
    if (!(await isComplete(client))) return null;
    const sql = 'SELECT role FROM meridian.applied WHERE name = $1';
    const { rows } = await client.query<{ role: Role }>(sql, [name]);
    return rows[0]?.role ?? null;
  } catch (error) {
    throw fromPostgres(error, 'cannot read the role of this database');
  }
}

/** Where a database that was the primary goes on as a replica. */
export interface ReplicaStart {
  readonly source: Source;
  /** End of its log: it holds everything that the stream has of that source, and nothing else. */
  readonly endLsn: Lsn;
  /**
   * Journal timestamp that covers all of it; 0: not known, and it reads once more from where it became
   * the primary, or from the beginning if it always was.
   */
  readonly timestamp: number;
}

/**
 * null: empty, from the beginning. `historyUntil`: a journal timestamp of now. In a transaction of the
 * caller, or alone.
 */
export async function becomeReplica(
  client: pg.Client,
  name: string,
  start: ReplicaStart | null,
  historyUntil: number,
): Promise<void> {
  await ensureTable(client);
  if (start === null) await client.query('DELETE FROM meridian.applied WHERE name = $1', [name]);
  const { source, endLsn = LSN_ZERO, timestamp = 0 } = start ?? { source: null };
  await client.query(
    `INSERT INTO meridian.applied AS a (name, epoch, system_id, timeline, database, commit_lsn, end_lsn,
       journal_timestamp, record_offset, history_until)
     VALUES ($1, 1, $2, $3::int, $4, $5::pg_lsn, $5::pg_lsn, $6::bigint, $7::bigint, $8::bigint)
     ON CONFLICT (name) DO UPDATE SET role = 'replica', epoch = a.epoch + 1,
       commit_lsn = excluded.commit_lsn, end_lsn = excluded.end_lsn,
       history_until = excluded.history_until,
       journal_timestamp = greatest(a.journal_timestamp, excluded.journal_timestamp),
       record_offset = CASE WHEN excluded.journal_timestamp > a.journal_timestamp
         THEN excluded.record_offset ELSE a.record_offset END`,
    [
      ...[name, source?.systemId ?? null, source === null ? null : String(source.timeline)],
      ...[source?.database ?? null, formatLsn(endLsn), String(timestamp)],
      timestamp === 0 ? '0' : '4294967295', // after everything of that timestamp
      String(historyUntil),
    ],
  );
}

/** In the transaction that applies a handover. */
export const ROLE_SQL =
  'UPDATE meridian.applied SET role = $2, past = $3::jsonb WHERE name = $1 AND epoch = $4::bigint';

/** Gives a row for as long as the position is where this applier has it. */
export const CHECK_SQL = `
  SELECT FROM meridian.applied WHERE name = $1 AND epoch = $2::bigint
    AND journal_timestamp = $3::bigint AND instance = $4::int AND record_offset = $5::bigint`;

export function checkParameters(name: string, { epoch, journal }: AppliedPosition): string[] {
  const { timestamp, instance, recordOffset } = journal;
  return [name, ...[epoch, timestamp, instance, recordOffset].map(String)];
}

/** Moves the position, inside the transaction that applies or alone; the count must be 1. */
export const MOVE_SQL = `
  UPDATE meridian.applied SET system_id = $2, timeline = $3::int, database = $4,
    commit_lsn = $5::pg_lsn, end_lsn = $6::pg_lsn, commit_time = $7::bigint, instance = $8::int,
    journal_timestamp = $9::bigint, record_offset = $10::bigint,
    cursor = decode($11, 'hex'), changed_at = clock_timestamp()
  WHERE name = $1 AND epoch = $12::bigint
    AND journal_timestamp = $13::bigint AND instance = $14::int AND record_offset = $15::bigint`;

/** Moves it and says in the log where at the source the transaction ended (LSN) and when (Unix time). */
export const MOVE_AND_MARK_SQL = `${MOVE_SQL}
  RETURNING pg_replication_origin_xact_setup($16::pg_lsn, to_timestamp($17::float8))`;

export function moveParameters(
  name: string,
  from: AppliedPosition,
  to: AppliedPosition,
): (string | null)[] {
  const { source, journal } = to;
  return [
    name,
    source?.systemId ?? null,
    source === null ? null : String(source.timeline),
    source?.database ?? null,
    formatLsn(to.commitLsn),
    formatLsn(to.endLsn),
    String(to.commitTime),
    String(journal.instance),
    String(journal.timestamp),
    String(journal.recordOffset),
    journal.cursor === null ? null : Buffer.from(journal.cursor).toString('hex'),
    ...checkParameters(name, from).slice(1),
  ];
}

export function fenced(name: string, epoch: number): MeridianError {
  return new MeridianError(
    'FENCED',
    `another applier has taken over the position ${name}, or it was changed by hand`,
    { details: { name, epoch } },
  );
}
