/**
 * Failover with everything real, under load: the primary killed with -9, the primary cut off from the
 * journal and alive, and a change-over by plan. After each: what COMMIT said is in every database, all
 * databases are the same, and nothing was acknowledged by two primaries. The seconds without writes are
 * printed; their bound is the lease (1.5 s here) and what it takes to apply and to switch.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { Members } from './members.ts';

const PATIENCE_MS = 60_000;
vi.setConfig({ testTimeout: 3 * PATIENCE_MS, hookTimeout: 3 * PATIENCE_MS });
const members = new Members();
const SCHEMA = `CREATE TABLE account (id int PRIMARY KEY, balance bigint NOT NULL);
  CREATE TABLE transfer (id int PRIMARY KEY, at int NOT NULL, amount int NOT NULL);
  CREATE TABLE ticket (id serial PRIMARY KEY, transfer int NOT NULL);
  CREATE SEQUENCE loose`;

interface Acknowledged {
  readonly id: number;
  readonly region: number;
  readonly at: number;
}
const acknowledged: Acknowledged[] = [];
let nextId = 1;
let writers: { stop: () => void; done: Promise<unknown> } | null = null;

beforeAll(async () => {
  await members.start(SCHEMA);
  const primary = await members.open(0);
  await primary.query('INSERT INTO account SELECT i, 1000 FROM generate_series(1, 20) i');
  await primary.end();
});

afterAll(async () => {
  writers?.stop();
  await members.stop();
});

test('a primary killed under load is replaced, and comes back as a replica', async () => {
  startWriters(0);
  await grown(0, 100);
  const handedOut = await drawNumbers(0);
  await members.kill(0);
  const killedAt = Date.now();
  const { sequences } = await promote(1);
  expect(sequences).toBe(2);
  startWriters(1);
  await grown(1, 50);
  tellOutage('killed', 0, 1, killedAt);
  const again = await members.open(1);
  const { rows } = await again.query<{ n: string }>("SELECT nextval('loose') AS n");
  expect(Number(rows[0]?.n)).toBeGreaterThan(handedOut);
  await again.end();
  // The old one comes back, and learns that it is none any more.
  await members.startPostgres(0);
  await members.startSidecar(0, 'fenced');
  await refusesWrites(0);
  const old = await members.open(0);
  await expect(insert(old, 0)).rejects.toThrow(/read-only/);
  await old.end();
  expect(await members.cli(['rejoin', '--region', 'r0'])).toMatchObject({ region: 'r0' });
  await members.reaches(0, 'applying');
  await stopWriters();
  await expectSame([0, 1, 2]);
});

test('a primary that is cut off and alive acknowledges nothing any more', async () => {
  startWriters(1);
  await grown(1, 50);
  members.cut(1);
  const cutAt = Date.now();
  const late = await members.open(1);
  const outcome = late.query('INSERT INTO ticket (transfer) VALUES (-1)').then(
    () => 'acknowledged',
    () => 'refused',
  );
  await promote(2, '--no-step-down');
  const promotedAt = Date.now();
  const stuck = writers;
  startWriters(2);
  await grown(2, 50);
  tellOutage('cut off', 1, 2, cutAt);
  members.heal(1);
  await members.reaches(1, 'fenced');
  await grown(2, 20);
  // Its COMMITs still wait: they end with the session, unacknowledged, and are thrown away.
  const rejoined = await members.cli(['rejoin', '--region', 'r1']);
  expect(rejoined).toMatchObject({ rebuilt: true });
  expect(Number(rejoined['discarded'])).toBeGreaterThan(0);
  expect(await outcome).toBe('refused');
  stuck?.stop();
  await stuck?.done;
  // Of each of the four at most the one whose answer the cut had held back; `expectSame` finds them.
  const afterwards = acknowledged.filter(({ region, at }) => region === 1 && at > promotedAt);
  expect(afterwards.length).toBeLessThanOrEqual(4);
  await members.reaches(1, 'applying');
  await stopWriters();
  await expectSame([0, 1, 2]);
});

test('a change-over by plan leaves nothing behind, and nothing is rebuilt', async () => {
  startWriters(2);
  await grown(2, 50);
  const before = Date.now();
  expect(await promote(0)).toMatchObject({ steppedDown: 'r2' });
  startWriters(0);
  await grown(0, 50);
  tellOutage('by plan', 2, 0, before);
  await members.reaches(2, 'fenced');
  expect(await members.cli(['rejoin', '--region', 'r2'])).toEqual({
    ...{ region: 'r2', discarded: 0, rebuilt: false },
  });
  await members.reaches(2, 'applying');
  await stopWriters();
  await expectSame([0, 1, 2]);
  await expect(members.cli(['promote', '--region', 'r0'])).rejects.toThrow(/is primary/);
  await expect(members.cli(['rejoin', '--region', 'r0'])).rejects.toThrow(/it is the primary/);
});

async function promote(region: number, ...more: string[]): Promise<Record<string, unknown>> {
  return members.cli(['promote', '--region', `r${region}`, '--wait', '60s', ...more]);
}

/** Four programs that move money at this primary until they fail or are stopped. */
function startWriters(region: number): void {
  const over = new AbortController();
  const done = Promise.all([1, 2, 3, 4].map(() => write(region, over.signal)));
  writers = {
    stop: () => {
      over.abort();
    },
    done,
  };
}

/** New sessions are read-only a moment after it is fenced; a COMMIT before that waits, and for ever. */
async function refusesWrites(region: number): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const client = await members.open(region);
    const { rows } = await client.query<{ it: string }>(
      "SELECT current_setting('default_transaction_read_only') AS it",
    );
    await client.end();
    if (rows[0]?.it === 'on') return;
    if (Date.now() > deadline) throw new Error(`r${region} goes on taking writes`);
    await sleep(20);
  }
}

async function stopWriters(): Promise<void> {
  writers?.stop();
  await writers?.done;
}

async function write(region: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await writeUntilFailure(region, signal);
    await sleep(50, undefined, { signal }).catch(() => undefined);
    if (await isGone(region)) return;
  }
}

async function writeUntilFailure(region: number, signal: AbortSignal): Promise<void> {
  const client = await members.open(region).catch(() => null);
  if (client === null) return;
  try {
    while (!signal.aborted) await insert(client, region);
  } catch {
    // Committed or not: nobody was told, so either is right.
  } finally {
    await client.end().catch(() => undefined);
  }
}

async function isGone(region: number): Promise<boolean> {
  return members.status(region).then(
    ({ ship }) => ship?.state !== 'streaming',
    () => true,
  );
}

async function insert(client: pg.Client, region: number): Promise<void> {
  const id = nextId++;
  const [from, to] = [1 + (id % 20), 1 + ((id * 3 + 1) % 20)].sort((a, b) => a - b);
  await client.query(
    `BEGIN; UPDATE account SET balance = balance - ${id} WHERE id = ${from};
     UPDATE account SET balance = balance + ${id} WHERE id = ${to};
     INSERT INTO transfer VALUES (${id}, ${region}, ${id});
     INSERT INTO ticket (transfer) VALUES (${id}); COMMIT`,
  );
  acknowledged.push({ id, region, at: Date.now() });
}

/** Numbers for people, in no table; returns the last one when the journal can know it. */
async function drawNumbers(region: number): Promise<number> {
  const client = await members.open(region);
  const { rows } = await client.query<{ n: string }>(
    "SELECT max(nextval('loose')) AS n FROM generate_series(1, 1234)",
  );
  await client.end();
  return Number(rows[0]?.n);
}

async function grown(region: number, by: number): Promise<void> {
  const count = (): number => acknowledged.filter((it) => it.region === region).length;
  const wanted = count() + by;
  const deadline = Date.now() + PATIENCE_MS;
  while (count() < wanted) {
    if (Date.now() > deadline) throw new Error(`r${region}: no further COMMIT returned`);
    await sleep(20);
  }
}

function tellOutage(what: string, from: number, to: number, at: number): void {
  const last = acknowledged.findLast(({ region }) => region === from);
  const first = acknowledged.find((it) => it.region === to && it.at > at);
  const seconds = ((first?.at ?? 0) - (last?.at ?? 0)) / 1000;
  console.log(`write outage, primary ${what}: ${seconds.toFixed(1)} s`);
}

async function applied(client: pg.Client, region: number): Promise<void> {
  try {
    await client.query("SELECT meridian.wait_linearizable('30 s')");
  } catch (error) {
    const { apply } = await members.status(region);
    throw new Error(`r${region}: ${apply?.state}, ${apply?.error}`, { cause: error });
  }
}

/** All databases hold the same rows, and every acknowledged transfer. */
async function expectSame(regions: readonly number[]): Promise<void> {
  const contents = [];
  for (const region of regions) {
    const client = await members.open(region);
    const { apply } = await members.status(region);
    if (apply !== undefined) await applied(client, region);
    const rows = [];
    for (const table of ['account', 'transfer', 'ticket']) {
      rows.push((await client.query(`SELECT t::text AS row FROM ${table} t ORDER BY id`)).rows);
    }
    const kept = await client.query<{ id: number }>('SELECT id FROM transfer');
    const ids = new Set(kept.rows.map(({ id }) => id));
    expect(acknowledged.filter(({ id }) => !ids.has(id))).toEqual([]);
    const total = await client.query('SELECT sum(balance)::int AS it FROM account');
    expect(total.rows).toEqual([{ it: 20_000 }]);
    contents.push(rows);
    await client.end();
  }
  for (const content of contents.slice(1)) expect(content).toEqual(contents[0]);
}
