/** What becomes of connections that break a bound. */
import http2 from 'node:http2';
import net from 'node:net';
import { afterAll, expect, it } from 'vitest';
import { Pairs, startFakeJournal } from './fake-journal.ts';
import { rapidReset } from './rapid-reset.ts';

const STATUS = '/meridian.journal.v1.JournalService/Status';
const pairs = new Pairs();
afterAll(() => pairs.stop());

/**
 * The server said NO_ERROR, by a destroy that ignores its code: to a client that is told so all is well.
 */
it('a connection that opens and cancels calls too fast is told so, and is closed', async () => {
  const refused: string[] = [];
  const server = await startFakeJournal(
    { status: () => Promise.resolve({ region: 'eu' }) },
    { limits: { resetsPerSecondMax: 20 }, onRefused: (why) => refused.push(why) },
  );
  pairs.add(() => server.close(100));
  const socket = net.connect(Number(server.address.split(':')[1]), '127.0.0.1');
  const { opened, code } = await rapidReset(socket, 'connect', { path: STATUS, most: 20_000 });
  expect([refused, code]).toEqual([['resets'], http2.constants.NGHTTP2_ENHANCE_YOUR_CALM]);
  expect(opened).toBeLessThan(20_000);
});
