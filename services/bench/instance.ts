/** One journal instance of three real processes in a temporary directory, for measuring. */
import { mkdtempSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MeridianError } from '../../libs/errors/errors.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import type { ReplicaAddress } from '../../libs/client/regions.ts';

export const CLUSTER = 'bench';
const REGIONS = ['a', 'b', 'c'];
const PROGRAM = fileURLToPath(new URL('../journal/main.js', import.meta.url));

export interface Instance {
  readonly cluster: string;
  readonly name: string;
  readonly replicas: readonly ReplicaAddress[];
  readonly children: readonly Child[];
  /** By replica, host:port of its metrics; empty for a running instance. */
  readonly keepers: readonly string[];
  stop(): Promise<void>;
}

/** Starts them and returns when each listens. `directory` defaults to the system's temporary one. */
export async function startInstance(name: string, directory = tmpdir()): Promise<Instance> {
  const root = mkdtempSync(join(directory, `meridian-bench-${name}-`));
  const ports = await reservePorts(REGIONS.length * 3);
  const clientPort = (replica: number): number => ports[replica] ?? 0;
  const peerPort = (replica: number): number => ports[REGIONS.length + replica] ?? 0;
  const keepers = REGIONS.map((_, replica) => `127.0.0.1:${ports[2 * REGIONS.length + replica]}`);
  const children: Child[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(children.map((child) => child.stop()));
    releasePorts(ports);
    rmSync(root, { recursive: true, force: true });
  };
  try {
    for (const [replica, region] of REGIONS.entries()) {
      const home = join(root, region);
      mkdirSync(home);
      const file = join(home, 'journal.json');
      const peers = REGIONS.flatMap((other, number) =>
        number === replica
          ? []
          : [{ replica: number, region: other, address: `127.0.0.1:${peerPort(number)}` }],
      );
      const config = {
        cluster: CLUSTER,
        instance: name,
        replica,
        region,
        dataDirectory: join(home, 'data'),
        listen: `127.0.0.1:${clientPort(replica)}`,
        peerListen: `127.0.0.1:${peerPort(replica)}`,
        metricsListen: keepers[replica],
        peers,
      };
      // YAML reads JSON.
      writeFileSync(file, JSON.stringify(config));
      const command = process.execPath;
      const label = `${name}-${region}`;
      const format = await spawnChild({
        name: `${label} format`,
        command,
        args: [PROGRAM, 'format', '--config', file],
      });
      await format.exited;
      const args = [...extraArguments(), PROGRAM, '--config', file];
      children.push(await spawnChild({ name: label, command, args }));
    }
    for (const [replica, child] of children.entries()) {
      await child.ready({ port: clientPort(replica) });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  const replicas = REGIONS.map((region, replica) => ({
    region,
    address: `127.0.0.1:${clientPort(replica)}`,
  }));
  return { cluster: CLUSTER, name, replicas, children, keepers, stop };
}

/** Figures of an instance of which a replica has ended by itself mean nothing: throws with its last words. */
export async function requireAllRunning({ children }: Instance): Promise<void> {
  for (const child of children) {
    if (child.running) continue;
    const { code, signal } = await child.exited;
    const end = `${child.name} has ended by itself (code ${String(code)}, signal ${String(signal)})`;
    throw new MeridianError('UNAVAILABLE', [end, ...child.lastLines()].join('\n'));
  }
}

/** For example `--cpu-prof --cpu-prof-dir=DIR`, to see inside the replicas. */
function extraArguments(): string[] {
  const given = process.env['MERIDIAN_BENCH_NODE_ARGUMENTS'] ?? '';
  return given === '' ? [] : given.split(' ');
}
