/**
 * The bug: a sidecar beside a primary in which nothing is written began anew every two minutes, with "no word from
 * Postgres". Postgres speaks up by itself only for a standby that is silent, and ours says every second how far it is.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { lsn } from './lsn.ts';
import { ReplicationSession } from './replication-session.ts';

const GREETING = [
  ['R', Buffer.alloc(4)],
  ['Z', Buffer.from('I')],
] as const;
/** One column, one row: a timeout so short that the next look is after it. */
const TIMEOUT = [
  ['T', Buffer.concat([Buffer.from([0, 1]), Buffer.from('w\0'), Buffer.alloc(18)])],
  ['D', Buffer.concat([Buffer.from([0, 1, 0, 0, 0, 2]), Buffer.from('1s')])],
  ['C', Buffer.from('SHOW\0')],
  ['Z', Buffer.from('I')],
] as const;
const COPYING = [['W', Buffer.from([0, 0, 0])]] as const;
const KEEPALIVE = [['d', Buffer.concat([Buffer.from('k'), Buffer.alloc(17)])]] as const;

test('asks a Postgres that has nothing to say for a word, and goes on with it', async () => {
  let asked = 0;
  const server = createServer((socket) => {
    const say = (messages: readonly (readonly [string, Buffer])[]): void => {
      for (const [code, body] of messages) socket.write(message(code, body));
    };
    socket.once('data', () => {
      say(GREETING);
      socket.on('data', (bytes) => {
        const [code, query] = [String.fromCharCode(bytes[0] ?? 0), bytes.toString('latin1', 5)];
        if (code === 'Q') say(query.startsWith('SHOW') ? TIMEOUT : COPYING);
        // A status update that wants an answer.
        if (code === 'd' && query.startsWith('r') && bytes[5 + 33] === 1) {
          asked += 1;
          say(KEEPALIVE);
        }
      });
    });
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ended: unknown[] = [];
  const address = { host: '127.0.0.1', port, user: 'u', database: 'd' };
  const session = await new Promise<ReplicationSession>((resolve, reject) => {
    let words = 0;
    const starting = ReplicationSession.start(
      { address, applicationName: 'test', slot: 's', publication: 'p', from: lsn(1) },
      {
        message: () => undefined,
        keepalive: () => {
          words += 1;
          // Longer by then than it would have put up with silence.
          if (words === 3) starting.then(resolve, reject);
        },
        ended: (error) => {
          ended.push(error);
          if (error !== null) reject(error);
        },
      },
    );
    starting.catch(reject);
  });
  expect(asked).toBeGreaterThanOrEqual(3);
  expect(ended).toEqual([]);
  await session.close();
  server.close();
});

function message(code: string, body: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.write(code, 'latin1');
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}
