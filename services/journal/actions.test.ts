import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { createOrderMachine } from '../../libs/order/machine.ts';
import { micros, timestamp } from '../../libs/values/numbers.ts';
import { at } from '../../libs/values/assert.ts';
import { Actions } from './actions.ts';
import type { ActionsOptions } from './actions.ts';
import { Admission } from './admission.ts';
import type { PendingAppend } from './content.ts';
import { Watermark } from './watermark.ts';

const CREATE = { kind: 'create', config: { fencing: null } } as const;
const FENCE = { kind: 'fence', token: null, expected: null } as const;

class Bench {
  readonly submitted: PendingAppend[] = [];
  readonly order = createOrderMachine();
  readonly admission = new Admission(10_000);
  readonly watermark = new Watermark(micros(0));
  readonly caller = new AbortController();
  readonly actions: Actions;
  wall = 5_000_000;
  now = 100;

  constructor(options: Partial<ActionsOptions> = {}) {
    this.actions = new Actions({
      waitingMax: 2,
      timeoutMs: 1000,
      admission: this.admission,
      watermark: this.watermark,
      clocks: { monotonic: () => micros(0), wall: () => this.wall },
      obstacle: () => null,
      submit: (append) => {
        this.submitted.push(append);
      },
      ...options,
    });
  }

  create(requestId = 'r'): ReturnType<Actions['perform']> {
    return this.actions.perform({ stream: 's', requestId }, CREATE, this.caller.signal);
  }

  fence(): ReturnType<Actions['perform']> {
    return this.actions.perform({ stream: 's', requestId: '' }, FENCE, this.caller.signal);
  }

  /** Everything submitted comes into the order. */
  release(): void {
    for (const append of this.submitted.splice(0)) {
      append.owner.decided(append, this.order.apply(append.header, timestamp((this.now += 1))));
    }
  }
}

const unknown = { reason: 'INDEFINITE', noEffect: false };

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a control action', () => {
  it('is answered with what the order says, whether it is the first or a repetition', async () => {
    const bench = new Bench();
    const first = bench.create();
    const second = bench.create();
    expect(bench.actions.waitingCount).toBe(2);
    bench.release();
    expect(await first).toMatchObject({ kind: 'create', created: true });
    expect(await second).toMatchObject({ kind: 'create', created: true });
    expect(bench.actions.waitingCount).toBe(0);
    expect(bench.admission.bytes).toBe(0);
  });

  it('is not answered before the order has decided, however durable it is', async () => {
    const bench = new Bench();
    let answered = false;
    const call = bench.create().then(() => (answered = true));
    const append = at(bench.submitted, 0);
    const firstSeqNum = 0 as never;
    append.owner.committed(append, { kind: 'appended', timestamp: timestamp(1), firstSeqNum });
    await Promise.resolve();
    expect(answered).toBe(false);
    bench.release();
    await call;
  });

  it('fails with the typed error of the order', async () => {
    const bench = new Bench();
    const call = bench.fence();
    bench.release();
    await expect(call).rejects.toMatchObject({ reason: 'STREAM_NOT_FOUND', noEffect: true });
  });

  it('is void a minute after it was taken, by the clock or the watermark that is ahead', () => {
    const bench = new Bench();
    void bench.create().catch(() => undefined);
    expect(bench.submitted[0]?.header.control?.notAfter).toBe(5_000_000 + 60_000_000);
    bench.watermark.publish(timestamp(9_000_000), micros(0));
    void bench.create().catch(() => undefined);
    expect(bench.submitted[1]?.header.control?.notAfter).toBe(9_000_000 + 60_000_000);
    bench.actions.abandonWaiting('test over');
  });

  it('is INDEFINITE when no decision comes, and its room is given back only with the decision', async () => {
    const bench = new Bench();
    const call = bench.create();
    const failed = expect(call).rejects.toMatchObject(unknown);
    vi.advanceTimersByTime(1000);
    await failed;
    expect(bench.actions.waitingCount).toBe(0);
    expect(bench.admission.bytes).toBeGreaterThan(0);
    bench.release();
    expect(bench.admission.bytes).toBe(0);
    expect(bench.order.stream('s')).not.toBeNull();
  });

  it('is INDEFINITE when the quorum is lost, and when the caller has gone', async () => {
    const bench = new Bench();
    const calls = [bench.create('1'), bench.create('2')];
    bench.actions.abandonWaiting('the others are gone');
    for (const call of calls) await expect(call).rejects.toMatchObject(unknown);
    const call = bench.create('3');
    bench.caller.abort();
    await expect(call).rejects.toMatchObject(unknown);
    expect(bench.actions.waitingCount).toBe(0);
  });

  it('is refused without effect when the lane refuses it', async () => {
    const bench = new Bench();
    const call = bench.create();
    const append = at(bench.submitted.splice(0), 0);
    append.owner.refused(append, 'CLOCK_UNSAFE');
    await expect(call).rejects.toMatchObject({ reason: 'CLOCK_UNSAFE', noEffect: true });
    expect(bench.admission.bytes).toBe(0);
  });

  it('is refused at the bounds: how many wait, their bytes, and while nothing can be stamped', async () => {
    const bench = new Bench();
    const calls = [bench.create('1'), bench.create('2')];
    await expect(bench.create('3')).rejects.toMatchObject({
      reason: 'OVERLOADED',
      details: { limit: '2' },
    });
    bench.release();
    await Promise.all(calls);
    const full = new Bench({ admission: new Admission(10) });
    await expect(full.create()).rejects.toMatchObject({ reason: 'OVERLOADED' });
    const obstacle = new MeridianError('NO_QUORUM', 'alone');
    await expect(new Bench({ obstacle: () => obstacle }).create()).rejects.toBe(obstacle);
  });

  it('that cannot be asked is INVALID and takes no room', async () => {
    const bench = new Bench();
    const long = bench.create('x'.repeat(65));
    await expect(long).rejects.toMatchObject({ reason: 'INVALID' });
    expect(bench.admission.bytes).toBe(0);
    expect(bench.submitted).toEqual([]);
  });
});
