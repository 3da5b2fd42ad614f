/** Rows written in region A all the time, for something to look at: `npm start -- --traffic`. */
import { setTimeout as pause } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import { openDatabase } from './database.ts';
import type { Database } from './database.ts';
import { History } from './history.ts';
import type { LocalCluster } from './local-cluster.ts';
import { PRIMARY } from './topology.ts';
import { look, seed, transfer } from './workload.ts';

const PAUSE_MS = 50;
const RETRY_MS = 1_000;

/** Returns what stops it. Goes on by itself when the database was away. */
export async function startTraffic(cluster: LocalCluster): Promise<() => Promise<void>> {
  const stop = new AbortController();
  let database: Database | null = await openDatabase(cluster.address(PRIMARY));
  await seed(database);
  const write = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        database ??= await openDatabase(cluster.address(PRIMARY));
        await writeSome(stop.signal, database);
      } catch (error) {
        if (!(error instanceof MeridianError)) throw error;
        await close(database);
        database = null;
        await pause(RETRY_MS, undefined, { signal: stop.signal }).catch(() => undefined);
      }
    }
  };
  const done = write();
  return async () => {
    stop.abort();
    // A COMMIT that waits for a quorum that is away must not hold up Ctrl-C: this ends its session.
    await close(database);
    await done;
  };
}

async function writeSome(stop: AbortSignal, database: Database): Promise<void> {
  const history = new History((await look(database, 1)).heights);
  while (!stop.aborted) {
    await transfer(database, history, 0);
    await pause(PAUSE_MS, undefined, { signal: stop }).catch(() => undefined);
  }
}

async function close(database: Database | null): Promise<void> {
  await database?.close().catch(() => undefined); // it is gone already
}
