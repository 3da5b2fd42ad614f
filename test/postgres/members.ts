/**
 * For tests of failover: three journal replicas, three Postgres and a sidecar with both roles beside each,
 * all processes of their own. The sidecar of each region reaches the journal through wires that can be cut.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster as Postgres } from '../../libs/postgres/cluster.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { Cluster as Journal, TARGET } from '../journal/cluster.ts';
import { Proxy } from '../journal/proxy.ts';
import { Wire } from '../journal/wire.ts';

const SIDECAR = fileURLToPath(new URL('../../dist/services/sidecar/main.js', import.meta.url));
const CLI = fileURLToPath(new URL('../../dist/services/cli/main.js', import.meta.url));
const READY_MS = 60_000;
export const LEASE_MS = 1_500;

interface Place {
  readonly postgres: Postgres;
  readonly port: number;
  /** To the journal and back. */
  readonly wires: readonly [Wire, Wire];
  readonly proxies: readonly Proxy[];
  sidecar: Child | null;
}

export class Members {
  readonly #directory = mkdtempSync(join(tmpdir(), 'meridian-members-'));
  readonly #journal = new Journal();
  readonly #places: Place[] = [];

  /** `schema` is what every database begins with; the first one is the primary. */
  async start(schema: string): Promise<void> {
    chmodSync(this.#directory, 0o755);
    const ports = await reservePorts(6);
    releasePorts(ports);
    await this.#journal.start();
    await Promise.all(
      [0, 1, 2].map(async (region) => {
        const directory = join(this.#directory, `postgres-${region}`);
        const port = ports[region] ?? 0;
        const postgres = await createCluster({ directory, port, settings: { fsync: 'off' } });
        const wires = [new Wire(), new Wire()] as const;
        const proxies = await Promise.all(
          this.#journal.clientPorts.map((to) => Proxy.start(to, ...wires)),
        );
        this.#places[region] = {
          ...{ postgres, port: ports[region + 3] ?? 0, wires, proxies },
          sidecar: null,
        };
        await postgres.start();
      }),
    );
    for (const region of [0, 1, 2]) {
      const client = await this.open(region);
      await client.query(schema);
      await client.end();
    }
    await Promise.all([0, 1, 2].map((region) => this.startSidecar(region)));
  }

  async stop(): Promise<void> {
    for (const { sidecar, postgres, proxies } of this.#places) {
      await sidecar?.kill();
      await postgres.stop('immediate');
      for (const proxy of proxies) proxy.stop();
    }
    await this.#journal.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }

  /** Until its role works; a primary whose COMMITs wait for it. */
  async startSidecar(
    region: number,
    state = region === 0 ? 'streaming' : 'applying',
  ): Promise<void> {
    const place = this.#place(region);
    const file = join(this.#directory, `sidecar-${region}.json`);
    const config = {
      ...{ cluster: TARGET.cluster, region: `r${region}`, stream: 'pg.test' },
      roles: region === 0 ? ['ship', 'apply'] : ['apply', 'ship'],
      listen: `127.0.0.1:${place.port}`,
      postgres: place.postgres.url(),
      instance: {
        name: TARGET.instance,
        replicas: place.proxies.map(({ port }, i) => ({
          region: `r${i}`,
          address: `127.0.0.1:${port}`,
        })),
      },
      ship: { synchronous: true, leaseMs: LEASE_MS },
      timings: { retryMsMax: 1_000 },
    };
    writeFileSync(file, JSON.stringify(config));
    const args = [SIDECAR, '--config', file];
    const command = process.execPath;
    place.sidecar = await spawnChild({ name: `sidecar-r${region}`, command, args });
    await place.sidecar.ready({ probe: () => this.#isIn(region, state) }, READY_MS);
  }

  /** kill -9, Postgres and the sidecar. */
  async kill(region: number): Promise<void> {
    const { sidecar, postgres } = this.#place(region);
    await Promise.all([sidecar?.kill(), postgres.kill()]);
  }

  async startPostgres(region: number): Promise<void> {
    await this.#place(region).postgres.start();
  }

  /** Its sidecar hears no journal replica any more, nor does any hear it. */
  cut(region: number): void {
    for (const wire of this.#place(region).wires) wire.cut();
  }

  heal(region: number): void {
    for (const wire of this.#place(region).wires) wire.heal();
  }

  async status(region: number): Promise<StatusResponse> {
    const channel = connect(`127.0.0.1:${this.#place(region).port}`);
    try {
      const request = { cluster: TARGET.cluster };
      return await channel.unary(SidecarService.method.status, request, { deadlineMs: 1_000 });
    } finally {
      channel.close();
    }
  }

  async reaches(region: number, state: string): Promise<void> {
    const deadline = Date.now() + READY_MS;
    while (!(await this.#isIn(region, state))) {
      if (Date.now() > deadline) throw new Error(`r${region} does not become ${state}`);
      await sleep(20);
    }
  }

  /** `meridian pg …`, and what it says as JSON. */
  async cli(words: readonly string[]): Promise<Record<string, unknown>> {
    const sidecars = this.#places.map(({ port }, i) => `r${i}=127.0.0.1:${port}`).join(',');
    const where = ['--cluster', TARGET.cluster, '--sidecars', sidecars, '-o', 'json'];
    const args = [CLI, 'pg', ...words, ...where];
    const child = await spawnChild({ name: 'meridian', command: process.execPath, args });
    const { code } = await child.exited;
    const said = child.lastLines(100).join('\n');
    if (code !== 0) throw new Error(`meridian pg ${words.join(' ')}: ${code}: ${said}`);
    return JSON.parse(said.slice(said.indexOf('{'))) as Record<string, unknown>;
  }

  /** As a program would: its COMMIT waits for what COMMIT waits for. */
  async open(region: number): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: this.#place(region).postgres.url() });
    client.on('error', () => undefined); // it may be killed; the next query fails by itself
    await client.connect();
    return client;
  }

  async #isIn(region: number, state: string): Promise<boolean> {
    const { ship, apply } = await this.status(region);
    const waits = ship?.state !== 'streaming' || ship.synchronous;
    return (ship?.state ?? apply?.state) === state && waits;
  }

  #place(region: number): Place {
    const place = this.#places[region];
    if (place === undefined) throw new Error(`there is no region ${region}`);
    return place;
  }
}
