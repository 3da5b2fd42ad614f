import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { Registry } from '../../libs/telemetry/metrics.ts';
import type { FakeInstance } from './fake-instance.ts';
import { FakeStream } from './fake-instance.ts';
import { wish, world } from './fake-world.ts';
import { addCrossbarMetrics } from './metrics.ts';
import { VERSION } from './version.ts';

it('says how far each instance has come, who is served, and what is used of the limits', async () => {
  const { crossbar, instances, stop } = await world({ subscribersMax: 2 });
  const [one, two] = instances as [FakeInstance, FakeInstance];
  crossbar.subscribe(wish(), new FakeStream());
  crossbar.subscribe(wish(), new FakeStream());
  expect(() => crossbar.subscribe(wish(), new FakeStream())).toThrow();
  one.append(10, ['s']);
  one.reached = 300_000;
  two.reached = 100_000;
  one.settle();
  two.settle();
  const registry = new Registry();
  addCrossbarMetrics(registry, {
    config: { cluster: 'c', region: 'eu', limits: { subscribersMax: 2 } } as never,
    crossbar,
    ready: () => crossbar.ready,
    wall: () => 1_100_000,
  });
  const text = await registry.text();
  for (const line of [
    'meridian_crossbar_info{cluster="c",region="eu"} 1',
    'meridian_crossbar_ready 1',
    'meridian_crossbar_watermark_lag_seconds 1',
    'meridian_crossbar_instance_lag_seconds{instance="i1"} 0.8',
    'meridian_crossbar_instance_lag_seconds{instance="i2"} 1',
    'meridian_crossbar_subscribers{state="live"} 2',
    'meridian_crossbar_subscriptions_refused_total 1',
    'meridian_crossbar_window_entries 1',
    'meridian_crossbar_limit{setting="subscribersMax"} 2',
    'meridian_crossbar_limit_used{setting="subscribersMax"} 2',
  ]) {
    expect(text.split('\n')).toContain(line);
  }
  stop();
});

it('says the version of the package', () => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  expect((JSON.parse(text) as { version: string }).version).toBe(VERSION);
});
