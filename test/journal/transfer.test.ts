/**
 * Old log is gone everywhere: a replica that lost its disk, and one that was away too long, take the
 * checkpoint of a peer and what follows it, and then vote again.
 */
import { readdirSync, rmSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { Cluster, until } from './cluster.ts';

let cluster: Cluster;
beforeEach(async () => {
  cluster = new Cluster();
  cluster.overrides['limits'] = {
    segmentBytes: 65_536,
    checkpointBytes: 65_536,
    retentionBytes: 131_072,
  };
  await cluster.start();
});
afterEach(async () => {
  await cluster.stop();
});

function append(replica: number, count: number): Promise<void> {
  return cluster.appendEach(replica, count, () => 'x'.repeat(20_000));
}

const dataOf = (replica: number): string => String(cluster.configOf(replica)['dataDirectory']);

async function untilBased(replica: number): Promise<void> {
  await until(() => !readdirSync(dataOf(replica)).includes('0000000001.log'));
}

it('a replica with an empty disk recovers though the beginning of the log is gone', async () => {
  // The pauses between checkpoints are 100 ms and more: appends take longer than that together.
  for (let round = 0; round < 6; round += 1) await append(0, 10);
  await Promise.all([untilBased(0), untilBased(1)]);
  await cluster.kill(2);
  rmSync(dataOf(2), { recursive: true });
  const child = await cluster.launch(2);
  await child.ready({ line: /starting again with it/ });
  await until(async () => (await cluster.status(2)).voting);
  await append(2, 3);
  expect(Number(await cluster.converged())).toBeGreaterThan(60);
});

it('a replica that was away for longer than the log goes back keeps its vote', async () => {
  await append(0, 3);
  await cluster.kill(2);
  for (let round = 0; round < 6; round += 1) await append(0, 10);
  await Promise.all([untilBased(0), untilBased(1)]);
  const child = await cluster.launch(2);
  await child.ready({ line: /starting again with it/ });
  await until(async () => (await cluster.status(2)).voting);
  await append(2, 3);
  expect(Number(await cluster.converged())).toBeGreaterThan(60);
});
