/**
 * Drill: a journal that runs the build of the commit before is upgraded to this one, a replica at a time, while clients
 * append; then one replica is put back to the older build. Nobody sees an error, nothing is lost, and both builds
 * archive into the same place.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectJournal } from '../../libs/client/journal.ts';
import { Cluster, TARGET, readSettled, until } from '../journal/cluster.ts';
import { previousBuild } from './previous-build.ts';

const ALL = [0, 1, 2];
const BUILD_MS = 900_000;
const PATIENCE_MS = 180_000;
/** Appends by each client between two steps. */
const APPENDS = 30;

let olderProgram = '';

const cluster = new (class extends Cluster {
  /** By the older build's own command. */
  override async format(replica: number): Promise<void> {
    const child = await this.spawn(['format'], this.configOf(replica));
    expect((await child.exited).code, child.lastLines(5).join('\n')).toBe(0);
  }
})();

beforeAll(async () => {
  olderProgram = join(previousBuild().directory, 'dist/services/journal/main.js');
  for (const replica of ALL) cluster.programs.set(replica, olderProgram);
  const url = pathToFileURL(join(cluster.directory, 'archive')).href;
  cluster.overrides['archive'] = {
    url,
    windowMs: 500,
    pollMs: 50,
    turnMs: 200,
    segmentBytes: 8192,
  };
  await cluster.start();
  await cluster.converged();
}, BUILD_MS);

afterAll(async () => {
  await cluster.stop();
  rmSync(cluster.directory, { recursive: true, force: true });
});

class Client {
  readonly appended: string[] = [];
  readonly failures: string[] = [];
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(region: number) {
    const replicas = ALL.map((replica) => ({
      region: `r${replica}`,
      address: `127.0.0.1:${cluster.clientPorts[replica]}`,
    }));
    const { cluster: name, instance } = TARGET;
    const journal = connectJournal({ cluster: name, instance, replicas, region: `r${region}` });
    this.#done = this.#run(`client ${region}`, journal).finally(() => journal.close());
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(name: string, journal: ReturnType<typeof connectJournal>): Promise<void> {
    while (!this.#stopped) {
      const body = `${name} ${this.appended.length}`;
      try {
        await journal.append('s', [{ body: Buffer.from(body) }], { ack: 'ORDERED' });
        this.appended.push(body);
      } catch (error) {
        this.failures.push(error instanceof Error ? error.message : String(error));
        return;
      }
    }
  }
}

describe('a rolling upgrade from the commit before', { timeout: 10 * PATIENCE_MS }, () => {
  it('fails no append and loses none, forth and for one replica back', async () => {
    const clients = ALL.map((region) => new Client(region));
    const goOn = async (): Promise<void> => {
      const before = clients.map(({ appended }) => appended.length);
      const grown = (): boolean =>
        clients.every((client, i) => client.appended.length >= (before[i] ?? 0) + APPENDS);
      await until(
        () => grown() || clients.some(({ failures }) => failures.length > 0),
        PATIENCE_MS,
      );
    };
    const change = async (replica: number, toOlder: boolean): Promise<void> => {
      expect((await cluster.child(replica).stop()).code).toBe(0);
      if (toOlder) cluster.programs.set(replica, olderProgram);
      else cluster.programs.delete(replica);
      await cluster.startReplica(replica);
      await goOn();
    };
    try {
      await goOn();
      for (const replica of ALL) await change(replica, false);
      await change(1, true);
      await change(1, false);
    } finally {
      await Promise.all(clients.map((client) => client.stop()));
    }
    expect(clients.flatMap(({ failures }) => failures)).toEqual([]);
    const expected = clients.flatMap(({ appended }) => appended).sort();
    expect(expected.length).toBeGreaterThan(ALL.length * APPENDS * 5);
    for (const replica of ALL) {
      const { bodies } = await readSettled(cluster, replica);
      expect([...bodies].sort()).toEqual(expected);
      const told = cluster.child(replica).lastLines(Infinity).join('\n');
      expect(told).not.toContain('ARCHIVING HAS STOPPED');
    }
    await cluster.converged();
  });
});
