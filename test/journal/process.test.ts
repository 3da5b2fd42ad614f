/** The process around a replica: health, reflection, going down. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect as connectHttp2 } from 'node:http2';
import { Ack, JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { Cluster, RawSession, TARGET, readAll, until } from './cluster.ts';

let cluster: Cluster;

beforeEach(async () => {
  cluster = new Cluster();
  await cluster.start();
});
afterEach(async () => {
  await cluster.stop();
});

/** First message of a call that takes one message, over bare HTTP/2. */
function callRaw(port: number, path: string, message: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    session.on('error', reject);
    const headers = {
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    };
    const call = session.request(headers);
    const chunks: Buffer[] = [];
    call.on('data', (chunk: Buffer) => chunks.push(chunk));
    call.on('error', reject);
    call.on('end', () => {
      session.close();
      resolve(Buffer.concat(chunks).subarray(5));
    });
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    call.end(Buffer.concat([prefix, message]));
  });
}

/** 1 SERVING, 2 NOT_SERVING. */
async function health(replica: number): Promise<number> {
  const port = cluster.clientPorts[replica] ?? 0;
  const answer = await callRaw(port, '/grpc.health.v1.Health/Check', Buffer.alloc(0));
  return answer[1] ?? 0;
}

describe('the replica process', () => {
  it('answers health and reflection', async () => {
    expect(await health(0)).toBe(1);
    const listServices = Buffer.from([0x3a, 0x01, 0x2a]);
    const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
    const answer = await callRaw(cluster.clientPorts[0] ?? 0, path, listServices);
    expect(answer.toString('latin1')).toContain('meridian.journal.v1.JournalService');
  });

  it('is not serving while it hears no other, says so to appends, and comes back', async () => {
    await Promise.all([cluster.kill(1), cluster.kill(2)]);
    await until(async () => (await health(0)) === 2);
    const session = new RawSession(cluster.channel(0));
    session.send('s', 'lonely');
    expect(await session.ended).toMatchObject({ reason: 'NO_QUORUM', noEffect: true });
    await cluster.startReplica(1);
    await until(async () => (await health(0)) === 1);
    const again = new RawSession(cluster.channel(0));
    again.send('s', 'together');
    await again.whenAnswered(1);
  });

  it('ends waiting appends as unknown when it loses the quorum', async () => {
    const session = new RawSession(cluster.channel(0));
    session.send('s', 'first');
    await session.whenAnswered(1);
    await Promise.all([cluster.kill(1), cluster.kill(2)]);
    session.send('s', 'second');
    const error = await session.ended;
    expect(error?.reason === 'INDEFINITE' || error?.reason === 'NO_QUORUM').toBe(true);
    expect(session.answered).toBe(1);
  });

  it('tells followers progress, and that it stands still', async () => {
    const seen: { stalled: boolean; watermark: bigint }[] = [];
    const call = cluster.channel(0).serverStream(
      JournalService.method.read,
      { target: TARGET, follow: true },
      {
        onMessage: ({ message }) => {
          if (message.case === 'progress') seen.push(message.value);
        },
        onEnd: () => undefined,
      },
    );
    await until(() => seen.length > 10);
    await Promise.all([cluster.kill(1), cluster.kill(2)]);
    await until(() => seen.at(-1)?.stalled === true);
    const marks = seen.map((progress) => progress.watermark);
    expect(marks).toEqual([...marks].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
    call.cancel();
  });

  it('goes down in order: answers what is open, ends reads, exits 0, and keeps everything', async () => {
    const session = new RawSession(cluster.channel(0), Ack.ORDERED);
    session.send('s', 'a', 'b', 'c');
    const follow = readAll(cluster.channel(0), { follow: true });
    await session.whenAnswered(3);
    cluster.child(0).signal('SIGTERM');
    await expect(follow).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
    expect(await session.ended).toMatchObject({ reason: 'UNAVAILABLE', noEffect: true });
    expect(await cluster.child(0).exited).toEqual({ code: 0, signal: null });
    await cluster.startReplica(0);
    await cluster.converged();
    expect((await readAll(cluster.channel(0))).bodies).toEqual(['a', 'b', 'c']);
  });
});
