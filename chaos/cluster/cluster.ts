/**
 * A whole cluster of real processes in a directory of its own, every link through Toxiproxy. Owns the
 * processes and the network; ends all of them, by pid, in `stop`. It restarts nothing by itself: what has
 * ended is named and started again by `revive`, so that a scenario can tell a crash it made from one
 * it did not.
 */
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal, StatusResponse } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { releasePorts } from '../../libs/processes/ports.ts';
import type { ServiceProcess } from '../../libs/processes/service.ts';
import type { Endpoints } from '../traffic/endpoints.ts';
import { Database, DATABASE } from './database.ts';
import { CLUSTER, linkPlans, planLayout, PRIMARY, realPort } from './layout.ts';
import type { Layout, Size } from './layout.ts';
import { Network } from './network.ts';
import { Replica } from './replica.ts';
import { crossbars, sidecars } from './services.ts';
import type { ToxiproxyServer } from './toxiproxy-server.ts';
import type { Region, WideArea } from './wide-area.ts';
import { nearestFirst, othersOf, REGIONS } from './wide-area.ts';

const HOST = '127.0.0.1';

export interface ClusterOptions {
  readonly directory: string;
  /** Tells this cluster's proxies from others'. */
  readonly name: string;
  readonly size: Size;
  readonly server: ToxiproxyServer;
  readonly area: WideArea;
  /** `timings` of the replicas that are not the defaults. */
  readonly timings?: Readonly<Record<string, number>>;
}

/** What can be started, and has a name for people. */
export interface Part {
  readonly name: string;
  readonly running: boolean;
  start(): Promise<void>;
  kill(): Promise<void>;
}

export class Cluster {
  readonly directory: string;
  readonly size: Size;
  readonly layout: Layout;
  readonly network: Network;
  readonly replicas: readonly Replica[];
  crossbars: readonly ServiceProcess[] = [];
  sidecars: readonly ServiceProcess[] = [];
  databases: readonly Database[] = [];
  /** Without proxies: the harness must see what the clients cannot. */
  readonly #watchers = new Map<string, Journal>();

  private constructor(options: ClusterOptions, layout: Layout, network: Network) {
    this.directory = options.directory;
    this.size = options.size;
    this.layout = layout;
    this.network = network;
    this.replicas = layout.instances.flatMap((instance) =>
      REGIONS.map((region) => this.#replica(instance, region, options.timings ?? {})),
    );
    for (const instance of layout.instances) {
      const replicas = REGIONS.map((region) => ({
        region,
        address: `${HOST}:${realPort(layout, 'client', region, instance)}`,
      }));
      this.#watchers.set(instance, connectJournal({ cluster: CLUSTER, instance, replicas }));
    }
  }

  /** Everything runs and is ready when it resolves; nothing does when it rejects. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const layout = await planLayout(options.size);
    const network = await Network.make(
      options.server,
      options.name,
      linkPlans(layout),
      options.area,
    );
    const cluster = new Cluster(options, layout, network);
    try {
      await Promise.all([cluster.#startReplicas(), cluster.#startDatabases()]);
      const site = { directory: options.directory, layout, network };
      if (layout.crossbars) cluster.crossbars = crossbars(site);
      await Promise.all(cluster.crossbars.map((crossbar) => crossbar.start()));
      if (layout.databases) cluster.sidecars = sidecars(site);
      await Promise.all(cluster.sidecars.map((sidecar) => sidecar.start()));
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  replica(region: Region, instance = this.layout.instances[0] ?? ''): Replica {
    const found = this.replicas.find(
      (replica) => replica.region === region && replica.instance === instance,
    );
    if (found === undefined) throw new MeridianError('INVALID', `no replica ${instance} ${region}`);
    return found;
  }

  /** Of all instances. */
  replicasIn(region: Region): Replica[] {
    return this.replicas.filter((replica) => replica.region === region);
  }

  crossbar(region: Region): ServiceProcess {
    return named(this.crossbars, `crossbar-${region}`);
  }

  sidecar(region: Region): ServiceProcess {
    return named(this.sidecars, `sidecar-${region}`);
  }

  database(region: Region): Database {
    return named(this.databases, `postgres-${region}`);
  }

  /** By name: `crossbar-a`. */
  part(name: string): Part {
    return named(this.parts(), name);
  }

  parts(): Part[] {
    const services = [...this.crossbars, ...this.sidecars].map((service) => ({
      name: service.name,
      get running() {
        return service.pid !== null;
      },
      start: () => service.start(),
      kill: () => service.kill(),
    }));
    return [...this.replicas, ...this.databases, ...services];
  }

  /** Starts what does not run, in the order in which they need one another; returns its names. */
  async revive(): Promise<string[]> {
    const down = this.parts().filter(({ running }) => !running);
    const isBasis = ({ name }: Part): boolean => /^(journal|postgres)/.test(name);
    await Promise.all(down.filter(isBasis).map((part) => part.start()));
    await Promise.all(down.filter((part) => !isBasis(part)).map((part) => part.start()));
    return down.map(({ name }) => name);
  }

  /** One replica's own view. */
  status(instance: string, region: Region): Promise<StatusResponse> {
    const watcher = this.#watchers.get(instance);
    if (watcher === undefined) throw new MeridianError('INVALID', `no instance ${instance}`);
    return watcher.status(region);
  }

  /** Where clients find everything, see there. */
  endpoints(): Endpoints {
    const { layout, network } = this;
    const fromEach = <T>(of: (region: Region) => T): Record<string, T> =>
      Object.fromEntries(REGIONS.map((region) => [region, of(region)]));
    const near = (region: Region): Region[] => nearestFirst(network.area, region);
    return {
      cluster: CLUSTER,
      regions: REGIONS,
      instances: layout.instances.map((name, i) => ({
        name,
        number: i + 1,
        replicasFrom: fromEach((region) =>
          near(region).map((home) => ({
            region: home,
            address: `${HOST}:${network.port(
              { role: 'client', region },
              { role: 'replica', region: home },
              name,
            )}`,
          })),
        ),
      })),
      crossbarsFrom: fromEach((region) =>
        layout.crossbars
          ? near(region).map(
              (home) =>
                `${HOST}:${network.port(
                  { role: 'client', region },
                  { role: 'crossbar', region: home },
                )}`,
            )
          : [],
      ),
      databases: this.databases.map(({ region }) => ({
        region,
        role: region === PRIMARY ? 'primary' : 'replica',
        host: HOST,
        port: network.port({ role: 'client', region }, { role: 'postgres', region }),
        user: 'postgres',
        database: DATABASE,
      })),
    };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#watchers.values()].map((watcher) => watcher.close({ drainMs: 0 })));
    await Promise.all(this.parts().map((part) => part.kill()));
    await this.network.close();
    releasePorts([...this.layout.ports.values()]);
  }

  async #startReplicas(): Promise<void> {
    await Promise.all(this.replicas.map((replica) => replica.format()));
    await Promise.all(this.replicas.map((replica) => replica.start()));
  }

  async #startDatabases(): Promise<void> {
    if (!this.layout.databases) return;
    const starts = REGIONS.map((region) =>
      Database.start(this.directory, region, realPort(this.layout, 'postgres', region)),
    );
    this.databases = await Promise.all(starts);
  }

  #replica(instance: string, region: Region, timings: object): Replica {
    const { layout, network, directory } = this;
    const clientPort = realPort(layout, 'client', region, instance);
    const number = REGIONS.indexOf(region);
    return new Replica({
      instance,
      region,
      number,
      directory,
      clientPort,
      config: {
        cluster: CLUSTER,
        instance,
        replica: number,
        region,
        listen: `${HOST}:${clientPort}`,
        peerListen: `${HOST}:${realPort(layout, 'peer', region, instance)}`,
        peers: othersOf(region).map((other) => ({
          replica: REGIONS.indexOf(other),
          region: other,
          address: `${HOST}:${network.port(
            { role: 'replica', region },
            { role: 'replica', region: other },
            instance,
          )}`,
        })),
        timings,
        limits: { cacheBytesMax: 32 * 1024 * 1024 },
      },
    });
  }
}

function named<T extends { readonly name: string }>(parts: readonly T[], name: string): T {
  const part = parts.find((each) => each.name === name);
  if (part === undefined) throw new MeridianError('INVALID', `this cluster has no ${name}`);
  return part;
}
