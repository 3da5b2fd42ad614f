import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import {
  Fencing,
  ResolveAppendResponse_State as State,
} from '../gen/meridian/journal/v1/streams_pb.ts';
import { FakeRegions } from './fake-regions.ts';
import { connectJournal } from './journal.ts';
import type { Journal } from './journal.ts';

let fakes: FakeRegions;
let journal: Journal;

beforeEach(async () => {
  fakes = new FakeRegions();
  (await fakes.start()).close();
  const options = { cluster: 'test', instance: 'one', deadlineMs: 5_000, silenceMs: 500 };
  journal = connectJournal({ ...options, replicas: fakes.replicas });
});

afterEach(async () => {
  await journal.close({ drainMs: 0 });
  await fakes.stop();
});

const failure = (promise: Promise<unknown>): Promise<MeridianError> =>
  promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => error as MeridianError,
  );

const asked = (): Record<string, unknown>[] =>
  fakes.streams.asked.map(({ request }) => ({ ...request }));

describe('an action', () => {
  it('is repeated elsewhere under the same id until its outcome is known', async () => {
    fakes.streams.answers.push(
      new MeridianError('INDEFINITE', 'lost'),
      new MeridianError('NO_QUORUM', 'not here'),
      { token: 5n },
    );
    expect(await journal.fence('s', { expected: 4 })).toEqual({ token: 5 });
    const requests = asked();
    expect(requests).toHaveLength(3);
    expect(requests[0]).toMatchObject({ stream: 's', expected: 4n });
    expect(requests[0]).not.toHaveProperty('token');
    const ids = new Set(requests.map(({ requestId }) => requestId));
    expect(ids.size).toBe(1);
    expect([...ids][0]).toMatch(/^[0-9a-f-]{36}$/);
    fakes.streams.answers.push({ token: 6n });
    await journal.fence('s');
    expect(ids.has(asked()[3]?.['requestId'])).toBe(false);
  });

  it('that the order refuses is not tried elsewhere', async () => {
    const details = { holder: 'b', expiresAt: 99 };
    fakes.streams.answers.push(new MeridianError('LEASE_HELD', 'b holds it', { details }));
    const error = await failure(journal.acquireLease('s', { holder: 'a', ttlMs: 1000 }));
    expect(error).toMatchObject({ reason: 'LEASE_HELD', noEffect: true });
    expect(error.details).toEqual({ holder: 'b', expiresAt: '99' });
    expect(asked()).toHaveLength(1);
  });

  it('whose outcome nobody says is DEADLINE, of unknown effect', async () => {
    await journal.close();
    const options = { cluster: 'test', instance: 'one', deadlineMs: 300, silenceMs: 100 };
    journal = connectJournal({ ...options, replicas: fakes.replicas });
    for (let i = 0; i < 100; i += 1) {
      fakes.streams.answers.push(new MeridianError('INDEFINITE', 'lost'));
    }
    expect(await failure(journal.deleteStream('s'))).toMatchObject({
      reason: 'DEADLINE',
      noEffect: false,
    });
  });

  it('refuses arguments that are no numbers before it asks anybody', async () => {
    for (const call of [
      () => journal.fence('s', { token: -1 }),
      () => journal.fence('s', { expected: 0.5 }),
      () => journal.trim('s', { before: Number.NaN }),
      () => journal.acquireLease('s', { holder: 'a', ttlMs: 1.5 }),
      () => journal.createStream('s', { fencing: 'maybe' as 'none' }),
      () => journal.listStreams({ limit: -1 }),
    ]) {
      expect((await failure(call())).reason).toBe('INVALID');
    }
    expect(asked()).toEqual([]);
  });
});

describe('streams', () => {
  it('are created, configured and deleted with what was asked', async () => {
    const config = { fencing: Fencing.REQUIRED };
    fakes.streams.answers.push({ created: true, config }, { config }, { deleted: false });
    expect(await journal.createStream('s', { fencing: 'required' })).toBe(true);
    expect(await journal.configureStream('s', {})).toEqual({ fencing: 'required' });
    expect(await journal.deleteStream('s')).toBe(false);
    expect(asked()[0]?.['config']).toMatchObject({ fencing: Fencing.REQUIRED });
    expect(asked()[1]?.['config']).toMatchObject({ fencing: Fencing.UNSPECIFIED });
  });

  it('are described and listed in plain numbers', async () => {
    const stream = {
      stream: 's',
      nextSeqNum: 9n,
      firstSeqNum: 3n,
      timestamp: 1_700_000_000_000_000n,
      createdAt: 7n,
      fencingToken: 2n,
      config: { fencing: Fencing.NONE },
    };
    const plain = {
      name: 's',
      nextSeqNum: 9,
      firstSeqNum: 3,
      timestamp: 1_700_000_000_000_000,
      createdAt: 7,
      fencingToken: 2,
      config: { fencing: 'none' },
    };
    const lease = { holder: 'a', token: 2n, expiresAt: 8n };
    fakes.streams.answers.push(
      { stream: { ...stream, lease } },
      { streams: [stream], more: true },
      {},
    );
    expect(await journal.describeStream('s')).toEqual({
      ...plain,
      lease: { holder: 'a', token: 2, expiresAt: 8 },
    });
    const page = await journal.listStreams({ prefix: 'x', after: 'y', limit: 5 });
    expect(page).toEqual({ streams: [{ ...plain, lease: null }], more: true });
    expect(asked()[1]).toMatchObject({ prefix: 'x', after: 'y', limit: 5 });
    // A server that says nothing it knows is not taken for an empty stream.
    expect((await failure(journal.describeStream('s'))).reason).toBe('INDEFINITE');
  });

  it('have a local tail, of one region when it is named', async () => {
    const tail = { nextSeqNum: 5n, firstSeqNum: 1n, timestamp: 6n, watermark: 7n, stalled: true };
    fakes.streams.answers.push(tail, new MeridianError('NO_QUORUM', 'only this one is asked'));
    expect(await journal.localTail('s')).toEqual({
      localNextSeqNum: 5,
      localFirstSeqNum: 1,
      localTimestamp: 6,
      watermark: 7,
      stalled: true,
    });
    expect((await failure(journal.localTail('s', { region: 'b' }))).reason).toBe('NO_QUORUM');
    expect(asked()).toHaveLength(2);
    const nowhere = await failure(journal.localTail('s', { region: 'z' }));
    expect(nowhere.message).toContain('none of a, b, c');
  });
});

describe('the outcome of an append', () => {
  it('has one of five states', async () => {
    const failed = {
      state: State.FAILED,
      failure: { reason: 'FENCED', message: 'no', details: { actual: '3' }, noEffect: true },
    };
    fakes.streams.answers.push(
      { state: State.APPENDED, timestamp: 8n, firstSeqNum: 9n },
      failed,
      { state: State.NEVER },
      { state: State.PENDING },
      { state: State.FORGOTTEN, forgottenBefore: 4n },
      {},
    );
    const resolve = () => journal.resolveAppend({ writerId: 'w', epoch: 1, seq: 2 });
    expect(await resolve()).toEqual({ state: 'appended', timestamp: 8, firstSeqNum: 9 });
    const second = await resolve();
    if (second.state !== 'failed') throw new Error(second.state);
    expect(second.error).toMatchObject({ reason: 'FENCED', details: { actual: '3' } });
    expect(await resolve()).toEqual({ state: 'never' });
    expect(await resolve()).toEqual({ state: 'pending' });
    expect(await resolve()).toEqual({ state: 'forgotten', forgottenBefore: 4 });
    expect((await failure(resolve())).reason).toBe('INDEFINITE');
  });
});
