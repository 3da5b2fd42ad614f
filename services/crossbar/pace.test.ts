import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MeridianError } from '../../libs/errors/errors.ts';
import type { FakeInstance } from './fake-instance.ts';
import { FakeStream } from './fake-instance.ts';
import { places, settle, wish, world } from './fake-world.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a subscriber whose connection takes nothing', () => {
  it('is cut off after the bound, with the cursor after what waits for it', async () => {
    const it_ = await world({ slowReaderMs: 5_000, subscriberBytesMax: 300 });
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const slow = new FakeStream(0);
    const subscription = it_.crossbar.subscribe(wish(), slow);
    for (let i = 1; i <= 20; i += 1) {
      one.append(i, ['s']);
      one.reached = two.reached = i;
      settle(it_);
    }
    await vi.advanceTimersByTimeAsync(4_900);
    expect(subscription.state).toBe('live');
    await vi.advanceTimersByTimeAsync(500);
    expect(subscription.state).toBe('over');
    // It holds memory until its client has taken what waits, so it counts until then.
    expect(it_.crossbar.status()).toMatchObject({ subscribers: 1 });
    expect(it_.crossbar.load().heldBytes).toBeGreaterThan(0);
    slow.drain(Infinity);
    expect(it_.crossbar.status().subscribers).toBe(0);
    expect(it_.crossbar.load().heldBytes).toBe(0);
    expect(it_.crossbar.figures.cutOff).toBe(1);
    const error = slow.error as MeridianError;
    expect(error.reason).toBe('SLOW_READER');
    const cursor = Buffer.from(error.details['cursor'] ?? '', 'base64url');
    const again = new FakeStream();
    it_.crossbar.subscribe(wish([], cursor), again);
    settle(it_);
    expect([...places(slow.deliveries), ...places(again.deliveries)]).toEqual(
      Array.from({ length: 20 }, (_, i) => `${i + 1}/1/0`),
    );
    it_.stop();
  });

  it('is not cut off while it takes something now and then, nor while there is nothing to take', async () => {
    const it_ = await world({ slowReaderMs: 1_000, subscriberBytesMax: 300 });
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const [slow, idle] = [new FakeStream(0), new FakeStream()];
    const subscription = it_.crossbar.subscribe(wish(), slow);
    const other = it_.crossbar.subscribe(wish(['none']), idle);
    for (let i = 1; i <= 20; i += 1) {
      one.append(i, ['s']);
      one.reached = two.reached = i;
      settle(it_);
      await vi.advanceTimersByTimeAsync(900);
      slow.drain(1);
    }
    expect([subscription.state, other.state]).toEqual(['live', 'live']);
    it_.stop();
  });
});

describe('slots for subscribers that are far behind', () => {
  it('go to others when their holder takes nothing, and come back to it', async () => {
    const settings = { catchUpsMax: 1, subscriberBytesMax: 300, windowBytesMax: 100_000 };
    const it_ = await world({ ...settings, catchUpTurnMs: 100 }, ([one, two]) => {
      for (let i = 1; i <= 30; i += 1) one?.append(i, ['s']);
      for (const instance of [one, two]) if (instance !== undefined) instance.reached = 40;
    });
    const [stuck, quick] = [new FakeStream(0), new FakeStream()];
    const first = it_.crossbar.subscribe(wish(), stuck);
    settle(it_);
    const second = it_.crossbar.subscribe(wish(), quick);
    settle(it_);
    expect([first.state, second.state]).toEqual(['catchingUp', 'waiting']);
    await vi.advanceTimersByTimeAsync(500);
    expect([first.state, second.state]).toEqual(['waiting', 'catchingUp']);
    settle(it_);
    expect(second.state).toBe('live');
    stuck.drain(Infinity);
    expect(first.state).toBe('catchingUp');
    settle(it_);
    expect(first.state).toBe('live');
    expect(places(stuck.deliveries)).toEqual(places(quick.deliveries));
    expect(stuck.deliveries.length).toBe(30);
    it_.stop();
  });
});

describe('bytes that wait for subscribers', () => {
  it('are bounded over all of them: each has a share, and the fast ones do not notice', async () => {
    const bounds = { subscriberBytesMax: 128 * 1024, subscribersBytesMax: 1024 * 1024 };
    const it_ = await world({ ...bounds, windowBytesMax: 64 * 1024 * 1024 });
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const slow = Array.from({ length: 16 }, () => new FakeStream(0));
    const fast = Array.from({ length: 4 }, () => new FakeStream());
    for (const stream of [...slow, ...fast]) it_.crossbar.subscribe(wish(), stream);
    for (let i = 1; i <= 1000; i += 1) {
      one.append(i, ['s'], 10_000);
      one.reached = two.reached = i;
      one.settle();
      two.settle();
    }
    const { heldBytes } = it_.crossbar.load();
    expect(heldBytes).toBeGreaterThan(1024 * 1024);
    // The smallest share is 64 KiB; the message that exceeds it may have half of that more.
    expect(heldBytes).toBeLessThan(16 * 96 * 1024);
    for (const stream of fast) expect(stream.deliveries.length).toBe(1000);
    for (const stream of slow) stream.drain(Infinity);
    for (const stream of slow) expect(stream.deliveries.length).toBe(1000);
    it_.stop();
  });
});
