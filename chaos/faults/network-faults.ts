/**
 * What networks do to links: cut (refused at once), silent (bytes vanish, connections stay), one
 * direction dead, slow, narrow, sliced, reset, half-open. Every fault puts toxics of its own name on
 * links, so that several may lie on one link and each heals alone.
 */
import type { Link, Network } from '../cluster/network.ts';
import { each, latency } from '../cluster/network.ts';
import type { Direction, ToxicOf } from '../cluster/toxiproxy-server.ts';
import type { Region, WideArea } from '../cluster/wide-area.ts';
import type { Random } from '../random.ts';
import type { Fault } from './fault.ts';
import { ongoing, pause } from './fault.ts';

let toxics = 0;

/** Connections end and new ones are refused, as when a router says so. */
export function cutLinks(name: string, target: string, links: readonly Link[]): Fault {
  return {
    name,
    target,
    inject: () => each(links, ({ proxy }) => proxy.enable(false)),
    heal: () => each(links, ({ proxy }) => proxy.enable(true)),
  };
}

/** What goes over the links vanishes, both ways; nobody is told. Half-open until somebody notices. */
export function silenceLinks(name: string, target: string, links: readonly Link[]): Fault {
  return toxic(name, target, links, () => ['upstream', 'downstream'], SILENCE);
}

/** The region reaches nobody and nobody reaches it; inside it everything goes on. */
export function isolate(network: Network, region: Region, how: 'cut' | 'silent' = 'silent'): Fault {
  const links = network.across(region);
  const name = `isolate ${region}${how === 'cut' ? ' (refused)' : ''}`;
  return how === 'cut' ? cutLinks(name, region, links) : silenceLinks(name, region, links);
}

/** Every region is alone: replicas reach no other, clients only the replica of their region. */
export function isolateAll(network: Network): Fault {
  const links = network.links.filter(({ from, to }) => from.region !== to.region);
  return silenceLinks('isolate every region', 'a, b, c', links);
}

/** Only the replicas' links: clients still reach every replica. */
export function isolateReplica(network: Network, region: Region): Fault {
  const links = network
    .peers()
    .filter(({ from, to }) => from.region === region || to.region === region);
  return silenceLinks(`isolate replica ${region}`, region, links);
}

/** One pair of regions cannot talk; both still reach the third. */
export function cutPair(
  network: Network,
  x: Region,
  y: Region,
  how: 'cut' | 'silent' = 'silent',
): Fault {
  const links = network.between(x, y);
  const name = `cut ${x}-${y}`;
  return how === 'cut'
    ? cutLinks(`${name} (refused)`, `${x}-${y}`, links)
    : silenceLinks(name, `${x}-${y}`, links);
}

/** What `x` says to `y` is lost; what `y` says arrives. */
export function cutOneWay(network: Network, x: Region, y: Region): Fault {
  const links = network.between(x, y);
  return toxic(`lose ${x}→${y}`, `${x}→${y}`, links, (link) => streamFrom(link, x), SILENCE);
}

/** Everything that leaves the region for another is lost; what is said to it arrives. */
export function muteRegion(network: Network, region: Region): Fault {
  return toxic(
    `mute ${region}`,
    region,
    network.across(region),
    (link) => streamFrom(link, region),
    SILENCE,
  );
}

/** The clients of a region reach one replica only, the one of `reachable`. */
export function clientsSeeOnly(network: Network, region: Region, reachable: Region): Fault {
  const links = network.links.filter(
    ({ from, to }) =>
      from.role === 'client' &&
      from.region === region &&
      to.role === 'replica' &&
      to.region !== reachable,
  );
  return silenceLinks(`clients of ${region} see only ${reachable}`, `clients ${region}`, links);
}

/** Adds a delay to all that enters or leaves the region, with jitter. */
export function slowRegion(network: Network, region: Region, ms: number, jitterMs: number): Fault {
  const links = network.across(region);
  return toxic(
    `${String(ms)} ms ± ${String(jitterMs)} to ${region}`,
    region,
    links,
    () => ['upstream', 'downstream'],
    latency(ms, jitterMs),
  );
}

/** As if the regions were elsewhere. */
export function otherArea(network: Network, area: WideArea): Fault {
  const before = network.area;
  return {
    name: `distances of ${area.name}`,
    target: 'a, b, c',
    inject: () => network.setArea(area),
    heal: () => network.setArea(before),
  };
}

/** Kilobytes per second, each way and connection, into and out of the region. */
export function narrow(network: Network, region: Region, kilobytesPerSecond: number): Fault {
  return toxic(
    `${String(kilobytesPerSecond)} kB/s to ${region}`,
    region,
    network.across(region),
    () => ['upstream', 'downstream'],
    { type: 'bandwidth', attributes: { rate: kilobytesPerSecond } },
  );
}

/** Every message arrives in pieces of a few bytes. */
export function slice(network: Network, region: Region, bytes: number, delayUs: number): Fault {
  return toxic(
    `slices of ${String(bytes)} bytes to ${region}`,
    region,
    network.across(region),
    () => ['upstream', 'downstream'],
    {
      type: 'slicer',
      attributes: { average_size: bytes, size_variation: Math.floor(bytes / 2), delay: delayUs },
    },
  );
}

/** Connections of the links are reset, again and again, at moments that the seed chooses. */
export function resets(
  name: string,
  target: string,
  links: readonly Link[],
  random: Random,
  everyMs: readonly [number, number],
): Fault {
  const reset = toxic(name, target, links, () => ['downstream'], {
    type: 'reset_peer',
    attributes: { timeout: 0 },
  });
  return ongoing(
    name,
    target,
    async (healing) => {
      await reset.inject();
      await pause(RESET_MS);
      await reset.heal();
      await pause(random.integer(...everyMs), healing);
    },
    () => reset.heal(),
  );
}

/** Connections end after so many bytes downstream, wherever in a message that is. */
export function endAfterBytes(
  name: string,
  target: string,
  links: readonly Link[],
  random: Random,
  bytes: readonly [number, number],
): Fault {
  const id = nextName('limit');
  return ongoing(
    name,
    target,
    async (healing) => {
      const limit: ToxicOf = {
        type: 'limit_data',
        attributes: { bytes: random.integer(...bytes) },
      };
      await each(links, ({ proxy }) => proxy.put(id, 'downstream', limit));
      await pause(LIMIT_MS, healing);
      await each(links, ({ proxy }) => proxy.remove(id));
    },
    () => each(links, ({ proxy }) => proxy.remove(id)),
  );
}

/** The links go down and come back, for times that the seed chooses. */
export function flap(
  name: string,
  target: string,
  links: readonly Link[],
  random: Random,
  ms: readonly [number, number],
): Fault {
  return ongoing(
    name,
    target,
    async (healing) => {
      await each(links, ({ proxy }) => proxy.enable(false));
      await pause(random.integer(...ms), healing);
      await each(links, ({ proxy }) => proxy.enable(true));
      await pause(random.integer(...ms), healing);
    },
    () => each(links, ({ proxy }) => proxy.enable(true)),
  );
}

const SILENCE: ToxicOf = { type: 'timeout', attributes: { timeout: 0 } };
/** Long enough that every connection that says something is met. */
const RESET_MS = 30;
const LIMIT_MS = 300;

function toxic(
  name: string,
  target: string,
  links: readonly Link[],
  streams: (link: Link) => readonly Direction[],
  what: ToxicOf,
): Fault {
  const id = nextName(what.type);
  return {
    name,
    target,
    inject: () =>
      each(links, async (link) => {
        for (const stream of streams(link)) await link.proxy.put(`${id}_${stream}`, stream, what);
      }),
    heal: () =>
      each(links, async ({ proxy }) => {
        for (const stream of ['upstream', 'downstream']) await proxy.remove(`${id}_${stream}`);
      }),
  };
}

function streamFrom(link: Link, region: Region): readonly Direction[] {
  const stream = link.directionFrom(region);
  return stream === null ? [] : [stream];
}

/** Two faults of one kind may lie on one link. */
function nextName(type: string): string {
  toxics += 1;
  return `${type}_${String(toxics)}`;
}
