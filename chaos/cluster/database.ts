/**
 * A Postgres of a chaos cluster: started, killed and started again. It ends with this process, whatever
 * happens to it. Which one is the primary, and what the sidecars do with it, is cluster.ts's.
 */
import { join } from 'node:path';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster } from '../../libs/postgres/cluster.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import { guard, release } from '../../libs/processes/guardian.ts';
import type { Region } from './wide-area.ts';

export const DATABASE = 'app';

export class Database {
  readonly name: string;
  readonly region: Region;
  readonly port: number;
  readonly #cluster: Cluster;

  private constructor(name: string, region: Region, cluster: Cluster) {
    this.name = name;
    this.region = region;
    this.port = cluster.port;
    this.#cluster = cluster;
  }

  /** Makes the cluster (initdb) and starts it, with an empty database `app`. */
  static async start(directory: string, region: Region, port: number): Promise<Database> {
    const name = `postgres-${region}`;
    const cluster = await createCluster({
      directory: join(directory, name),
      port,
      settings: { shared_buffers: '32MB', cluster_name: `region-${region}` },
      onSpawn: (pid) => {
        guard(pid, 'SIGINT');
      },
      onExit: (pid) => {
        release(pid);
      },
    });
    const database = new Database(name, region, cluster);
    await cluster.start();
    const client = await connectPostgres({
      address: cluster.address(),
      applicationName: 'meridian-chaos',
    });
    try {
      await client.query(`CREATE DATABASE ${DATABASE}`);
    } finally {
      await client.end();
    }
    return database;
  }

  get running(): boolean {
    return this.#cluster.pid !== null;
  }

  get pid(): number | null {
    return this.#cluster.pid;
  }

  start(): Promise<void> {
    return this.#cluster.start();
  }

  stop(): Promise<void> {
    return this.#cluster.stop('fast');
  }

  /** kill -9 of the postmaster. */
  kill(): Promise<void> {
    return this.#cluster.kill();
  }
}
