/**
 * S2 with real processes: bytes of old segments and checkpoints of a running replica change, and it
 * finds, tells and repairs them while it goes on; who cannot be repaired begins anew from the others.
 */
import {
  closeSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { verifyDirectory } from '../../services/journal/verify.ts';
import { Cluster, readSettled, until } from './cluster.ts';

const cluster = new Cluster();
const SICK = 2;
/** Damaged beyond repair. */
const HOPELESS = '0000000004.log';

beforeAll(async () => {
  cluster.overrides['limits'] = {
    segmentBytes: 65_536,
    checkpointBytes: 262_144,
    cacheBytesMax: 0,
    hotEntriesMax: 4,
  };
  cluster.overrides['timings'] = { scrubPauseMs: 100 };
  await cluster.start();
  for (const replica of [0, 1, 2]) await append(replica, 25);
  await cluster.converged();
});
afterAll(async () => {
  await cluster.stop();
});

function append(replica: number, count: number): Promise<void> {
  return cluster.appendEach(replica, count, (i) => `${replica}-${i} `.padEnd(20_000, 'x'));
}

/** Behind the replica's back, as a disk does it. */
function flip(file: string, ...places: readonly number[]): void {
  const descriptor = openSync(file, 'r+');
  for (const place of places) {
    const byte = Buffer.alloc(1);
    readSync(descriptor, byte, 0, 1, place);
    writeSync(descriptor, Buffer.of((byte[0] ?? 0) ^ 0x10), 0, 1, place);
  }
  closeSync(descriptor);
}

const data = (name: string): string => join(cluster.dataOf(SICK), name);

/**
 * A closed segment with nothing but entries: what else there is in a log (reservations come with time) is void after a
 * repair, so the file would not be what it was to the last byte. All hold three entries of one size: the smallest.
 */
function segmentOfEntries(): string {
  const segments = readdirSync(cluster.dataOf(SICK)).filter((name) => name.endsWith('.log'));
  const closed = segments.sort().slice(1, -2);
  const sizeOf = (name: string): number => statSync(data(name)).size;
  const [smallest] = closed
    .filter((name) => name !== HOPELESS)
    .sort((a, b) => sizeOf(a) - sizeOf(b));
  if (smallest === undefined) throw new Error('no segment is closed');
  return smallest;
}

async function scrub(): Promise<{ found: number; repaired: number; open: number }> {
  const figures = (await cluster.status(SICK)).upkeep?.scrub;
  if (figures === undefined) throw new Error('no figures');
  const { found, repaired, open } = figures;
  return { found: Number(found), repaired: Number(repaired), open: open.length };
}

it('an old segment with changed bytes is found, told with file and offset, and repaired from the peers', async () => {
  const name = segmentOfEntries();
  const file = data(name);
  const sound = readFileSync(file);
  // Inside entries, in the header of a frame, in a row of frames, and in the header of the segment.
  for (const places of [[30_000], [100, 25_000, 50_000], [65], [20], [20_100, 20_101, 40_300]]) {
    const before = await scrub();
    flip(file, ...places);
    const answers = readSettled(cluster, SICK).catch((error: unknown) => error);
    await until(async () => (await scrub()).repaired > before.repaired);
    await until(() => readFileSync(file).equals(sound));
    expect(await answers).toSatisfy((answer: { reason?: string; bodies?: string[] }) => {
      return answer.reason === 'UNAVAILABLE' || answer.bodies?.length === 75;
    });
    expect((await scrub()).open).toBe(0);
  }
  const told = cluster.child(SICK).lastLines().join('\n');
  expect(told).toMatch(new RegExp(`${name}","offset":\\d+,"found":".*old data is damaged`));
  expect(told).toMatch(/damaged data was repaired/);
  expect((await readSettled(cluster, SICK)).lines).toEqual((await readSettled(cluster, 0)).lines);
  expect(await cluster.converged()).toBe(75n);
});

it('a damaged checkpoint is set aside and replaced', async () => {
  const newest = readdirSync(cluster.dataOf(SICK))
    .filter((name) => /^checkpoint-\d+$/.test(name))
    .at(-1);
  if (newest === undefined) throw new Error('no checkpoint was taken');
  const before = await scrub();
  flip(data(newest), Math.floor(statSync(data(newest)).size / 2));
  await until(async () => (await scrub()).repaired > before.repaired);
  expect(readdirSync(cluster.dataOf(SICK))).toContain(`aside-${newest}`);
});

it('a segment beyond repair costs the replica its data, not its process, and it comes back', async () => {
  const file = data(HOPELESS);
  // The header, and the frame that could say what it was.
  flip(file, 10, 70);
  await until(() => readdirSync(cluster.dataOf(SICK)).some((name) => /^aside-\d+$/.test(name)));
  await until(async () => (await cluster.status(SICK)).voting);
  await append(SICK, 1);
  expect(await cluster.converged()).toBe(76n);
  const order = (await readSettled(cluster, 0)).lines;
  expect((await readSettled(cluster, SICK)).lines).toEqual(order);
  for (const replica of [0, 1, 2]) {
    await cluster.child(replica).stop();
    expect(verifyDirectory(cluster.dataOf(replica)).findings).toEqual([]);
  }
});
