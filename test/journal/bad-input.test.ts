/** What must be refused, each with its own error, while the replica stays up or does not start. */
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { StreamService } from '../../libs/gen/meridian/journal/v1/streams_pb.ts';
import { PeerService } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { Cluster, RawSession, TARGET, batchOf, readAll } from './cluster.ts';

const cluster = new Cluster();
const UNARY = { deadlineMs: 10_000 };

beforeAll(async () => {
  await cluster.start();
});
afterAll(async () => {
  await cluster.stop();
});

async function stillServes(): Promise<void> {
  const session = new RawSession(cluster.channel(0));
  session.send('alive', 'yes');
  await session.whenAnswered(1);
  session.end();
  expect(await session.ended).toBeNull();
}

describe('a running replica', () => {
  it.each([
    ['cluster', { cluster: 'other', instance: 'one' }],
    ['instance', { cluster: 'test', instance: 'other' }],
  ])('refuses every call meant for another %s', async (field, target) => {
    const channel = cluster.channel(0);
    const wrong = { reason: 'WRONG_TARGET', details: { field } };
    const session = new RawSession(channel, undefined, target);
    expect(await session.ended).toMatchObject(wrong);
    await expect(readAll(channel, { target })).rejects.toMatchObject(wrong);
    const { heartbeat, status, checkTail, getWriter } = JournalService.method;
    const { createStream, resolveAppend, localTail } = StreamService.method;
    const calls = [
      channel.unary(heartbeat, { target }, UNARY),
      channel.unary(status, { target }, UNARY),
      channel.unary(checkTail, { target }, UNARY),
      channel.unary(getWriter, { target }, UNARY),
      channel.unary(createStream, { target }, UNARY),
      channel.unary(resolveAppend, { target }, UNARY),
      channel.unary(localTail, { target }, UNARY),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject(wrong);
    await stillServes();
  });

  it('refuses to read a stream that does not exist, and a position from elsewhere', async () => {
    const channel = cluster.channel(1);
    await expect(readAll(channel, { stream: 'nobody' })).rejects.toMatchObject({
      reason: 'STREAM_NOT_FOUND',
    });
    const tail = { target: TARGET, stream: 'nobody' };
    await expect(channel.unary(JournalService.method.checkTail, tail, UNARY)).rejects.toMatchObject(
      {
        reason: 'STREAM_NOT_FOUND',
      },
    );
    const after = { case: 'after' as const, value: { timestamp: 12_345n, recordOffset: 0 } };
    await expect(readAll(channel, { from: after })).rejects.toMatchObject({
      reason: 'OUT_OF_RANGE',
    });
    const future = { case: 'timestamp' as const, value: BigInt(Date.now() + 3_600_000) * 1000n };
    await expect(readAll(channel, { from: future })).rejects.toMatchObject({
      reason: 'OUT_OF_RANGE',
    });
  });

  it('refuses a malformed batch and one that is too large, with what stood before answered', async () => {
    const damaged = Buffer.from(batchOf('s', 'damaged'));
    damaged[damaged.length - 1] = 0;
    const session = new RawSession(cluster.channel(0));
    session.send('s', 'good');
    session.sendFrames(damaged);
    expect(await session.ended).toMatchObject({ reason: 'INVALID', noEffect: true });
    expect(session.answered).toBe(1);

    const large = new RawSession(cluster.channel(0));
    const limits = { batchBytesMax: 3 << 20, recordsMax: 1 };
    large.sendFrames(
      encodeBatch({ stream: 's', records: [{ body: Buffer.alloc(2 << 20) }] }, limits),
    );
    expect(await large.ended).toMatchObject({ reason: 'TOO_LARGE' });
    await stillServes();
  });

  it('refuses a message above the limit of the transport', async () => {
    const session = new RawSession(cluster.channel(0));
    session.sendFrames(Buffer.alloc(20 << 20));
    expect(await session.ended).toMatchObject({ reason: 'TOO_LARGE' });
    await stillServes();
  });

  it('refuses bytes that are no message as INVALID_ARGUMENT', async () => {
    expect(await rawCall('Status', Buffer.from([0xff, 0xff, 0xff]))).toBe('3');
    expect(await rawCall('Append', Buffer.from([0x0a, 0x7f, 0x01]))).toBe('3');
    await stillServes();
  });

  it.each([
    ['another cluster', { cluster: 'other' }],
    ['another instance', { instance: 'other' }],
    ['another replica', { to: 2 }],
    ['a caller that is the replica itself', { from: 0 }],
  ])('refuses a link meant for %s', async (_name, change) => {
    const channel = connect(`127.0.0.1:${cluster.peerPorts[0]}`);
    const request = { ...TARGET, from: 1, to: 0, formatVersion: 1, ...change };
    const ended = new Promise((resolve) => {
      channel.serverStream(PeerService.method.link, request, {
        onMessage: () => undefined,
        onEnd: resolve,
      });
    });
    expect(await ended).toMatchObject({ reason: 'WRONG_TARGET' });
    channel.close();
  });

  /** The status of a call with these bytes as its message, over bare HTTP/2. */
  function rawCall(method: string, message: Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      const session = connectHttp2(`http://127.0.0.1:${cluster.clientPorts[0]}`);
      session.on('error', reject);
      const call = session.request({
        ':method': 'POST',
        ':path': `/meridian.journal.v1.JournalService/${method}`,
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      const status = (headers: Record<string, unknown>): void => {
        const code = headers['grpc-status'];
        if (typeof code !== 'string') return;
        session.close();
        resolve(code);
      };
      call.on('response', status);
      call.on('trailers', status);
      call.on('error', reject);
      call.resume();
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(message.length, 1);
      call.end(Buffer.concat([prefix, message]));
    });
  }
});

describe('a replica that must not start', () => {
  async function refusal(config: Record<string, unknown>, command: string[] = []): Promise<string> {
    const child = await cluster.spawn(command, config);
    const { code } = await child.exited;
    expect(code).not.toBe(0);
    expect(code).not.toBeNull();
    return child.lastLines().join('\n');
  }
  const fresh = (): string => join(cluster.directory, 'fresh', Math.random().toString(36).slice(2));

  it('says which port is in use', async () => {
    const config = { ...cluster.configOf(0), dataDirectory: fresh(), peerListen: '127.0.0.1:0' };
    expect(await refusal(config)).toMatch(
      new RegExp(`cannot listen on 127.0.0.1:${cluster.clientPorts[0]}.*another process`),
    );
  });

  it('names both replicas when the data directory is of another one', async () => {
    const text = await refusal({ ...cluster.configOf(0), dataDirectory: cluster.dataOf(1) });
    expect(text).toMatch(/belongs to replica 1, this process is of replica 0/);
  });

  it('refuses the data directory of a running process', async () => {
    const config = { ...cluster.configOf(0), listen: '127.0.0.1:0', peerListen: '127.0.0.1:0' };
    expect(await refusal(config)).toMatch(/in use|lock/);
  });

  it('refuses to format a directory that holds a log', async () => {
    expect(await refusal(cluster.configOf(0), ['format'])).toMatch(/already is the log/);
  });

  it('names every mistake of the configuration', async () => {
    const text = await refusal({
      ...cluster.configOf(0),
      replica: 7,
      listen: 'nowhere',
      unknown: 1,
    });
    expect(text).toMatch(/replica/);
    expect(text).toMatch(/listen/);
    expect(text).toMatch(/unknown/);
  });
});
