/**
 * Three real etcd members whose links pass through Toxiproxy like ours, so that the same faults strike them.
 * A member advertises one address to both others, and the two must come by different proxies: so it
 * advertises an address that nobody can reach (192.0.2.0/24 is for documentation), and every member has
 * an HTTP proxy of ours that takes its calls and goes on to its own link to the member that is meant.
 */
import { mkdirSync } from 'node:fs';
import { createServer, request } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { findEtcd } from './etcd-program.ts';
import type { LinkPlan } from './network.ts';
import { Network } from './network.ts';
import type { ToxiproxyServer } from './toxiproxy-server.ts';
import type { Region, WideArea } from './wide-area.ts';
import { REGIONS } from './wide-area.ts';

const HOST = '127.0.0.1';
const READY_MS = 60_000;
const LOOK_MS = 100;

export interface EtcdOptions {
  readonly directory: string;
  readonly name: string;
  readonly server: ToxiproxyServer;
  readonly area: WideArea;
}

/** One member; a `Part` for the faults of processes. */
export class Member {
  readonly name: string;
  readonly region: Region;
  readonly clientPort: number;
  readonly #child: () => Promise<Child>;
  #running: Child | null = null;

  constructor(region: Region, clientPort: number, child: () => Promise<Child>) {
    this.name = `etcd-${region}`;
    this.region = region;
    this.clientPort = clientPort;
    this.#child = child;
  }

  get running(): boolean {
    return this.#running?.running ?? false;
  }

  async start(): Promise<void> {
    this.#running = await this.#child();
    await this.#running.ready({ probe: () => isHealthy(this.clientPort) }, READY_MS);
  }

  async launch(): Promise<void> {
    this.#running = await this.#child();
  }

  async kill(): Promise<void> {
    await this.#running?.kill();
  }

  signal(signal: NodeJS.Signals): void {
    this.#running?.signal(signal);
  }

  /** Whether it is the leader, by its own word. */
  async leads(): Promise<boolean> {
    const status = await post<{ leader?: string; header?: { member_id?: string } }>(
      this.clientPort,
      '/v3/maintenance/status',
      {},
      1_000,
    );
    return status.leader !== undefined && status.leader === status.header?.member_id;
  }
}

export class EtcdCluster {
  readonly network: Network;
  readonly members: readonly Member[];
  readonly #ports: readonly number[];
  readonly #forwarders: readonly Server[];

  private constructor(
    network: Network,
    members: readonly Member[],
    ports: readonly number[],
    forwarders: readonly Server[],
  ) {
    this.network = network;
    this.members = members;
    this.#ports = ports;
    this.#forwarders = forwarders;
  }

  static async start({ directory, name, server, area }: EtcdOptions): Promise<EtcdCluster> {
    const program = findEtcd();
    const ports = await reservePorts(9);
    const portOf = (kind: number, region: Region): number =>
      ports[3 * kind + REGIONS.indexOf(region)] ?? 0;
    const network = await Network.make(server, name, linkPlans(portOf), area);
    const forwarders = await Promise.all(
      REGIONS.map((region) => forwarder(network, region, portOf(2, region))),
    );
    mkdirSync(directory, { recursive: true });
    const members = REGIONS.map(
      (region) =>
        new Member(region, portOf(0, region), () =>
          spawnChild({
            name: `etcd-${region}`,
            command: program,
            args: argumentsOf(region, join(directory, `etcd-${region}`), portOf),
            env: { HTTP_PROXY: `http://${HOST}:${portOf(2, region)}`, NO_PROXY: '' },
            logFile: join(directory, `etcd-${region}.log`),
          }),
        ),
    );
    const cluster = new EtcdCluster(network, members, ports, forwarders);
    try {
      // None is healthy before two run.
      await Promise.all(members.map((member) => member.start()));
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  member(region: Region): Member {
    const found = this.members.find((member) => member.region === region);
    if (found === undefined) throw new Error(`no member in ${region}`);
    return found;
  }

  /** Asks until one says so. */
  async leader(): Promise<Region> {
    const deadline = performance.now() + READY_MS;
    while (performance.now() < deadline) {
      for (const member of this.members) {
        if (await member.leads().catch(() => false)) return member.region;
      }
      await pause(LOOK_MS);
    }
    throw new MeridianError('DEADLINE', 'no etcd member says that it leads');
  }

  /** Where a client in `from` reaches the member in `to`. */
  clientPort(from: Region, to: Region): number {
    return this.network.port({ role: 'client', region: from }, { role: 'replica', region: to });
  }

  async stop(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    for (const server of this.#forwarders) {
      server.closeAllConnections();
      server.close();
    }
    await this.network.close();
    releasePorts(this.#ports);
  }
}

/** A call to the JSON face of a member; rejects when it is not answered well in time. */
export async function post<T>(
  port: number,
  path: string,
  body: object,
  timeoutMs: number,
): Promise<T> {
  const response = await fetch(`http://${HOST}:${port}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${String(response.status)} ${text}`);
  return JSON.parse(text) as T;
}

type PortOf = (kind: number, region: Region) => number;

function argumentsOf(region: Region, data: string, portOf: PortOf): string[] {
  const client = `http://${HOST}:${portOf(0, region)}`;
  return [
    ...['--name', region, '--data-dir', data, '--log-level', 'error', '--logger', 'zap'],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...['--listen-peer-urls', `http://${HOST}:${portOf(1, region)}`],
    ...['--initial-advertise-peer-urls', advertised(region), '--initial-cluster-state', 'new'],
    '--initial-cluster',
    REGIONS.map((each) => `${each}=${advertised(each)}`).join(','),
  ];
}

function advertised(region: Region): string {
  return `http://${addressOf(region)}:2380`;
}

function addressOf(region: Region): string {
  return `192.0.2.${String(REGIONS.indexOf(region) + 1)}`;
}

function linkPlans(portOf: PortOf): LinkPlan[] {
  return REGIONS.flatMap((from) =>
    REGIONS.flatMap((to) => {
      const target = { role: 'replica', region: to } as const;
      const client: LinkPlan = {
        from: { role: 'client', region: from },
        to: target,
        instance: null,
        upstream: portOf(0, to),
      };
      if (from === to) return [client];
      const peer: LinkPlan = {
        from: { role: 'replica', region: from },
        to: target,
        instance: null,
        upstream: portOf(1, to),
      };
      return [client, peer];
    }),
  );
}

/** Takes what the member in `region` calls, and goes on by the link from there to who is meant. */
async function forwarder(network: Network, region: Region, port: number): Promise<Server> {
  const server = createServer((incoming, outgoing) => {
    const url = new URL(incoming.url ?? '');
    const meant = REGIONS.find((each) => addressOf(each) === url.hostname);
    if (meant === undefined) {
      outgoing.writeHead(502).end();
      return;
    }
    const link = network.port({ role: 'replica', region }, { role: 'replica', region: meant });
    forward(incoming, outgoing, link, `${url.pathname}${url.search}`);
  });
  server.requestTimeout = 0; // etcd's streams have no end
  server.timeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, resolve);
  });
  return server;
}

function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  port: number,
  path: string,
): void {
  const { method, headers } = incoming;
  const onward = request({ host: HOST, port, path, method, headers, agent: false });
  onward.setNoDelay(true);
  onward.on('response', (response) => {
    outgoing.writeHead(response.statusCode ?? 502, response.headers);
    outgoing.flushHeaders();
    response.pipe(outgoing);
    response.on('close', () => outgoing.destroy());
    response.on('error', () => outgoing.destroy());
  });
  onward.on('error', () => outgoing.destroy());
  outgoing.on('close', () => onward.destroy());
  incoming.pipe(onward);
}

async function isHealthy(port: number): Promise<boolean> {
  const response = await fetch(`http://${HOST}:${port}/health`);
  return response.ok && (await response.text()).includes('"true"');
}
