/** The replicas of the journal instances as members: their configuration, and how they are started. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runService, ServiceProcess } from '../../libs/processes/service.ts';
import type { Member } from './supervisor.ts';
import type { Instance, Ports, Region } from './topology.ts';
import { CLUSTER, INSTANCES, REGIONS } from './topology.ts';

export function journalName(instance: Instance, region: Region): string {
  return `journal-${instance}-${region}`;
}

export function archiveUrl(directory: string, instance: Instance): string {
  return pathToFileURL(join(directory, 'archive', instance)).href;
}

/** What `services/journal` reads, see its config.ts. */
export function journalConfig(
  directory: string,
  ports: Ports,
  instance: Instance,
  region: Region,
): object {
  return {
    cluster: CLUSTER,
    instance,
    replica: REGIONS.indexOf(region),
    region,
    dataDirectory: join(directory, 'data', journalName(instance, region)),
    listen: `127.0.0.1:${String(ports[region].journal[instance])}`,
    peerListen: `127.0.0.1:${String(ports[region].peer[instance])}`,
    httpListen: `127.0.0.1:${String(ports[region].http[instance])}`,
    peers: REGIONS.filter((other) => other !== region).map((other) => ({
      replica: REGIONS.indexOf(other),
      region: other,
      address: `127.0.0.1:${String(ports[other].peer[instance])}`,
    })),
    // One for the three of them, as if it were a bucket: equal segments, each written once.
    archive: { url: archiveUrl(directory, instance) },
    // Six replicas share this machine: one that keeps 128 MiB each would be felt.
    limits: { cacheBytesMax: 32 * 1024 * 1024 },
  };
}

/** Writes the configuration of each, formats a data directory that is new, returns the members. */
export async function journalMembers(directory: string, ports: Ports): Promise<Member[]> {
  const places = INSTANCES.flatMap((instance) => REGIONS.map((region) => ({ instance, region })));
  return Promise.all(
    places.map(async ({ instance, region }) => {
      const name = journalName(instance, region);
      const config = journalConfig(directory, ports, instance, region);
      const file = writeConfig(directory, name, config);
      const logFile = join(directory, 'logs', `${name}.log`);
      const module = 'journal/main.js';
      if (!existsSync(join(directory, 'data', name))) {
        const args = ['format', '--config', file];
        await runService({ name: `${name} format`, module, args, logFile });
      }
      return new ServiceProcess({
        name,
        module,
        args: ['--config', file],
        logFile,
        ready: { line: /"msg":"serving"/ },
      });
    }),
  );
}

/** Configuration of the command `meridian`, a context for each instance; returns its file. */
export function writeContexts(directory: string, ports: Ports): string {
  const contexts: Record<string, object> = {};
  for (const instance of INSTANCES) {
    const replicas: Record<string, string> = {};
    for (const region of REGIONS) {
      replicas[region] = `127.0.0.1:${String(ports[region].journal[instance])}`;
    }
    contexts[instance] = { cluster: CLUSTER, instance, replicas };
  }
  const file = join(directory, 'meridian.yaml');
  const config = { current: INSTANCES[0], contexts };
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`);
  return file;
}

/** JSON is YAML too; it is written indented, for people who look. */
export function writeConfig(directory: string, name: string, config: object): string {
  const file = join(directory, 'config', `${name}.yaml`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`);
  return file;
}
