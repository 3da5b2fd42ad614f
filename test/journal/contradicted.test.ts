/**
 * P2 with real processes: a replica whose order has become another one, by a byte that changed before it was
 * checksummed, is contradicted by both others. It stops, sets its data aside, begins anew from them, and
 * has the same order as they have again; nobody else is disturbed.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeCrc } from '../../libs/frames/batch.ts';
import { restoreOrderMachine } from '../../libs/order/machine.ts';
import { openLog } from '../../libs/storage/log.ts';
import { machineChunks, readHead } from '../../services/journal/checkpoint-sections.ts';
import { Cluster, DEADLINE_MS, TARGET, readSettled, until } from './cluster.ts';

const cluster = new Cluster();
const WRONG = 2;
let appended = 0;

beforeAll(async () => {
  cluster.overrides['timings'] = { compareMs: 200 };
  await cluster.start();
});
afterAll(async () => {
  await cluster.stop();
});

/** One append an entry: hashes are compared at every sixteenth. */
function append(replica: number, count: number): Promise<void> {
  return cluster.appendEach(replica, count, () => `${replica}-${(appended += 1)}`);
}

/** Flips a bit of the running hash in the newest checkpoint, which stays sound in itself. */
async function plant(): Promise<void> {
  const loaded: Uint8Array[] = [];
  const log = openLog(
    {
      directory: cluster.dataOf(WRONG),
      identity: { ...TARGET, replica: WRONG, generation: 1 },
      onCheckpoint: (sections) => {
        // Their memory is used again.
        for (const section of sections) loaded.push(Buffer.from(section));
        return readHead(loaded[0]).segment;
      },
      onFatal: (error) => {
        throw error;
      },
    },
    () => undefined,
  );
  const hash = Buffer.from(restoreOrderMachine(machineChunks(loaded)).hash(), 'hex');
  // Two words, little-endian.
  hash.swap32();
  const holding = loaded.findIndex((section) => Buffer.from(section).includes(hash));
  const found = Buffer.from(loaded[holding] ?? []);
  const place = found.indexOf(hash);
  expect(place, 'the hash stands in the checkpoint').toBeGreaterThan(0);
  found[place] = (found[place] ?? 0) ^ 0x10;
  // Behind the byte that says what kind of section it is, a chunk of the machine with a checksum.
  writeCrc(found.subarray(1));
  loaded[holding] = found;
  await new Promise<void>((resolve, reject) => {
    log.saveCheckpoint(loaded[Symbol.iterator](), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  await log.close();
}

it('a replica that is contradicted by both others stops, begins anew and has their order again', async () => {
  await append(0, 20);
  await append(WRONG, 20);
  await cluster.converged();
  await cluster.child(WRONG).stop();
  await plant();
  const child = await cluster.launch(WRONG);
  const told = child.ready({ line: /it is wrong and stops/ }, 2 * DEADLINE_MS);
  const goesOn = async (): Promise<void> => {
    await until(async () => (await cluster.status(WRONG)).voting);
    // All three remember the hashes at some of these.
    await append(0, 40);
  };
  await Promise.all([told, goesOn()]);
  await until(() => existsSync(join(cluster.dataOf(WRONG), 'aside-0001', 'identity')));
  await until(async () => (await cluster.status(WRONG)).voting, 2 * DEADLINE_MS);
  await append(WRONG, 40);
  await append(1, 5);
  expect(Number(await cluster.converged())).toBeGreaterThan(100);
  const [one, two, three] = await Promise.all([0, 1, 2].map((each) => readSettled(cluster, each)));
  expect(three?.lines).toEqual(one?.lines);
  expect(two?.lines).toEqual(one?.lines);
  expect(one?.bodies).toHaveLength(appended);
  const divergences = (await cluster.status(WRONG)).upkeep?.divergences;
  expect(divergences).toEqual([]);
}, 300_000);
