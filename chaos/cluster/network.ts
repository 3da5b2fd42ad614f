/**
 * Every link of a cluster, each a proxy of its own: who dials whom, over which instance. Owns the
 * proxies and the delays of the regions' distances; a fault asks for links by who is at their ends and
 * puts toxics on them. A link is dialled from one side and carries both directions, so "what x says to
 * y" is upstream on the links that x dials and downstream on those that y dials.
 */
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import type { Direction, Proxy, ToxicOf, ToxiproxyServer } from './toxiproxy-server.ts';
import type { Region, WideArea } from './wide-area.ts';
import { roundTripMs } from './wide-area.ts';

export type Role = 'client' | 'replica' | 'crossbar' | 'sidecar' | 'postgres';

export interface End {
  readonly role: Role;
  readonly region: Region;
}

export interface LinkPlan {
  /** Who dials. */
  readonly from: End;
  readonly to: End;
  /** Name of the instance, where a replica is at an end. */
  readonly instance: string | null;
  /** The real port at `to`. */
  readonly upstream: number;
}

const WAN = 'distance';
/** Below this, in milliseconds and one way, a delay is noise. */
const DELAY_MIN_MS = 0.5;

export class Link {
  readonly from: End;
  readonly to: End;
  readonly instance: string | null;
  readonly proxy: Proxy;

  constructor({ from, to, instance }: LinkPlan, proxy: Proxy) {
    this.from = from;
    this.to = to;
    this.instance = instance;
    this.proxy = proxy;
  }

  get port(): number {
    return this.proxy.port;
  }

  /** The stream that carries what comes out of `region`; null where neither end is there. */
  directionFrom(region: Region): Direction | null {
    if (this.from.region === region) return 'upstream';
    return this.to.region === region ? 'downstream' : null;
  }
}

export class Network {
  readonly links: readonly Link[];
  readonly #ports: readonly number[];
  #area: WideArea;

  private constructor(links: readonly Link[], ports: readonly number[], area: WideArea) {
    this.links = links;
    this.#ports = ports;
    this.#area = area;
  }

  /** `name` tells the proxies of one cluster from others' in the same server. */
  static async make(
    server: ToxiproxyServer,
    name: string,
    plans: readonly LinkPlan[],
    area: WideArea,
  ): Promise<Network> {
    const ports = await reservePorts(plans.length);
    const proxies = await server.create(
      plans.map((plan, i) => ({
        name: `${name}-${nameOf(plan)}`,
        port: ports[i] ?? 0,
        upstream: plan.upstream,
      })),
    );
    const links = plans.flatMap((plan, i) => {
      const proxy = proxies[i];
      return proxy === undefined ? [] : [new Link(plan, proxy)];
    });
    const network = new Network(links, ports, area);
    await network.setArea(area);
    return network;
  }

  get area(): WideArea {
    return this.#area;
  }

  /** Where `from` reaches `to`. */
  port(from: End, to: End, instance: string | null = null): number {
    const link = this.links.find(
      (each) => sameEnd(each.from, from) && sameEnd(each.to, to) && each.instance === instance,
    );
    if (link === undefined) throw new Error(`no link ${nameOf({ from, to, instance })}`);
    return link.port;
  }

  /** Gives every link the delay of this distance, or `factor` times it. */
  async setArea(area: WideArea, factor = 1): Promise<void> {
    this.#area = area;
    await each(this.links, async ({ from, to, proxy }) => {
      const oneWayMs = (roundTripMs(area, from.region, to.region) / 2) * factor;
      for (const stream of ['upstream', 'downstream'] as const) {
        const name = `${WAN}_${stream}`;
        if (oneWayMs < DELAY_MIN_MS) await proxy.remove(name);
        else await proxy.put(name, stream, latency(oneWayMs, oneWayMs / 10));
      }
    });
  }

  /** Links between replicas of these two regions, whoever dials. */
  between(x: Region, y: Region): Link[] {
    return this.peers().filter(
      ({ from, to }) =>
        (from.region === x && to.region === y) || (from.region === y && to.region === x),
    );
  }

  /** Links between replicas. */
  peers(): Link[] {
    return this.links.filter(({ from, to }) => from.role === 'replica' && to.role === 'replica');
  }

  /** Links that lead into the region or out of it; what stays inside is not among them. */
  across(region: Region): Link[] {
    return this.links.filter(({ from, to }) => (from.region === region) !== (to.region === region));
  }

  async close(): Promise<void> {
    await each(this.links, ({ proxy }) => proxy.discard());
    releasePorts(this.#ports);
  }
}

export function latency(ms: number, jitterMs: number): ToxicOf {
  return {
    type: 'latency',
    attributes: { latency: Math.round(ms), jitter: Math.round(jitterMs) },
  };
}

/** On all of them at the same time: a partition that comes link by link is another fault. */
export async function each<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  await Promise.all(items.map(act));
}

function nameOf({ from, to, instance }: Pick<LinkPlan, 'from' | 'to' | 'instance'>): string {
  const ends = `${from.role}-${from.region}-to-${to.role}-${to.region}`;
  return instance === null ? ends : `${ends}-${instance}`;
}

function sameEnd(x: End, y: End): boolean {
  return x.role === y.role && x.region === y.region;
}
