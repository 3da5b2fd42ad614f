import { create } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import {
  AppendResponseSchema,
  JournalService,
  ReadResponseSchema,
} from '../gen/meridian/journal/v1/journal_pb.ts';
import { Pairs, batches, deferred, endOf } from './fake-journal.ts';

const pairs = new Pairs();
const pair: Pairs['pair'] = (...options) => pairs.pair(...options);
afterEach(() => pairs.stop());

describe('streams', () => {
  it('delivers every message before the end, also when the stream fails', async () => {
    const { channel } = await pair({
      read: (_request, stream) => {
        for (let watermark = 1n; watermark <= 100n; watermark += 1n)
          stream.write(
            create(ReadResponseSchema, { message: { case: 'progress', value: { watermark } } }),
          );
        stream.fail(new MeridianError('SLOW_READER', 'too slow', { details: { cursor: 'c1' } }));
      },
    });
    const seen: bigint[] = [];
    const error = await new Promise<MeridianError | null>((resolve) => {
      channel.serverStream(
        JournalService.method.read,
        {},
        {
          onMessage: ({ message }) => {
            if (message.case === 'progress') seen.push(message.value.watermark);
          },
          onEnd: resolve,
        },
      );
    });
    expect(seen).toEqual(Array.from({ length: 100 }, (_, at) => BigInt(at + 1)));
    expect(error?.reason).toBe('SLOW_READER');
    expect(error?.details['cursor']).toBe('c1');
  });

  it('makes the sender wait while the receiver pauses, and loses nothing', async () => {
    const chunk = 64 * 1024;
    const total = 1024;
    let sent = 0;
    let full = 0;
    const { channel } = await pair(
      {
        read: (_request, stream) => {
          const pump = (): void => {
            while (sent < total) {
              sent += 1;
              const frames = new Uint8Array(chunk);
              const more = stream.write(
                create(ReadResponseSchema, { message: { case: 'batches', value: { frames } } }),
              );
              if (!more) {
                full += 1;
                return;
              }
            }
            stream.end();
          };
          stream.onDrain(pump);
          pump();
        },
      },
      {},
      { windowBytes: 256 * 1024 },
    );
    let received = 0;
    const ended = deferred<MeridianError | null>();
    const stream = channel.serverStream(
      JournalService.method.read,
      {},
      {
        onMessage: () => {
          received += 1;
        },
        onEnd: ended.resolve,
      },
    );
    stream.pause();
    await expect.poll(() => full).toBeGreaterThan(0);
    let before = -1;
    await expect
      .poll(() => {
        const still = before === sent;
        before = sent;
        return still;
      })
      .toBe(true);
    expect(sent).toBeLessThan(200);
    stream.resume();
    expect(await ended.promise).toBe(null);
    expect(received).toBe(total);
  });

  it('tells the server when the client cancels, and calls nothing at the client any more', async () => {
    let closed = 0;
    const { channel } = await pair({
      read: (_request, stream) => {
        stream.onClose(() => (closed += 1));
        stream.write(create(ReadResponseSchema, { message: { case: 'progress', value: {} } }));
      },
    });
    let calls = 0;
    const first = deferred<undefined>();
    const stream = channel.serverStream(
      JournalService.method.read,
      {},
      {
        onMessage: () => {
          calls += 1;
          first.resolve(undefined);
        },
        onEnd: () => (calls += 100),
      },
    );
    await first.promise;
    stream.cancel();
    await expect.poll(() => closed).toBe(1);
    expect(calls).toBe(1);
  });

  it('ends one call, not the process, when a callback of the service throws', async () => {
    const { server, channel } = await pair({
      append: (stream) => {
        stream.onMessage(() => {
          throw new TypeError('a bug');
        });
      },
    });
    expect((await endOf(channel, [batches(1)]))?.reason).toBe('INDEFINITE');
    expect(server.errors).toHaveLength(1);
    expect((await endOf(channel, [batches(1)]))?.reason).toBe('INDEFINITE');
  });

  it('keeps order in both directions', async () => {
    const { channel } = await pair({
      append: (stream) => {
        stream.onMessage((request) => {
          const bytes =
            request.message.case === 'batches' ? request.message.value.frames.length : 0;
          stream.write(
            create(AppendResponseSchema, {
              message: { case: 'welcome', value: { windowBytes: BigInt(bytes) } },
            }),
          );
        });
        stream.onHalfClose(() => {
          stream.end();
        });
      },
    });
    const seen: bigint[] = [];
    const ended = deferred<MeridianError | null>();
    const stream = channel.bidi(JournalService.method.append, {
      onMessage: ({ message }) => {
        if (message.case === 'welcome') seen.push(message.value.windowBytes);
      },
      onEnd: ended.resolve,
    });
    for (let bytes = 1; bytes <= 200; bytes += 1) stream.write(batches(bytes));
    stream.end();
    expect(await ended.promise).toBe(null);
    expect(seen).toEqual(Array.from({ length: 200 }, (_, at) => BigInt(at + 1)));
  });
});
