/**
 * The three databases as members: the primary in region A, replicas in B and C, each a Postgres of
 * its own with the database `app` and the same tables, which are made everywhere before anything is
 * shipped: a replica begins with tables like the primary's, and empty.
 */
import { join } from 'node:path';
import type { ClusterAddress } from '../../libs/postgres/cluster.ts';
import { openDatabase } from './database.ts';
import { postgresMember } from './members.ts';
import type { PostgresMember } from './members.ts';
import type { Ports, Region } from './topology.ts';
import { PRIMARY, REGIONS } from './topology.ts';
import { SCHEMA } from './workload.ts';

export const DATABASE = 'app';

export function postgresName(region: Region): string {
  return `postgres-${region}`;
}

/** Makes what is missing (initdb); does not start. REFUSED when there is no Postgres. */
export async function postgresMembers(
  directory: string,
  ports: Ports,
): Promise<Record<Region, PostgresMember>> {
  const [a, b, c] = await Promise.all(
    REGIONS.map(async (region) => {
      const member = await postgresMember(postgresName(region), {
        directory: join(directory, postgresName(region)),
        port: ports[region].postgres,
        // Three of them beside nine other processes.
        settings: { shared_buffers: '32MB', cluster_name: `region-${region}` },
      });
      const { cluster } = member;
      return Object.assign(member, {
        start: async () => {
          await cluster.start();
          await prepare(cluster.address(), cluster.address(DATABASE));
        },
      });
    }),
  );
  return { a, b, c } as Record<Region, PostgresMember>;
}

/** `psql` for a person. */
export function psqlCommand(port: number): string {
  return `psql -h 127.0.0.1 -p ${String(port)} -U postgres ${DATABASE}`;
}

export function roleOf(region: Region): 'primary' | 'replica' {
  return region === PRIMARY ? 'primary' : 'replica';
}

/** Waits for no standby: the sidecar that will be one has not started yet. */
async function prepare(server: ClusterAddress, database: ClusterAddress): Promise<void> {
  const admin = await openDatabase(server, 'local');
  try {
    const existing = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE]);
    if (existing.length === 0) await admin.query(`CREATE DATABASE ${DATABASE}`);
  } finally {
    await admin.close();
  }
  const app = await openDatabase(database, 'local');
  try {
    await app.query(SCHEMA);
  } finally {
    await app.close();
  }
}
