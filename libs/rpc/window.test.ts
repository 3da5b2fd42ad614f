/**
 * A fact about grpc-js that the whole design leans on: a server's receive window is 64 KiB and has no
 * public option. Over 50 ms that is about 1.3 MB/s for everything a client uploads.
 */
import { create } from '@bufbuild/protobuf';
import { Server } from '@grpc/grpc-js';
import { afterEach, describe, expect, it } from 'vitest';
import {
  AppendRequestSchema,
  AppendResponseSchema,
  JournalService,
} from '../gen/meridian/journal/v1/journal_pb.ts';
import { startFakeJournal } from './fake-journal.ts';
import { connect } from './rpc.ts';
import { startSlowLink } from './slow-link.ts';
import { openServerWindow, probeWindow } from './window.ts';

const stops: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

describe('the receive window of a server', () => {
  it('lets uploads over 50 ms run more than ten times as fast as the default', async () => {
    const small = await uploadBytesPerSecond(65_535, 1024 * 1024);
    const opened = await uploadBytesPerSecond(8 * 1024 * 1024, 24 * 1024 * 1024);
    expect(opened / small).toBeGreaterThan(10);
  });

  it('is granted per call and per connection, seen from outside', async () => {
    const windowBytes = 3 * 1024 * 1024;
    const server = await startFakeJournal({}, { limits: { windowBytes } });
    stops.push(() => server.close(0));
    const seen = await probeWindow(
      { host: '127.0.0.1', port: server.port },
      null,
      windowBytes,
      1000,
    );
    expect(seen).toEqual({ perCall: windowBytes, perConnection: windowBytes });
    expect(server.warnings).toEqual([]);
  });

  it('costs a warning and nothing else when grpc-js has moved its internals', async () => {
    const prototype = Server.prototype as unknown as { createHttp2Server?: unknown };
    const original = prototype.createHttp2Server as (this: unknown, given: unknown) => unknown;
    prototype.createHttp2Server = function (this: object, given: unknown) {
      // As if the settings were kept elsewhere in another version.
      return original.call(Object.create(this, { commonServerOptions: { value: {} } }), given);
    };
    stops.push(() => {
      prototype.createHttp2Server = original;
    });
    const server = await startFakeJournal({ status: () => Promise.resolve({ region: 'a' }) });
    stops.push(() => server.close(0));
    expect(server.warnings).toHaveLength(1);
    expect(server.warnings[0]).toContain('could not be opened');
    const channel = connect(server.address);
    stops.push(() => {
      channel.close();
    });
    const status = await channel.unary(JournalService.method.status, {}, { deadlineMs: 2000 });
    expect(status.region).toBe('a');
  });

  it('leaves a server without these internals alone', () => {
    expect(() => {
      openServerWindow(JSON.parse('{}') as Server, 1);
    }).not.toThrow();
  });
});

/** Uploads `totalBytes` in 64 KiB messages over a line with a round trip of 50 ms. */
async function uploadBytesPerSecond(windowBytes: number, totalBytes: number): Promise<number> {
  let received = 0;
  const server = await startFakeJournal(
    {
      status: () => Promise.resolve({}),
      append: (stream) => {
        stream.onMessage(({ message }) => {
          if (message.case === 'batches') received += message.value.frames.length;
          if (received >= totalBytes) stream.write(create(AppendResponseSchema));
        });
      },
    },
    { limits: { windowBytes } },
  );
  stops.push(() => server.close(0));
  const link = await startSlowLink(server.port, 25);
  stops.push(() => link.close());
  const channel = connect(link.address);
  stops.push(() => {
    channel.close();
  });
  const frames = new Uint8Array(64 * 1024);
  const message = create(AppendRequestSchema, { message: { case: 'batches', value: { frames } } });
  await channel.unary(JournalService.method.status, {}, { deadlineMs: 5_000 });
  const startedAt = performance.now();
  await new Promise<void>((resolve, reject) => {
    let sent = 0;
    const pump = (): void => {
      while (sent < totalBytes) {
        sent += frames.length;
        if (!stream.write(message)) return;
      }
    };
    const stream = channel.bidi(JournalService.method.append, {
      onMessage: () => {
        resolve();
      },
      onEnd: (error) => {
        reject(error ?? new Error('ended early'));
      },
      onDrain: pump,
    });
    pump();
  });
  return totalBytes / ((performance.now() - startedAt) / 1000);
}
