import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import http2 from 'node:http2';
import { afterEach, describe, expect, it } from 'vitest';
import { MeridianError, REASONS } from '../errors/errors.ts';
import type { Reason } from '../errors/errors.ts';
import { JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import { Pairs, batches, deferred, endOf, startFakeJournal } from './fake-journal.ts';

const DEADLINE = { deadlineMs: 5_000 };
const pairs = new Pairs();
const pair: Pairs['pair'] = (...options) => pairs.pair(...options);
afterEach(() => pairs.stop());

async function failure(promise: Promise<unknown>): Promise<MeridianError> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(error instanceof MeridianError))
    throw new Error(`expected a MeridianError, got ${String(error)}`);
  return error;
}

describe('unary calls', () => {
  it('answers with what the handler returns', async () => {
    const { channel } = await pair({
      checkTail: (request) => Promise.resolve({ nextSeqNum: BigInt(request.stream.length) }),
    });
    const answer = await channel.unary(
      JournalService.method.checkTail,
      { stream: 'abc' },
      DEADLINE,
    );
    expect(answer.nextSeqNum).toBe(3n);
  });

  it('carries every reason with message and details across the wire', async () => {
    const { channel } = await pair({
      checkTail: ({ stream }) =>
        Promise.reject(
          new MeridianError(stream as Reason, `about ${stream}: naïve “quotes” \ud800`, {
            details: { expected: 4, actual: 'fünf' },
          }),
        ),
    });
    for (const reason of Object.keys(REASONS)) {
      const call = channel.unary(JournalService.method.checkTail, { stream: reason }, DEADLINE);
      const error = await failure(call);
      expect(error.reason).toBe(reason);
      expect(error.message).toBe(`about ${reason}: naïve “quotes” \ufffd`);
      expect(error.details).toEqual({ expected: '4', actual: 'fünf' });
      expect(error.noEffect).toBe(REASONS[reason as Reason].noEffect);
    }
  });

  it('gives every reason its own code, for clients that know nothing of reasons', async () => {
    const { server } = await pair({
      checkTail: ({ stream }) => Promise.reject(new MeridianError(stream as Reason, 'why')),
    });
    const client = new Client(server.address, credentials.createInsecure());
    pairs.add(() => {
      client.close();
    });
    const { input } = JournalService.method.checkTail;
    const path = `/${JournalService.typeName}/CheckTail`;
    const whole = (bytes: Buffer): Buffer => bytes;
    for (const [reason, { code }] of Object.entries(REASONS)) {
      const bytes = Buffer.from(toBinary(input, create(input, { stream: reason })));
      const got = await new Promise<number | undefined>((resolve) => {
        client.makeUnaryRequest(path, whole, whole, bytes, (error: ServiceError | null) => {
          resolve(error?.code);
        });
      });
      expect(got, reason).toBe(code);
    }
  });

  it('hides the text of an unexpected error from the client, and reports it once', async () => {
    const { server, channel } = await pair({
      checkTail: () => {
        throw new TypeError('secret of the server');
      },
    });
    const error = await failure(channel.unary(JournalService.method.checkTail, {}, DEADLINE));
    expect(error.reason).toBe('INDEFINITE');
    expect(error.message).not.toContain('secret');
    expect(server.errors).toHaveLength(1);
  });

  it('fails as DEADLINE, of unknown effect, when the handler takes too long, and tells the handler', async () => {
    let aborted = false;
    const { channel } = await pair({
      heartbeat: (_request, context) =>
        new Promise((_resolve, reject) => {
          context.signal.addEventListener('abort', () => {
            aborted = true;
            reject(new MeridianError('DEADLINE', 'nobody waits'));
          });
        }),
    });
    // Connected first: on a busy machine that alone may take longer than the deadline.
    await failure(channel.unary(JournalService.method.checkTail, {}, DEADLINE));
    const call = channel.unary(JournalService.method.heartbeat, {}, { deadlineMs: 300 });
    const error = await failure(call);
    expect(error.reason).toBe('DEADLINE');
    expect(error.noEffect).toBe(false);
    await expect.poll(() => aborted, { timeout: 10_000 }).toBe(true);
  });

  it('gives up when the caller aborts', async () => {
    const { channel } = await pair({ heartbeat: () => new Promise(() => undefined) });
    const abort = new AbortController();
    const call = channel.unary(
      JournalService.method.heartbeat,
      {},
      { ...DEADLINE, signal: abort.signal },
    );
    abort.abort();
    expect((await failure(call)).reason).toBe('INDEFINITE');
  });

  it('fails as UNAVAILABLE, without effect, where nobody listens', async () => {
    const { server, channel } = await pair({});
    await server.close(0);
    const error = await failure(channel.unary(JournalService.method.status, {}, DEADLINE));
    expect(error.reason).toBe('UNAVAILABLE');
    expect(error.noEffect).toBe(true);
  });

  it('fails as INDEFINITE when the server goes away during the call', async () => {
    const started = deferred<undefined>();
    const { server, channel } = await pair({
      status: () => {
        started.resolve(undefined);
        return new Promise(() => undefined);
      },
    });
    const call = failure(channel.unary(JournalService.method.status, {}, DEADLINE));
    await started.promise;
    await server.close(0);
    const error = await call;
    expect(error.reason).toBe('INDEFINITE');
    expect(error.noEffect).toBe(false);
  });

  it('finds the server again after it was away', async () => {
    const { server, channel } = await pair({ status: () => Promise.resolve({ region: 'a' }) });
    await channel.unary(JournalService.method.status, {}, DEADLINE);
    await server.close(0);
    const call = channel.unary(JournalService.method.status, {}, DEADLINE);
    expect(['UNAVAILABLE', 'INDEFINITE']).toContain((await failure(call)).reason);
    const again = await startFakeJournal(
      { status: () => Promise.resolve({ region: 'b' }) },
      { address: server.address },
    );
    pairs.add(() => again.close(0));
    await expect
      .poll(
        () =>
          channel.unary(JournalService.method.status, {}, DEADLINE).then(
            (status) => status.region,
            () => null,
          ),
        { timeout: 5_000 },
      )
      .toBe('b');
  });
});

describe('bad input', () => {
  it('refuses a message above the limit as TOO_LARGE and goes on', async () => {
    const limits = { receiveBytesMax: 1000 };
    const { channel } = await pair(
      { checkTail: () => Promise.resolve({ nextSeqNum: 1n }) },
      { limits },
    );
    const large = channel.unary(
      JournalService.method.checkTail,
      { stream: 'x'.repeat(2000) },
      DEADLINE,
    );
    const error = await failure(large);
    expect(error.reason).toBe('TOO_LARGE');
    expect(error.details['limit']).toBe('1000');
    const small = await channel.unary(JournalService.method.checkTail, { stream: 'x' }, DEADLINE);
    expect(small.nextSeqNum).toBe(1n);
  });

  it('refuses a message above the limit in a stream as TOO_LARGE', async () => {
    const { channel } = await pair(
      {
        append: (stream) => {
          stream.onMessage(() => undefined);
        },
      },
      { limits: { receiveBytesMax: 1000 } },
    );
    expect((await endOf(channel, [batches(10), batches(5000)]))?.reason).toBe('TOO_LARGE');
  });

  it('calls an answer above our own limit INDEFINITE, because it may have taken effect', async () => {
    const { channel } = await pair(
      { status: () => Promise.resolve({ region: 'x'.repeat(5000) }) },
      {},
      { receiveBytesMax: 1000 },
    );
    const error = await failure(channel.unary(JournalService.method.status, {}, DEADLINE));
    expect(error.reason).toBe('INDEFINITE');
  });

  it('refuses bytes that are no protobuf as INVALID, in unary calls and in streams', async () => {
    const { server } = await pair({
      checkTail: () => Promise.resolve({}),
      append: (stream) => {
        stream.onMessage(() => undefined);
      },
    });
    for (const method of ['CheckTail', 'Append', 'Read']) {
      const path = `/meridian.journal.v1.JournalService/${method}`;
      const { trailers } = await rawCall(server.port, path, NO_PROTOBUF);
      expect(trailers['grpc-status'], method).toBe('3');
    }
    expect(server.errors).toEqual([]);
  });

  it('refuses to listen on an address in use, naming it', async () => {
    const { server } = await pair({});
    const error = await failure(startFakeJournal({}, { address: server.address }));
    expect(error.reason).toBe('REFUSED');
    expect(error.message).toContain(server.address);
    expect(error.message).toContain('another process listens there');
  });
});

const NO_PROTOBUF = Buffer.from([0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]);

/** A call by hand: `message` is what goes over the wire, its five bytes of framing included. */
function rawCall(
  port: number,
  path: string,
  message: Buffer,
): Promise<{ trailers: http2.IncomingHttpHeaders; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    const call = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    let trailers: http2.IncomingHttpHeaders = {};
    const body: Buffer[] = [];
    call.on('response', (headers) => (trailers = headers));
    call.on('trailers', (headers: http2.IncomingHttpHeaders) => (trailers = headers));
    call.on('data', (bytes: Buffer) => body.push(bytes));
    call.on('error', reject);
    call.on('close', () => {
      session.close();
      resolve({ trailers, body: Buffer.concat(body) });
    });
    call.end(message);
  });
}

describe('health', () => {
  it('answers as it was told last, NOT_SERVING before that', async () => {
    const { server } = await pair({});
    const path = '/grpc.health.v1.Health/Check';
    const check = async (): Promise<number | undefined> =>
      (await rawCall(server.port, path, Buffer.from([0, 0, 0, 0, 0]))).body.at(-1);
    expect(await check()).toBe(NOT_SERVING);
    server.setServing(true);
    expect(await check()).toBe(SERVING);
    const name = Buffer.from('meridian.journal.v1.JournalService');
    const request = Buffer.from([0, 0, 0, 0, name.length + 2, 10, name.length, ...name]);
    expect((await rawCall(server.port, path, request)).body.at(-1)).toBe(SERVING);
    server.setServing(false);
    expect(await check()).toBe(NOT_SERVING);
  });
});

/** Values of grpc.health.v1.HealthCheckResponse.ServingStatus: the last byte of the answer. */
const SERVING = 1;
const NOT_SERVING = 2;

describe('reflection', () => {
  it('knows the services and the files they come from', async () => {
    const { server } = await pair({});
    const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    const list = await rawCall(server.port, path, Buffer.from([0, 0, 0, 0, 3, 58, 1, 42]));
    expect(list.body.toString()).toContain('meridian.journal.v1.JournalService');
    const symbol = Buffer.from('meridian.journal.v1.JournalService');
    const ask = Buffer.from([0, 0, 0, 0, symbol.length + 2, 34, symbol.length, ...symbol]);
    const described = await rawCall(server.port, path, ask);
    expect(described.body.toString()).toContain('meridian/journal/v1/journal.proto');
  });
});
