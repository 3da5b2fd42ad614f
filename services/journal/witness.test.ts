/** What a witness answers where the other replicas serve clients: real calls on loopback. */
import type { DescMethodServerStreaming, DescMethodUnary } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import {
  AppendRequestSchema,
  JournalService,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { StreamService } from '../../libs/gen/meridian/journal/v1/streams_pb.ts';
import { bind, connect, startServer } from '../../libs/rpc/rpc.ts';
import type { Channel, RpcServer } from '../../libs/rpc/rpc.ts';
import { journalSchema } from './config.ts';
import { ofWitness } from './witness.ts';

let server: RpcServer;
let channel: Channel;
const served: string[] = [];

/** Services that answer everything, as a replica that is none. */
function answering(): Parameters<typeof ofWitness>[0] {
  return [JournalService, StreamService].map((service) => {
    const methods = service.methods.map(({ localName }) => [
      localName,
      () => {
        served.push(localName);
        return Promise.resolve({});
      },
    ]);
    return bind(service as never, Object.fromEntries(methods) as never);
  });
}

beforeEach(async () => {
  served.length = 0;
  server = await startServer({
    address: '127.0.0.1:0',
    services: ofWitness(answering(), 'eu-north-1'),
    onError: (error) => {
      throw error;
    },
    onWarning: () => undefined,
  });
  channel = connect(`127.0.0.1:${server.port}`);
});

afterEach(async () => {
  channel.close();
  await server.close(0);
});

/** With what the call ends. */
function refusalOf(method: string): Promise<unknown> {
  const all = [...JournalService.methods, ...StreamService.methods];
  const found = all.find(({ localName }) => localName === method);
  if (found === undefined) throw new Error(`no method ${method}`);
  return new Promise((resolve) => {
    const handlers = { onMessage: () => undefined, onEnd: resolve };
    if (found.methodKind === 'unary') {
      channel.unary(found as DescMethodUnary, {}, { deadlineMs: 10_000 }).then(resolve, resolve);
    } else if (found.methodKind === 'server_streaming') {
      channel.serverStream(found as DescMethodServerStreaming, {}, handlers);
    } else {
      const stream = channel.bidi(JournalService.method.append, handlers);
      stream.write({ $typeName: AppendRequestSchema.typeName, message: { case: undefined } });
    }
  });
}

it('refuses every call of a client by name, certainly without effect, so that it goes elsewhere', async () => {
  const methods = [...JournalService.methods, ...StreamService.methods]
    .map(({ localName }) => localName)
    .filter((name) => !['status', 'locate'].includes(name));
  expect(methods.length).toBeGreaterThan(10);
  for (const method of methods) {
    const error = await refusalOf(method);
    expect(error, method).toBeInstanceOf(MeridianError);
    expect(error, method).toMatchObject({
      reason: 'UNAVAILABLE',
      noEffect: true,
      retry: true,
      details: { witness: 'eu-north-1' },
    });
  }
  expect(served).toEqual([]);
});

it('says of itself what the others say', async () => {
  const { status } = JournalService.method;
  await channel.unary(status, {}, { deadlineMs: 10_000 });
  expect(served).toEqual(['status']);
});

it('is configured with a word, and with nothing that only clients need', () => {
  const config = {
    cluster: 'c',
    instance: 'i',
    replica: 2,
    region: 'eu-north-1',
    dataDirectory: '/data',
    listen: '127.0.0.1:1',
    peerListen: '127.0.0.1:2',
    peers: [0, 1].map((replica) => ({ replica, region: `r${replica}`, address: 'h:1' })),
  };
  expect(journalSchema.parse(config).witness).toBe(false);
  expect(journalSchema.parse({ ...config, witness: true }).witness).toBe(true);
  const wrong = {
    ...config,
    witness: true,
    httpListen: '127.0.0.1:3',
    archive: { url: 'file:///a' },
  };
  const { error } = journalSchema.safeParse(wrong);
  expect(error?.issues.map(({ path }) => path.join('.'))).toEqual(['httpListen', 'archive.url']);
});
