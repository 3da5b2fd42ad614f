/**
 * Every reason for which a replica refuses, provoked through a real gRPC server: what arrives at the
 * client is the typed reason with its details, the gRPC code of the closed list, and whether it
 * certainly had no effect. (UNAUTHENTICATED and PERMISSION_DENIED cross the wire in libs/rpc's tests:
 * callers are not authenticated yet. CORRUPT, SLOW_READER and DEADLINE stand with what causes them.)
 */
import { toBinary } from '@bufbuild/protobuf';
import type { DescMessage, DescMethodUnary, MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { REASONS } from '../../libs/errors/errors.ts';
import type { Reason } from '../../libs/errors/errors.ts';
import { encodeBatch, encodeControlBatch } from '../../libs/frames/batch.ts';
import type { BatchInput } from '../../libs/frames/batch.ts';
import {
  AppendRequestSchema,
  JournalService,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { StreamService } from '../../libs/gen/meridian/journal/v1/streams_pb.ts';
import { Cluster, DEADLINE_MS, RawSession, TARGET, batchOf, until } from './cluster.ts';

const cluster = new Cluster();
cluster.overrides['limits'] = { windowBytes: 1 << 20, unansweredBytesMax: 1 << 20 };

beforeAll(async () => {
  await cluster.start();
});
afterAll(async () => {
  await cluster.stop();
});

const writer = (seq: number, previous: number, epoch = 1) => ({
  writer: { id: 'w', epoch, seq, previous },
});

/** One append: the failure it is answered with, or the error its session ends with. */
async function appendFailure(
  replica: number,
  frame: Uint8Array,
): Promise<{ reason: string; details: Record<string, string>; noEffect: boolean } | null> {
  const session = new RawSession(cluster.channel(replica));
  session.sendFrames(frame);
  await Promise.race([session.whenAnswered(1).catch(() => undefined), session.ended]);
  session.end();
  const failure = session.runs[0]?.failure;
  if (failure !== undefined) return failure;
  const { error } = session;
  return error == null
    ? null
    : { reason: error.reason, details: { ...error.details }, noEffect: error.noEffect };
}

function expectReason(
  failure: { reason: string; details: object; noEffect: boolean } | null,
  reason: Reason,
  details: object = {},
): void {
  expect(failure).toMatchObject({ reason, details, noEffect: REASONS[reason].noEffect });
}

/** The status code on the wire, of a unary call. */
async function codeOf<I extends DescMessage, O extends DescMessage>(
  replica: number,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<number> {
  const client = new Client(
    `127.0.0.1:${cluster.clientPorts[replica]}`,
    credentials.createInsecure(),
  );
  const path = `/${method.parent.typeName}/${method.name}`;
  const bytes = Buffer.from(toBinary(method.input, create(method.input, request)));
  try {
    return await new Promise<number>((resolve) => {
      const whole = (message: Buffer): Buffer => message;
      const deadline = { deadline: Date.now() + DEADLINE_MS };
      client.makeUnaryRequest(path, whole, whole, bytes, deadline, (error: ServiceError | null) => {
        resolve(error === null ? 0 : error.code);
      });
    });
  } finally {
    client.close();
  }
}

describe('an append', () => {
  const cases: readonly [string, Reason, Partial<BatchInput>, object][] = [
    [
      'whose tail is another',
      'CONDITION_FAILED',
      { matchSeqNum: 7 },
      { expected: '7', actual: '1' },
    ],
    ['whose token is another', 'FENCED', { fencingToken: 7 }, { expected: '7', actual: '0' }],
    ['to a stream that must exist', 'STREAM_NOT_FOUND', { stream: 'none', mustExist: true }, {}],
    ['of a lower epoch', 'WRITER_FENCED', writer(9, 8, 1), { epoch: '1', current: '2' }],
    ['with one missing before it', 'WRITER_GAP', writer(9, 8, 2), { previous: '8', last: '2' }],
    [
      'whose outcome is not remembered',
      'WRITER_FORGOTTEN',
      { writer: { id: 'never seen', epoch: 1, seq: 5, previous: 4 } },
      { seq: '5' },
    ],
  ];

  beforeAll(async () => {
    expect(await appendFailure(0, batchOf('s', 'x', writer(1, 0, 2)))).toBeNull();
    expect(await appendFailure(1, batchOf('other', 'x', writer(2, 1, 2)))).toBeNull();
  });

  it.each(cases)('%s is refused as %s, through every region', async (_, reason, wish, details) => {
    for (const replica of [0, 1, 2]) {
      expectReason(await appendFailure(replica, batchOf('s', 'x', wish)), reason, details);
    }
  });

  it('keeps its first failure in every region, after a restart too', async () => {
    const frame = batchOf('s', 'x', { ...writer(3, 2, 2), matchSeqNum: 5 });
    const first = await appendFailure(0, frame);
    expectReason(first, 'CONDITION_FAILED', { expected: '5', actual: '1' });
    const grown = Array.from({ length: 4 }, (_, i) => batchOf('s', `${i}`));
    expect(await appendFailure(1, Buffer.concat(grown))).toBeNull();
    for (const replica of [1, 2]) expect(await appendFailure(replica, frame)).toEqual(first);
    await Promise.all([0, 1, 2].map((replica) => cluster.kill(replica)));
    await Promise.all([0, 1, 2].map((replica) => cluster.startReplica(replica)));
    for (const replica of [2, 1, 0]) expect(await appendFailure(replica, frame)).toEqual(first);
  });

  it('that is too large, malformed, an action, or too much ends its session, undone', async () => {
    const large = { stream: 's', records: [{ body: Buffer.alloc(2 << 20) }] };
    const frame = encodeBatch(large, { batchBytesMax: 4 << 20, recordsMax: 1 });
    expectReason(await appendFailure(0, frame), 'TOO_LARGE', { limit: `${1 << 20}` });
    const damaged = Buffer.from(batchOf('s', 'x'));
    damaged.writeUInt8(damaged.readUInt8(29) ^ 1, 29);
    expectReason(await appendFailure(0, damaged), 'INVALID');
    const control = { requestId: '', notAfter: 0, action: { kind: 'delete' } } as const;
    expectReason(await appendFailure(0, encodeControlBatch({ stream: 's', control })), 'INVALID');
    const half = batchOf('flood', 'x'.repeat(600_000));
    const session = new RawSession(cluster.channel(0));
    session.sendFrames(Buffer.concat([half, half]));
    const details = { limit: `${1 << 20}` };
    expect(await session.ended).toMatchObject({ reason: 'OVERLOADED', details, noEffect: true });
    // What stood before it was taken, and is answered.
    expect(session.answered).toBe(1);
  });

  it('that wants a timestamp far ahead is refused as CLOCK_UNSAFE', async () => {
    const session = cluster.channel(0).bidi(JournalService.method.append, {
      onMessage: () => undefined,
      onEnd: (error) => {
        ended(error);
      },
    });
    let ended: (error: unknown) => void = () => undefined;
    const end = new Promise<unknown>((resolve) => {
      ended = resolve;
    });
    const minTimestamp = BigInt(Date.now() + 3_600_000) * 1000n;
    const hello = { case: 'hello' as const, value: { target: TARGET } };
    session.write(create(AppendRequestSchema, { message: hello }));
    const value = { frames: batchOf('s', 'x'), minTimestamp };
    session.write(create(AppendRequestSchema, { message: { case: 'batches', value } }));
    expect(await end).toMatchObject({ reason: 'CLOCK_UNSAFE', noEffect: true });
  });
});

describe('a call', () => {
  const { checkTail, heartbeat } = JournalService.method;
  const { createStream, fence, trim, acquireLease, renewLease } = StreamService.method;
  const on = { target: TARGET, stream: 'led' };
  const lease = { holder: 'a', ttlMs: 60_000 };

  beforeAll(async () => {
    const options = { deadlineMs: DEADLINE_MS };
    await cluster.channel(0).unary(createStream, { ...on, requestId: 'c' }, options);
    await cluster.channel(0).unary(acquireLease, { ...on, ...lease, requestId: 'l' }, options);
  });

  it.each([
    ['STREAM_NOT_FOUND', checkTail, { target: TARGET, stream: 'none' }],
    ['WRONG_TARGET', heartbeat, { target: { cluster: 'other', instance: 'one' } }],
    ['LEASE_HELD', acquireLease, { ...on, ...lease, holder: 'b', requestId: 'b' }],
    ['LEASE_LOST', renewLease, { ...on, ...lease, token: 9n }],
    ['CONDITION_FAILED', fence, { ...on, expected: 9n, requestId: 'e' }],
    ['FENCED', fence, { ...on, token: 0n, requestId: 'z' }],
    ['OUT_OF_RANGE', trim, { ...on, before: 9n, requestId: 't' }],
    ['INVALID', acquireLease, { ...on, ...lease, ttlMs: 0, requestId: 'i' }],
  ] as const)('is refused as %s, with its code', async (reason, method, request) => {
    const any = method as DescMethodUnary;
    const call = cluster.channel(1).unary(any, request, { deadlineMs: DEADLINE_MS });
    await expect(call).rejects.toMatchObject({ reason, noEffect: REASONS[reason].noEffect });
    expect(await codeOf(2, any, request)).toBe(REASONS[reason].code);
  });
});

describe('a replica that loses the others', () => {
  it('ends what waits as INDEFINITE, then refuses as NO_QUORUM', async () => {
    await cluster.kill(1);
    await cluster.kill(2);
    const session = new RawSession(cluster.channel(0));
    session.send('s', 'waits');
    const fence = { target: TARGET, stream: 'led', requestId: 'unknown' };
    const waits = cluster
      .channel(0)
      .unary(StreamService.method.fence, fence, { deadlineMs: DEADLINE_MS });
    const unknown = { reason: 'INDEFINITE', noEffect: false };
    await Promise.all([
      expect(session.ended).resolves.toMatchObject(unknown),
      expect(waits).rejects.toMatchObject(unknown),
    ]);
    await until(async () => {
      const failure = await appendFailure(0, batchOf('s', 'x'));
      return failure?.reason === 'NO_QUORUM' && failure.noEffect;
    });
    expect(await codeOf(0, StreamService.method.fence, fence)).toBe(REASONS.NO_QUORUM.code);
    // The first outcome is heard by whoever asks again, wherever it is.
    await Promise.all([1, 2].map((replica) => cluster.startReplica(replica)));
    const tokens: bigint[] = [];
    for (const replica of [1, 2, 0]) {
      await until(async () => {
        const options = { deadlineMs: DEADLINE_MS };
        const { fence: method } = StreamService.method;
        tokens.push((await cluster.channel(replica).unary(method, fence, options)).token);
        return true;
      });
    }
    expect(tokens).toEqual([2n, 2n, 2n]);
  });
});
