/** S3 with real processes: the disk of one replica fills up, refuses writes, and has room again. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifyDirectory } from '../../services/journal/verify.ts';
import { Cluster, RawSession, readSettled, until } from './cluster.ts';

const RESERVE = 64 * 1024 * 1024;
const FULL = 2;

const cluster = new Cluster();
const disks = join(cluster.directory, 'disks');
let number = 0;

beforeAll(async () => {
  mkdirSync(disks);
  cluster.preloads.push('disk.mjs');
  cluster.env['MERIDIAN_TEST_CLOCKS'] = disks;
  cluster.overrides['limits'] = { diskReserveBytes: RESERVE, segmentBytes: 65_536 };
  await cluster.start();
});
afterAll(async () => {
  await cluster.stop();
});

async function disk(
  state: { freeBytes?: number; failWrites?: 'ENOSPC' },
  space: string,
): Promise<void> {
  writeFileSync(join(disks, `${FULL}.disk.json`), JSON.stringify(state));
  await until(async () => (await cluster.status(FULL)).disk?.space === space);
}

/** ORDERED appends of 20 kB, each answered. */
function append(replica: number, count: number): Promise<void> {
  return cluster.appendEach(replica, count, () => `${(number += 1)} `.padEnd(20_000, 'x'));
}

async function refusalAt(replica: number): Promise<unknown> {
  const session = new RawSession(cluster.channel(replica));
  session.send('s', 'refused');
  return session.ended;
}

/** Neither sealed nor opened again: nobody took the full one for dead. */
async function epochs(): Promise<bigint[]> {
  return (await cluster.status(0)).lanes.map(({ epoch }) => epoch);
}

it('below the reserve refuses appends, and stores, reads and answers heartbeats as before', async () => {
  await append(FULL, 2);
  const before = await epochs();
  await disk({ freeBytes: RESERVE - 1 }, 'low');
  const refusal = { reason: 'DISK_FULL', noEffect: true, retry: true };
  expect(await refusalAt(FULL)).toMatchObject({ ...refusal, details: { limit: String(RESERVE) } });
  await append(0, 5);
  expect((await readSettled(cluster, FULL)).bodies).toHaveLength(7);
  await disk({ freeBytes: 2 * RESERVE }, 'ample');
  await append(FULL, 1);
  expect(await epochs()).toEqual(before);
});

it('without room is in no quorum, and the two others go on', async () => {
  const before = await epochs();
  await disk({ freeBytes: 1000 }, 'none');
  const { syncedIndex } = (await cluster.status(FULL)).lanes[0] ?? {};
  await append(0, 5);
  await append(1, 5);
  expect((await cluster.status(FULL)).lanes[0]?.syncedIndex).toBe(syncedIndex);
  expect(await refusalAt(FULL)).toMatchObject({ reason: 'DISK_FULL' });
  expect(await epochs()).toEqual(before);
  await disk({}, 'ample');
  await append(FULL, 1);
  await cluster.converged();
});

it('outlives refused writes and a kill among them, and goes on by itself when there is room', async () => {
  await disk({ failWrites: 'ENOSPC' }, 'none');
  await append(0, 10);
  await append(1, 10);
  await cluster.child(FULL).kill();
  await append(0, 2);
  writeFileSync(join(disks, `${FULL}.disk.json`), '{}');
  await cluster.startReplica(FULL);
  await disk({ failWrites: 'ENOSPC' }, 'none');
  await append(1, 2);
  await disk({}, 'ample');
  await until(async () => {
    await append(FULL, 1);
    return true;
  });
  await cluster.converged();
  const order = (await readSettled(cluster, 0)).lines;
  expect((await readSettled(cluster, FULL)).lines).toEqual(order);
  expect(order.length).toBeGreaterThan(40);
  for (const replica of [0, 1, 2]) {
    await cluster.child(replica).stop();
    expect(verifyDirectory(cluster.dataOf(replica)).findings).toEqual([]);
  }
});
