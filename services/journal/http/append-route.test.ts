import { create } from '@bufbuild/protobuf';
import { afterEach, expect, it } from 'vitest';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { BATCH_LIMITS, decodeRecords, verifyBatch } from '../../../libs/frames/batch.ts';
import { AppendResponseSchema } from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  AppendRequest,
  AppendResponse,
} from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { startHttpServer } from '../../../libs/http/http.ts';
import type { HttpCaller, Listener } from '../../../libs/http/http.ts';
import type { BidiStream } from '../../../libs/rpc/rpc.ts';
import { appendRoute } from './append-route.ts';

let server: Listener | null = null;
afterEach(async () => {
  await server?.close();
});

/** Sessions that take everything; what they were told. */
async function start(caller: Partial<HttpCaller>): Promise<{ url: string; said: AppendRequest[] }> {
  const said: AppendRequest[] = [];
  const openSession = (stream: BidiStream<AppendRequest, AppendResponse>): void => {
    stream.onMessage((request) => said.push(request));
    stream.onHalfClose(() => {
      const runs = [{ count: 1, timestamp: 16n, firstSeqNum: 3n }];
      const message = { case: 'outcomes' as const, value: { runs } };
      stream.write(create(AppendResponseSchema, { message }));
      stream.end();
    });
  };
  const all = { checkRequest: () => undefined, checkAppend: () => undefined, charge: () => 0 };
  const target = { cluster: 'c', instance: 'i' };
  server = await startHttpServer({
    address: '127.0.0.1:0',
    gate: { admit: () => ({ ...all, ...caller }) },
    routes: [appendRoute({ target, region: 'eu', limits: BATCH_LIMITS, openSession })],
    connectionsMax: 8,
    requestsMax: 8,
    bodyBytesMax: 1 << 20,
    deadlineMs: 10_000,
    onError: () => undefined,
  });
  return { url: `http://127.0.0.1:${server.port}/v1/streams/s/records`, said };
}

function post(url: string, body: string, type = 'text/plain'): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
}

it('is a session of one batch: hello with target and kind of answer, then the frame', async () => {
  const { url, said } = await start({});
  const query = '?ack=quorum&minTimestamp=8&matchSeqNum=3&fencingToken=2&writer=w&seq=5&key=k';
  const answer = await post(`${url}${query}`, 'body');
  expect(await answer.json()).toEqual({
    stream: 's',
    firstSeqNum: 3,
    recordCount: 1,
    timestamp: 16,
    time: '1970-01-01T00:00:00.000016Z',
    duplicate: false,
    region: 'eu',
    forwardedVia: null,
  });
  const [hello, batches] = said.map(({ message }) => message);
  expect(hello).toMatchObject({ case: 'hello', value: { target: { cluster: 'c' }, ack: 1 } });
  if (batches?.case !== 'batches') throw new Error('no batches');
  expect(batches.value.minTimestamp).toBe(8n);
  const header = verifyBatch(batches.value.frames, BATCH_LIMITS);
  expect(header).toMatchObject({ stream: 's', matchSeqNum: 3, fencingToken: 2 });
  expect(header.writer).toEqual({ id: 'w', epoch: 1, seq: 5, previous: 4 });
  const [record] = decodeRecords(batches.value.frames);
  expect([record?.key, record?.body].map((each) => Buffer.from(each ?? []).toString())).toEqual([
    'k',
    'body',
  ]);
});

it('takes JSON, a list of it, and lines of it, in any encoding', async () => {
  const { url, said } = await start({});
  const bodiesOf = async (text: string, type: string): Promise<string[]> => {
    said.length = 0;
    expect((await post(`${url}?encoding=hex`, text, type)).status).toBe(200);
    const message = said[1]?.message;
    if (message?.case !== 'batches') throw new Error('no batches');
    return decodeRecords(message.value.frames).map(({ body }) => Buffer.from(body).toString());
  };
  expect(await bodiesOf('{"body":"61"}', 'application/json; charset=utf-8')).toEqual(['a']);
  const list = '[{"body":"61"},{"body":"b","encoding":"utf8"}]';
  expect(await bodiesOf(list, 'application/json')).toEqual(['a', 'b']);
  expect(await bodiesOf('{"body":"61"}\n\n{"body":"62"}\n', 'application/x-ndjson')).toEqual([
    'a',
    'b',
  ]);
  const wrong = await post(url, '{"body":"a"}\n{"body":1}', 'application/x-ndjson');
  expect(await wrong.text()).toContain('line 2: expected body, a text');
});

it('reaches no session when the stream is not the caller’s', async () => {
  const denied = new MeridianError('PERMISSION_DENIED', 'not yours');
  const { url, said } = await start({
    checkAppend: () => {
      throw denied;
    },
  });
  expect((await post(url, 'x')).status).toBe(403);
  expect(said).toEqual([]);
});

it('waits where its caller is over its rate', async () => {
  const charged: number[] = [];
  const { url, said } = await start({
    charge: (bytes) => {
      charged.push(bytes);
      return 60;
    },
  });
  const startedAt = performance.now();
  expect((await post(url, 'x')).status).toBe(200);
  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(55);
  expect(charged).toEqual([
    said[1]?.message.case === 'batches' ? said[1].message.value.frames.length : 0,
  ]);
});
