/**
 * The initial copy: the published tables as a slot's exported snapshot shows them, as the messages
 * of one large transaction: the description of every table, then each row as an insert.
 *
 * One cursor, a bounded number of rows at a time: memory does not grow with the tables, except with
 * the largest rows.
 */
import type pg from 'pg';
import { MeridianError } from '../errors/errors.ts';
import { connectPostgres, fromPostgres } from './connection.ts';
import type { ConnectOptions } from './connection.ts';
import { encodeMessage } from './pgoutput.ts';
import { identityOf } from './pgoutput.ts';
import type { Column, Relation } from './pgoutput.ts';
import { quoteIdentifier, quoteLiteral, quoteTable } from './sql.ts';
import { OWN_SCHEMA } from './transaction-encoder.ts';

type Published = Relation & { readonly partitioned: boolean; readonly rowsEstimated: number };

export interface CopyProgress {
  /** Being copied, `schema.table`, quoted. */
  readonly table: string;
  readonly tablesDone: number;
  readonly tables: number;
  readonly rows: number;
  /** Of all tables, as Postgres's statistics have it; 0 for those never analysed. */
  readonly rowsEstimated: number;
}

const FETCH_ROWS = 1_000;

/** Yields encoded messages: the relations first, then one insert per row. */
export async function* readSnapshot(
  options: ConnectOptions,
  snapshot: string,
  publication: string,
  onProgress: (progress: CopyProgress) => void = () => undefined,
): AsyncGenerator<Uint8Array> {
  const client = await connectPostgres(options);
  try {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
    await client.query(`SET TRANSACTION SNAPSHOT ${quoteLiteral(snapshot)}`);
    const relations = await publishedRelations(client, publication);
    for (const relation of relations) yield encodeMessage(relation);
    const rowsEstimated = relations.reduce((sum, relation) => sum + relation.rowsEstimated, 0);
    const tables = relations.length;
    let done = 0;
    for (const [tablesDone, relation] of relations.entries()) {
      const table = quoteTable(relation.schema, relation.table);
      onProgress({ table, tablesDone, tables, rows: done, rowsEstimated });
      yield* rows(client, relation, (count) => {
        done += count;
        onProgress({ table, tablesDone, tables, rows: done, rowsEstimated });
      });
    }
    await client.query('COMMIT');
  } catch (error) {
    throw fromPostgres(error, 'initial copy');
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function* rows(
  client: pg.Client,
  relation: Published,
  onRows: (count: number) => void,
): AsyncGenerator<Uint8Array> {
  const columns = relation.columns.map(({ name }) => quoteIdentifier(name)).join(', ');
  const table = quoteTable(relation.schema, relation.table);
  // Of a partitioned table, published as a whole, the rows are in its partitions.
  const from = relation.partitioned ? table : `ONLY ${table}`;
  await client.query(`DECLARE copy NO SCROLL CURSOR FOR SELECT ${columns} FROM ${from}`);
  for (;;) {
    const result = await client.query<(string | null)[]>({
      text: `FETCH ${FETCH_ROWS} FROM copy`,
      rowMode: 'array',
    });
    for (const values of result.rows) {
      yield encodeMessage({ kind: 'insert', relation: relation.id, values });
    }
    onRows(result.rows.length);
    if (result.rows.length < FETCH_ROWS) break;
  }
  await client.query('CLOSE copy');
}

/** As pgoutput would describe them. */
async function publishedRelations(client: pg.Client, publication: string): Promise<Published[]> {
  const result = await client.query<Record<string, string>>(
    `SELECT c.oid::text AS id, t.schemaname AS schema, t.tablename AS table,
       c.relreplident AS identity, c.relkind AS kind, a.attname AS name, a.atttypid::text AS type,
       a.atttypmod::text AS modifier, greatest(c.reltuples, 0)::text AS estimate,
       (CASE c.relreplident WHEN 'f' THEN true ELSE coalesce(a.attnum = ANY (i.indkey), false) END)
         ::text AS key
     FROM pg_publication_tables t
     JOIN pg_namespace n ON n.nspname = t.schemaname
     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
     JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       AND a.attgenerated = ''
     LEFT JOIN pg_index i ON i.indrelid = c.oid AND CASE c.relreplident
       WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
     WHERE t.pubname = $1 AND t.schemaname <> $2
     ORDER BY t.schemaname, t.tablename, a.attnum`,
    [publication, OWN_SCHEMA],
  );
  const relations = new Map<number, Published & { readonly columns: Column[] }>();
  for (const row of result.rows) {
    const get = (name: string): string => row[name] ?? '';
    const id = Number(get('id'));
    let relation = relations.get(id);
    if (relation === undefined) {
      const identity = identityOf(get('identity'));
      if (identity === null) {
        const code = JSON.stringify(get('identity'));
        throw new MeridianError('REFUSED', `unknown replica identity ${code}`);
      }
      const name = { schema: get('schema'), table: get('table') };
      const partitioned = get('kind') === 'p';
      const rowsEstimated = Math.round(Number(get('estimate')));
      const known = { identity, partitioned, rowsEstimated };
      relation = { kind: 'relation', id, ...name, ...known, columns: [] };
      relations.set(id, relation);
    }
    relation.columns.push({
      name: get('name'),
      key: get('key') === 'true',
      typeId: Number(get('type')),
      typeModifier: Number(get('modifier')),
    });
  }
  return [...relations.values()];
}
