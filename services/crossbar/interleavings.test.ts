import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { decodeBatchHeader, decodeRecords } from '../../libs/frames/batch.ts';
import { decodeCursor } from '../../libs/frames/cursor.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import type { SubscribeWish } from './crossbar.ts';
import { FakeStream } from './fake-instance.ts';
import { places, settle, wish, world } from './fake-world.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

describe('a crossbar under any interleaving', () => {
  const command = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('append' as const),
        who: fc.nat(1),
        step: fc.integer({ min: 1, max: 4 }),
        streams: fc.array(fc.constantFrom('a', 'b', 'a:k1', 'b:k1', 'b:k2'), {
          minLength: 1,
          maxLength: 3,
        }),
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
        filter: fc.constantFrom(
          'all' as const,
          'stream' as const,
          'keys' as const,
          'both' as const,
        ),
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
    readonly filter: 'all' | 'stream' | 'keys' | 'both';
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
            {
              windowBytesMax: 800,
              inputBytesMax: 600,
              catchUpsMax: 2,
              subscriberBytesMax: 300,
              catchUpTurnMs: 1,
              slowReaderMs: 1e9,
            },
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
              const subscription = it_.crossbar.subscribe(wishFor(step.filter, cursor), stream);
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

  function wishFor(filter: Subscriber['filter'], cursor: Uint8Array): SubscribeWish {
    const streams = filter === 'stream' || filter === 'both' ? ['b'] : [];
    const range = { from: Buffer.from('k1'), to: Buffer.from('k2') };
    return wish(streams, cursor, filter === 'keys' || filter === 'both' ? [range] : []);
  }

  function check(
    order: readonly Delivery[],
    { stream, filter, cursor }: Subscriber,
    end: number,
  ): void {
    const passes = ({ batch }: Delivery): boolean => {
      const [record] = decodeRecords(batch);
      const key = record?.key == null ? '' : Buffer.from(record.key).toString();
      const stream =
        filter === 'all' || filter === 'keys' || decodeBatchHeader(batch).stream === 'b';
      return stream && (filter === 'all' || filter === 'stream' || key === 'k1');
    };
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
