/**
 * Streams, fences, trims and leases through three real processes: decided once, in the order, the same
 * through every region and after every restart.
 */
import { readdirSync } from 'node:fs';
import type { DescMessage, DescMethodUnary, MessageInitShape } from '@bufbuild/protobuf';
import type { MessageShape } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { MeridianError } from '../../libs/errors/errors.ts';
import { connectJournal } from '../../libs/client/client.ts';
import type { Journal } from '../../libs/client/client.ts';
import { Fencing, StreamService } from '../../libs/gen/meridian/journal/v1/streams_pb.ts';
import {
  Cluster,
  DEADLINE_MS,
  RawSession,
  TARGET,
  batchOf,
  readSettled,
  until,
} from './cluster.ts';

const cluster = new Cluster();
// So that restarts begin at a checkpoint, and what is remembered has to be in it.
cluster.overrides['limits'] = { checkpointBytes: 4096, segmentBytes: 64 * 1024 };
let journal: Journal;

const record = (text: string) => ({ body: Buffer.from(text) });
const { createStream, deleteStream, fence, acquireLease, releaseLease, trim } =
  StreamService.method;

beforeAll(async () => {
  await cluster.start();
  journal = connectJournal({
    ...TARGET,
    replicas: [0, 1, 2].map((replica) => ({
      region: `r${replica}`,
      address: `127.0.0.1:${cluster.clientPorts[replica]}`,
    })),
    deadlineMs: DEADLINE_MS,
    silenceMs: 10_000,
  });
});
afterAll(async () => {
  await journal.close({ drainMs: 0 });
  await cluster.stop();
});

/** One call to one replica, without the client library and its retries. */
function ask<I extends DescMessage, O extends DescMessage>(
  replica: number,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  const options = { deadlineMs: DEADLINE_MS };
  return cluster.channel(replica).unary(method, { target: TARGET, ...request }, options);
}

function failure(promise: Promise<unknown>): Promise<MeridianError> {
  return promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => error as MeridianError,
  );
}

describe('streams', () => {
  it('are created empty, described, listed and configured, the same in every region', async () => {
    expect(await journal.createStream('made/a', { fencing: 'required' })).toBe(true);
    expect(await journal.createStream('made/a')).toBe(false);
    await journal.createStream('made/b');
    await journal.append('made/c', [record('1'), record('2')]);
    const described = await journal.describeStream('made/a');
    expect(described).toMatchObject({
      nextSeqNum: 0,
      firstSeqNum: 0,
      timestamp: 0,
      fencingToken: 0,
      config: { fencing: 'required' },
      lease: null,
    });
    expect(described.createdAt).toBeGreaterThan(0);
    for (const replica of [0, 1, 2]) {
      const page = await ask(replica, StreamService.method.listStreams, {
        prefix: 'made/',
        limit: 2,
      });
      expect(page.streams.map(({ stream }) => stream)).toEqual(['made/a', 'made/b']);
      expect(page.more).toBe(true);
    }
    const rest = await journal.listStreams({ prefix: 'made/', after: 'made/b' });
    expect(rest).toMatchObject({ streams: [{ name: 'made/c', nextSeqNum: 2 }], more: false });
    expect(await journal.configureStream('made/a', { fencing: 'none' })).toEqual({
      fencing: 'none',
    });
    await journal.append('made/a', [record('free')]);
  });

  it('deleted, go on with their numbers when they live again; actions are no records', async () => {
    await journal.append('phoenix', [record('old')]);
    expect(await journal.deleteStream('phoenix')).toBe(true);
    expect(await journal.deleteStream('phoenix')).toBe(false);
    expect((await failure(journal.describeStream('phoenix'))).reason).toBe('STREAM_NOT_FOUND');
    const refused = journal.append('phoenix', [record('x')], { mustExist: true });
    expect((await failure(refused)).reason).toBe('STREAM_NOT_FOUND');
    const { firstSeqNum } = await journal.append('phoenix', [record('new')]);
    expect(firstSeqNum).toBe(1);
    expect(await journal.describeStream('phoenix')).toMatchObject({ firstSeqNum: 1 });
    const all = await readSettled(cluster, 2);
    const mine = all.lines.filter((line) => line.includes('phoenix')).map((l) => l.slice(17));
    expect(mine).toEqual(['phoenix#0 old', 'phoenix#1 new']);
  });

  it('are trimmed forward only, in every region', async () => {
    for (let i = 0; i < 4; i += 1) await journal.append('short', [record(`${i}`)]);
    expect(await journal.trim('short', { before: 3 })).toEqual({ firstSeqNum: 3 });
    expect(await journal.trim('short', { before: 1 })).toEqual({ firstSeqNum: 3 });
    const beyond = await failure(journal.trim('short', { before: 5 }));
    expect(beyond).toMatchObject({ reason: 'OUT_OF_RANGE', noEffect: true });
    expect(beyond.details).toMatchObject({ before: '5', nextSeqNum: '4' });
    await journal.heartbeat({ waitForWatermark: true });
    for (const region of ['r0', 'r1', 'r2']) {
      await until(async () => {
        const tail = await journal.localTail('short', { region });
        return tail.localFirstSeqNum === 3 && tail.localNextSeqNum === 4 && !tail.stalled;
      });
    }
  });
});

describe('fences and leases', () => {
  it('let one holder append at a time, and nobody without the token', async () => {
    await journal.createStream('held', { fencing: 'required' });
    const first = await journal.acquireLease('held', { holder: 'a', ttlMs: 60_000 });
    expect(first).toMatchObject({ holder: 'a', token: 1 });
    const held = await failure(
      ask(1, acquireLease, { stream: 'held', holder: 'b', ttlMs: 1000, requestId: 'b1' }),
    );
    expect(held).toMatchObject({ reason: 'LEASE_HELD', noEffect: true });
    expect(held.details).toMatchObject({ holder: 'a', expiresAt: `${first.expiresAt}` });
    expect((await journal.describeStream('held')).lease).toEqual(first);
    await journal.append('held', [record('by a')], { fencingToken: first.token });
    expect((await failure(journal.append('held', [record('by none')]))).reason).toBe('FENCED');
    const quorum = journal.append('held', [record('by none')], { ack: 'QUORUM' });
    expect((await failure(quorum)).reason).toBe('FENCED');

    const { token } = await journal.fence('held', { expected: first.token });
    expect(token).toBe(2);
    const late = journal.append('held', [record('late a')], { fencingToken: first.token });
    expect((await failure(late)).details).toMatchObject({ expected: '1', actual: '2' });
    const renewed = journal.renewLease('held', first, { ttlMs: 1000 });
    expect(await failure(renewed)).toMatchObject({ reason: 'LEASE_LOST', noEffect: true });
    const wrong = journal.fence('held', { expected: 1 });
    expect((await failure(wrong)).reason).toBe('CONDITION_FAILED');
    expect((await failure(journal.fence('held', { token: 1 }))).reason).toBe('FENCED');
    const second = await journal.acquireLease('held', { holder: 'b', ttlMs: 60_000 });
    expect(second.token).toBe(3);
    expect(await journal.releaseLease('held', first)).toBe(false);
    expect(await journal.releaseLease('held', second)).toBe(true);
  });

  it('expire in the time of the journal, and can be renewed while nobody else has them', async () => {
    await journal.createStream('brief');
    const lease = await journal.acquireLease('brief', { holder: 'a', ttlMs: 300 });
    // The journal's time goes on without any append.
    await until(async () => (await journal.describeStream('brief')).lease === null);
    const again = await journal.renewLease('brief', lease, { ttlMs: 300 });
    expect(again.token).toBe(lease.token);
    expect(again.expiresAt).toBeGreaterThan(lease.expiresAt);
    await until(async () => {
      const granted = await journal
        .acquireLease('brief', { holder: 'b', ttlMs: 60_000 })
        .catch(() => null);
      return granted !== null && granted.token === lease.token + 1;
    });
    const error = await failure(journal.renewLease('brief', lease, { ttlMs: 300 }));
    expect(error.reason).toBe('LEASE_LOST');
  });
});

describe('an action that is repeated', () => {
  it('hears its first outcome through every region, and after all were killed, from checkpoints', async () => {
    await journal.createStream('once');
    const plain = { stream: 'once' };
    const config = { fencing: Fencing.NONE };
    const acts: readonly ((replica: number) => Promise<object>)[] = [
      (at) => ask(at, fence, { ...plain, requestId: 'f' }),
      (at) => ask(at, fence, { ...plain, token: 1n, requestId: 'g' }),
      (at) => ask(at, fence, { ...plain, token: 0n, requestId: 'low' }),
      (at) => ask(at, acquireLease, { ...plain, holder: 'h', ttlMs: 1000, requestId: 'l' }),
      (at) => ask(at, releaseLease, { ...plain, holder: 'h', token: 2n, requestId: 'r' }),
      (at) => ask(at, trim, { ...plain, before: 9n, requestId: 't' }),
      (at) => ask(at, deleteStream, { ...plain, requestId: 'd' }),
      (at) => ask(at, createStream, { ...plain, requestId: 'c', config }),
    ];
    const through = async (...replicas: readonly number[]): Promise<string[]> => {
      const answers: string[] = [];
      for (const [i, act] of acts.entries()) {
        answers.push(await told(act(replicas[i % replicas.length] ?? 0)));
      }
      return answers;
    };
    const first = await through(0, 1, 2);
    expect(first[0]).toBe('{"token":"1"}');
    expect(first[2]).toContain('FENCED');
    expect(first[6]).toBe('{"deleted":true}');
    for (const replica of [0, 1, 2]) expect(await through(replica)).toEqual(first);
    const before = await journal.describeStream('once');
    expect(before).toMatchObject({ fencingToken: 3, lease: null });

    const newest = [0, 1, 2].map(newestCheckpoint);
    await until(async () => {
      await journal.append('filler', [{ body: Buffer.alloc(8 << 10) }]);
      return newest.every((name, replica) => newestCheckpoint(replica) > name);
    });
    for (const replica of [0, 1, 2]) await cluster.kill(replica);
    await Promise.all([0, 1, 2].map((replica) => cluster.startReplica(replica)));
    for (const replica of [2, 0]) expect(await through(replica)).toEqual(first);
    expect(await journal.describeStream('once')).toEqual(before);
    const misused = ask(0, fence, { ...plain, token: 77n, requestId: 'f' });
    expect((await failure(misused)).reason).toBe('INVALID');
  });

  it('through the client library is tried in another region when one dies', async () => {
    await cluster.kill(0);
    const { token } = await journal.fence('once');
    expect(token).toBe(4);
    expect(await journal.createStream('without r0')).toBe(true);
    await cluster.startReplica(0);
    await cluster.converged();
    expect(await journal.createStream('without r0')).toBe(false);
  });
});

describe('the outcome of an append', () => {
  it('is resolved by its name: appended, failed, never, pending', async () => {
    const session = new RawSession(cluster.channel(1));
    const by = (seq: number, previous: number, epoch = 1) => ({
      writer: { id: 'resolved', epoch, seq, previous },
    });
    session.sendFrames(batchOf('r', 'one', by(5, 0)));
    session.sendFrames(batchOf('r', 'no', { ...by(7, 5), matchSeqNum: 9 }));
    await session.whenAnswered(2);
    session.end();
    const resolve = (seq: number, epoch = 1) =>
      journal.resolveAppend({ writerId: 'resolved', epoch, seq });
    expect(await resolve(5)).toMatchObject({ state: 'appended', firstSeqNum: 0 });
    const failed = await resolve(7);
    if (failed.state !== 'failed') throw new Error(`is ${failed.state}`);
    expect(failed.error).toMatchObject({ reason: 'CONDITION_FAILED', noEffect: true });
    expect(failed.error.details).toMatchObject({ expected: '9', actual: '1' });
    expect(await resolve(6)).toEqual({ state: 'never' });
    expect(await resolve(8)).toEqual({ state: 'pending' });
    expect(await resolve(8, 2)).toEqual({ state: 'pending' });
    const unknown = { writerId: 'nobody', epoch: 1, seq: 1 };
    expect(await journal.resolveAppend(unknown)).toEqual({ state: 'pending' });
    const zero = journal.resolveAppend({ writerId: 'resolved', epoch: 1, seq: 0 });
    expect((await failure(zero)).reason).toBe('INVALID');
  });
});

/** Name of the newest finished one in the replica's directory. */
function newestCheckpoint(replica: number): string {
  const names = readdirSync(cluster.dataOf(replica));
  return (
    names
      .filter((name) => /^checkpoint-\d+$/.test(name))
      .sort()
      .at(-1) ?? ''
  );
}

async function told(call: Promise<object>): Promise<string> {
  try {
    return JSON.stringify(await call, (name, value: unknown) =>
      name === '$typeName' ? undefined : typeof value === 'bigint' ? String(value) : value,
    );
  } catch (error) {
    const { reason, details } = error as MeridianError;
    return `${reason} ${JSON.stringify(details)}`;
  }
}
