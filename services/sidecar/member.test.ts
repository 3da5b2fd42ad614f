/**
 * A database of a stream that has gone on without it, beside real Postgres and a journal in memory.
 *
 * The bug: after a failover the old primary's sidecar was started, said `fenced`, and while `meridian pg
 * rejoin` ran it was gone. An attempt at shipping, which a fenced sidecar repeats, renewed its event
 * triggers before it looked at the stream; its GRANT on the schema `meridian` met the one of the rejoining
 * session, Postgres answered "tuple concurrently updated", that counted as something only a person can
 * repair, and a role that had never shipped since the start ended the process for it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster } from '../../libs/postgres/cluster.ts';
import { encodeHandover } from '../../libs/postgres/change-format.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import type { PostgresClient } from '../../libs/postgres/connection.ts';
import { lsn } from '../../libs/postgres/lsn.ts';
import { freePort } from '../../libs/postgres/testing-pair.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { createLogger } from '../../libs/telemetry/logger.ts';
import { sidecarSchema } from './config.ts';
import { MemoryJournal } from './memory-journal.ts';
import { identify } from './ship-start.ts';
import { Sidecar } from './sidecar.ts';

const PATIENCE_MS = 60_000;
vi.setConfig({ testTimeout: 3 * PATIENCE_MS, hookTimeout: PATIENCE_MS });
const directory = mkdtempSync(join(tmpdir(), 'meridian-member-'));
const OTHER = { systemId: '7', timeline: 1, database: 'other' };
const SAFE = { apply: { sqlWait: false }, timings: { retryMs: 20, retryMsMax: 50, drainMs: 500 } };
let postgres: Cluster;
let sql: PostgresClient;
let journal: LookedAt;
let sidecar: Sidecar | null = null;
let ended: unknown = null;

/** Counts how often the end of the stream is read: each attempt at shipping does, first of all. */
class LookedAt extends MemoryJournal {
  looks = 0;

  override tail(count: number): ReturnType<MemoryJournal['tail']> {
    this.looks += 1;
    return super.tail(count);
  }
}

beforeAll(async () => {
  const port = await freePort();
  const settings = { fsync: 'off' };
  postgres = await createCluster({ directory: join(directory, 'one'), port, settings });
  await postgres.start();
});

afterEach(async () => {
  await sidecar?.stop();
  sidecar = null;
  await sql.end().catch(() => undefined);
});

afterAll(async () => {
  await postgres.stop('immediate');
  rmSync(directory, { recursive: true, force: true });
});

test('a fenced primary stays up while it is made a replica, whoever changes the same rows of the catalogue', async () => {
  await shipThenHandOver('first');
  await start('first');
  await reaches('fenced');
  const read = call((channel) =>
    channel.unary(SidecarService.method.wait, { cluster: 'test' }, { deadlineMs: PATIENCE_MS }),
  );
  await expect(read).rejects.toMatchObject({ reason: 'FENCED' });
  // Somebody's open transaction holds the row of the catalogue that both sides wanted to change.
  const holder = await open('first');
  await holder.query('BEGIN; GRANT USAGE ON SCHEMA meridian TO PUBLIC');
  const rejoined = rejoin();
  rejoined.catch(() => undefined);
  const before = journal.looks;
  await eventually(async () => (await waiters()) > 0 || journal.looks > before + 3);
  await holder.query('COMMIT');
  await holder.end();
  // The session that waited fails, whichever it is; rejoining may be repeated.
  await rejoined.catch(() => rejoin());
  await reaches('applying');
  expect(ended).toBe(null);
  const triggers = await sql.query("SELECT FROM pg_event_trigger WHERE evtname ~ '^meridian'");
  expect(triggers.rowCount).toBe(0);
});

test('a fenced primary changes nothing in its database, and is not ended by what it could not ship', async () => {
  await shipThenHandOver('second');
  const tables = "SELECT FROM pg_event_trigger WHERE evtname ~ '^meridian'";
  await sql.query('DROP EVENT TRIGGER meridian_ship_definition');
  await sql.query('CREATE TABLE public.without_identity (a int)');
  await sql.query('DROP PUBLICATION meridian');
  await start('second');
  await reaches('fenced');
  const before = journal.looks;
  await eventually(() => journal.looks > before + 2);
  expect((await sql.query(tables)).rowCount).toBe(2);
  // Even what would have refused to start does not: it waits for `rejoin`.
  journal.batches.pop();
  await eventually(async () => (await status()).ship?.error.startsWith('REFUSED') === true);
  const since = journal.looks;
  await eventually(() => journal.looks > since + 2);
  expect(ended).toBe(null);
});

test('a Postgres that is killed under it is waited for, at any statement', async () => {
  await shipThenHandOver('third');
  await start('third');
  await reaches('fenced');
  for (let i = 0; i < 3; i++) {
    const looks = journal.looks;
    await postgres.kill();
    await eventually(async () => (await status()).ship?.error.startsWith('UNAVAILABLE') === true);
    await postgres.start();
    await eventually(() => journal.looks > looks + 2);
  }
  await reaches('fenced');
  expect(ended).toBe(null);
});

test('a fenced primary whose database does not take the refusal of writes is told, and tried again until it holds', async () => {
  await shipThenHandOver('fourth');
  // Somebody holds what the refusal has to change, and whoever waits for it is ended.
  const holder = await open('fourth');
  await holder.query("SELECT pg_advisory_lock(hashtext('meridian'))");
  await start('fourth');
  await reaches('fenced');
  const refused = new Set<string>();
  await eventually(async () => {
    const { rows } = await sql.query<{ pid: string }>(
      `SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE application_name = 'meridian refusal' AND wait_event = 'advisory'`,
    );
    for (const { pid } of rows) refused.add(pid);
    return refused.size >= 3;
  });
  await eventually(async () => {
    const { ship } = await status();
    return ship?.writes === 'refusing' && /can still write here.*UNAVAILABLE/.test(ship.error);
  });
  expect(await readsOnly('fourth')).toBe(false);
  await holder.end();
  await eventually(async () => (await status()).ship?.writes === 'refused');
  expect((await status()).ship?.error).toMatch(/^FENCED: (?!.*can still write)/);
  expect(await readsOnly('fourth')).toBe(true);
  await rejoin();
  await reaches('applying');
  expect(await readsOnly('fourth')).toBe(false);
  expect(ended).toBe(null);
});

test('what is left of a refusal of writes comes to nothing when the database is made a replica', async () => {
  await shipThenHandOver('fifth');
  const holder = await open('fifth');
  await holder.query("SELECT pg_advisory_lock(hashtext('meridian'))");
  await start('fifth');
  await eventually(async () => (await waiters()) > 0);
  const rejoined = rejoin();
  rejoined.catch(() => undefined);
  // It is ended before the rejoining session changes the same.
  await eventually(async () => (await waiters('meridian refusal')) === 0);
  await holder.end();
  await rejoined;
  await reaches('applying');
  expect(await readsOnly('fifth')).toBe(false);
  expect(ended).toBe(null);
});

/** A database that has shipped, and whose stream another one has taken over since. */
async function shipThenHandOver(database: string): Promise<void> {
  const address = { address: postgres.address(), applicationName: 'test' };
  const admin = await connectPostgres(address);
  await admin.query(`CREATE DATABASE ${database}`);
  await admin.end();
  sql = await open(database);
  await sql.query('CREATE TABLE public.t (id int PRIMARY KEY)');
  journal = new LookedAt();
  await start(database);
  await reaches('streaming');
  await sidecar?.stop();
  const from = await identify(postgres.url(database), 'test', new AbortController().signal);
  const handover = { kind: 'handover' as const, source: OTHER, lsn: lsn(2 ** 40), from };
  const token = (await journal.acquireLease('other', 1)).token;
  await journal.openWriter('other', token).append([encodeHandover(handover)], lsn(2 ** 40));
}

/** By its name one of ours: `rejoin` ends everybody else's. */
function open(database: string): Promise<PostgresClient> {
  const applicationName = 'meridian test';
  return connectPostgres({ address: postgres.address(database), applicationName });
}

async function start(database: string): Promise<void> {
  const config = sidecarSchema.parse({
    ...{ cluster: 'test', region: 'a', listen: '127.0.0.1:0', roles: ['ship', 'apply'] },
    ...{ stream: 'pg.test', postgres: postgres.url(database), ...SAFE },
    ship: { slot: `slot_${database}` },
    instance: { name: 'one', replicas: [{ region: 'a', address: '127.0.0.1:1' }] },
  });
  const logger = createLogger({ service: 'sidecar', level: 'silent' });
  ended = null;
  sidecar = new Sidecar({ config, logger, security: null, shipTo: journal, applyFrom: journal });
  await sidecar.start((error) => {
    ended = error;
  });
}

async function status(): Promise<StatusResponse> {
  return call(async (channel) =>
    channel.unary(SidecarService.method.status, { cluster: 'test' }, { deadlineMs: 10_000 }),
  );
}

async function rejoin(): Promise<unknown> {
  const options = { deadlineMs: PATIENCE_MS };
  return call((channel) =>
    channel.unary(SidecarService.method.rejoin, { cluster: 'test' }, options),
  );
}

async function call<T>(ask: (channel: ReturnType<typeof connect>) => Promise<T>): Promise<T> {
  const channel = connect(`127.0.0.1:${sidecar?.port}`);
  try {
    return await ask(channel);
  } finally {
    channel.close();
  }
}

async function reaches(state: string): Promise<void> {
  await eventually(async () => {
    const { ship, apply } = await status();
    return ship?.state === state || apply?.state === state;
  });
}

/** Sessions of the sidecar that wait for a lock. */
async function waiters(applicationName = 'meridian'): Promise<number> {
  const { rowCount } = await sql.query(
    `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND starts_with(application_name, $1)`,
    [applicationName],
  );
  return rowCount ?? 0;
}

/** New sessions of the database do. */
async function readsOnly(database: string): Promise<boolean> {
  const { rowCount } = await sql.query(
    `SELECT FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
     WHERE datname = $1 AND 'default_transaction_read_only=on' = ANY (setconfig)`,
    [database],
  );
  return rowCount === 1;
}

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not become true');
    await sleep(10);
  }
}
