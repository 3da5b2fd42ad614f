import { afterEach, describe, expect, it } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import { CrossbarService } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { connect, startServer } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { Crossbar } from './crossbar.ts';
import { FakeInstance } from './fake-instance.ts';
import { crossbarService } from './service.ts';

const MIB = 1024 * 1024;
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function served(
  instances: readonly FakeInstance[],
  windowBytesMax = 64 * MIB,
): Promise<{ crossbar: Crossbar; channel: Channel }> {
  const ready = deferred<undefined>();
  const crossbar = new Crossbar({
    cluster: 'c',
    instances,
    connect: () => {
      throw new Error('nobody joins here');
    },
    settings: {
      windowBytesMax,
      inputBytesMax: 4 * MIB,
      retryMs: 1,
      stallAfterMs: 60_000,
      stallRepeatMs: 60_000,
      progressIntervalMs: 0,
      subscribersMax: 10,
      catchUpsMax: 2,
      streamsPerSubscriberMax: 10,
      subscriberBytesMax: MIB,
      subscribersBytesMax: 64 * MIB,
      slowReaderMs: 30_000,
      catchUpTurnMs: 100,
      waitersMax: 3,
    },
    now: () => performance.now(),
    wall: () => Date.now() * 1000,
    onTrouble: () => undefined,
    onFatal: (error) => {
      throw error;
    },
    onReady: () => {
      ready.resolve(undefined);
    },
  });
  const server = await startServer({
    address: '127.0.0.1:0',
    services: [crossbarService(crossbar, { cluster: 'c', region: 'here' })],
    onError: (error) => {
      throw error;
    },
    onWarning: () => undefined,
  });
  const channel = connect(`127.0.0.1:${server.port}`, { windowBytes: 256 * 1024 });
  cleanups.push(
    () => server.close(1000),
    () => {
      crossbar.stop();
      channel.close();
    },
  );
  crossbar.start();
  await ready.promise;
  return { crossbar, channel };
}

const two = (): [FakeInstance, FakeInstance] => [
  new FakeInstance('i1', 1),
  new FakeInstance('i2', 2),
];

describe('the crossbar service', () => {
  it('answers heartbeat and status', async () => {
    const [one, other] = two();
    one.reached = 7;
    other.reached = 9;
    const { channel } = await served([one, other]);
    const beat = await channel.unary(
      CrossbarService.method.heartbeat,
      { cluster: 'c' },
      { deadlineMs: 5000 },
    );
    expect(beat.readPoint).toBe(9n);
    const status = await channel.unary(
      CrossbarService.method.status,
      { cluster: 'c' },
      { deadlineMs: 5000 },
    );
    expect(status).toMatchObject({ cluster: 'c', region: 'here', subscribers: 0 });
    expect(status.instances.map((each) => [each.name, each.number])).toEqual([
      ['i1', 1],
      ['i2', 2],
    ]);
  });

  it('refuses with typed errors, as a unary call and as a stream', async () => {
    const { channel } = await served(two());
    const beat = channel.unary(
      CrossbarService.method.heartbeat,
      { cluster: 'd' },
      { deadlineMs: 5000 },
    );
    await expect(beat).rejects.toMatchObject({ reason: 'WRONG_TARGET' });
    const ended = deferred<MeridianError | null>();
    const request = { cluster: 'c', cursor: Buffer.from('not a cursor at all') };
    channel.serverStream(CrossbarService.method.subscribe, request, {
      onMessage: () => undefined,
      onEnd: (error) => {
        ended.resolve(error);
      },
    });
    const error = await ended.promise;
    expect(error).toBeInstanceOf(MeridianError);
    expect(error).toMatchObject({ reason: 'INVALID' });
  });

  it('stops sending to a subscriber that does not read, and gives it everything when it does', async () => {
    const [one, other] = two();
    const { crossbar, channel } = await served([one, other], 2 * MIB);
    const total = 1000;
    const received: number[] = [];
    const done = deferred<undefined>();
    const stream = channel.serverStream(
      CrossbarService.method.subscribe,
      { cluster: 'c' },
      {
        onMessage: ({ message }) => {
          if (message.case !== 'batches') return;
          for (const item of decodeDeliveries(message.value.frames)) received.push(item.timestamp);
          if (received.length === total) done.resolve(undefined);
        },
        onEnd: (error) => {
          done.reject(error ?? new Error('ended'));
        },
      },
    );
    stream.pause();
    await until(() => crossbar.status().subscribers === 1);
    for (let at = 1; at <= total; at += 1) {
      (at % 2 === 0 ? one : other).append(at, ['s'], 32 * 1024);
      one.reached = other.reached = at;
      one.settle();
      other.settle();
      if (at % 20 === 0) await new Promise(setImmediate);
    }
    // Of 32 MiB the window has kept 2: had it gone on sending, the subscriber would not need a feed.
    stream.resume();
    await until(() => one.followings.length === 2);
    const settling = setInterval(() => {
      one.settle();
      other.settle();
    }, 1);
    cleanups.push(() => {
      clearInterval(settling);
    });
    await done.promise;
    expect(received).toEqual(Array.from({ length: total }, (_, i) => i + 1));
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}

function deferred<T>(): {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
} {
  let resolve: (value: T) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<T>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  return { promise, resolve, reject };
}
