import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeCursor, encodeCursor } from '../../libs/frames/cursor.ts';
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import { U32_MAX } from '../../libs/frames/ints.ts';
import { Crossbar } from './crossbar.ts';
import type { CrossbarSettings } from './crossbar.ts';
import { FakeInstance, FakeStream } from './fake-instance.ts';

const SETTINGS: CrossbarSettings = {
  windowBytesMax: 1024 * 1024,
  inputBytesMax: 1024 * 1024,
  retryMs: 1,
  stallAfterMs: 400,
  stallRepeatMs: 1000,
  subscribersMax: 100,
  catchUpsMax: 4,
  streamsPerSubscriberMax: 10,
  progressIntervalMs: 0,
};

interface World {
  readonly instances: readonly FakeInstance[];
  readonly crossbar: Crossbar;
  readonly fatal: MeridianError[];
  readonly troubles: string[];
  readonly stop: () => void;
}

async function world(
  settings: Partial<CrossbarSettings> = {},
  prepare: (instances: readonly FakeInstance[]) => void = () => undefined,
): Promise<World> {
  const instances = [new FakeInstance('i1', 1), new FakeInstance('i2', 2)];
  prepare(instances);
  const fatal: MeridianError[] = [];
  const troubles: string[] = [];
  const crossbar = new Crossbar({
    cluster: 'c',
    instances: [...instances].reverse(),
    settings: { ...SETTINGS, ...settings },
    now: () => Date.now(),
    wall: () => 1_000_000,
    onTrouble: (instance) => troubles.push(instance),
    onFatal: (error) => fatal.push(error),
    onReady: () => undefined,
  });
  crossbar.start();
  await vi.advanceTimersByTimeAsync(0);
  const stop = (): void => {
    crossbar.stop();
  };
  return { instances, crossbar, fatal, troubles, stop };
}

const wish = (streams: readonly string[] = [], cursor: Uint8Array = new Uint8Array()) => ({
  cluster: 'c',
  cursor,
  streams,
});

const places = (items: readonly Delivery[]): string[] =>
  items.map((item) => `${item.timestamp}/${item.instance}/${item.recordOffset}`);

/** Settles until nobody, catching up included, has anything left. */
function settle({ instances }: World): void {
  for (let round = 0; round < 6; round += 1) for (const instance of instances) instance.settle();
}

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a crossbar', () => {
  it('delivers by timestamp, equal ones by instance, and no further than every instance has come', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    two.append(10, ['s', 't']);
    one.append(10, ['s']);
    one.append(30, ['s']);
    two.append(20, ['s']);
    one.reached = 35;
    one.settle();
    expect(stream.deliveries).toEqual([]);
    two.reached = 20;
    two.settle();
    expect(places(stream.deliveries)).toEqual(['10/1/0', '10/2/0', '10/2/1', '20/2/0']);
    expect(stream.watermarks.at(-1)).toBe(20);
    two.reached = 100;
    two.settle();
    expect(places(stream.deliveries).at(-1)).toBe('30/1/0');
    expect(stream.watermarks.at(-1)).toBe(35);
    it_.stop();
  });

  it('keeps the batches of an entry together although they come in several messages', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    one.append(10, ['a', 'b', 'c']);
    one.reached = two.reached = 10;
    two.settle();
    for (const following of one.followings) following.deliver(2);
    expect(stream.deliveries).toEqual([]);
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['10/1/0', '10/1/1', '10/1/2']);
    it_.stop();
  });

  it('lets a filtered subscriber see the watermark advance over what it did not ask for', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(['b']), stream);
    one.append(10, ['a', 'b']);
    two.append(20, ['a']);
    one.reached = two.reached = 50;
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['10/1/1']);
    expect(stream.deliveries.map((item) => decodeBatchHeader(item.batch).stream)).toEqual(['b']);
    expect(stream.watermarks.at(-1)).toBe(50);
    it_.stop();
  });

  it('starts a subscriber without a cursor at the beginning, however old that is', async () => {
    const it_ = await world({}, ([one, two]) => {
      if (one === undefined || two === undefined) return;
      for (let i = 1; i <= 50; i += 1) (i % 2 === 0 ? one : two).append(i, ['s']);
      one.reached = two.reached = 60;
    });
    const stream = new FakeStream();
    const subscription = it_.crossbar.subscribe(wish(), stream);
    expect(subscription.state).toBe('catchingUp');
    settle(it_);
    expect(stream.deliveries.map((item) => item.timestamp)).toEqual(
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
    expect(subscription.state).toBe('live');
    it_.stop();
  });

  it('resumes after a cursor with neither loss nor repetition, at another crossbar too', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const first = new FakeStream();
    it_.crossbar.subscribe(wish(), first);
    one.append(10, ['s']);
    two.append(10, ['s']);
    one.reached = two.reached = 10;
    settle(it_);
    const { cursor } = first;
    first.close();
    one.append(11, ['s']);
    two.append(12, ['s']);
    one.reached = two.reached = 20;
    settle(it_);
    const second = new FakeStream();
    it_.crossbar.subscribe(wish([], cursor), second);
    settle(it_);
    expect(places(second.deliveries)).toEqual(['11/1/0', '12/2/0']);
    it_.stop();
    const other = await world({}, ([a, b]) => {
      a?.log.push(...one.log);
      b?.log.push(...two.log);
      for (const instance of [a, b]) if (instance !== undefined) instance.reached = 20;
    });
    const third = new FakeStream();
    other.crossbar.subscribe(wish([], cursor), third);
    settle(other);
    expect(places(third.deliveries)).toEqual(['11/1/0', '12/2/0']);
    other.stop();
  });

  it('never tells a subscriber a watermark below its cursor when this crossbar is behind', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const cursor = encodeCursor(
      'c',
      [1, 2].map((instance) => ({ instance, timestamp: 500, recordOffset: U32_MAX })),
    );
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish([], cursor), stream);
    one.append(400, ['s']);
    one.reached = two.reached = 450;
    settle(it_);
    expect(stream.messages).toEqual([]);
    two.append(501, ['s']);
    one.reached = two.reached = 600;
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['501/2/0']);
    expect(stream.watermarks[0]).toBeGreaterThan(500);
    expect(stream.watermarks.at(-1)).toBe(600);
    it_.stop();
  });

  it('says by name who holds it up, and stops saying so', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    one.reached = two.reached = 10;
    settle(it_);
    one.append(30, ['s']);
    one.reached = 50;
    one.settle();
    await vi.advanceTimersByTimeAsync(900);
    const told = stream.messages.at(-1);
    expect(told?.case === 'progress' && told.value.stalledBy).toEqual(['i2']);
    expect(told?.case === 'progress' && told.value.watermark).toBe(10n);
    expect(it_.crossbar.status().instances.map((each) => [each.name, each.stalling])).toEqual([
      ['i1', false],
      ['i2', true],
    ]);
    two.reached = 60;
    two.settle();
    const after = stream.messages.at(-1);
    expect(after?.case === 'progress' && after.value.stalledBy).toEqual([]);
    expect(it_.crossbar.status().instances.some((each) => each.stalling)).toBe(false);
    it_.stop();
  });

  it('stops reading an instance that runs far ahead of another, and goes on afterwards', async () => {
    const it_ = await world({ inputBytesMax: 2000 });
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    for (let i = 1; i <= 100; i += 1) one.append(i, ['s'], 100);
    one.reached = 100;
    const [following] = one.followings;
    while (following?.deliver(1) === true);
    expect(following?.paused).toBe(true);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    two.reached = 200;
    settle(it_);
    expect(stream.deliveries.length).toBe(100);
    it_.stop();
  });

  it('lets a slow subscriber wait for itself alone, and serves it from the instances when it is back', async () => {
    const it_ = await world({ windowBytesMax: 2000 });
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const slow = new FakeStream(1);
    const fast = new FakeStream();
    const subscription = it_.crossbar.subscribe(wish(), slow);
    it_.crossbar.subscribe(wish(), fast);
    for (let i = 1; i <= 100; i += 1) {
      one.append(i, ['s'], 100);
      one.reached = two.reached = i;
      settle(it_);
    }
    expect(fast.deliveries.length).toBe(100);
    expect(slow.messages.length).toBe(1);
    slow.drain(1000);
    expect(subscription.state).toBe('catchingUp');
    settle(it_);
    expect(subscription.state).toBe('live');
    expect(places(slow.deliveries)).toEqual(places(fast.deliveries));
    it_.stop();
  });

  it('lets only so many subscribers read for themselves at once; the others wait in line', async () => {
    const it_ = await world({ catchUpsMax: 1 }, ([one, two]) => {
      one?.append(5, ['s']);
      for (const instance of [one, two]) if (instance !== undefined) instance.reached = 10;
    });
    const streams = [new FakeStream(), new FakeStream(), new FakeStream()];
    const subscriptions = streams.map((stream) => it_.crossbar.subscribe(wish(), stream));
    expect(subscriptions.map((each) => each.state)).toEqual(['catchingUp', 'waiting', 'waiting']);
    streams[1]?.close();
    settle(it_);
    expect(subscriptions.map((each) => each.state)).toEqual(['live', 'over', 'live']);
    expect(streams.map((stream) => stream.deliveries.length)).toEqual([1, 0, 1]);
    it_.stop();
  });

  it('goes on from the same place when an instance could not be followed for a while', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    one.append(10, ['a', 'b']);
    one.append(20, ['a']);
    one.reached = two.reached = 25;
    one.followings[0]?.deliver(1);
    one.followings[0]?.fail();
    expect(it_.troubles).toEqual(['i1']);
    settle(it_);
    expect(stream.deliveries).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['10/1/0', '10/1/1', '20/1/0']);
    it_.stop();
  });

  it('stops, and passes nothing on, when an instance delivers against its own order', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    one.append(10, ['a']);
    one.reached = two.reached = 25;
    const [following] = one.followings;
    settle(it_);
    following?.claim(one.log);
    expect(it_.fatal.map((error) => error.reason)).toEqual(['CORRUPT']);
    expect(stream.deliveries.length).toBe(1);
    it_.stop();
  });

  it('serves subscribers by their own merge while an instance has not yet said where it stands', async () => {
    const it_ = await world({}, ([one]) => {
      if (one !== undefined) one.down = new MeridianError('UNAVAILABLE', 'not yet');
    });
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    expect(it_.crossbar.status().instances.map((each) => each.stalling)).toEqual([true, false]);
    const stream = new FakeStream();
    const subscription = it_.crossbar.subscribe(wish(), stream);
    one.append(5, ['s']);
    one.reached = two.reached = 10;
    settle(it_);
    expect(subscription.state).toBe('catchingUp');
    expect(stream.deliveries.length).toBe(1);
    one.down = null;
    await vi.advanceTimersByTimeAsync(2);
    two.append(15, ['s']);
    one.reached = two.reached = 20;
    settle(it_);
    expect(subscription.state).toBe('live');
    expect(places(stream.deliveries)).toEqual(['5/1/0', '15/2/0']);
    it_.stop();
  });

  it('answers a heartbeat with the highest read point, by a round begun after the question', async () => {
    const it_ = await world();
    const [one, two] = it_.instances as [FakeInstance, FakeInstance];
    one.reached = 10;
    two.reached = 30;
    const first = it_.crossbar.heartbeat('c');
    two.reached = 40;
    const later = [it_.crossbar.heartbeat('c'), it_.crossbar.heartbeat('c')];
    expect((await first).readPoint).toBe(30);
    expect((await Promise.all(later)).map((answer) => answer.readPoint)).toEqual([40, 40]);
    expect(one.heartbeats).toBe(2);
    two.down = new MeridianError('NO_QUORUM', 'i2: no quorum');
    await expect(it_.crossbar.heartbeat('c')).rejects.toThrow('i2: no quorum');
    two.down = null;
    expect((await it_.crossbar.heartbeat('c')).readPoint).toBe(40);
    it_.stop();
  });

  it('tells its subscribers to resume elsewhere when it goes down', async () => {
    const it_ = await world();
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    it_.stop();
    expect(stream.error).toMatchObject({ reason: 'UNAVAILABLE' });
    expect(it_.crossbar.status().subscribers).toBe(0);
  });
});

describe('a subscriber is refused', () => {
  const at = (instance: number, timestamp = 5, recordOffset = U32_MAX) => ({
    instance,
    timestamp,
    recordOffset,
  });
  const cases: [
    string,
    { cluster?: string; cursor?: Uint8Array; streams?: string[] },
    string,
    string,
  ][] = [
    ['for another cluster', { cluster: 'd' }, 'WRONG_TARGET', 'the call is meant for "d"'],
    [
      'with a cursor of another cluster',
      { cursor: encodeCursor('d', [at(1), at(2)]) },
      'INVALID',
      'not of cluster "c"',
    ],
    [
      'with bytes that are no cursor',
      { cursor: Buffer.from('hello world') },
      'INVALID',
      'format version',
    ],
    [
      'with a cursor of an unknown instance',
      { cursor: encodeCursor('c', [at(1), at(2), at(3)]) },
      'INVALID',
      'names instance 3',
    ],
    [
      'with a cursor that lacks an instance',
      { cursor: encodeCursor('c', [at(1)]) },
      'INVALID',
      'lacks instance 2',
    ],
    [
      'with a cursor that is no place in the order',
      { cursor: encodeCursor('c', [at(1, 5), at(2, 90)]) },
      'INVALID',
      'no place in the merged order',
    ],
    [
      'with a cursor inside an entry',
      { cursor: encodeCursor('c', [at(1, 5), at(2, 5, 0)]) },
      'INVALID',
      'no place in the merged order',
    ],
    [
      'with a cursor from the far future',
      { cursor: encodeCursor('c', [at(1, 4e9), at(2, 4e9)]) },
      'OUT_OF_RANGE',
      'in the future',
    ],
    [
      'with too many streams',
      { streams: Array.from({ length: 11 }, (_, i) => `s${i}`) },
      'TOO_LARGE',
      'may name 10',
    ],
    ['with an empty stream name', { streams: [''] }, 'INVALID', 'stream name of 0 bytes'],
  ];
  it.each(cases)('%s', async (_what, given, reason, message) => {
    const it_ = await world();
    const run = () => it_.crossbar.subscribe({ ...wish(), ...given }, new FakeStream());
    expect(run).toThrow(message);
    try {
      run();
    } catch (error) {
      expect(error).toMatchObject({ reason });
    }
    expect(it_.crossbar.status().subscribers).toBe(0);
    it_.stop();
  });

  it('beyond the bound, until one leaves', async () => {
    const it_ = await world({ subscribersMax: 1 });
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    expect(() => it_.crossbar.subscribe(wish(), new FakeStream())).toThrow(
      '1 subscribers are served',
    );
    stream.close();
    it_.crossbar.subscribe(wish(), new FakeStream());
    it_.stop();
  });
});

describe('a crossbar under any interleaving', () => {
  const command = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('append' as const),
        who: fc.nat(1),
        step: fc.integer({ min: 1, max: 4 }),
        streams: fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 3 }),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        type: fc.constant('reach' as const),
        who: fc.nat(1),
        step: fc.nat(8),
      }),
    },
    {
      weight: 10,
      arbitrary: fc.record({
        type: fc.constant('deliver' as const),
        who: fc.nat(1),
        which: fc.nat(),
        most: fc.integer({ min: 1, max: 4 }),
      }),
    },
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('progress' as const),
        who: fc.nat(1),
        which: fc.nat(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ type: fc.constant('fail' as const), who: fc.nat(1), which: fc.nat() }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(1, 600) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.constant('subscribe' as const),
        from: fc.option(fc.tuple(fc.nat(), fc.nat())),
        filter: fc.boolean(),
        room: fc.constantFrom(1, 2, Infinity),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('drain' as const),
        which: fc.nat(),
        room: fc.integer({ min: 1, max: 4 }),
      }),
    },
  );

  interface Subscriber {
    readonly stream: FakeStream;
    readonly filter: boolean;
    /** Empty: from the beginning. */
    readonly cursor: Uint8Array;
  }

  it('gives every subscriber the one order after its cursor, and no progress before its records', async () => {
    let resumed = 0;
    let caughtUp = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(12),
        fc.array(command, { minLength: 60, maxLength: 250 }),
        async (history, commands) => {
          const it_ = await world(
            { windowBytesMax: 800, inputBytesMax: 600, catchUpsMax: 2 },
            (all) => {
              for (const each of all) {
                for (let i = 1; i <= history; i += 1) each.append(i, ['a', 'b']);
                each.reached = history;
              }
            },
          );
          const subscribers: Subscriber[] = [];
          const highest = [history, history];
          for (const step of commands) {
            const instance = it_.instances['who' in step ? step.who : 0];
            if (instance === undefined) continue;
            if (step.type === 'append') {
              const above = Math.max(highest[step.who] ?? 0, instance.reached);
              highest[step.who] = above + step.step;
              instance.append(above + step.step, step.streams);
            } else if (step.type === 'reach') {
              instance.reached += step.step;
            } else if (step.type === 'deliver') {
              instance.followings[step.which % instance.followings.length]?.deliver(step.most);
            } else if (step.type === 'progress') {
              instance.followings[step.which % instance.followings.length]?.progress();
            } else if (step.type === 'fail') {
              instance.followings[step.which % instance.followings.length]?.fail();
            } else if (step.type === 'wait') {
              await vi.advanceTimersByTimeAsync(step.ms);
            } else if (step.type === 'drain') {
              subscribers[step.which % subscribers.length]?.stream.drain(step.room);
            } else {
              const stream = new FakeStream(step.room);
              const other = subscribers[(step.from?.[0] ?? 0) % subscribers.length];
              const message =
                other?.stream.messages[(step.from?.[1] ?? 0) % other.stream.messages.length];
              const cursor =
                step.from === null || message?.case === undefined
                  ? new Uint8Array()
                  : message.value.cursor;
              if (cursor.length > 0) resumed += 1;
              const subscription = it_.crossbar.subscribe(
                wish(step.filter ? ['b'] : [], cursor),
                stream,
              );
              if (subscription.state === 'catchingUp') caughtUp += 1;
              subscribers.push({ stream, filter: step.filter, cursor });
            }
          }
          const end =
            Math.max(...highest, ...it_.instances.map((instance) => instance.reached)) + 1;
          for (const instance of it_.instances) instance.reached = end;
          for (let round = 0; round < 40; round += 1) {
            await vi.advanceTimersByTimeAsync(1);
            for (const { stream } of subscribers) stream.drain(Infinity);
            settle(it_);
          }
          const order = it_.instances
            .flatMap(({ number, log }) => log.map((item) => ({ ...item, instance: number })))
            .sort(
              (a, b) =>
                a.timestamp - b.timestamp ||
                a.instance - b.instance ||
                a.recordOffset - b.recordOffset,
            );
          for (const subscriber of subscribers) check(order, subscriber, end);
          expect(it_.fatal).toEqual([]);
          it_.stop();
        },
      ),
      { numRuns: 150 },
    );
    expect(resumed).toBeGreaterThan(50);
    expect(caughtUp).toBeGreaterThan(50);
  });

  function check(
    order: readonly Delivery[],
    { stream, filter, cursor }: Subscriber,
    end: number,
  ): void {
    const passes = (item: Delivery): boolean =>
      !filter || decodeBatchHeader(item.batch).stream === 'b';
    const parts = new Map(
      (cursor.length === 0 ? [] : decodeCursor('c', cursor)).map((part) => [part.instance, part]),
    );
    const unseen = (item: Delivery): boolean =>
      item.timestamp > (parts.get(item.instance)?.timestamp ?? 0);
    const expected = order.filter((item) => unseen(item) && passes(item));
    expect(places(stream.deliveries)).toEqual(places(expected));
    expect(stream.error).toBeNull();
    let watermark = 0;
    let received = 0;
    for (const message of stream.messages) {
      if (message.case === 'batches') {
        const first = expected[received];
        expect(first?.timestamp).toBeGreaterThan(watermark);
        received += decodeDeliveries(message.value.frames).length;
      } else if (message.case === 'progress') {
        const told = Number(message.value.watermark);
        expect(told).toBeGreaterThanOrEqual(watermark);
        watermark = told;
        expect(expected.slice(received).every((item) => item.timestamp > told)).toBe(true);
      }
    }
    expect(watermark).toBe(end);
  }
});
