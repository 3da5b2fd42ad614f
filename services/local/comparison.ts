/**
 * Compares databases row by row: every table that the first one has in schema public, every row as
 * text, by primary key. Finds rows that are missing, rows that are too many and rows that differ.
 */
import type { Database } from './database.ts';

export interface Comparison {
  readonly tables: number;
  /** Rows of the first database, all tables together. */
  readonly rows: number;
  /** At most `DIFFERENCES_MAX`, in words. */
  readonly differences: readonly string[];
}

const DIFFERENCES_MAX = 20;

/** Without a primary key a row is named by its text, and by a number among its equals. */
const ROW_ITSELF = 't::text, row_number() OVER (PARTITION BY t::text)';

export async function compareDatabases(
  databases: readonly { readonly name: string; readonly database: Database }[],
): Promise<Comparison> {
  const [first, ...others] = databases;
  if (first === undefined) return { tables: 0, rows: 0, differences: [] };
  const tables = await tablesOf(first.database);
  const differences: string[] = [];
  let rows = 0;
  for (const table of tables) {
    const expected = await rowsOf(first.database, table);
    rows += expected.size;
    for (const { name, database } of others) {
      differences.push(...differencesOf(table, name, expected, await rowsOf(database, table)));
    }
  }
  return { tables: tables.length, rows, differences: differences.slice(0, DIFFERENCES_MAX) };
}

interface Table {
  readonly name: string;
  /** What names a row: the columns of the primary key, quoted. */
  readonly key: string;
}

async function tablesOf(database: Database): Promise<Table[]> {
  const rows = await database.query(
    `SELECT format('%I.%I', n.nspname, c.relname),
            string_agg(quote_ident(a.attname), ', ' ORDER BY array_position(i.indkey, a.attnum))
     FROM pg_class c
     JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
     LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
     WHERE n.nspname = 'public' AND c.relkind = 'r'
     GROUP BY 1, c.oid
     ORDER BY 1`,
  );
  return rows.map(([name, key]) => ({ name: name ?? '', key: key ?? ROW_ITSELF }));
}

/** Key → the whole row, both as text. */
async function rowsOf(database: Database, table: Table): Promise<Map<string, string>> {
  const rows = await database.query(
    `SELECT ROW(${table.key})::text, t::text FROM ${table.name} t ORDER BY 1`,
  );
  return new Map(rows.map(([key, row]) => [key ?? '', row ?? '']));
}

function differencesOf(
  table: Table,
  where: string,
  expected: ReadonlyMap<string, string>,
  actual: ReadonlyMap<string, string>,
): string[] {
  const found: string[] = [];
  for (const [key, row] of expected) {
    const other = actual.get(key);
    if (other === undefined) found.push(`${table.name} ${key} is missing in ${where}`);
    else if (other !== row) found.push(`${table.name} ${key} is ${other} in ${where}, not ${row}`);
  }
  for (const key of actual.keys()) {
    if (!expected.has(key)) found.push(`${table.name} ${key} is too many in ${where}`);
  }
  return found;
}
