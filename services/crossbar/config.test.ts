import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../libs/config/config.ts';
import { crossbarSchema } from './config.ts';

const REPLICAS = 'replicas: [{region: a, address: "h:1"}]';

function load(instances: string) {
  const argv = [
    '--cluster',
    'c',
    '--region',
    'a',
    '--listen',
    '127.0.0.1:1',
    '--instances',
    instances,
  ];
  return loadConfig({ schema: crossbarSchema, name: 'meridian crossbar', argv, env: {} });
}

describe('the configuration of a crossbar', () => {
  it('has defaults for everything but identity, address and instances', () => {
    const loaded = load(`[{name: i1, number: 1, ${REPLICAS}}, {name: i2, number: 2, ${REPLICAS}}]`);
    expect(loaded).toMatchObject({
      kind: 'config',
      config: { logLevel: 'info', limits: { subscribersMax: 256 }, timings: { retryMs: 500 } },
    });
  });

  it('refuses two instances of one name or number, and numbers that a delivery cannot carry', () => {
    const twice = load(`[{name: i1, number: 1, ${REPLICAS}}, {name: i1, number: 1, ${REPLICAS}}]`);
    expect(twice).toMatchObject({ kind: 'mistakes' });
    const text = JSON.stringify(twice);
    expect(text).toContain('expected a name that no other instance has, found i1 again');
    expect(text).toContain('expected a number that no other instance has, found 1 again');
    for (const number of [0, 65_536, 1.5]) {
      expect(load(`[{name: i1, number: ${number}, ${REPLICAS}}]`).kind).toBe('mistakes');
    }
    expect(load('[]').kind).toBe('mistakes');
  });
});
