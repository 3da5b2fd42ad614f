/**
 * T1 to T5 with real processes whose wall clocks are wrong by hours, jump and drift. What is durable
 * and in order stays so whatever the clocks say; who is the odd one out stamps nothing.
 */
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Ack } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { Cluster, RawSession, readSettled, until } from './cluster.ts';

const HOUR_MS = 3_600_000;
const ALL = [0, 1, 2];

let cluster: Cluster;
let appended = 0;
const acknowledged: string[] = [];

function setClock(replica: number, skew: { offsetMs?: number; driftPpm?: number }): void {
  const folder = cluster.env['MERIDIAN_TEST_CLOCKS'] ?? '';
  const file = join(folder, `${replica}.json`);
  // At once: half a file is no clock.
  writeFileSync(`${file}.new`, JSON.stringify(skew));
  renameSync(`${file}.new`, file);
}

/** The timestamp of one append, ms since 1970; the reason where it was refused. */
async function append(replica: number, ack = Ack.QUORUM): Promise<number | string> {
  const session = new RawSession(cluster.channel(replica), ack);
  const body = `${replica}-${(appended += 1)}`;
  session.send('s', body);
  try {
    await session.whenAnswered(1);
  } catch (error) {
    return (error as { reason?: string }).reason ?? 'failed';
  }
  acknowledged.push(body);
  session.end();
  return Number(session.runs[0]?.timestamp) / 1000;
}

/** Takes appends, with timestamps near true time. */
async function isWell(replica: number): Promise<boolean> {
  const timestamp = await append(replica);
  return typeof timestamp === 'number' && Math.abs(timestamp - Date.now()) < 3_000;
}

async function refusesForItsClock(replica: number): Promise<boolean> {
  return (await append(replica)) === 'CLOCK_UNSAFE';
}

beforeAll(async () => {
  cluster = new Cluster();
  cluster.preloads.push('skewed-clock.mjs');
  const folder = join(cluster.directory, 'clocks');
  mkdirSync(folder);
  cluster.env['MERIDIAN_TEST_CLOCKS'] = folder;
  await cluster.start();
  await cluster.converged();
});
afterAll(async () => {
  await cluster.stop();
});

describe('a replica whose wall clock', () => {
  it.each([
    ['jumps three hours ahead', { offsetMs: 3 * HOUR_MS }],
    ['jumps three hours back', { offsetMs: -3 * HOUR_MS }],
    ['runs a quarter too fast', { driftPpm: 250_000 }],
    ['runs a quarter too slow', { driftPpm: -250_000 }],
  ])('%s stamps nothing, drags nobody along, and is well again afterwards', async (_what, skew) => {
    for (const replica of ALL) await until(() => isWell(replica));
    setClock(2, skew);
    await until(() => refusesForItsClock(2));
    const { clockSafe } = await cluster.status(2);
    expect(clockSafe).toBe(false);
    for (let round = 0; round < 10; round += 1) {
      expect(await isWell(0)).toBe(true);
      expect(await isWell(1)).toBe(true);
    }
    const ordered = Number(await append(0, Ack.ORDERED));
    expect(Math.abs(ordered - Date.now())).toBeLessThan(3_000);
    setClock(2, {});
    await until(() => isWell(2));
  });

  it('went back while it was down never stamps below what it stamped before (T1)', async () => {
    const before = Number(await append(1));
    await cluster.kill(1);
    setClock(1, { offsetMs: -5 * HOUR_MS });
    await cluster.launch(1);
    await until(() => refusesForItsClock(1));
    setClock(1, {});
    await until(() => isWell(1));
    expect(Number(await append(1))).toBeGreaterThan(before);
  });

  it('is ten hours ahead at a start is not followed, by itself neither', async () => {
    await cluster.kill(0);
    setClock(0, { offsetMs: 10 * HOUR_MS });
    await cluster.launch(0);
    await until(() => refusesForItsClock(0));
    expect(await isWell(1)).toBe(true);
    expect(await isWell(2)).toBe(true);
    setClock(0, {});
    await until(() => isWell(0));
  });

  it('is right is the odd one out where the two others are wrong alike: a majority decides', async () => {
    for (const replica of [0, 1]) setClock(replica, { offsetMs: HOUR_MS / 2 });
    await until(() => refusesForItsClock(2));
    let timestamp = NaN;
    // Between the two changes neither had a majority.
    await until(async () => !Number.isNaN((timestamp = Number(await append(0)))));
    expect(timestamp - Date.now()).toBeGreaterThan(HOUR_MS / 2 - 3_000);
    for (const replica of [0, 1]) setClock(replica, {});
    await until(async () => typeof (await append(2)) === 'number');
    // What was stamped stays: time goes on from there (T1).
    expect(Number(await append(2))).toBeGreaterThan(timestamp);
  });

  it('is wrong in whatever way costs no acknowledged append and no order (T3)', async () => {
    [-5, 0, 5].forEach((hours, replica) => {
      setClock(replica, { offsetMs: hours * HOUR_MS });
    });
    for (let round = 0; round < 5; round += 1) for (const replica of ALL) await append(replica);
    for (const replica of ALL) setClock(replica, {});
    await until(async () => typeof (await append(0)) === 'number');
    await cluster.converged();
    const orders = await Promise.all(ALL.map((replica) => readSettled(cluster, replica)));
    expect(orders[1]?.lines).toEqual(orders[0]?.lines);
    expect(orders[2]?.lines).toEqual(orders[0]?.lines);
    const bodies = orders[0]?.bodies ?? [];
    expect(acknowledged.length).toBeGreaterThan(100);
    expect(acknowledged.filter((body) => !bodies.includes(body))).toEqual([]);
    const timestamps = (orders[0]?.lines ?? []).map((line) => Number(line.split(' ')[0]));
    expect(timestamps).toEqual([...timestamps].sort((a, b) => a - b));
  });
});
