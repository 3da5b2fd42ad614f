/**
 * For the tests of this folder: a JournalService whose every method refuses unless the test says
 * otherwise, with a channel to it; and what talks to it.
 */
import { create } from '@bufbuild/protobuf';
import { AppendRequestSchema, JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { AppendRequest } from '../gen/meridian/journal/v1/journal_pb.ts';
import { MeridianError } from '../errors/errors.ts';
import { bind } from './bind.ts';
import type { Handlers } from './bind.ts';
import { connect } from './channel.ts';
import type { Channel } from './channel.ts';
import type { ChannelLimits } from './settings.ts';
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

/** Servers with a channel to each, stopped together. */
export class Pairs {
  readonly #stops: (() => Promise<void> | void)[] = [];

  async pair(
    handlers: Partial<JournalHandlers>,
    options: Partial<RpcServerOptions> = {},
    limits: Partial<ChannelLimits> = {},
  ): Promise<{ server: FakeJournal; channel: Channel }> {
    const server = await startFakeJournal(handlers, options);
    this.#stops.push(() => server.close(100));
    const channel = connect(server.address, limits);
    this.#stops.push(() => {
      channel.close();
    });
    return { server, channel };
  }

  /** Stops this, too, before what was started earlier. */
  add(stop: () => Promise<void> | void): void {
    this.#stops.push(stop);
  }

  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop();
  }
}

/** Runs a bidirectional call to its end and returns what it ended with. */
export function endOf(channel: Channel, messages: AppendRequest[]): Promise<MeridianError | null> {
  return new Promise((resolve) => {
    const stream = channel.bidi(JournalService.method.append, {
      onMessage: () => undefined,
      onEnd: resolve,
    });
    messages.forEach((message) => stream.write(message));
  });
}

export const batches = (bytes: number): AppendRequest =>
  create(AppendRequestSchema, {
    message: { case: 'batches', value: { frames: new Uint8Array(bytes).fill(7) } },
  });

export interface Deferred<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}
