/** A JournalService for tests of this folder: every method refuses unless the test says otherwise. */
import { JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import { MeridianError } from '../errors/errors.ts';
import { bind } from './bind.ts';
import type { Handlers } from './bind.ts';
import { startServer } from './server.ts';
import type { RpcServer, RpcServerOptions } from './server.ts';

export type JournalHandlers = Handlers<typeof JournalService>;

export interface FakeJournal extends RpcServer {
  readonly address: string;
  readonly errors: unknown[];
  readonly warnings: string[];
}

export async function startFakeJournal(
  handlers: Partial<JournalHandlers>,
  options: Partial<RpcServerOptions> = {},
): Promise<FakeJournal> {
  const errors: unknown[] = [];
  const warnings: string[] = [];
  const refuse = (): Promise<never> =>
    Promise.reject(new MeridianError('REFUSED', 'not part of this test'));
  const server = await startServer({
    address: '127.0.0.1:0',
    services: [
      bind(JournalService, {
        append: (stream) => {
          stream.fail(new MeridianError('REFUSED', 'not part of this test'));
        },
        read: (_request, stream) => {
          stream.fail(new MeridianError('REFUSED', 'not part of this test'));
        },
        checkTail: refuse,
        heartbeat: refuse,
        getWriter: refuse,
        status: refuse,
        locate: refuse,
        ...handlers,
      }),
    ],
    onError: (error) => errors.push(error),
    onWarning: (message) => warnings.push(message),
    ...options,
  });
  return { ...server, address: `127.0.0.1:${server.port}`, errors, warnings };
}
