/** Crossbars and sidecars of a chaos cluster: what they are told, and how they are started. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ServiceProcess } from '../../libs/processes/service.ts';
import { DATABASE } from './database.ts';
import type { Layout } from './layout.ts';
import { CLUSTER, PRIMARY, realPort } from './layout.ts';
import type { Network } from './network.ts';
import type { Region } from './wide-area.ts';
import { nearestFirst, REGIONS } from './wide-area.ts';

export const STREAM = `pg.${DATABASE}`;
const HOST = '127.0.0.1';
const READY_MS = 60_000;

interface Site {
  readonly directory: string;
  readonly layout: Layout;
  readonly network: Network;
}

export function crossbars(site: Site): ServiceProcess[] {
  const { layout, network } = site;
  return REGIONS.map((region) => {
    const from = { role: 'crossbar', region } as const;
    return service(site, 'crossbar', region, {
      listen: `${HOST}:${realPort(layout, 'crossbar', region)}`,
      instances: layout.instances.map((name, i) => ({
        name,
        number: i + 1,
        replicas: REGIONS.map((home) => ({
          region: home,
          address: `${HOST}:${network.port(from, { role: 'replica', region: home }, name)}`,
        })),
      })),
    });
  });
}

export function sidecars(site: Site): ServiceProcess[] {
  const { layout, network } = site;
  const instance = layout.instances[0] ?? '';
  return REGIONS.map((region) => {
    const from = { role: 'sidecar', region } as const;
    const near = nearestFirst(network.area, region);
    const postgres = network.port(from, { role: 'postgres', region });
    return service(site, 'sidecar', region, {
      listen: `${HOST}:${realPort(layout, 'sidecar', region)}`,
      roles: [region === PRIMARY ? 'ship' : 'apply'],
      postgres: `postgres://postgres@${HOST}:${postgres}/${DATABASE}`,
      stream: STREAM,
      instance: {
        name: instance,
        replicas: near.map((home) => ({
          region: home,
          address: `${HOST}:${network.port(from, { role: 'replica', region: home }, instance)}`,
        })),
      },
      ...(region === PRIMARY
        ? { ship: { synchronous: true } }
        : {
            apply: {
              crossbars: near.map(
                (home) => `${HOST}:${network.port(from, { role: 'crossbar', region: home })}`,
              ),
            },
          }),
    });
  });
}

function service(
  { directory, layout }: Site,
  kind: 'crossbar' | 'sidecar',
  region: Region,
  settings: object,
): ServiceProcess {
  const name = `${kind}-${region}`;
  const file = join(directory, 'config', `${name}.json`);
  const healthPort = realPort(layout, `${kind}-health`, region);
  const config = {
    cluster: CLUSTER,
    region,
    ...settings,
    metricsListen: `${HOST}:${healthPort}`,
  };
  mkdirSync(join(directory, 'config'), { recursive: true });
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`);
  return new ServiceProcess({
    name,
    module: `${kind}/main.js`,
    args: ['--config', file],
    logFile: join(directory, 'logs', `${name}.log`),
    ready: { probe: () => isReady(healthPort) },
    readyMs: READY_MS,
  });
}

/** It can do its work, and not only runs. */
async function isReady(port: number): Promise<boolean> {
  const response = await fetch(`http://${HOST}:${port}/readyz`);
  await response.body?.cancel();
  return response.ok;
}
