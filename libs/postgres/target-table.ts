/**
 * What the applier knows of a table in the target: which of its columns a source relation feeds, how
 * text becomes their type, and how a row is found again. And the SQL made of it.
 *
 * Every statement takes arrays, one per column, and handles any number of rows at once; one array
 * element is the single row. Values come in as text and are cast by the target: `x.c0::int4`. The
 * casts bear no length or precision, so that a value too long for the target fails instead of being
 * cut, as an explicit cast to varchar(3) would do.
 */
import type pg from 'pg';
import { MeridianError } from '../errors/errors.ts';
import { at } from '../values/assert.ts';
import type { Relation } from './pgoutput.ts';
import { quoteIdentifier, quoteTable } from './sql.ts';

export interface TargetColumn {
  readonly name: string;
  /** Place in the source's tuples. */
  readonly source: number;
  /** For casts, schema-qualified where needed. */
  readonly type: string;
  /** The operator of the type's ordering, for its indexes; null: it has none (json, xml, point, …), compare the text. */
  readonly equals: string | null;
  /** GENERATED ALWAYS AS IDENTITY: may be inserted, never updated. */
  readonly identityAlways: boolean;
}

export interface TargetTable {
  readonly schema: string;
  readonly table: string;
  /** Quoted, for SQL and for messages. */
  readonly name: string;
  readonly columns: readonly TargetColumn[];
  /** Indexes into `columns` of what names a row. */
  readonly key: readonly number[];
  /** A trigger or rule fires here although we apply as a replica: every update counts, not only the last one. */
  readonly watched: boolean;
  /** false: rows may be alike (no key at all); one of them is meant. */
  readonly unique: boolean;
}

/** Throws REFUSED when the table or one of its columns is missing. */
export async function loadTargetTable(client: pg.Client, relation: Relation): Promise<TargetTable> {
  const { schema, table } = relation;
  const name = quoteTable(schema, table);
  const { rows } = await client.query<Record<string, string>>(
    `SELECT a.attname AS name, format_type(a.atttypid, -1) AS type, a.attidentity AS identity,
       a.attgenerated AS generated,
       (EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = c.oid AND g.tgenabled IN ('R', 'A'))
         OR EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_enabled IN ('R', 'A')))
         ::text AS watched,
       coalesce(a.attnum = ANY (i.indkey), false)::text AS primary_key,
       CASE WHEN t.typtype IN ('e', 'r', 'm') OR t.typname = 'varchar' THEN 'pg_catalog'
         ELSE (SELECT s.nspname FROM pg_opclass o
           JOIN pg_am m ON m.oid = o.opcmethod AND m.amname = 'btree'
           JOIN pg_amop q ON q.amopfamily = o.opcfamily AND q.amopstrategy = 3
             AND q.amoplefttype = o.opcintype AND q.amoprighttype = o.opcintype
           JOIN pg_operator e ON e.oid = q.amopopr AND e.oprname = '='
           JOIN pg_namespace s ON s.oid = e.oprnamespace
           WHERE o.opcdefault AND o.opcintype IN (a.atttypid, t.typbasetype) LIMIT 1) END AS equals
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     JOIN pg_type t ON t.oid = a.atttypid
     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
     WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')`,
    [schema, table],
  );
  if (rows.length === 0) {
    throw new MeridianError(
      'REFUSED',
      `the target has no table ${name}: create it as at the source`,
      { details: { table: name } },
    );
  }
  const byName = new Map(rows.map((row) => [row['name'] ?? '', row]));
  const columns = relation.columns.map((column, source) => {
    const row = byName.get(column.name);
    if (row?.['generated'] !== '') {
      const what = row === undefined ? 'lacks the column' : 'computes by itself the column';
      throw new MeridianError(
        'REFUSED',
        `the target's table ${name} ${what} ${quoteIdentifier(column.name)}, which the source fills`,
        { details: { table: name, column: column.name } },
      );
    }
    return {
      name: column.name,
      source,
      type: row['type'] ?? '',
      equals: equalsOperator(row['equals'] ?? null),
      identityAlways: row['identity'] === 'a',
    };
  });
  const watched = rows[0]?.['watched'] === 'true';
  return { schema, table, name, columns, watched, ...chooseKey(relation, columns, byName) };
}

/** The source's identity; for whole rows the target's primary key where there is one, to be quick. */
function chooseKey(
  relation: Relation,
  columns: readonly TargetColumn[],
  target: ReadonlyMap<string, Record<string, string>>,
): { key: number[]; unique: boolean } {
  const all = columns.map((_, i) => i);
  if (relation.identity !== 'full') {
    return { key: all.filter((i) => at(relation.columns, i).key), unique: true };
  }
  const isPrimary = (name: string): boolean => target.get(name)?.['primary_key'] === 'true';
  const primary = all.filter((i) => isPrimary(at(columns, i).name));
  const size = [...target.keys()].filter(isPrimary).length;
  if (size > 0 && primary.length === size) return { key: primary, unique: true };
  return { key: all, unique: false };
}

/** Parameters: one text[] per column of the table. */
export function insertSql(table: TargetTable): string {
  const names = table.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  if (table.columns.length === 0) return `INSERT INTO ${table.name} DEFAULT VALUES`;
  const values = table.columns.map((column, i) => `x.c${i}::${column.type}`).join(', ');
  return (
    `INSERT INTO ${table.name} (${names}) OVERRIDING SYSTEM VALUE ` +
    `SELECT ${values} FROM ${unnest(table.columns.length)}`
  );
}

/** Parameters: the old key, then the new values of `set` (indexes into the columns). */
export function updateSql(table: TargetTable, set: readonly number[]): string {
  const offset = table.key.length;
  const assignments = set.map((i, n) => {
    const column = at(table.columns, i);
    return `${quoteIdentifier(column.name)} = x.c${offset + n}::${column.type}`;
  });
  return (
    `UPDATE ${table.name} AS t SET ${assignments.join(', ')} ` +
    `FROM ${unnest(offset + set.length)} WHERE ${match(table)}`
  );
}

/** Parameters: the old key. */
export function deleteSql(table: TargetTable): string {
  return `DELETE FROM ${table.name} AS t USING ${unnest(table.key.length)} WHERE ${match(table)}`;
}

function unnest(count: number): string {
  const arrays = Array.from({ length: count }, (_, i) => `$${i + 1}::text[]`);
  const names = Array.from({ length: count }, (_, i) => `c${i}`);
  return `unnest(${arrays.join(', ')}) AS x(${names.join(', ')})`;
}

function match(table: TargetTable): string {
  if (table.unique) {
    return table.key.map((i, n) => same(at(table.columns, i), n)).join(' AND ');
  }
  const all = table.key.map((i, n) => sameOrNull(at(table.columns, i), n));
  return `t.ctid = (SELECT s.ctid FROM ${table.name} AS s WHERE ${all.join(' AND ')} LIMIT 1)`;
}

function same(column: TargetColumn, n: number): string {
  const stored = `t.${quoteIdentifier(column.name)}`;
  if (column.equals === null) return `${stored}::text = x.c${n}`;
  return `${stored} ${column.equals} x.c${n}::${column.type}`;
}

function sameOrNull(column: TargetColumn, n: number): string {
  const stored = `s.${quoteIdentifier(column.name)}`;
  if (column.equals !== '=') return `${stored}::text IS NOT DISTINCT FROM x.c${n}`;
  return `${stored} IS NOT DISTINCT FROM x.c${n}::${column.type}`;
}

function equalsOperator(schema: string | null): string | null {
  if (schema === null) return null;
  return schema === 'pg_catalog' ? '=' : `OPERATOR(${quoteIdentifier(schema)}.=)`;
}
