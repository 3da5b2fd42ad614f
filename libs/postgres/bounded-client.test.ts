/** A Postgres that is frozen: it takes connections, greets, and from then on says nothing, not even goodbye. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { BoundedClient } from './bounded-client.ts';
import { connectPostgres, fromPostgres } from './connection.ts';
import { ReplicationSession } from './replication-session.ts';
import { lsn } from './lsn.ts';

const AUTHENTICATED = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0]);
const READY = Buffer.from([0x5a, 0, 0, 0, 5, 0x49]);
const DONE = Buffer.from('C\0\0\0\x0dSELECT 0\0', 'latin1');
const FOR_EVER = 3_600_000;

let server: Server;
let greets = true;
let sockets: Socket[] = [];
const address = (): { host: string; port: number; user: string; database: string } => ({
  ...{ host: '127.0.0.1', user: 'u', database: 'd' },
  port: (server.address() as AddressInfo).port,
});

beforeEach(async () => {
  sockets = [];
  greets = true;
  // Half open: the end of the other side changes nothing here.
  server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    socket.once('data', () => {
      if (greets) socket.write(Buffer.concat([AUTHENTICATED, READY]));
      socket.resume();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  server.close();
});

async function bounded(pipeline: boolean): Promise<BoundedClient> {
  const client = new BoundedClient({ ...address(), pipeline }, 20);
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

test.each([false, true])(
  'ends an idle connection at its bound (pipeline: %s)',
  async (pipeline) => {
    const client = await bounded(pipeline);
    await client.end();
    await client.end();
  },
);

test('ends a connection whose pipeline waits for answers, which fail as UNAVAILABLE', async () => {
  const client = await bounded(true);
  const answers = [client.query('SELECT 1'), client.query('SELECT $1', ['2'])].map((it) =>
    it.then(
      () => 'answered',
      (error: unknown) => fromPostgres(error).reason,
    ),
  );
  await client.end();
  expect(await Promise.all(answers)).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
});

test('connections have a bound without being given one', async () => {
  const client = await connectPostgres({ address: address(), applicationName: 'test' });
  await client.end();
});

test('an abort ends what waits for an answer, and the owner hears that the connection is lost', async () => {
  const stop = new AbortController();
  const lost: string[] = [];
  const patience = { until: stop.signal, graceMs: 10 };
  const options = { address: address(), applicationName: 'test', ...patience };
  const client = await connectPostgres(options, (error) => lost.push(error.reason));
  const query = client.query('SELECT 1');
  stop.abort();
  await expect(query.catch((error: unknown) => fromPostgres(error))).resolves.toMatchObject({
    reason: 'UNAVAILABLE',
  });
  await client.end();
  expect(lost).toEqual(['UNAVAILABLE']);
});

test('an answer in the grace after the abort is taken', async () => {
  const stop = new AbortController();
  const patience = { until: stop.signal, graceMs: FOR_EVER };
  const client = await connectPostgres({
    ...{ address: address(), applicationName: 'test', ...patience },
  });
  const query = client.query('SELECT 1');
  stop.abort();
  sockets[0]?.write(Buffer.concat([DONE, READY]));
  expect((await query).command).toBe('SELECT');
  sockets[0]?.end();
  await client.end();
});

test('an abort ends connecting to a server that never greets', async () => {
  greets = false;
  const stop = new AbortController();
  const connecting = connectPostgres({
    ...{ address: address(), applicationName: 'test', timeoutMs: FOR_EVER },
    ...{ until: stop.signal, graceMs: 0 },
  });
  stop.abort();
  await expect(connecting).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
});

test('an abort ends the start of a replication session that gets no answer', async () => {
  const stop = new AbortController();
  const starting = ReplicationSession.start(
    {
      ...{ address: address(), applicationName: 'test', slot: 's', publication: 'p' },
      ...{ from: lsn(1), until: stop.signal, graceMs: 0 },
    },
    { message: () => undefined, keepalive: () => undefined, ended: () => undefined },
  );
  stop.abort();
  await expect(starting).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
});
