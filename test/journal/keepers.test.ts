/** What keepers see when a region dies: log lines, metrics and readiness of the replicas that are left. */
import { afterEach, beforeEach, expect, it } from 'vitest';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { Cluster, until } from './cluster.ts';

let cluster: Cluster;
let metricsPort: number;

beforeEach(async () => {
  cluster = new Cluster();
  const ports = await reservePorts(1);
  releasePorts(ports);
  metricsPort = ports[0] ?? 0;
  await cluster.start();
  await cluster.kill(0);
  cluster.overrides['metricsListen'] = `127.0.0.1:${metricsPort}`;
  await cluster.startReplica(0);
});

afterEach(async () => {
  await cluster.stop();
});

async function ask(path: string): Promise<{ status: number; text: string }> {
  const response = await fetch(`http://127.0.0.1:${metricsPort}${path}`);
  return { status: response.status, text: await response.text() };
}

async function metric(series: string): Promise<number> {
  const { text } = await ask('/metrics');
  const found = text.split('\n').find((line) => line.startsWith(`${series} `));
  return Number(found?.slice(series.length + 1));
}

const told = (message: string): boolean =>
  cluster
    .child(0)
    .lastLines(Infinity)
    .some((line) => line.includes(`"msg":"${message}"`));

it('tells a dead region, its sealed lane, and that no quorum is left, in log and metrics', async () => {
  await until(async () => (await metric('meridian_journal_peer_heard{peer="1"}')) === 1);
  expect((await ask('/readyz')).status).toBe(200);
  await cluster.kill(1);
  await until(async () => (await metric('meridian_journal_lane_sealed{lane="1"}')) === 1);
  await until(async () => (await metric('meridian_journal_peer_heard{peer="1"}')) === 0);
  const seals = 'meridian_journal_lane_changes_total{lane="1",kind="seal"}';
  expect(await metric(seals)).toBeGreaterThan(0);
  await until(() => told('the lane is sealed'));
  await until(() => told('this replica does not hear the peer'));
  expect((await ask('/readyz')).status).toBe(200);

  await cluster.kill(2);
  await until(async () => (await ask('/readyz')).status === 503);
  expect((await ask('/livez')).status).toBe(200);
  await until(() => told('hears neither of the others: appends are refused, nothing is released'));
  expect(await metric('meridian_journal_serving')).toBe(0);

  delete cluster.overrides['metricsListen'];
  await cluster.startReplica(1);
  await until(async () => (await ask('/readyz')).status === 200);
  await until(() => told('hears another replica again'));
  await until(async () => (await metric('meridian_journal_lane_sealed{lane="1"}')) === 0);
});
