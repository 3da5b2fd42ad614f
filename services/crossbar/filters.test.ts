import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { keyPrefix } from '../../libs/frames/key-filter.ts';
import type { SubscribeWish } from './crossbar.ts';
import type { FakeInstance } from './fake-instance.ts';
import { FakeStream } from './fake-instance.ts';
import { places, settle, wish, world } from './fake-world.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const keys = (...names: string[]): { from: Uint8Array; to: Uint8Array }[] =>
  names.map((name) => {
    const { from = new Uint8Array(), to = new Uint8Array() } = keyPrefix(Buffer.from(name));
    return { from, to };
  });

describe('a subscriber with key ranges', () => {
  it('gets batches with such keys, live and while it catches up, and all of the progress', async () => {
    const it_ = await world({}, ([one, two]) => {
      one?.append(5, ['s:a1', 's:b1', 's']);
      two?.append(6, ['t:a2']);
      for (const instance of [one, two]) if (instance !== undefined) instance.reached = 10;
    });
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const [byKey, both] = [new FakeStream(), new FakeStream()];
    it_.crossbar.subscribe(wish([], undefined, keys('a')), byKey);
    it_.crossbar.subscribe(wish(['s'], undefined, keys('a', 'b')), both);
    settle(it_);
    expect(places(byKey.deliveries)).toEqual(['5/1/0', '6/2/0']);
    expect(places(both.deliveries)).toEqual(['5/1/0', '5/1/1']);
    one.append(15, ['s:b2', 's:a3', 's:c']);
    one.reached = two.reached = 20;
    settle(it_);
    expect(places(byKey.deliveries).slice(2)).toEqual(['15/1/1']);
    expect(places(both.deliveries).slice(2)).toEqual(['15/1/0', '15/1/1']);
    expect([byKey.watermarks.at(-1), both.watermarks.at(-1)]).toEqual([20, 20]);
    it_.stop();
  });

  it('goes on with another filter from the same cursor', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const first = new FakeStream();
    it_.crossbar.subscribe(wish([], undefined, keys('a')), first);
    one.append(5, ['s:a', 's:b']);
    one.append(7, ['s:b']);
    one.reached = two.reached = 6;
    settle(it_);
    const second = new FakeStream();
    it_.crossbar.subscribe(wish([], first.cursor, keys('b')), second);
    one.reached = two.reached = 10;
    settle(it_);
    expect(places(second.deliveries)).toEqual(['7/1/0']);
    it_.stop();
  });

  it('is refused with a range that can hold nothing, and with too many', async () => {
    const it_ = await world();
    const bad = [{ from: Buffer.from('b'), to: Buffer.from('a') }];
    const attempt = (ranges: SubscribeWish['keyRanges']) => () =>
      it_.crossbar.subscribe(wish([], undefined, ranges), new FakeStream());
    expect(attempt(bad)).toThrow('ends at or before its first key');
    expect(attempt(Array.from({ length: 65 }, () => keys('x')).flat())).toThrow('65 key ranges');
    it_.stop();
  });
});

describe('records that an instance no longer has', () => {
  it('are told in their place in the order, to every subscriber, with the cursor from before', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const [all, filtered] = [new FakeStream(), new FakeStream()];
    it_.crossbar.subscribe(wish(), all);
    it_.crossbar.subscribe(wish(['t']), filtered);
    one.append(5, ['s']);
    two.append(8, ['t']);
    two.append(30, ['t']);
    one.append(25, ['s', 't', 's']);
    one.reached = two.reached = 5;
    settle(it_);
    one.reached = two.reached = 40;
    // What the first entry of 25 lost, and everything between: 25 itself begins at its second record.
    const trimmed = { kind: 'trimmed' as const, from: 6, to: { timestamp: 20, recordOffset: 0 } };
    // There may have been changes of the members among it: the registry is asked first.
    one.followings[0]?.miss(trimmed);
    await vi.advanceTimersByTimeAsync(2);
    one.followings[0]?.miss(trimmed);
    one.followings[0]?.miss({ kind: 'lost', from: 25, to: { timestamp: 25, recordOffset: 1 } });
    one.log.splice(1, 1);
    settle(it_);
    const gaps = ['trimmed i1 6-19', 'lost i1 25-25'];
    expect(all.story).toEqual([
      ...['5/1/0', '8/2/0', gaps[0], gaps[1]],
      ...['25/1/1', '25/1/2', '30/2/0'],
    ]);
    expect(filtered.story).toEqual(['8/2/0', gaps[0], gaps[1], '25/1/1', '30/2/0']);
    const told = all.messages.find((message) => message.case === 'gap');
    const resumed = new FakeStream();
    it_.crossbar.subscribe(wish([], told?.value.cursor), resumed);
    expect(resumed.story).toEqual([gaps[0], gaps[1], '25/1/1', '25/1/2', '30/2/0']);
    it_.stop();
  });
});

describe('a caller that waits for a place', () => {
  it('is answered once the watermark covers it: a timestamp, a cursor, a read point', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    const answers: string[] = [];
    const note = (name: string) => (watermark: number) => answers.push(`${name} ${watermark}`);
    void it_.crossbar.waitFor('c', 15).then(note('timestamp'));
    one.append(20, ['s']);
    one.reached = two.reached = 10;
    settle(it_);
    await Promise.resolve();
    expect(answers).toEqual([]);
    one.reached = two.reached = 20;
    settle(it_);
    await vi.advanceTimersByTimeAsync(1);
    expect(answers).toEqual(['timestamp 20']);
    void it_.crossbar.waitFor('c', stream.cursor).then(note('cursor'));
    one.reached = 50;
    void it_.crossbar
      .heartbeat('c', true)
      .then(({ readPoint, watermark }) => answers.push(`read point ${readPoint} at ${watermark}`));
    await vi.advanceTimersByTimeAsync(1);
    expect(answers).toEqual(['timestamp 20', 'cursor 20']);
    two.reached = 60;
    settle(it_);
    await vi.advanceTimersByTimeAsync(1);
    expect(answers.at(-1)).toBe('read point 50 at 50');
    it_.stop();
  });

  it('can subscribe from the read point on, and gets what comes later only', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    one.append(5, ['s']);
    one.reached = two.reached = 10;
    const { cursor } = await it_.crossbar.heartbeat('c');
    one.append(12, ['s']);
    one.reached = two.reached = 15;
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish([], cursor), stream);
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['12/1/0']);
    it_.stop();
  });

  it('is refused beyond the bound, in the far future, and when the crossbar goes down', async () => {
    const it_ = await world();
    const reasons: string[] = [];
    const wait = (at: number): void => {
      it_.crossbar.waitFor('c', at).catch((error: unknown) => {
        if (error instanceof MeridianError) reasons.push(error.reason);
      });
    };
    for (let i = 0; i < 4; i += 1) wait(100);
    await vi.advanceTimersByTimeAsync(1);
    expect(reasons).toEqual(['OVERLOADED']);
    expect(() => it_.crossbar.waitFor('c', 9e12)).toThrow('in the future');
    expect(() => it_.crossbar.waitFor('d', 1)).toThrow('meant for "d"');
    const gone = new AbortController();
    gone.abort();
    await expect(it_.crossbar.waitFor('c', 0, gone.signal)).resolves.toBe(0);
    it_.stop();
    await vi.advanceTimersByTimeAsync(1);
    expect(reasons).toEqual(['OVERLOADED', 'UNAVAILABLE', 'UNAVAILABLE', 'UNAVAILABLE']);
  });
});
