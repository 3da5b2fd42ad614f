/**
 * Sequences, which logical replication leaves out: the source writes their values into its own log as a
 * message, appliers follow, and who becomes the primary steps over everything that can have been handed out.
 *
 * A value is written down after it was handed out (`nextval` belongs to no transaction), so at a failover
 * the last ones may be unknown. What is in a column is in the data; SEQUENCE_GAP is for the rest.
 */
import type pg from 'pg';
import { MeridianError } from '../errors/errors.ts';
import type { LogicalMessage } from './pgoutput.ts';
import { arrayLiteral } from './sql.ts';
import type { Query } from './target-session.ts';

export const SEQUENCES_PREFIX = 'meridian.sequences';

/** Values stepped over at a failover, unless the sequence has not so many left. */
export const SEQUENCE_GAP = 10_000;

interface SequenceValue {
  readonly schema: string;
  readonly name: string;
  /** Decimal: 64 bits. */
  readonly value: string;
}

/** Writes down what has changed since it last looked. */
export class SequenceScribe {
  #written = new Map<string, string>();

  async write(client: pg.Client): Promise<void> {
    const { rows } = await client.query<{ schema: string; name: string; value: string }>(
      `SELECT schemaname AS schema, sequencename AS name, last_value::text AS value
       FROM pg_sequences WHERE schemaname <> 'meridian' AND last_value IS NOT NULL`,
    );
    const values = new Map(rows.map((row) => [JSON.stringify([row.schema, row.name]), row.value]));
    const changed = rows.filter(
      ({ schema, name, value }) => this.#written.get(JSON.stringify([schema, name])) !== value,
    );
    if (changed.length > 0) {
      const content = JSON.stringify({ version: 1, sequences: changed });
      const sql = 'SELECT pg_logical_emit_message(true, $1, $2::text)';
      await client.query(sql, [SEQUENCES_PREFIX, content]);
    }
    this.#written = values;
  }
}

/** What makes the target follow; null: a message of somebody else. */
export function followSequences(message: LogicalMessage): Query | null {
  if (message.prefix !== SEQUENCES_PREFIX) return null;
  const sequences = parse(message.content);
  return {
    sql: `SELECT setval(c.oid, x.value) FROM unnest($1::text[], $2::text[], $3::bigint[])
        AS x(schema, name, value)
      JOIN pg_namespace n ON n.nspname = x.schema
      JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = x.name AND c.relkind = 'S'`,
    parameters: [
      arrayLiteral(sequences.map(({ schema }) => schema)),
      arrayLiteral(sequences.map(({ name }) => name)),
      arrayLiteral(sequences.map(({ value }) => value)),
    ],
  };
}

/** Beyond what was followed, what stands in the columns they fill, and the gap. Returns how many. */
export async function advanceSequences(client: pg.Client): Promise<number> {
  const { rows } = await client.query<Record<string, string>>(
    `SELECT format('%I.%I', s.schemaname, s.sequencename) AS sequence,
       (s.increment_by > 0)::text AS up, coalesce(f.columns, '[]')::text AS columns
     FROM pg_sequences s
     JOIN pg_namespace n ON n.nspname = s.schemaname
     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.sequencename
     LEFT JOIN LATERAL (
       SELECT jsonb_agg(DISTINCT jsonb_build_array(
         format('%I.%I', tn.nspname, t.relname), format('%I', a.attname))) AS columns
       FROM (SELECT d.refobjid AS table, d.refobjsubid AS number FROM pg_depend d
             WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
               AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
             UNION SELECT b.adrelid, b.adnum FROM pg_depend d
             JOIN pg_attrdef b ON d.classid = 'pg_attrdef'::regclass AND b.oid = d.objid
             WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid) AS filled
       JOIN pg_class t ON t.oid = filled.table
       JOIN pg_namespace tn ON tn.oid = t.relnamespace
       JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = filled.number
       JOIN pg_type y ON y.oid = a.atttypid AND y.typcategory = 'N'
     ) AS f ON true
     WHERE s.schemaname <> 'meridian'`,
  );
  for (const { sequence = '', up, columns = '[]' } of rows) {
    await advance(client, sequence, up === 'true', JSON.parse(columns) as [string, string][]);
  }
  return rows.length;
}

async function advance(
  client: pg.Client,
  sequence: string,
  up: boolean,
  columns: readonly [string, string][],
): Promise<void> {
  const [farthest, bound, sign] = up ? ['max', 'max_value', '+'] : ['min', 'min_value', '-'];
  const reach = columns.map(
    ([table, column]) => `UNION ALL SELECT ${farthest}(${column})::numeric FROM ${table}`,
  );
  // A tenth of what is left at most: a small sequence is not used up by its failovers.
  await client.query(
    `SELECT setval($1::text::regclass, (farthest.at ${sign} trunc(least(
       ${SEQUENCE_GAP} * abs(s.increment_by), abs(s.${bound} - farthest.at) / 10)))::bigint)
     FROM pg_sequences s, LATERAL (SELECT ${up ? 'least' : 'greatest'}(s.${bound}, ${farthest}(v)) AS at
       FROM (SELECT coalesce(s.last_value, s.start_value)::numeric AS v ${reach.join(' ')}) AS reached
     ) AS farthest
     WHERE format('%I.%I', s.schemaname, s.sequencename) = $1::text`,
    [sequence],
  );
}

function parse(content: Uint8Array): SequenceValue[] {
  try {
    const { version, sequences } = JSON.parse(Buffer.from(content).toString('utf8')) as {
      version?: unknown;
      sequences?: unknown;
    };
    if (version === 1 && Array.isArray(sequences) && sequences.every(isValue)) return sequences;
  } catch {
    // said below
  }
  throw new MeridianError('INVALID', 'values of sequences in the stream cannot be understood');
}

function isValue(value: unknown): value is SequenceValue {
  if (typeof value !== 'object' || value === null) return false;
  const it = value as Record<string, unknown>;
  const isText = typeof it['schema'] === 'string' && typeof it['name'] === 'string';
  return isText && typeof it['value'] === 'string' && /^-?\d{1,19}$/.test(it['value']);
}
