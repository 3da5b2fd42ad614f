import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { at } from '../values/assert.ts';
import { FakeRegions } from './fake-regions.ts';
import { connectInstances } from './instances.ts';
import type { Instances } from './instances.ts';

const NAMES = ['one', 'two', 'three'];
const fakes = new Map<string, FakeRegions>();
const record = { body: Buffer.from('x') };
let instances: Instances;

beforeEach(async () => {
  for (const name of NAMES) {
    const fake = new FakeRegions();
    (await fake.start()).close();
    fakes.set(name, fake);
  }
  instances = open(NAMES);
});

afterEach(async () => {
  await instances.close({ drainMs: 0 });
  for (const fake of fakes.values()) await fake.stop();
});

const fakeOf = (name: string): FakeRegions => {
  const fake = fakes.get(name);
  if (fake === undefined) throw new Error('one of the three');
  return fake;
};
const address = (instance: string) => ({ instance, replicas: fakeOf(instance).replicas });

function open(names: readonly string[]): Instances {
  const settings = { cluster: 'test', region: 'a', deadlineMs: 10_000, silenceMs: 2_000 };
  return connectInstances({ ...settings, instances: names.map(address) });
}

const KEYS = Array.from({ length: 3000 }, (_, n) => `stream-${n}`);
const choices = (from: Instances): string[] => KEYS.map((key) => from.instanceOf(key));

describe('the instances of a database', () => {
  it('share keys about evenly, and every process chooses alike, in whatever order they are given', async () => {
    const other = open([...NAMES].reverse());
    const chosen = choices(instances);
    expect(choices(other)).toEqual(chosen);
    for (const name of NAMES) {
      const share = chosen.filter((each) => each === name).length / KEYS.length;
      expect(share).toBeGreaterThan(0.29);
      expect(share).toBeLessThan(0.38);
    }
    await other.close();
  });

  it('lose or gain one of them without moving the keys of the others', () => {
    const before = choices(instances);
    instances.remove('two');
    const without = choices(instances);
    before.forEach((name, i) => {
      if (name === 'two') expect(['one', 'three']).toContain(without[i]);
      else expect(without[i]).toBe(name);
    });
    expect(new Set(without).size).toBe(2);
  });

  it('take an append whole, where its stream or key says, behind all that was answered before', async () => {
    const seen: number[] = [];
    for (let n = 0; n < 20; n += 1) {
      const { instance, timestamp } = await instances.append(`s${n}`, [record, record]);
      expect(instance).toBe(instances.instanceOf(`s${n}`));
      expect(fakeOf(instance).kept.at(-1)).toMatchObject({ stream: `s${n}`, recordCount: 2 });
      expect(timestamp).toBeGreaterThan(seen.at(-1) ?? 0);
      seen.push(timestamp);
    }
    expect(instances.seen).toBe(seen.at(-1));
    const { instance } = await instances.append('s1', [record], { spreadBy: 'elsewhere' });
    expect(instance).toBe(instances.instanceOf('elsewhere'));
    const kept = [...fakes.values()].map((fake) => fake.kept.length);
    expect(kept.reduce((sum, count) => sum + count)).toBe(21);
  });

  it('move an append to the next choice when the instance has left, once and for all', async () => {
    const left = instances.instanceOf('s');
    fakeOf(left).mood = () => 'retired';
    const appends = Array.from({ length: 20 }, () => instances.append('s', [record]));
    const results = await Promise.all(appends);
    const next = instances.instanceOf('s');
    expect(instances.names).toHaveLength(2);
    expect(new Set(results.map(({ instance }) => instance))).toEqual(new Set([next]));
    expect(fakeOf(next).kept).toHaveLength(20);
    expect(fakeOf(left).kept).toHaveLength(0);
    const other = at(instances.names, 0) === next ? at(instances.names, 1) : at(instances.names, 0);
    for (const name of [next, other]) fakeOf(name).mood = () => 'retired';
    await expect(instances.append('s', [record])).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  });

  it('leave the decision to the caller where an append has a condition: its stream has ended there', async () => {
    const left = instances.instanceOf('s');
    fakeOf(left).mood = () => 'retired';
    const conditional = instances.append('s', [record], { matchSeqNum: 0 });
    await expect(conditional).rejects.toMatchObject({ reason: 'REFUSED', noEffect: true });
    expect(instances.names).not.toContain(left);
  });

  it('pass on every other failure, and name what was not given', async () => {
    const chosen = instances.instanceOf('s');
    fakeOf(chosen).mood = () => 'unfit';
    const failed = instances.append('s', [record]);
    await expect(failed).rejects.toMatchObject({ reason: 'TOO_LARGE' });
    expect(instances.names).toHaveLength(3);
    expect(() => instances.journal('four')).toThrow('no instance four was given');
    expect(() => {
      instances.add(address('one'));
    }).toThrow('given before');
    expect(() => open([])).toThrow('none is given');
    expect(instances.journal('two')).toBe(instances.journal('two'));
  });
});
