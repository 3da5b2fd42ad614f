/** Crossbars as processes over two instances of three replicas each, while replicas and crossbars die. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import { decodeRecords } from '../../libs/frames/batch.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import { CrossbarService } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { at } from '../../libs/values/assert.ts';
import { Cluster, DEADLINE_MS, until } from '../journal/cluster.ts';

const MAIN = fileURLToPath(new URL('../../dist/services/crossbar/main.js', import.meta.url));
const NAMES = ['one', 'two'] as const;
const REGIONS = ['r0', 'r1', 'r2'] as const;
const CLUSTER = 'test';
const UNARY = { deadlineMs: 10_000 };

const directory = mkdtempSync(join(tmpdir(), 'meridian-crossbar-'));
const clusters = NAMES.map(() => new Cluster());
const crossbars: { port: number; child: Child; channel: Channel }[] = [];
const journals: Journal[] = [];

function replicasOf(cluster: Cluster): { region: string; address: string }[] {
  return REGIONS.map((region, i) => ({ region, address: `127.0.0.1:${cluster.clientPorts[i]}` }));
}

async function spawnCrossbar(region: string, config: Record<string, unknown>): Promise<Child> {
  const file = join(directory, `${region}-${Math.random().toString(36).slice(2)}.yaml`);
  writeFileSync(file, JSON.stringify({ cluster: CLUSTER, region, ...config }));
  return spawnChild({
    name: `crossbar-${region}`,
    command: process.execPath,
    args: [MAIN, '--config', file],
  });
}

function instances(): object[] {
  return clusters.map((cluster, i) => ({
    name: NAMES[i],
    number: i + 1,
    replicas: replicasOf(cluster),
  }));
}

beforeAll(async () => {
  await Promise.all(
    clusters.map(async (cluster, i) => {
      cluster.overrides['instance'] = NAMES[i];
      await cluster.start();
    }),
  );
  clusters.forEach((cluster, i) => {
    const instance = NAMES[i] ?? '';
    journals.push(
      connectJournal({ cluster: CLUSTER, instance, replicas: replicasOf(cluster), region: 'r1' }),
    );
  });
  const ports = await reservePorts(2);
  releasePorts(ports);
  for (const [i, port] of ports.entries()) {
    // A small window, so that a subscriber that comes late needs the instances.
    const limits = { windowBytesMax: 65_536 };
    const timings = { stallAfterMs: 1500 };
    const config = { listen: `127.0.0.1:${port}`, instances: instances(), limits, timings };
    const child = await spawnCrossbar(REGIONS[i] ?? '', config);
    await child.ready({ line: /"msg":"following every instance"/ }, DEADLINE_MS);
    crossbars.push({ port, child, channel: connect(`127.0.0.1:${port}`) });
  }
});

afterAll(async () => {
  for (const journal of journals) await journal.close();
  for (const { child, channel } of crossbars) {
    channel.close();
    await child.kill();
  }
  for (const cluster of clusters) await cluster.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** Follows the merged order at one crossbar, and at the other when that one goes away. */
class Subscriber {
  readonly places: string[] = [];
  readonly bodies = new Set<string>();
  readonly stalledBy: string[][] = [];
  watermark = 0;
  resumed = 0;
  problem: string | null = null;
  #at: number;
  #cursor: Uint8Array = new Uint8Array();
  #last: readonly [number, number, number] = [0, 0, -1];
  readonly #streams: string[];
  #over = false;

  constructor(at: number, streams: string[] = []) {
    this.#at = at;
    this.#streams = streams;
    this.#subscribe();
  }

  stop(): void {
    this.#over = true;
  }

  #subscribe(): void {
    const crossbar = crossbars[this.#at % crossbars.length];
    const request = { cluster: CLUSTER, cursor: this.#cursor, streams: this.#streams };
    crossbar?.channel.serverStream(CrossbarService.method.subscribe, request, {
      onMessage: ({ message }) => {
        if (message.case === undefined) return;
        if (message.case === 'batches') this.#take(message.value.frames);
        else if (message.case === 'gap') this.problem ??= `a gap in ${message.value.instance}`;
        else {
          const told = Number(message.value.watermark);
          if (told < this.watermark) this.problem ??= `watermark ${told} after ${this.watermark}`;
          this.watermark = told;
          if (message.value.stalledBy.length > 0) this.stalledBy.push(message.value.stalledBy);
        }
        this.#cursor = message.value.cursor;
      },
      onEnd: (error) => {
        if (this.#over) return;
        if (error?.retry !== true) this.problem ??= `ended: ${error?.message ?? 'well'}`;
        this.resumed += 1;
        this.#at += 1;
        setTimeout(() => {
          this.#subscribe();
        }, 20);
      },
    });
  }

  #take(frames: Uint8Array): void {
    for (const { timestamp, instance, recordOffset, batch } of decodeDeliveries(frames)) {
      const place = [timestamp, instance, recordOffset] as const;
      if (compare(place, this.#last) <= 0 || timestamp <= this.watermark) {
        this.problem ??= `${place.join('/')} after ${this.#last.join('/')} and watermark ${this.watermark}`;
      }
      this.#last = place;
      this.places.push(place.join('/'));
      for (const record of decodeRecords(batch))
        this.bodies.add(Buffer.from(record.body).toString());
    }
  }
}

function compare(a: readonly number[], b: readonly number[]): number {
  return (a[0] ?? 0) - (b[0] ?? 0) || (a[1] ?? 0) - (b[1] ?? 0) || (a[2] ?? 0) - (b[2] ?? 0);
}

/** Appends to both instances until told to stop; returns every body that was acknowledged. */
function load(): { acknowledged: Set<string>; stop: () => Promise<void> } {
  const acknowledged = new Set<string>();
  let going = true;
  const writers = journals.flatMap((journal, i) =>
    ['a', 'b'].map(async (stream) => {
      for (let n = 0; going; n += 1) {
        const bodies = Array.from({ length: 20 }, (_, k) => `${NAMES[i]}/${stream}/${n}/${k}`);
        const answers = bodies.map(async (body) => {
          await journal.append(stream, [{ body: Buffer.from(body) }]);
          acknowledged.add(body);
        });
        await Promise.all(answers);
      }
    }),
  );
  return {
    acknowledged,
    stop: async () => {
      going = false;
      await Promise.all(writers);
    },
  };
}

async function readPoint(which: number): Promise<number> {
  const channel = crossbars[which]?.channel;
  if (channel === undefined) throw new Error('no crossbar');
  const answer = await channel.unary(CrossbarService.method.heartbeat, { cluster: CLUSTER }, UNARY);
  return Number(answer.readPoint);
}

describe('crossbars over two instances', () => {
  it('deliver one order, complete, while replicas and a crossbar are killed', async () => {
    const early = new Subscriber(1);
    const onlyB = new Subscriber(1, ['b']);
    const moved = new Subscriber(0);
    const { acknowledged, stop } = load();
    const grown = (by: number): Promise<void> => {
      const goal = acknowledged.size + by;
      return until(() => acknowledged.size >= goal);
    };
    await grown(2000);
    // What both crossbars read: theirs is the region's own replica.
    await clusters[0]?.kill(1);
    await grown(2000);
    await crossbars[0]?.child.kill();
    await grown(1000);
    await clusters[0]?.startReplica(1);
    await clusters[1]?.kill(0);
    await grown(2000);
    await clusters[1]?.startReplica(0);
    await grown(500);
    await stop();
    const point = await readPoint(1);
    const late = new Subscriber(1);
    const all = [early, moved, late];
    await until(() =>
      [...all, onlyB].every((each) => each.watermark >= point || each.problem !== null),
    );
    for (const each of [...all, onlyB]) {
      expect(each.problem).toBeNull();
      each.stop();
    }
    expect(moved.resumed).toBeGreaterThan(0);
    expect(early.resumed).toBe(0);
    const seen = early.places.slice(0, moved.places.length);
    expect(moved.places.slice(0, seen.length)).toEqual(seen);
    expect(late.places).toEqual(early.places.slice(0, late.places.length));
    for (const each of all) {
      expect([...acknowledged].filter((body) => !each.bodies.has(body))).toEqual([]);
    }
    const wanted = [...acknowledged].filter((body) => body.split('/')[1] === 'b');
    expect(wanted.filter((body) => !onlyB.bodies.has(body))).toEqual([]);
    expect([...onlyB.bodies].filter((body) => body.split('/')[1] !== 'b')).toEqual([]);
  });

  it('say by name which instance holds them up, and go on when it is back', async () => {
    const subscriber = new Subscriber(1);
    const two = at(clusters, 1);
    await until(() => subscriber.watermark > 0);
    await Promise.all([0, 1, 2].map((replica) => two.kill(replica)));
    await until(() => subscriber.stalledBy.length > 0);
    expect(subscriber.stalledBy[0]).toEqual(['two']);
    const status = await crossbars[1]?.channel.unary(
      CrossbarService.method.status,
      { cluster: CLUSTER },
      UNARY,
    );
    expect(status?.instances.map((each) => [each.name, each.stalling])).toEqual([
      ['one', false],
      ['two', true],
    ]);
    const stalledAt = subscriber.watermark;
    await Promise.all([0, 1, 2].map((replica) => two.startReplica(replica)));
    await until(() => subscriber.watermark > stalledAt + 1_000_000);
    expect(subscriber.problem).toBeNull();
    subscriber.stop();
  });

  it('refuse to start on an address in use, and with a configuration that cannot be', async () => {
    const listen = `127.0.0.1:${crossbars[1]?.port}`;
    const inUse = await spawnCrossbar('r1', { listen, instances: instances() });
    expect((await inUse.exited).code).toBe(1);
    expect(inUse.lastLines().join('\n')).toContain('another process listens there');
    const wrong = await spawnCrossbar('r1', { listen, instances: [] });
    expect((await wrong.exited).code).toBe(78);
    expect(wrong.lastLines().join('\n')).toContain('instances');
  });

  it('stop in order when told to, and tell subscribers to resume elsewhere', async () => {
    const crossbar = crossbars[1];
    const ended = new Promise<unknown>((resolve) => {
      const request = { cluster: CLUSTER };
      crossbar?.channel.serverStream(CrossbarService.method.subscribe, request, {
        onMessage: () => undefined,
        onEnd: resolve,
      });
    });
    await until(async () => {
      const status = await crossbar?.channel.unary(
        CrossbarService.method.status,
        { cluster: CLUSTER },
        UNARY,
      );
      return (status?.subscribers ?? 0) > 0;
    });
    crossbar?.child.signal('SIGTERM');
    expect(await ended).toMatchObject({ reason: 'UNAVAILABLE' });
    expect((await crossbar?.child.exited)?.code).toBe(0);
  });
});
