/** A database of instances in three regions with crossbars on fixed ports, as real processes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { at } from '../../libs/values/assert.ts';
import { Cluster, DEADLINE_MS } from '../journal/cluster.ts';

const MAIN = fileURLToPath(new URL('../../dist/services/crossbar/main.js', import.meta.url));
export const CLUSTER = 'test';
export const NAMES = ['one', 'two'] as const;
const REGIONS = ['r0', 'r1', 'r2'] as const;

export interface Replica {
  readonly region: string;
  readonly address: string;
}

/** Two founders; who else is named runs too and is no member until it joins. */
export class Deployment {
  readonly names: readonly string[];
  readonly instances: readonly Cluster[];
  readonly journals: Journal[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), 'meridian-crossbars-'));
  readonly #crossbars = new Map<number, Child>();
  #ports: number[] = [];

  constructor(names: readonly string[] = NAMES) {
    this.names = names;
    this.instances = names.map(() => new Cluster());
  }

  async start(crossbars: number): Promise<void> {
    await Promise.all(
      this.instances.map(async (cluster, i) => {
        cluster.overrides['instance'] = this.names[i];
        await cluster.start();
      }),
    );
    this.instances.forEach((_, i) => {
      const replicas = this.replicas(i);
      const instance = at(this.names, i);
      this.journals.push(connectJournal({ cluster: CLUSTER, instance, replicas, region: 'r1' }));
    });
    this.#ports = await reservePorts(crossbars);
    releasePorts(this.#ports);
  }

  get addresses(): string[] {
    return this.#ports.map((port) => `127.0.0.1:${port}`);
  }

  /** Returns when it follows every instance. */
  async startCrossbar(number: number, more: Record<string, unknown> = {}): Promise<Child> {
    const child = await this.spawnCrossbar(number, more);
    await child.ready({ line: /"msg":"following every instance"/ }, DEADLINE_MS);
    return child;
  }

  /** Does not wait for it to be ready. */
  async spawnCrossbar(number: number, more: Record<string, unknown> = {}): Promise<Child> {
    const config = {
      cluster: CLUSTER,
      region: at(REGIONS, number % REGIONS.length),
      listen: at(this.addresses, number),
      instances: [0, 1].map((i) => this.member(i)),
      ...more,
    };
    const file = join(this.#directory, `crossbar-${number}.yaml`);
    writeFileSync(file, JSON.stringify(config));
    const child = await spawnChild({
      name: `crossbar-${number}`,
      command: process.execPath,
      args: [MAIN, '--config', file],
    });
    this.#crossbars.set(number, child);
    return child;
  }

  /** As configurations name it. */
  member(instance: number): { name: string; number: number; replicas: Replica[] } {
    const name = at(this.names, instance);
    return { name, number: instance + 1, replicas: this.replicas(instance) };
  }

  async killCrossbar(number: number): Promise<void> {
    await this.#crossbars.get(number)?.kill();
  }

  async stop(): Promise<void> {
    for (const journal of this.journals) await journal.close({ drainMs: 0 });
    for (const child of this.#crossbars.values()) await child.kill();
    for (const cluster of this.instances) await cluster.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  replicas(instance: number): Replica[] {
    const { clientPorts } = at(this.instances, instance);
    return REGIONS.map((region, i) => ({ region, address: `127.0.0.1:${clientPorts[i]}` }));
  }
}

/** Memory of a process that is in use, in MiB. */
export function residentMebibytes({ pid }: Child): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024;
}
