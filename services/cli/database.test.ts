/**
 * The bug: `leave` retired an instance although one of its replicas was of a version that does not know retirement. That
 * one went on taking what the others refused, parted from them, and stopped, with nothing but a sentence in the
 * help having asked for it to be updated first.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { CrossbarService } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { StreamService } from '../../libs/gen/meridian/journal/v1/streams_pb.ts';
import { RETIREMENT_RULES } from '../../libs/order/rules.ts';
import { bind, startServer } from '../../libs/rpc/rpc.ts';
import type { Handlers, RpcServer, ServiceBinding } from '../../libs/rpc/rpc.ts';
import { Database } from './database.ts';

const servers: RpcServer[] = [];
const touched: string[] = [];
const rulesOf: Record<string, number | null> = {};
let crossbar = '';
let replicas: { region: string; address: string }[] = [];

const refuse = (): Promise<never> => Promise.reject(new MeridianError('REFUSED', 'not here'));

async function serve(services: readonly ServiceBinding[]): Promise<string> {
  const server = await startServer({
    address: '127.0.0.1:0',
    services,
    onError: (error) => {
      throw error instanceof Error ? error : new Error(String(error));
    },
    onWarning: () => undefined,
  });
  servers.push(server);
  return `127.0.0.1:${server.port}`;
}

/** Whoever changes something is noted, and gets no further. */
function streams(): ServiceBinding {
  const methods = Object.keys(StreamService.method).map((method) => [
    method,
    () => {
      touched.push(method);
      return refuse();
    },
  ]);
  return bind(StreamService, Object.fromEntries(methods) as Handlers<typeof StreamService>);
}

beforeAll(async () => {
  replicas = await Promise.all(
    ['eu', 'us', 'ap'].map(async (region) => {
      const journal = bind(JournalService, {
        append: (stream) => {
          touched.push('append');
          stream.fail(new MeridianError('REFUSED', 'not here'));
        },
        read: (_request, stream) => {
          stream.fail(new MeridianError('REFUSED', 'not here'));
        },
        ...{ heartbeat: refuse, getWriter: refuse, locate: refuse },
        checkTail: ({ stream }) =>
          Promise.reject(new MeridianError('STREAM_NOT_FOUND', `there is no stream ${stream}`)),
        status: () => {
          const orderRules = rulesOf[region];
          if (orderRules == null) {
            return Promise.reject(new MeridianError('UNAVAILABLE', 'not now'));
          }
          return Promise.resolve({ region, version: '0.1.0', orderRules });
        },
      });
      return { region, address: await serve([journal, streams()]) };
    }),
  );
  const lives = [1, 2].map((number) => ({ number, name: `i${number}` }));
  crossbar = await serve([
    bind(CrossbarService, {
      subscribe: (_request, stream) => {
        stream.fail(new MeridianError('REFUSED', 'not here'));
      },
      ...{ heartbeat: refuse, waitFor: refuse },
      status: () => Promise.resolve({ cluster: 'c', registry: 'i1', lives }),
    }),
  ]);
});

afterAll(async () => {
  for (const server of servers) await server.close(0);
});

async function leave(
  rules: Record<string, number | null>,
  without: string[] = [],
): Promise<unknown> {
  touched.length = 0;
  Object.assign(rulesOf, rules);
  const endpoint = { cluster: 'c', instance: 'i1', replicas, deadlineMs: 2_000 };
  const database = new Database(endpoint, [crossbar]);
  const told = { without, note: () => undefined, warn: () => undefined };
  try {
    return await database.leave('i2', replicas, told);
  } catch (error) {
    return error;
  } finally {
    await database.close();
  }
}

const NEW = RETIREMENT_RULES;

it('does not begin to retire an instance while a replica of it is too old, and says which', async () => {
  const error = await leave({ eu: NEW, us: NEW, ap: 0 });
  expect(error).toMatchObject({
    reason: 'REFUSED',
    details: { region: 'ap', version: '0.1.0', expected: String(NEW), actual: '0' },
  });
  expect(String(error)).toMatch(/in ap \(version 0.1.0\).*update it first; nothing was changed/);
  expect(touched).toEqual([]);
});

it('does not begin either while a replica does not say how old it is', async () => {
  const error = await leave({ eu: NEW, us: null, ap: NEW });
  expect(error).toMatchObject({ reason: 'DEADLINE' });
  expect(String(error)).toContain('--without us');
  expect(touched).toEqual([]);
});

it('begins where all are new, or one that is not is given up', async () => {
  await leave({ eu: NEW, us: NEW + 1, ap: NEW });
  expect(touched[0]).toBe('createStream');
  await leave({ eu: NEW, us: null, ap: NEW }, ['us']);
  expect(touched[0]).toBe('createStream');
});
