/**
 * What a cluster consists of and on which real ports it listens, and from that every link there is. Names
 * and numbers only; nothing is started here.
 */
import { reservePorts } from '../../libs/processes/ports.ts';
import type { End, LinkPlan, Role } from './network.ts';
import type { Region } from './wide-area.ts';
import { REGIONS } from './wide-area.ts';

export const CLUSTER = 'chaos';
export const INSTANCES = ['one', 'two'] as const;

/** How much there is; each has what those before it have. */
export type Size = 'journal' | 'merged' | 'database';

/** The region with the primary database. */
export const PRIMARY: Region = 'a';

export interface Layout {
  readonly size: Size;
  readonly instances: readonly string[];
  readonly crossbars: boolean;
  readonly databases: boolean;
  /** Real ports, by what `portKey` gives. */
  readonly ports: ReadonlyMap<string, number>;
}

type Listener =
  'client' | 'peer' | 'crossbar' | 'crossbar-health' | 'sidecar' | 'sidecar-health' | 'postgres';

/**
 * `journal`: one instance. `merged`: two, and a crossbar in every region. `database`: one, crossbars, and
 * a Postgres with its sidecar in every region; two instances more would only cost processor time.
 */
export async function planLayout(size: Size): Promise<Layout> {
  const instances = size === 'merged' ? INSTANCES : INSTANCES.slice(0, 1);
  const crossbars = size !== 'journal';
  const databases = size === 'database';
  const keys = REGIONS.flatMap((region) => [
    ...instances.flatMap((instance) => [
      portKey('client', region, instance),
      portKey('peer', region, instance),
    ]),
    ...(crossbars ? [portKey('crossbar', region), portKey('crossbar-health', region)] : []),
    ...(databases
      ? [portKey('postgres', region), portKey('sidecar', region), portKey('sidecar-health', region)]
      : []),
  ]);
  const free = await reservePorts(keys.length);
  const ports = new Map(keys.map((key, i) => [key, free[i] ?? 0]));
  return { size, instances, crossbars, databases, ports };
}

export function realPort(
  layout: Layout,
  listener: Listener,
  region: Region,
  instance = '',
): number {
  const port = layout.ports.get(portKey(listener, region, instance));
  if (port === undefined) throw new Error(`no port for ${portKey(listener, region, instance)}`);
  return port;
}

/** Every pair that ever talks, dialled by either side that dials. */
export function linkPlans(layout: Layout): LinkPlan[] {
  const { instances, crossbars, databases } = layout;
  const plans: LinkPlan[] = [];
  const connect = (from: End, to: Role, listener: Listener, instances: readonly string[]): void => {
    for (const region of REGIONS) {
      if (to === 'replica' && from.role === 'replica' && from.region === region) continue;
      for (const instance of instances) {
        plans.push({
          from,
          to: { role: to, region },
          instance: instance === '' ? null : instance,
          upstream: realPort(layout, listener, region, instance),
        });
      }
    }
  };
  for (const region of REGIONS) {
    const client: End = { role: 'client', region };
    connect({ role: 'replica', region }, 'replica', 'peer', instances);
    connect(client, 'replica', 'client', instances);
    if (crossbars) {
      connect({ role: 'crossbar', region }, 'replica', 'client', instances);
      connect(client, 'crossbar', 'crossbar', ['']);
    }
    if (databases) {
      const sidecar: End = { role: 'sidecar', region };
      connect(sidecar, 'replica', 'client', instances);
      connect(sidecar, 'crossbar', 'crossbar', ['']);
      for (const from of [client, sidecar]) {
        plans.push({
          from,
          to: { role: 'postgres', region },
          instance: null,
          upstream: realPort(layout, 'postgres', region),
        });
      }
    }
  }
  return plans;
}

function portKey(listener: Listener, region: Region, instance = ''): string {
  return `${listener} ${region} ${instance}`;
}
