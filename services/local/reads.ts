/**
 * One linearizable read in a region, for the live view: in a replica, wait until everything committed
 * anywhere is there, then read; in the primary's region, where the database itself is the newest,
 * the journal's part of it alone.
 */
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import { openDatabase } from './database.ts';
import type { Database } from './database.ts';
import type { LocalCluster } from './local-cluster.ts';
import { roleOf } from './postgres-members.ts';
import type { Region } from './topology.ts';
import { CLUSTER, REGIONS } from './topology.ts';
import { waitLinearizable } from './workload.ts';

const DEADLINE_MS = 5_000;

export class Reads {
  readonly #cluster: LocalCluster;
  readonly #databases = new Map<Region, Database>();
  readonly #journal: Journal;

  constructor(cluster: LocalCluster) {
    this.#cluster = cluster;
    this.#journal = connectJournal({
      cluster: CLUSTER,
      instance: 'one',
      replicas: REGIONS.map((region) => ({
        region,
        address: `127.0.0.1:${String(cluster.ports[region].journal.one)}`,
      })),
    });
  }

  /** Rejects when it is not answered in time. */
  async read(region: Region): Promise<void> {
    if (roleOf(region) === 'primary') {
      await this.#journal.heartbeat({ waitForWatermark: true, deadlineMs: DEADLINE_MS });
      return;
    }
    const database =
      this.#databases.get(region) ?? (await openDatabase(this.#cluster.address(region)));
    this.#databases.set(region, database);
    try {
      await waitLinearizable(database);
      await database.query('SELECT 1');
    } catch (error) {
      this.#databases.delete(region);
      await database.close().catch(() => undefined); // it is gone already
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#journal.close();
    await Promise.allSettled([...this.#databases.values()].map((database) => database.close()));
  }
}
