/**
 * Two crossbars that are killed at random, writers over the instances of a database, a third instance that
 * joins and another that leaves and is shut down for good: the subscribers of both have one sequence, and in it
 * every append that was acknowledged, once.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Crossbars } from '../../libs/applier/crossbars.ts';
import { connectInstances } from '../../libs/client/client.ts';
import type { Instances } from '../../libs/client/client.ts';
import { MEMBERS_STREAM } from '../../libs/frames/member-record.ts';
import { at } from '../../libs/values/assert.ts';
import { meridian } from '../cli/meridian.ts';
import { CLUSTER, Deployment } from '../crossbar/deployment.ts';
import { Recorder } from '../crossbar/recorder.ts';
import { until } from '../journal/cluster.ts';

const NAMES = ['one', 'two', 'three'];
const [ONE, TWO, THREE] = [0, 1, 2] as const;
const STREAMS = 12;
/** Nine replicas and two crossbars on whatever machine this is. */
const PATIENCE_MS = 180_000;
const deployment = new Deployment(NAMES);
const closing: { close(): unknown }[] = [];

beforeAll(async () => {
  await deployment.start(3);
  await Promise.all([0, 1].map((number) => deployment.startCrossbar(number)));
}, 300_000);

afterAll(async () => {
  for (const each of closing) await each.close();
  await deployment.stop();
});

function crossbarsFrom(first: number): Crossbars {
  const [a, b] = deployment.addresses;
  const addresses = first === 0 ? [a ?? '', b ?? ''] : [b ?? '', a ?? ''];
  const made = new Crossbars({ cluster: CLUSTER, crossbars: addresses, silenceMs: 3000 });
  closing.push(made);
  return made;
}

/** Appends one after the other to each of some streams, until it is told to stop. */
class Load {
  /** `key` by instance. */
  readonly acknowledged: { readonly key: string; readonly instance: string }[] = [];
  #going = true;
  readonly #writers: readonly Promise<void>[];

  constructor(instances: Instances) {
    this.#writers = Array.from({ length: STREAMS }, async (_, stream) => {
      for (let n = 0; this.#going; n += 1) {
        const keys = [0, 1, 2].map((k) => `s${stream}/${n}/${k}`);
        const records = keys.map((key) => ({ key: Buffer.from(key), body: Buffer.from('x') }));
        const { instance } = await instances.append(`s${stream}`, records, {
          deadlineMs: PATIENCE_MS,
        });
        for (const key of keys) this.acknowledged.push({ key, instance });
      }
    });
    // One that fails is noticed by whoever waits for it.
    void Promise.allSettled(this.#writers);
  }

  /** Until so many more are acknowledged; of one instance, where it is named. */
  async grown(by: number, instance: string | null = null): Promise<void> {
    const count = (): number =>
      this.acknowledged.filter((each) => instance === null || each.instance === instance).length;
    const goal = count() + by;
    await this.until(() => count() >= goal);
  }

  /** A writer that failed is not waited for in vain. */
  async until(condition: () => boolean): Promise<void> {
    await Promise.race([until(condition, PATIENCE_MS), Promise.all(this.#writers)]);
    expect(condition()).toBe(true);
  }

  async stop(): Promise<void> {
    this.#going = false;
    await Promise.all(this.#writers);
  }
}

/** Kills a crossbar now and then and starts it again, until it is told to stop. */
function killing(load: Load): { readonly kills: () => number; stop: () => Promise<void> } {
  let going = true;
  let kills = 0;
  const run = async (): Promise<void> => {
    while (going) {
      const victim = Math.floor(Math.random() * 2);
      await deployment.killCrossbar(victim);
      kills += 1;
      await load.grown(30 + Math.floor(Math.random() * 60));
      await deployment.startCrossbar(victim);
      await load.grown(30 + Math.floor(Math.random() * 120));
    }
  };
  const loop = run();
  void Promise.allSettled([loop]);
  return {
    kills: () => kills,
    stop: async () => {
      going = false;
      await loop;
    },
  };
}

async function instances(...words: string[]): Promise<string> {
  const text = (instance: number): string =>
    deployment
      .replicas(instance)
      .map(({ region, address }) => `${region}=${address}`)
      .join(',');
  const env = { MERIDIAN_CLUSTER: CLUSTER, MERIDIAN_INSTANCE: 'one', MERIDIAN_REPLICAS: text(ONE) };
  const more = words.map((word) => word.replace('@three', text(THREE)).replace('@two', text(TWO)));
  const crossbars = [0, 1].flatMap((i) => ['--crossbar', at(deployment.addresses, i)]);
  const result = await meridian(['instances', ...more, ...crossbars, '--deadline', '120s'], {
    env,
  });
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return result.stdout;
}

const JOIN = ['join', 'three', '--number', '3', '--joining', '@three'];
const LEAVE = ['leave', 'two', '--leaving', '@two'];

describe('a database whose instances come and go while its crossbars are killed', () => {
  it('has one order for everybody, with every acknowledged append once', async () => {
    const database = connectInstances({
      cluster: CLUSTER,
      instances: [ONE, TWO].map((i) => ({
        instance: at(NAMES, i),
        replicas: deployment.replicas(i),
      })),
    });
    closing.push(database);
    const recorders = [0, 1].map((first) => new Recorder(crossbarsFrom(first), {}));
    const load = new Load(database);
    await load.grown(150);
    const { cursor: early } = at(recorders, 0);
    const killer = killing(load);

    const joined = await instances(...JOIN);
    expect(joined).toMatch(/^three is a member behind \d+ /);
    database.add({ instance: 'three', replicas: deployment.replicas(THREE) });
    await load.grown(100, 'three');
    expect(await instances(...JOIN)).toContain('nothing was changed');

    const left = await instances(...LEAVE);
    expect(left).toMatch(/^two is no member any more behind \d+ /);
    const leftAt = Number(/behind (\d+)/.exec(left)?.[1]);
    await load.until(() => !database.names.includes('two'));
    expect(await instances(...LEAVE)).toContain('nothing was changed');
    await load.grown(150);
    await killer.stop();

    // Everybody has passed it, and one more has read it all: nobody needs it any more.
    const late = [
      new Recorder(crossbarsFrom(1), {}),
      new Recorder(crossbarsFrom(1), { after: early }),
    ];
    await load.until(() => [...recorders, ...late].every(({ watermark }) => watermark > leftAt));
    const two = at(deployment.instances, TWO);
    await Promise.all([0, 1, 2].map((replica) => two.kill(replica)));
    expect(await instances('renew')).toContain('records left: 1');
    await deployment.killCrossbar(0);
    await deployment.startCrossbar(0);
    await load.grown(60);
    await load.stop();

    const { readPoint } = await crossbarsFrom(0).heartbeat({ wait: true, deadlineMs: PATIENCE_MS });
    const everybody = [...recorders, ...late];
    await until(
      () => everybody.every((each) => each.watermark >= readPoint || each.problem !== null),
      PATIENCE_MS,
    );
    expect(everybody.map(({ problem }) => problem)).toEqual(everybody.map(() => null));
    const [reference = []] = everybody.map(({ lines }) => lines);
    for (const each of [at(recorders, 1), at(late, 0)]) expect(each.lines).toEqual(reference);
    const resumed = at(late, 1).lines;
    expect(resumed.length).toBeGreaterThan(0);
    expect(resumed).toEqual(reference.slice(-resumed.length));
    const keys = reference.map((line) => line.slice(line.indexOf(' ') + 1));
    // The library appends three records as one batch: its first key stands for it.
    const batches = load.acknowledged.map(({ key }) => key).filter((key) => key.endsWith('/0'));
    expect(keys.filter((key) => key !== MEMBERS_STREAM).sort()).toEqual(batches.sort());
    expect(keys.filter((key) => key === MEMBERS_STREAM)).toHaveLength(3);
    for (const name of NAMES) {
      expect(load.acknowledged.some(({ instance }) => instance === name)).toBe(true);
    }
    expect(killer.kills()).toBeGreaterThan(0);
    const table = await instances('list');
    expect(table).toMatch(/1 +one +member +founder .*registry/);
    expect(table).toMatch(/2 +two +left +founder/);
    expect(table).toMatch(/3 +three +member/);
  }, 900_000);

  it('refuses a crossbar that is configured with who joined later', async () => {
    const members = [ONE, TWO, THREE].map((i) => deployment.member(i));
    const child = await deployment.spawnCrossbar(2, { instances: members });
    expect(await child.exited).toMatchObject({ code: 78 });
    expect(child.lastLines().join('\n')).toContain('configure exactly those');
  });
});
