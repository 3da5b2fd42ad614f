import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { CheckTailRequest } from '../gen/meridian/journal/v1/journal_pb.ts';
import { connectRoutes, startHttpServer } from './http.ts';
import type { HttpGate, Listener, HttpServerOptions, Route } from './http.ts';

const SERVICE = '/meridian.journal.v1.JournalService';
const JSON_TYPE = { 'content-type': 'application/json' };

let server: Listener | null = null;
afterEach(async () => {
  await server?.close();
  server = null;
});

type Handlers = Readonly<Record<string, (...parameters: never[]) => unknown>>;

async function start(
  handlers: Handlers,
  more: Partial<HttpServerOptions> = {},
  extra: readonly Route[] = [],
): Promise<string> {
  const refuse = (): Promise<never> => Promise.reject(new MeridianError('REFUSED', 'not here'));
  const all = Object.fromEntries(
    JournalService.methods.map(({ localName }) => [localName, refuse]),
  );
  const routes = connectRoutes({
    service: JournalService,
    handlers: { ...all, ...handlers },
    streamsAt: 'elsewhere',
    prepare: () => undefined,
  });
  server = await startHttpServer({
    address: '127.0.0.1:0',
    gate: null,
    routes: [...routes, ...extra],
    connectionsMax: 8,
    requestsMax: 4,
    bodyBytesMax: 1000,
    deadlineMs: 5000,
    onError: () => undefined,
    ...more,
  });
  return `http://127.0.0.1:${server.port}`;
}

async function post(
  url: string,
  body: string | Uint8Array,
  headers: Record<string, string> = JSON_TYPE,
): Promise<{ status: number; json: Record<string, unknown>; headers: Headers }> {
  const response = await fetch(url, { method: 'POST', body: Buffer.from(body), headers });
  const json = (await response.json()) as Record<string, unknown>;
  return { status: response.status, json, headers: response.headers };
}

const tail = (request: CheckTailRequest): Promise<object> =>
  Promise.resolve({ nextSeqNum: BigInt(request.stream.length), timestamp: 12n });

/** The status line of a request whose headers fetch would not send. */
function statusWith(url: string, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method: 'POST', headers: { ...JSON_TYPE, ...headers } });
    request.once('response', (response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    request.once('error', reject);
    request.end('{}');
  });
}

describe('a unary call over HTTP', () => {
  it('is the call of gRPC, in the JSON of protobuf', async () => {
    const base = await start({ checkTail: tail });
    const { status, json, headers } = await post(`${base}${SERVICE}/CheckTail`, '{"stream":"abc"}');
    expect([status, json]).toEqual([200, { nextSeqNum: '3', timestamp: '12', readPoint: '0' }]);
    expect(headers.get('content-type')).toBe('application/json');
    expect(headers.get('cache-control')).toBe('no-store');
  });

  it('needs no body where the request has nothing to say', async () => {
    const base = await start({ checkTail: tail });
    expect((await post(`${base}${SERVICE}/CheckTail`, '')).json['nextSeqNum']).toBe('0');
  });

  it('fails as Connect has it, with reason, details and whether it had no effect', async () => {
    const details = { expected: 3, actual: 4 };
    const base = await start({
      checkTail: () =>
        Promise.reject(new MeridianError('CONDITION_FAILED', 'it is 4', { details })),
      heartbeat: () =>
        Promise.reject(
          new MeridianError('OVERLOADED', 'full', { details: { retryAfterMs: 1500 } }),
        ),
    });
    const { status, json } = await post(`${base}${SERVICE}/CheckTail`, '{}');
    expect([status, json['code'], json['message']]).toEqual([
      400,
      'failed_precondition',
      'it is 4',
    ]);
    expect(json['details']).toMatchObject([
      {
        type: 'google.rpc.ErrorInfo',
        debug: { reason: 'CONDITION_FAILED', metadata: { expected: '3', actual: '4' } },
      },
      { type: 'meridian.journal.v1.Failure', debug: { noEffect: true } },
    ]);
    const busy = await post(`${base}${SERVICE}/Heartbeat`, '{}');
    expect([busy.status, busy.json['code']]).toEqual([429, 'resource_exhausted']);
    expect(busy.headers.get('retry-after')).toBe('2');
  });

  it('hides what a bug says, and reports it once', async () => {
    const bugs: string[] = [];
    const base = await start(
      { checkTail: () => Promise.reject(new Error('secret')) },
      { onError: (error, what) => bugs.push(`${what}: ${String(error)}`) },
    );
    const { status, json } = await post(`${base}${SERVICE}/CheckTail`, '{}');
    expect([status, json['code']]).toEqual([500, 'internal']);
    expect(JSON.stringify(json)).not.toContain('secret');
    expect(bugs).toEqual([`POST ${SERVICE}/CheckTail: Error: secret`]);
  });

  it('says what is wrong with a request, and where streams are', async () => {
    const base = await start({ checkTail: tail });
    const at = `${base}${SERVICE}/CheckTail`;
    const message = async (body: string, headers?: Record<string, string>): Promise<string> =>
      String((await post(at, body, headers)).json['message']);
    expect(await message('{"stream":')).toContain('not a meridian.journal.v1.CheckTailRequest');
    expect(await message('{"straem":"a"}')).toContain('straem');
    expect(await message('{}', { 'content-type': 'text/plain' })).toContain('text/plain: expected');
    expect(await message('{}', { ...JSON_TYPE, 'connect-protocol-version': '2' })).toContain('1');
    const compressed = { ...JSON_TYPE, 'content-encoding': 'gzip' };
    const zipped = await post(at, gzipSync('{}'), compressed);
    expect([zipped.status, zipped.json['code']]).toEqual([400, 'invalid_argument']);
    expect((await post(`${base}${SERVICE}/Append`, '{}')).json['message']).toContain('elsewhere');
    expect((await fetch(at)).status).toBe(405);
    expect((await post(`${base}/nowhere`, '{}')).status).toBe(404);
  });

  it('ends when its time is over, and tells the handler', async () => {
    let told = false;
    const base = await start({
      checkTail: (_request: never, { signal }: { signal: AbortSignal }) =>
        new Promise(() => {
          signal.addEventListener('abort', () => (told = true));
        }),
    });
    const headers = { ...JSON_TYPE, 'connect-timeout-ms': '50' };
    const { status, json } = await post(`${base}${SERVICE}/CheckTail`, '{}', headers);
    expect([status, json['code'], told]).toEqual([504, 'deadline_exceeded', true]);
    const wrong = { ...JSON_TYPE, 'connect-timeout-ms': '-1' };
    expect((await post(`${base}${SERVICE}/CheckTail`, '{}', wrong)).status).toBe(400);
  });
});

describe('bounds', () => {
  it('refuses a body beyond its bound, said or not, without keeping it', async () => {
    const base = await start({ checkTail: tail });
    const said = await post(`${base}${SERVICE}/CheckTail`, 'x'.repeat(1001));
    expect([said.status, said.json['code']]).toEqual([400, 'invalid_argument']);
    expect(said.json['message']).toContain('1001');
    const chunked = await fetch(`${base}${SERVICE}/CheckTail`, {
      method: 'POST',
      headers: JSON_TYPE,
      body: new ReadableStream({
        start: (controller) => {
          for (let i = 0; i < 20; i += 1) controller.enqueue(Buffer.alloc(100, 32));
          controller.close();
        },
      }),
      duplex: 'half',
    });
    expect(await chunked.text()).toContain('at most 1000');
  });

  it('answers what is beyond the bound of requests as overloaded, at once', async () => {
    const held: (() => void)[] = [];
    const base = await start({
      checkTail: () =>
        new Promise((resolve) =>
          held.push(() => {
            resolve({});
          }),
        ),
    });
    const first = [1, 2, 3, 4].map(() => post(`${base}${SERVICE}/CheckTail`, '{}'));
    await expect.poll(() => held.length).toBe(4);
    const { status, headers } = await post(`${base}${SERVICE}/CheckTail`, '{}');
    expect([status, headers.get('retry-after')]).toEqual([429, '1']);
    for (const release of held.splice(0)) release();
    expect((await Promise.all(first)).map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
    const next = post(`${base}${SERVICE}/CheckTail`, '{}');
    await expect.poll(() => held.length).toBe(1);
    held[0]?.();
    expect((await next).status).toBe(200);
  });

  it('closes connections beyond their bound and serves the others', async () => {
    const base = await start({ checkTail: tail }, { connectionsMax: 2 });
    const port = Number(new URL(base).port);
    const idle = [connect(port, '127.0.0.1'), connect(port, '127.0.0.1')];
    await Promise.all(idle.map((each) => new Promise((resolve) => each.once('connect', resolve))));
    await expect(fetch(`${base}${SERVICE}/CheckTail`)).rejects.toThrow();
    for (const each of idle) each.destroy();
    await expect
      .poll(async () => (await post(`${base}${SERVICE}/CheckTail`, '{}')).status)
      .toBe(200);
  });
});

describe('strangers', () => {
  it('are refused: other names of this address, and pages of other origins', async () => {
    const base = await start({ checkTail: tail });
    const at = `${base}${SERVICE}/CheckTail`;
    const own = new URL(base).host;
    expect(await statusWith(at, {})).toBe(200);
    expect(await statusWith(at, { host: 'localhost:8080' })).toBe(200);
    expect(await statusWith(at, { origin: `http://${own}` })).toBe(200);
    expect(await statusWith(at, { host: 'rebound.example' })).toBe(421);
    expect(await statusWith(at, { origin: 'http://evil.example' })).toBe(403);
    expect(await statusWith(at, { origin: 'null' })).toBe(403);
  });

  it('are judged by the gate: by method and token, before the body is read, then by what it names', async () => {
    const asked: string[] = [];
    const gate: HttpGate = {
      admit: (method, { identity }, token) => {
        asked.push(`${method} ${identity === null ? 'nobody' : 'somebody'} ${String(token)}`);
        if (token !== 'good') throw new MeridianError('UNAUTHENTICATED', 'who are you?');
        return {
          checkAppend: () => undefined,
          charge: () => 0,
          checkRequest: (_method, message) => {
            if ((message as CheckTailRequest).stream !== 'mine') {
              throw new MeridianError('PERMISSION_DENIED', 'not yours');
            }
          },
        };
      },
    };
    const base = await start({ checkTail: tail }, { gate });
    const at = `${base}${SERVICE}/CheckTail`;
    const refused = await post(at, 'x'.repeat(5000));
    expect([refused.status, refused.json['code']]).toEqual([401, 'unauthenticated']);
    expect(asked).toEqual([`${SERVICE}/CheckTail nobody null`]);
    const good = { ...JSON_TYPE, authorization: 'Bearer good' };
    expect((await post(at, '{"stream":"other"}', good)).status).toBe(403);
    expect((await post(at, '{"stream":"mine"}', good)).status).toBe(200);
  });
});

it('an address that is taken is refused with what to do', async () => {
  const base = await start({});
  const address = new URL(base).host;
  const before = server;
  await expect(start({}, { address })).rejects.toThrow(/choose another httpListen/);
  server = before;
});
