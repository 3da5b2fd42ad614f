/**
 * Sidecars whose Postgres is frozen: connected, and silent. Beside it the sidecar goes on waiting, because
 * the answer may come; but it can be stopped, and a change of role comes to its deadline.
 *
 * The bug: `pg` waits for ever for the answer to what is under way, and for the goodbye of a server that
 * cannot say it, so stopping hung, and with it whoever replaced the machine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { createCluster } from '../../libs/postgres/cluster.ts';
import type { Cluster } from '../../libs/postgres/cluster.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import type { PostgresClient } from '../../libs/postgres/connection.ts';
import { Freezer } from '../../libs/postgres/testing-freezer.ts';
import { freePort } from '../../libs/postgres/testing-pair.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { createLogger } from '../../libs/telemetry/logger.ts';
import { sidecarSchema } from './config.ts';
import type { SidecarConfig } from './config.ts';
import { MemoryJournal } from './memory-journal.ts';
import { Sidecar } from './sidecar.ts';

const PATIENCE_MS = 60_000;
vi.setConfig({ testTimeout: 2 * PATIENCE_MS, hookTimeout: PATIENCE_MS });
const directory = mkdtempSync(join(tmpdir(), 'meridian-frozen-'));
const journal = new MemoryJournal();
const sidecars: Sidecar[] = [];
let postgres: Cluster;
const freezers: Freezer[] = [];

beforeAll(async () => {
  const settings = { fsync: 'off' };
  postgres = await createCluster({
    ...{ directory: join(directory, 'one'), port: await freePort(), settings },
  });
  await postgres.start();
});

afterAll(async () => {
  for (const freezer of freezers) freezer.thaw();
  for (const sidecar of sidecars) await sidecar.stop();
  for (const freezer of freezers) freezer.close();
  await postgres.stop('immediate');
  rmSync(directory, { recursive: true, force: true });
});

test('a primary and a replica with work under way are stopped, and what was not answered is done by the next', async () => {
  const admin = await open('postgres');
  await admin.query('CREATE DATABASE here');
  await admin.query('CREATE DATABASE there');
  await admin.end();
  const [sql, copy] = [await open('here'), await open('there')];
  for (const each of [sql, copy]) await each.query('CREATE TABLE public.t (id int PRIMARY KEY)');
  const [one, other] = [await frozenLater(), await frozenLater()];
  const ship = await start('here', ['ship', 'apply'], one);
  const apply = await start('there', ['apply', 'ship'], other);
  await sql.query('INSERT INTO public.t VALUES (1)');
  await eventually(async () => (await status(apply)).apply?.rows === 1n);

  other.freeze();
  await sql.query('INSERT INTO public.t VALUES (2)');
  await eventually(async () => ((await status(apply)).apply?.queuedBytes ?? 0n) > 0n);
  one.freeze();
  await sql.query('INSERT INTO public.t VALUES (3)');
  // It tells its deadline, and leaves nothing behind that a stop would wait for.
  await expect(stepDown(ship, 500)).rejects.toMatchObject({ reason: 'DEADLINE' });
  await Promise.all([ship.stop(), apply.stop()]);

  await start('here', ['ship', 'apply'], await frozenLater());
  await start('there', ['apply', 'ship'], await frozenLater());
  await eventually(async () => (await copy.query('SELECT FROM public.t')).rowCount === 3);
  await Promise.all([sql.end(), copy.end()]);
});

async function frozenLater(): Promise<Freezer> {
  const freezer = await Freezer.before(Number(new URL(postgres.url()).port));
  freezers.push(freezer);
  return freezer;
}

async function start(
  database: string,
  roles: SidecarConfig['roles'],
  { port }: Freezer,
): Promise<Sidecar> {
  const url = new URL(postgres.url(database));
  url.port = String(port);
  const config = sidecarSchema.parse({
    ...{ cluster: 'test', region: database, listen: '127.0.0.1:0', roles, postgres: url.href },
    instance: { name: 'one', replicas: [{ region: 'a', address: '127.0.0.1:1' }] },
    timings: { retryMs: 20, retryMsMax: 50, drainMs: 500, takeOverMs: 200 },
    ...{ stream: 'pg.test', ship: { slot: `slot_${database}` } },
  });
  const logger = createLogger({ service: 'sidecar', level: 'silent' });
  const journals = { shipTo: journal, applyFrom: journal };
  const sidecar = new Sidecar({ config, logger, security: null, ...journals });
  sidecars.push(sidecar);
  await sidecar.start((error) => {
    throw error instanceof Error ? error : new Error(String(error));
  });
  await eventually(async () => {
    const { ship, apply } = await status(sidecar);
    return (roles[0] === 'ship' ? ship?.state : apply?.state) === WELL[roles[0] ?? 'ship'];
  });
  return sidecar;
}

const WELL = { ship: 'streaming', apply: 'applying' };

function status(sidecar: Sidecar): Promise<StatusResponse> {
  return call(sidecar, (channel) =>
    channel.unary(SidecarService.method.status, { cluster: 'test' }, { deadlineMs: 10_000 }),
  );
}

function stepDown(sidecar: Sidecar, deadlineMs: number): Promise<unknown> {
  return call(sidecar, (channel) =>
    channel.unary(SidecarService.method.stepDown, { cluster: 'test' }, { deadlineMs }),
  );
}

async function call<T>(
  { port }: Sidecar,
  ask: (channel: ReturnType<typeof connect>) => Promise<T>,
): Promise<T> {
  const channel = connect(`127.0.0.1:${port}`);
  try {
    return await ask(channel);
  } finally {
    channel.close();
  }
}

function open(database: string): Promise<PostgresClient> {
  return connectPostgres({ address: postgres.url(database), applicationName: 'test' });
}

async function eventually(condition: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error('it did not become true');
    await sleep(10);
  }
}
