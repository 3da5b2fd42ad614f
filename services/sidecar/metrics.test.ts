import { expect, it } from 'vitest';
import { Registry } from '../../libs/telemetry/metrics.ts';
import { ApplyProgress } from './apply.ts';
import { sidecarSchema } from './config.ts';
import { addSidecarMetrics } from './metrics.ts';
import { ShipProgress } from './ship-progress.ts';

const config = sidecarSchema.parse({
  cluster: 'c',
  region: 'eu',
  listen: '127.0.0.1:1',
  roles: ['ship', 'apply'],
  postgres: 'postgres://u@h/d',
  instance: { name: 'one', replicas: [{ region: 'eu', address: 'h:1' }] },
  stream: 'pg.d',
});

async function lines(ship: ShipProgress | null, apply: ApplyProgress | null): Promise<string[]> {
  const registry = new Registry();
  addSidecarMetrics(registry, {
    config,
    ship,
    apply,
    appliedWatermark: () => 1_000_000,
    waitLatency: () => ({ count: 1, p50: 1000, p99: 2000, max: 3000 }),
    wall: () => 1_500_000,
  });
  return (await registry.text()).split('\n');
}

it('says how shipping and applying go, how far behind, and their limits', async () => {
  const ship = new ShipProgress();
  ship.state = 'streaming';
  ship.transactions = 7;
  ship.latency.record(5000);
  const apply = new ApplyProgress();
  apply.queuedBytes = 99;
  const text = await lines(ship, apply);
  for (const line of [
    'meridian_sidecar_ship_state{state="streaming"} 1',
    'meridian_sidecar_ship_state{state="copying"} 0',
    'meridian_sidecar_ship_transactions_total 7',
    'meridian_sidecar_ship_confirmed_lsn_bytes 0',
    'meridian_sidecar_ship_fenced_writable 0',
    'meridian_sidecar_apply_lag_seconds 0.5',
    'meridian_sidecar_wait_latency_seconds{quantile="0.99"} 0.002',
    'meridian_sidecar_limit{setting="apply.queueBytesMax"} 33554432',
    'meridian_sidecar_limit_used{setting="apply.queueBytesMax"} 99',
  ]) {
    expect(text).toContain(line);
  }
  expect(text.some((line) => line.startsWith('meridian_sidecar_ship_latency_seconds{'))).toBe(true);
});

it('says nothing of a role it does not have', async () => {
  const text = await lines(new ShipProgress(), null);
  expect(text.filter((line) => line.startsWith('meridian_sidecar_apply_'))).toEqual([]);
});
