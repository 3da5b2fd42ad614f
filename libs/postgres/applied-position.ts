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

/** A place in the journal's order, and where a subscription resumes after it. */
export interface JournalPosition {
  /** Number of the instance; 0 when there is one. */
  readonly instance: number;
  readonly timestamp: number;
  readonly recordOffset: number;
  /** What the crossbar wants back; null when the journal is read directly. */
  readonly cursor: Uint8Array | null;
}

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
}

// The lock: two sessions that both find the schema missing would collide in the catalogue.
const DEFINITION = `
  SELECT pg_advisory_xact_lock(hashtext('meridian'));
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
  COMMENT ON TABLE meridian.applied IS 'Positions of Meridian appliers; changing it by hand loses or doubles transactions';
`;

/** Makes the table when it is missing, and takes over: every earlier applier of that name is fenced. */
export async function takeOver(client: pg.Client, name: string): Promise<AppliedPosition> {
  const exists = await client.query<{ it: string | null }>(
    "SELECT to_regclass('meridian.applied')::text AS it",
  );
  if (exists.rows[0]?.it == null) await client.query(DEFINITION);
  const { rows } = await client.query<Record<string, string | null>>(
    `INSERT INTO meridian.applied AS a (name, epoch) VALUES ($1, 1)
     ON CONFLICT (name) DO UPDATE SET epoch = a.epoch + 1
     RETURNING epoch::text, system_id, timeline::text, database, commit_lsn::text, end_lsn::text,
       commit_time::text, instance::text, journal_timestamp::text, record_offset::text,
       encode(cursor, 'hex') AS cursor`,
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
  };
}

/** Moves the position, inside the transaction that applies or alone; the count must be 1. */
export const MOVE_SQL = `
  UPDATE meridian.applied SET system_id = $2, timeline = $3::int, database = $4,
    commit_lsn = $5::pg_lsn, end_lsn = $6::pg_lsn, commit_time = $7::bigint, instance = $8::int,
    journal_timestamp = $9::bigint, record_offset = $10::bigint,
    cursor = decode($11, 'hex'), changed_at = clock_timestamp()
  WHERE name = $1 AND epoch = $12::bigint
    AND journal_timestamp = $13::bigint AND instance = $14::int AND record_offset = $15::bigint`;

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
    String(from.epoch),
    String(from.journal.timestamp),
    String(from.journal.instance),
    String(from.journal.recordOffset),
  ];
}

export function fenced(name: string, epoch: number): MeridianError {
  return new MeridianError(
    'FENCED',
    `another applier has taken over the position ${name}, or it was changed by hand`,
    { details: { name, epoch } },
  );
}
