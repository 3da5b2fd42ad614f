/** Three replicas: appends through every region, one order everywhere, whoever is killed. */
import { rmSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Ack, JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { Cluster, RawSession, TARGET, batchOf, readAll, readSettled, until } from './cluster.ts';

let cluster: Cluster;

beforeEach(async () => {
  cluster = new Cluster();
  await cluster.start();
});
afterEach(async () => {
  await cluster.stop();
});

/** Appends one after the other until told to stop; returns what was acknowledged. */
function writing(
  replica: number,
  ack: Ack,
): { stop: () => Promise<string[]>; count: () => number } {
  const session = new RawSession(cluster.channel(replica), ack);
  const sent: string[] = [];
  let stopped = false;
  const loop = (async () => {
    try {
      while (!stopped) {
        const body = `${replica}/${sent.length}`;
        sent.push(body);
        session.send('load', body);
        await session.whenAnswered(sent.length);
      }
    } catch {
      // The session ended: what is unanswered is unknown.
    }
  })();
  return {
    count: () => session.answered,
    stop: async () => {
      stopped = true;
      await loop;
      session.end();
      return sent.slice(0, session.answered);
    },
  };
}

async function ordersAgree(): Promise<string[]> {
  const reads = await Promise.all([0, 1, 2].map((replica) => readSettled(cluster, replica)));
  expect(reads[1]?.lines).toEqual(reads[0]?.lines);
  expect(reads[2]?.lines).toEqual(reads[0]?.lines);
  return reads[0]?.bodies ?? [];
}

describe('three replicas', () => {
  it('put appends through every region into one order, with dense numbers', async () => {
    const sessions = [0, 1, 2].map(
      (replica) =>
        new RawSession(cluster.channel(replica), replica === 1 ? Ack.QUORUM : Ack.ORDERED),
    );
    for (let round = 0; round < 20; round += 1) {
      sessions.forEach((session, replica) => {
        session.send('one', `${replica}-${round}`, `${replica}-${round}b`);
      });
      await Promise.all(sessions.map((session) => session.whenAnswered((round + 1) * 2)));
    }
    const bodies = await ordersAgree();
    expect(bodies.length).toBe(120);
    const read = await readAll(cluster.channel(2), { stream: 'one' });
    expect(read.lines.map((line) => Number(/#(\d+)/.exec(line)?.[1]))).toEqual(
      Array.from({ length: 120 }, (_unused, i) => i),
    );
    for (const replica of [0, 1, 2]) {
      const own = bodies.filter((body) => body.startsWith(`${replica}-`));
      expect(own).toEqual([...own].sort((a, b) => parseFloat(a.slice(2)) - parseFloat(b.slice(2))));
    }
    const answer = await cluster
      .channel(1)
      .unary(
        JournalService.method.checkTail,
        { target: TARGET, stream: 'one' },
        { deadlineMs: 9000 },
      );
    expect(answer.nextSeqNum).toBe(120n);
  });

  it('answer an append whose condition fails, keep the session, and leave no record', async () => {
    const session = new RawSession(cluster.channel(0));
    session.sendFrames(batchOf('s', 'first', { matchSeqNum: 0 }));
    session.sendFrames(batchOf('s', 'second', { matchSeqNum: 0 }));
    session.sendFrames(batchOf('s', 'third', { matchSeqNum: 1 }));
    await session.whenAnswered(3);
    expect(session.runs.map((run) => run.failure?.reason ?? Number(run.firstSeqNum))).toEqual([
      0,
      'CONDITION_FAILED',
      1,
    ]);
    expect((await readAll(cluster.channel(0))).bodies).toEqual(['first', 'third']);
  });

  it('let a retry through another region take effect once and return the first outcome', async () => {
    const writer = { id: 'w', epoch: 1, seq: 1, previous: 0 };
    const first = new RawSession(cluster.channel(0));
    first.sendFrames(batchOf('s', 'once', { writer }));
    await first.whenAnswered(1);
    const retry = new RawSession(cluster.channel(1));
    retry.sendFrames(batchOf('s', 'once', { writer }));
    await retry.whenAnswered(1);
    expect(retry.runs[0]).toMatchObject({
      duplicate: true,
      timestamp: first.runs[0]?.timestamp,
      firstSeqNum: 0n,
    });
    const known = await cluster
      .channel(2)
      .unary(
        JournalService.method.getWriter,
        { target: TARGET, writerId: 'w' },
        { deadlineMs: 9000 },
      );
    expect(known).toMatchObject({ known: true, epoch: 1, lastSeq: 1n });
    expect((await readSettled(cluster, 2)).bodies).toEqual(['once']);
  });

  it('go on while one of them is killed under load, and converge when it is back', async () => {
    const writers = [writing(0, Ack.QUORUM), writing(1, Ack.ORDERED), writing(2, Ack.ORDERED)];
    await until(() => writers.every((writer) => writer.count() > 20));
    await cluster.kill(2);
    const [before0, before1] = [writers[0]?.count() ?? 0, writers[1]?.count() ?? 0];
    await until(() => (writers[0]?.count() ?? 0) > before0 + 50);
    await until(() => (writers[1]?.count() ?? 0) > before1 + 50);
    await cluster.startReplica(2);
    const acknowledged = (await Promise.all(writers.map((writer) => writer.stop()))).flat();
    await cluster.converged();
    const bodies = await ordersAgree();
    expect(new Set(bodies).size).toBe(bodies.length);
    expect(acknowledged.filter((body) => !bodies.includes(body))).toEqual([]);
  });

  it('keep every acknowledged append when all three are killed at once and restarted', async () => {
    const writers = [writing(0, Ack.QUORUM), writing(1, Ack.ORDERED), writing(2, Ack.QUORUM)];
    await until(() => writers.every((writer) => writer.count() > 50));
    await Promise.all([0, 1, 2].map((replica) => cluster.kill(replica)));
    const acknowledged = (await Promise.all(writers.map((writer) => writer.stop()))).flat();
    await Promise.all([0, 1, 2].map((replica) => cluster.startReplica(replica)));
    await cluster.converged();
    const bodies = await ordersAgree();
    expect(acknowledged.length).toBeGreaterThan(150);
    expect(acknowledged.filter((body) => !bodies.includes(body))).toEqual([]);
    expect(new Set(bodies).size).toBe(bodies.length);
  });

  it('bring back a replica that lost its disk, from both others, before it votes', async () => {
    const session = new RawSession(cluster.channel(0));
    session.send('s', ...Array.from({ length: 50 }, (_unused, i) => `before ${i}`));
    await session.whenAnswered(50);
    await cluster.kill(1);
    rmSync(cluster.dataOf(1), { recursive: true });
    await cluster.kill(2);
    const recovering = await cluster.launch(1);
    await recovering.ready({ line: /"voting":false/ });
    await until(async () => !(await cluster.status(1)).voting);
    const refused = new RawSession(cluster.channel(1));
    refused.send('s', 'too early');
    expect(await refused.ended).toMatchObject({ reason: 'NO_QUORUM', noEffect: true });
    await cluster.startReplica(2);
    await recovering.ready({ line: /"msg":"serving"/ });
    await cluster.converged();
    expect((await cluster.status(1)).voting).toBe(true);
    expect((await ordersAgree()).length).toBe(50);
  });
});
