import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startMetricsServer } from './metrics-server.ts';
import type { Listener } from '../http/listening.ts';
import { Registry } from './metrics.ts';
import { addProcessMetrics } from './process-metrics.ts';

describe('a registry', () => {
  it('prints counters, gauges and histograms as Prometheus reads them', async () => {
    const registry = new Registry();
    const appends = registry.counter({
      name: 'meridian_appends_total',
      help: 'Appends.\nAnswered.',
      labels: ['ack', 'outcome'],
    });
    appends.with('QUORUM', 'ok').add();
    appends.with('QUORUM', 'ok').add(2);
    appends.with('ORDERED', 'a "b"\\\n').add();
    registry.read('gauge', { name: 'meridian_lag_seconds', help: 'Lag.' }, (emit) => {
      emit(0.5);
      emit(null);
    });
    const sizes = registry.histogram({
      name: 'meridian_size_bytes',
      help: 'Sizes.',
      labels: ['of'],
      bounds: [10, 100],
    });
    for (const size of [1, 10, 11, 1000]) sizes.with('x').observe(size);
    expect(await registry.text()).toBe(
      [
        '# HELP meridian_appends_total Appends.\\nAnswered.',
        '# TYPE meridian_appends_total counter',
        'meridian_appends_total{ack="QUORUM",outcome="ok"} 3',
        'meridian_appends_total{ack="ORDERED",outcome="a \\"b\\"\\\\\\n"} 1',
        '# HELP meridian_lag_seconds Lag.',
        '# TYPE meridian_lag_seconds gauge',
        'meridian_lag_seconds 0.5',
        '# HELP meridian_size_bytes Sizes.',
        '# TYPE meridian_size_bytes histogram',
        'meridian_size_bytes_bucket{of="x",le="10"} 2',
        'meridian_size_bytes_bucket{of="x",le="100"} 3',
        'meridian_size_bytes_bucket{of="x",le="+Inf"} 4',
        'meridian_size_bytes_sum{of="x"} 1022',
        'meridian_size_bytes_count{of="x"} 4',
        '',
      ].join('\n'),
    );
  });

  it('shows a counter without labels from the start', async () => {
    const registry = new Registry();
    registry.counter({ name: 'meridian_x_total', help: 'X.' });
    expect(await registry.text()).toContain('\nmeridian_x_total 0\n');
  });

  it.each([
    ['a counter without _total', (r: Registry) => r.counter({ name: 'meridian_x', help: 'X.' })],
    [
      'a gauge with _total',
      (r: Registry) => {
        r.read('gauge', { name: 'meridian_x_total', help: 'X.' }, () => undefined);
      },
    ],
    [
      'milliseconds',
      (r: Registry) => r.histogram({ name: 'meridian_x_ms', help: 'X.', bounds: [1] }),
    ],
    ['a foreign prefix', (r: Registry) => r.counter({ name: 'x_total', help: 'X.' })],
    [
      'a name twice',
      (r: Registry) => {
        r.counter({ name: 'meridian_x_total', help: 'X.' });
        r.counter({ name: 'meridian_x_total', help: 'X.' });
      },
    ],
    [
      'a wrong number of labels',
      (r: Registry) => r.counter({ name: 'meridian_x_total', help: 'X.', labels: ['a'] }).with(),
    ],
  ])('refuses %s', (_name, declare) => {
    expect(() => {
      declare(new Registry());
    }).toThrow();
  });

  it('knows processor, memory, event loop, collections and build of the process', async () => {
    const registry = new Registry();
    const stop = addProcessMetrics(registry, { service: 'test', version: '1' });
    await expect
      .poll(() => registry.text())
      .toMatch(/nodejs_eventloop_delay_seconds\{quantile="0.99"\} \d/);
    const text = await registry.text();
    expect(text).toContain('meridian_build_info{service="test",version="1",node="v');
    expect(text).toMatch(/process_resident_memory_bytes \d{7}/);
    expect(text).toMatch(/process_cpu_seconds_total \d/);
    expect(text).toMatch(/process_open_fds \d/);
    stop();
  });
});

describe('the endpoint', () => {
  let server: Listener | null = null;
  afterEach(async () => {
    await server?.close();
    server = null;
  });

  async function start(notReady: () => string | null = () => null): Promise<string> {
    const registry = new Registry();
    registry.counter({ name: 'meridian_x_total', help: 'X.' });
    server = await startMetricsServer({ address: '127.0.0.1:0', registry, notReady });
    return `http://127.0.0.1:${server.port}`;
  }

  it('serves metrics, liveness and readiness', async () => {
    let reason: string | null = 'no quorum';
    const url = await start(() => reason);
    const metrics = await fetch(`${url}/metrics`);
    expect(metrics.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await metrics.text()).toContain('meridian_x_total 0');
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    const before = await fetch(`${url}/readyz`);
    expect([before.status, await before.text()]).toEqual([503, 'no quorum\n']);
    reason = null;
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
  });

  it('refuses other paths and methods, and survives nonsense', async () => {
    const url = await start();
    expect((await fetch(`${url}/secrets`)).status).toBe(404);
    expect((await fetch(`${url}/metrics`, { method: 'POST', body: 'x' })).status).toBe(405);
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    socket.end('nonsense\r\n\r\n');
    await new Promise((resolve) => socket.once('close', resolve).resume());
    expect((await fetch(`${url}/livez`)).status).toBe(200);
  });

  it('says what to do when its address is taken', async () => {
    const url = await start();
    const { host: address } = new URL(url);
    const again = startMetricsServer({ address, registry: new Registry(), notReady: () => null });
    await expect(again).rejects.toMatchObject({ reason: 'REFUSED' });
  });
});
