/**
 * Data directories that are not what their replica was, with real processes (libs/lane/SPEC.md §7): an
 * older copy that was put back, and that of a new machine whose clock stands behind. Both are whole, so
 * only the peers can know. Each is set aside, the replica recovers, and then counts in quorums again.
 */
import { cpSync, existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeLog } from '../../services/journal/recovery.ts';
import { Cluster, TARGET, readSettled, until } from './cluster.ts';

const cluster = new Cluster();
const VICTIM = 2;
const data = cluster.dataOf(VICTIM);
const copy = `${data}.copy`;
let appended = 0;

beforeAll(async () => {
  await cluster.start();
});
afterAll(async () => {
  await cluster.stop();
});

function append(replica: number, count: number): Promise<void> {
  return cluster.appendEach(replica, count, () => `${replica}-${(appended += 1)}`);
}

const aside = (): number => readdirSync(data).filter((name) => name.startsWith('aside-0')).length;

/** It began anew, holds everything, and a quorum with it alone goes on. */
async function recovered(times: number): Promise<void> {
  await until(async () => aside() === times && (await cluster.status(VICTIM)).voting);
  await cluster.converged();
  await cluster.kill(0);
  await append(1, 3);
  await cluster.startReplica(0);
  await cluster.converged();
  expect((await readSettled(cluster, VICTIM)).bodies).toHaveLength(appended);
}

it('a directory that was put back from an older copy is set aside, and its replica recovers and votes', async () => {
  await append(VICTIM, 5);
  await cluster.kill(VICTIM);
  cpSync(data, copy, { recursive: true });
  await cluster.startReplica(VICTIM);
  await append(VICTIM, 5);
  await append(0, 5);
  await cluster.converged();
  await cluster.kill(VICTIM);
  rmSync(data, { recursive: true });
  cpSync(copy, data, { recursive: true });
  const child = await cluster.launch(VICTIM);
  await child.ready({ line: /older than what the peers remember/ }, 60_000);
  await recovered(1);
  expect(existsSync(join(data, 'aside-0001', 'identity'))).toBe(true);
});

it('the directory of a new machine whose clock stands behind gets a higher incarnation', async () => {
  await cluster.kill(VICTIM);
  rmSync(data, { recursive: true });
  const { cluster: name, instance } = TARGET;
  await makeLog({
    directory: data,
    identity: { cluster: name, instance, replica: VICTIM, generation: 1 },
    self: VICTIM,
    incarnation: 5,
    voting: false,
  });
  await cluster.launch(VICTIM);
  await recovered(1);
});
