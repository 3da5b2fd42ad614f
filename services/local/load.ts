/**
 * The check's load: writers in region A and linearizable readers in B and C, all against one
 * history, with what is needed to judge them: latencies, the longest pause, counts while replicas
 * were down. A failed COMMIT or read ends the load; nothing is retried silently.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Database } from './database.ts';
import { openDatabase } from './database.ts';
import { History } from './history.ts';
import type { LocalCluster } from './local-cluster.ts';
import { latencyOf } from './status.ts';
import { PRIMARY, REGIONS } from './topology.ts';
import type { Region } from './topology.ts';
import { look, seed, transfer, waitLinearizable } from './workload.ts';
import type { Latency } from './view.ts';

const WRITERS = 4;
const READERS_PER_REGION = 2;
/** Within this the sidecar must have become the primary's synchronous standby. */
const SYNCHRONOUS_MS = 10_000;
const POLL_MS = 50;

export interface LoadResult {
  readonly commits: number;
  readonly commitsWhileDown: number;
  readonly commitLatency: Latency | null;
  readonly commitPauseMs: number;
  readonly reads: Readonly<Record<string, number>>;
  readonly readsWhileDown: number;
  readonly readLatency: Latency | null;
  readonly violations: readonly string[];
}

export class Load {
  readonly history = new History(new Array<number>(WRITERS).fill(0));
  readonly #cluster: LocalCluster;
  readonly #databases: Database[] = [];
  readonly #commitMs: number[] = [];
  readonly #readMs: number[] = [];
  readonly #reads: Record<string, number> = {};
  #work: Promise<unknown> = Promise.resolve();
  #stopping = false;
  #lastCommitAt = 0;
  #commitPauseMs = 0;
  #commitsWhileDown = 0;
  #readsWhileDown = 0;
  /** Set while replicas are down, to count what goes on. */
  replicasDown = false;

  constructor(cluster: LocalCluster) {
    this.#cluster = cluster;
  }

  /** Rejects when a writer or a reader fails; call `stop` in any case. */
  async start(): Promise<{ readonly failed: Promise<never> }> {
    const primary = await this.#open(PRIMARY);
    await requireSynchronous(primary);
    await seed(primary);
    this.#lastCommitAt = performance.now();
    const writers = await Promise.all(
      Array.from({ length: WRITERS }, async (_, writer) => ({
        writer,
        database: await this.#open(PRIMARY),
      })),
    );
    const readers = await Promise.all(
      REGIONS.filter((region) => region !== PRIMARY).flatMap((region) => {
        this.#reads[region.toUpperCase()] = 0;
        return Array.from({ length: READERS_PER_REGION }, async () => ({
          region,
          database: await this.#open(region),
        }));
      }),
    );
    const work = [
      ...writers.map(({ writer, database }) => this.#write(writer, database)),
      ...readers.map(({ region, database }) => this.#read(region, database)),
    ];
    this.#work = Promise.allSettled(work);
    const failed = Promise.all(work).then(() => new Promise<never>(() => undefined));
    failed.catch(() => undefined); // whoever waits for something else races with it
    return { failed };
  }

  /** Ends the load; every COMMIT that was sent has returned, or its session is over. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#work;
    await Promise.all(this.#databases.splice(0).map((database) => database.close()));
  }

  /** Ends the sessions without waiting for them. */
  async abandon(): Promise<void> {
    this.#stopping = true;
    await Promise.allSettled(this.#databases.splice(0).map((database) => database.close()));
  }

  result(): LoadResult {
    return {
      commits: this.history.commits,
      commitsWhileDown: this.#commitsWhileDown,
      commitLatency: latencyOf(this.#commitMs),
      commitPauseMs: this.#commitPauseMs,
      reads: { ...this.#reads },
      readsWhileDown: this.#readsWhileDown,
      readLatency: latencyOf(this.#readMs),
      violations: this.history.violations,
    };
  }

  async #write(writer: number, database: Database): Promise<void> {
    while (!this.#stopping) {
      const startedAt = performance.now();
      await transfer(database, this.history, writer);
      const now = performance.now();
      this.#commitMs.push(now - startedAt);
      this.#commitPauseMs = Math.max(this.#commitPauseMs, now - this.#lastCommitAt);
      this.#lastCommitAt = now;
      if (this.replicasDown) this.#commitsWhileDown++;
    }
  }

  async #read(region: Region, database: Database): Promise<void> {
    const where = region.toUpperCase();
    while (!this.#stopping) {
      await this.readOnce(region, database);
      this.#reads[where] = (this.#reads[where] ?? 0) + 1;
      if (this.replicasDown) this.#readsWhileDown++;
    }
  }

  /** One linearizable read: what it must contain is fixed before it begins. */
  async readOnce(region: Region, database: Database): Promise<void> {
    const required = this.history.readBegins();
    const startedAt = performance.now();
    await waitLinearizable(database);
    const seen = await look(database, WRITERS);
    this.#readMs.push(performance.now() - startedAt);
    this.history.readEnded(region.toUpperCase(), required, seen);
  }

  async #open(region: Region): Promise<Database> {
    const database = await openDatabase(this.#cluster.address(region));
    this.#databases.push(database);
    return database;
  }
}

/** A COMMIT that waits for nobody would make the whole check worthless. */
async function requireSynchronous(primary: Database): Promise<void> {
  const deadline = performance.now() + SYNCHRONOUS_MS;
  while (performance.now() < deadline) {
    const rows = await primary.query(
      `SELECT application_name FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')`,
    );
    if (rows.length > 0) return;
    await pause(POLL_MS); // the sidecar has connected, the primary is about to count on it
  }
  throw new MeridianError(
    'REFUSED',
    'the primary has no synchronous standby: its COMMIT waits for nobody',
  );
}
