/** The crossbars as members: each merges both instances, reading its own region's replicas first. */
import { join } from 'node:path';
import { writeConfig } from './journals.ts';
import { ServiceProcess } from '../../libs/processes/service.ts';
import type { Member } from './supervisor.ts';
import type { Ports, Region } from './topology.ts';
import { CLUSTER, INSTANCES, REGIONS } from './topology.ts';

export function crossbarName(region: Region): string {
  return `crossbar-${region}`;
}

/** What `services/crossbar` reads, see its config.ts. */
export function crossbarConfig(ports: Ports, region: Region): object {
  return {
    cluster: CLUSTER,
    region,
    listen: `127.0.0.1:${String(ports[region].crossbar)}`,
    instances: INSTANCES.map((name, i) => ({
      name,
      number: i + 1,
      replicas: REGIONS.map((home) => ({
        region: home,
        address: `127.0.0.1:${String(ports[home].journal[name])}`,
      })),
    })),
  };
}

export function crossbarMembers(directory: string, ports: Ports): Member[] {
  return REGIONS.map((region) => {
    const name = crossbarName(region);
    const file = writeConfig(directory, name, crossbarConfig(ports, region));
    return new ServiceProcess({
      name,
      module: 'crossbar/main.js',
      args: ['--config', file],
      logFile: join(directory, 'logs', `${name}.log`),
      ready: { line: /"msg":"following every instance"/ },
    });
  });
}
