/** One SQL session with a region's Postgres: for the workload, the reads and the comparison. */
import { connectPostgres, fromPostgres } from '../../libs/postgres/connection.ts';
import type { PostgresAddress } from '../../libs/postgres/connection.ts';

export interface Database {
  /** Rows as text, as Postgres writes it; null is SQL's. Throws MeridianError. */
  query(text: string, values?: readonly (string | number)[]): Promise<(string | null)[][]>;
  close(): Promise<void>;
}

/**
 * `commit`: what COMMIT waits for. `on`, unlike in the sidecars' own sessions: for what the server is
 * configured to wait for, as any application does. `local`: for this server's disk alone.
 */
export async function openDatabase(
  address: PostgresAddress,
  commit: 'on' | 'local' = 'on',
): Promise<Database> {
  const client = await connectPostgres({ address, applicationName: 'meridian-local' });
  await client.query(`SET synchronous_commit = ${commit}; SET search_path = public`);
  return {
    query: async (text, values = []) => {
      try {
        const result = await client.query<(string | null)[]>({
          text,
          values: [...values],
          rowMode: 'array',
        });
        return result.rows;
      } catch (error) {
        throw fromPostgres(error);
      }
    },
    close: () => client.end(),
  };
}
