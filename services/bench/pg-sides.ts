/**
 * What is compared, all of it running through the whole measurement so that each sees the same machine:
 * a Postgres alone; one whose COMMIT waits for a subscriber of Postgres's own logical replication; one
 * whose COMMIT waits for a journal in two regions, with a replica that a sidecar applies to. Owns their
 * processes.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { MeridianError } from '../../libs/errors/errors.ts';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster } from '../../libs/postgres/cluster.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import type { PostgresClient } from '../../libs/postgres/connection.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { round } from '../../libs/telemetry/figures.ts';
import { CLUSTER } from './instance.ts';
import type { Instance } from './instance.ts';
import { processorSeconds } from './processor-time.ts';
import { preparePgbench } from './pgbench.ts';

const SIDECAR = fileURLToPath(new URL('../sidecar/main.js', import.meta.url));
const READY_MS = 120_000;
const STATUS_MS = 10_000;
const LOOK_MS = 10;
const STREAM = 'pg.bench';
/** A key where pgbench has none, and a table to see how long a row takes. */
const SCHEMA = `ALTER TABLE public.pgbench_history ADD COLUMN id bigserial PRIMARY KEY;
  CREATE TABLE public.probe (id bigint PRIMARY KEY)`;

export interface Side {
  readonly name: 'alone' | 'logical' | 'meridian';
  readonly primary: Cluster;
  readonly replica: Cluster | null;
  /** The replica stands still; whatever ships goes on. */
  pauseApply(): Promise<void>;
  /** Goes on, as fast as it can: its commits need no sync. */
  resumeApply(): Promise<void>;
}

export interface SidesOptions {
  readonly directory: string;
  readonly ports: readonly number[];
  readonly instance: Instance;
  readonly onStop: (stop: () => Promise<unknown>) => void;
}

/** Of the side `meridian`; `journal`: its three replicas together. */
export interface Parts {
  readonly ship: number;
  readonly apply: number;
  readonly journal: number;
}

/** So many ports of `SidesOptions`. */
export const PORTS = 7;

export class Sides {
  readonly list: readonly Side[];
  readonly #sidecars: Sidecars;
  readonly #instance: Instance;

  private constructor(list: readonly Side[], sidecars: Sidecars, instance: Instance) {
    this.list = list;
    this.#sidecars = sidecars;
    this.#instance = instance;
  }

  static async start(options: SidesOptions): Promise<Sides> {
    const { directory, ports, onStop } = options;
    const names = ['alone', 'primary-l', 'replica-l', 'primary-m', 'replica-m'];
    const clusters: Cluster[] = [];
    for (const [i, name] of names.entries()) {
      const home = join(directory, name);
      const cluster = await createCluster({ directory: home, port: ports[i] ?? 0 });
      onStop(() => cluster.stop('immediate'));
      await cluster.start();
      await preparePgbench(cluster, !name.startsWith('replica'));
      await withClient(cluster, (client) => client.query(SCHEMA));
      clusters.push(cluster);
    }
    const [alone, primaryL, replicaL, primaryM, replicaM] = clusters as [
      ...[Cluster, Cluster, Cluster, Cluster, Cluster],
    ];
    const sidecars = new Sidecars(options, primaryM, replicaM);
    onStop(() => sidecars.stop());
    const nothing = (): Promise<void> => Promise.resolve();
    const list: Side[] = [
      {
        ...{ name: 'alone', primary: alone, replica: null },
        ...{ pauseApply: nothing, resumeApply: nothing },
      },
      await subscribed(primaryL, replicaL),
      {
        ...{ name: 'meridian', primary: primaryM, replica: replicaM },
        pauseApply: () => sidecars.stopApply(),
        resumeApply: () => sidecars.startApply(),
      },
    ];
    await sidecars.start();
    return new Sides(list, sidecars, options.instance);
  }

  /** Resident memory of the sidecars, MiB; 0 where /proc does not tell. */
  memory(): { readonly ship: number; readonly apply: number } {
    return this.#sidecars.memory();
  }

  /** Of the last ten seconds: from a transaction's arrival at the sidecar to the journal's answer. */
  shippingMs(): Promise<number> {
    return this.#sidecars.shippingMs();
  }

  /** Seconds of processor time that each part has used so far. */
  processorTime(): Parts {
    const { children } = this.#instance;
    const journal = children.map(({ pid }) => processorSeconds(pid ?? 0) ?? 0);
    const total = journal.reduce((sum, seconds) => sum + seconds, 0);
    return { ...this.#sidecars.processorTime(), journal: total };
  }
}

class Sidecars {
  readonly #options: SidesOptions;
  readonly #primary: Cluster;
  readonly #replica: Cluster;
  #ship: Child | null = null;
  #apply: Child | null = null;

  constructor(options: SidesOptions, primary: Cluster, replica: Cluster) {
    this.#options = options;
    this.#primary = primary;
    this.#replica = replica;
  }

  async start(): Promise<void> {
    this.#ship = await this.#spawn('ship', this.#primary, 'a', this.#options.ports[5] ?? 0);
    await this.startApply();
    await withClient(this.#primary, synchronous);
    await withClient(this.#replica, (client) => holdsCopy(client));
  }

  async startApply(): Promise<void> {
    this.#apply = await this.#spawn('apply', this.#replica, 'b', this.#options.ports[6] ?? 0);
  }

  async stopApply(): Promise<void> {
    await this.#apply?.stop();
  }

  async stop(): Promise<void> {
    await Promise.all([this.#ship?.stop(), this.#apply?.stop()]);
  }

  memory(): { readonly ship: number; readonly apply: number } {
    return { ship: residentMiB(this.#ship), apply: residentMiB(this.#apply) };
  }

  processorTime(): { readonly ship: number; readonly apply: number } {
    const [ship, apply] = [this.#ship, this.#apply].map((it) => processorSeconds(it?.pid ?? 0));
    return { ship: ship ?? 0, apply: apply ?? 0 };
  }

  async shippingMs(): Promise<number> {
    const channel = connect(`127.0.0.1:${this.#options.ports[5] ?? 0}`);
    try {
      const request = { cluster: CLUSTER };
      const limits = { deadlineMs: STATUS_MS };
      const { ship } = await channel.unary(SidecarService.method.status, request, limits);
      return round((ship?.latencyP50Seconds ?? 0) * 1000);
    } finally {
      channel.close();
    }
  }

  async #spawn(role: string, cluster: Cluster, region: string, port: number): Promise<Child> {
    const { directory, instance } = this.#options;
    const home = join(directory, `sidecar-${role}`);
    mkdirSync(home, { recursive: true });
    const file = join(home, 'sidecar.json');
    const config = {
      ...{ cluster: CLUSTER, region, listen: `127.0.0.1:${port}`, roles: [role] },
      ...{ postgres: cluster.url(), stream: STREAM },
      instance: { name: instance.name, replicas: instance.replicas },
      ...(role === 'ship' ? { ship: { synchronous: true } } : {}),
    };
    writeFileSync(file, JSON.stringify(config));
    const extra = (process.env['MERIDIAN_BENCH_SIDECAR_ARGUMENTS'] ?? '').split(' ');
    const args = [...extra.filter((it) => it !== ''), SIDECAR, '--config', file];
    return spawnChild({ name: `sidecar ${role}`, command: process.execPath, args });
  }
}

/** `synchronous_commit = on` of the subscription: it then reports a flush when it has committed, not later. */
async function subscribed(primary: Cluster, replica: Cluster): Promise<Side> {
  const { host, port, user, database } = primary.address();
  await withClient(primary, (client) =>
    client.query(
      'CREATE PUBLICATION bench FOR TABLE public.probe, public.pgbench_accounts, ' +
        'public.pgbench_history, public.pgbench_branches, public.pgbench_tellers',
    ),
  );
  await withClient(replica, async (client) => {
    await client.query(
      `CREATE SUBSCRIPTION bench CONNECTION 'host=${host} port=${port} user=${user} dbname=${database}'
       PUBLICATION bench WITH (synchronous_commit = 'on')`,
    );
    await until(client, "SELECT FROM pg_subscription_rel HAVING bool_and(srsubstate = 'r')");
  });
  await withClient(primary, async (client) => {
    await client.query("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (bench)'");
    await client.query('SELECT pg_reload_conf()');
    await synchronous(client);
  });
  const alter = (what: string) => (): Promise<void> =>
    withClient(replica, async (client) => {
      await client.query(`ALTER SUBSCRIPTION bench ${what}`);
    });
  return {
    ...{ name: 'logical', primary, replica },
    pauseApply: alter('DISABLE'),
    resumeApply: async () => {
      await alter('SET (synchronous_commit = off)')();
      await alter('ENABLE')();
    },
  };
}

/** COMMIT waits from now on. */
function synchronous(client: PostgresClient): Promise<void> {
  return until(client, "SELECT FROM pg_stat_replication WHERE sync_state = 'sync'");
}

function holdsCopy(client: PostgresClient): Promise<void> {
  return until(client, 'SELECT FROM public.pgbench_accounts LIMIT 1');
}

/** Until the query gives a row. */
export async function until(client: PostgresClient, sql: string): Promise<void> {
  const deadline = performance.now() + READY_MS;
  while ((await client.query(sql)).rowCount === 0) {
    if (performance.now() > deadline) throw new MeridianError('DEADLINE', `nothing from: ${sql}`);
    await sleep(LOOK_MS);
  }
}

export async function withClient<T>(
  cluster: Cluster,
  work: (client: PostgresClient) => Promise<T>,
): Promise<T> {
  const client = await connectPostgres({ address: cluster.address(), applicationName: 'bench' });
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

function residentMiB(child: Child | null): number {
  try {
    const status = readFileSync(`/proc/${child?.pid ?? 0}/status`, 'utf8');
    return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024);
  } catch {
    return 0;
  }
}
