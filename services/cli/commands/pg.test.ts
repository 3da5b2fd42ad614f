/** Which cluster `meridian pg` means: as everywhere, the option, else the environment. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { SidecarService } from '../../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { bind, startServer } from '../../../libs/rpc/rpc.ts';
import type { RpcServer } from '../../../libs/rpc/rpc.ts';
import { UsageError, chooseCommand, readValues } from '../arguments.ts';
import { Output } from '../output.ts';
import { LEADING_OPTIONS, TABLE, optionsOf } from '../table/table.ts';
import { run } from './pg.ts';

let server: RpcServer;
const asked: string[] = [];

beforeAll(async () => {
  const refuse = (): Promise<never> => Promise.reject(new MeridianError('REFUSED', 'not here'));
  server = await startServer({
    address: '127.0.0.1:0',
    services: [
      bind(SidecarService, {
        ...{ wait: refuse, promote: refuse, stepDown: refuse },
        rejoin: ({ cluster }) => {
          asked.push(cluster);
          return Promise.resolve({ rebuilt: false, discarded: 0 });
        },
        status: ({ cluster }) => {
          asked.push(cluster);
          return Promise.resolve({ cluster, role: 'replica' });
        },
      }),
    ],
    onError: (error) => {
      throw error instanceof Error ? error : new Error(String(error));
    },
    onWarning: () => undefined,
  });
});

afterAll(async () => {
  await server.close(0);
  vi.restoreAllMocks();
});

async function pg(words: readonly string[], environment: Record<string, string>): Promise<number> {
  const sidecars = `eu=127.0.0.1:${server.port}`;
  const chosen = chooseCommand(TABLE, LEADING_OPTIONS, ['pg', ...words, '--sidecars', sidecars]);
  const { command } = chosen;
  const output = new Output({ json: true, quiet: true });
  vi.spyOn(output, 'document').mockReturnValue(undefined);
  return run({
    command,
    values: readValues(command, optionsOf(command), chosen.words, 0),
    ...{ output, environment },
    endpoint: () => Promise.reject(new Error('no journal is meant')),
    interrupted: () => new AbortController().signal,
  });
}

test('the option comes before the environment, which suffices', async () => {
  const environment = { MERIDIAN_CLUSTER: 'surrounding' };
  expect(await pg(['status'], environment)).toBe(0);
  expect(await pg(['rejoin', '--region', 'eu'], environment)).toBe(0);
  expect(await pg(['status', '--cluster', 'named'], environment)).toBe(0);
  expect(asked).toEqual(['surrounding', 'surrounding', 'named']);
});

test('without either, says both', async () => {
  const missing = pg(['status'], {});
  await expect(missing).rejects.toThrow(UsageError);
  await expect(missing).rejects.toThrow('--cluster is missing (MERIDIAN_CLUSTER)');
});
