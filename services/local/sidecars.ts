/** The sidecars as members: the primary's ships with COMMIT waiting, those of the replicas apply. */
import { join } from 'node:path';
import type { Cluster } from '../../libs/postgres/cluster.ts';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { writeConfig } from './journals.ts';
import { ServiceProcess } from '../../libs/processes/service.ts';
import { DATABASE, roleOf } from './postgres-members.ts';
import type { Member } from './supervisor.ts';
import type { Ports, Region } from './topology.ts';
import { CLUSTER, REGIONS } from './topology.ts';

/** The instance that carries the database; the other one is for records of programs. */
const INSTANCE = 'one';
export const STREAM = `pg.${DATABASE}`;

export function sidecarName(region: Region): string {
  return `sidecar-${region}`;
}

/** What `services/sidecar` reads, see its config.ts. */
export function sidecarConfig(ports: Ports, region: Region, postgresUrl: string): object {
  const ships = roleOf(region) === 'primary';
  return {
    cluster: CLUSTER,
    region,
    listen: `127.0.0.1:${String(ports[region].sidecar)}`,
    roles: [ships ? 'ship' : 'apply'],
    postgres: postgresUrl,
    stream: STREAM,
    instance: {
      name: INSTANCE,
      // Nearest first: its own region.
      replicas: REGIONS.toSorted((x, y) => Number(y === region) - Number(x === region)).map(
        (home) => ({
          region: home,
          address: `127.0.0.1:${String(ports[home].journal[INSTANCE])}`,
        }),
      ),
    },
    ...(ships
      ? { ship: { synchronous: true } }
      : { apply: { crossbars: [`127.0.0.1:${String(ports[region].crossbar)}`] } }),
  };
}

export function sidecarMembers(
  directory: string,
  ports: Ports,
  postgres: Readonly<Record<Region, { readonly cluster: Cluster }>>,
): Member[] {
  return REGIONS.map((region) => {
    const name = sidecarName(region);
    const url = postgres[region].cluster.url(DATABASE);
    const file = writeConfig(directory, name, sidecarConfig(ports, region, url));
    return new ServiceProcess({
      name,
      module: 'sidecar/main.js',
      args: ['--config', file],
      logFile: join(directory, 'logs', `${name}.log`),
      ready: { probe: () => isWorking(ports[region].sidecar) },
    });
  });
}

/** Ships or applies, rather than still connecting or copying. */
async function isWorking(port: number): Promise<boolean> {
  const channel = connect(`127.0.0.1:${String(port)}`);
  try {
    const request = { cluster: CLUSTER };
    const status = await channel.unary(SidecarService.method.status, request, {
      deadlineMs: 1_000,
    });
    const states = [status.ship?.state, status.apply?.state];
    return states.includes('streaming') || states.includes('applying');
  } finally {
    channel.close();
  }
}
