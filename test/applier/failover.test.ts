/** Subscriptions and calls over two crossbars on the network, whose instances are in memory. */
import { afterEach, describe, expect, it } from 'vitest';
import { Crossbars } from '../../libs/applier/crossbars.ts';
import type { SourceGap } from '../../libs/applier/source.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import { startServer } from '../../libs/rpc/rpc.ts';
import { at } from '../../libs/values/assert.ts';
import { Crossbar } from '../../services/crossbar/crossbar.ts';
import { FakeInstance } from '../../services/crossbar/fake-instance.ts';
import { SETTINGS } from '../../services/crossbar/fake-world.ts';
import { crossbarService } from '../../services/crossbar/service.ts';
import { CrossbarFeed } from '../../services/sidecar/crossbar-feed.ts';
import type { FeedItem } from '../../services/sidecar/journal-port.ts';
import { until } from '../journal/cluster.ts';

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Served {
  readonly address: string;
  readonly instances: readonly [FakeInstance, FakeInstance];
  stop(): Promise<void>;
}

async function serve(): Promise<Served> {
  const instances = [new FakeInstance('i1', 1), new FakeInstance('i2', 2)] as const;
  const crossbar = new Crossbar({
    cluster: 'c',
    instances,
    connect: () => {
      throw new Error('nobody joins here');
    },
    settings: { ...SETTINGS, stallAfterMs: 100, stallRepeatMs: 100 },
    now: () => performance.now(),
    wall: () => 1_000_000,
    onTrouble: () => undefined,
    onFatal: () => undefined,
    onReady: () => undefined,
  });
  const server = await startServer({
    address: '127.0.0.1:0',
    services: [crossbarService(crossbar, { cluster: 'c', region: 'here' })],
    onError: () => undefined,
    onWarning: () => undefined,
  });
  crossbar.start();
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    crossbar.stop();
    await server.close(0);
  };
  cleanups.push(stop);
  return { address: `127.0.0.1:${server.port}`, instances, stop };
}

/** The same journal at every crossbar. */
class Database {
  readonly served: readonly Served[];
  readonly #timer: NodeJS.Timeout;

  constructor(served: readonly Served[]) {
    this.served = served;
    this.#timer = setInterval(() => {
      for (const { instances } of served) for (const instance of instances) instance.settle();
    }, 5);
    cleanups.push(() => {
      clearInterval(this.#timer);
    });
  }

  append(instance: 0 | 1, timestamp: number, streams: readonly string[]): void {
    for (const { instances } of this.served) instances[instance].append(timestamp, streams);
  }

  reach(timestamp: number): void {
    for (const { instances } of this.served) for (const each of instances) each.reached = timestamp;
  }
}

async function database(): Promise<Database> {
  return new Database([await serve(), await serve()]);
}

function follow(crossbars: Crossbars) {
  const seen: string[] = [];
  const gaps: SourceGap[] = [];
  const state = { watermark: 0, stalledBy: [] as readonly string[], error: '' };
  const wish = { after: null, streams: [], keys: [] };
  const subscription = crossbars.subscribe(wish, {
    onBatches: (frames) => {
      for (const { timestamp, instance } of decodeDeliveries(frames)) {
        seen.push(`${timestamp}/${instance}`);
      }
    },
    onProgress: (watermark, _cursor, stalledBy) => {
      state.watermark = watermark;
      state.stalledBy = stalledBy;
    },
    onGap: (gap) => gaps.push(gap),
    onEnd: (error) => {
      state.error = error.reason;
    },
  });
  return { seen, gaps, state, subscription };
}

function connected(served: readonly Served[], more: { silenceMs?: number } = {}): Crossbars {
  const crossbars = served.map(({ address }) => address);
  const made = new Crossbars({ cluster: 'c', crossbars, deadlineMs: 5000, returnMs: 100, ...more });
  cleanups.push(() => {
    made.close();
  });
  return made;
}

describe('a subscription over several crossbars', () => {
  it('goes on at another when one goes down, and calls do too', async () => {
    const it_ = await database();
    const crossbars = connected(it_.served);
    const { seen, state, subscription } = follow(crossbars);
    it_.append(0, 10, ['s']);
    it_.append(1, 11, ['s']);
    it_.reach(15);
    await until(() => state.watermark === 15);
    expect(subscription.source).toBe(at(it_.served, 0).address);
    await at(it_.served, 0).stop();
    it_.append(0, 20, ['s']);
    it_.reach(30);
    await until(() => state.watermark === 30);
    expect(subscription.source).toBe(at(it_.served, 1).address);
    expect(seen).toEqual(['10/1', '11/2', '20/1']);
    expect((await crossbars.heartbeat({ wait: true })).readPoint).toBe(30);
    expect(await crossbars.waitFor(25)).toBe(30);
  });

  it('tries another when one does not get on, and names who stalls; returns when it is well', async () => {
    const it_ = await database();
    const [first, second] = it_.served as [Served, Served];
    const { seen, state, subscription } = follow(connected(it_.served, { silenceMs: 600 }));
    it_.reach(10);
    await until(() => state.watermark === 10);
    // Only the first one cannot reach the second instance.
    it_.append(0, 20, ['s']);
    for (const instance of second.instances) instance.reached = 30;
    first.instances[0].reached = 30;
    await until(() => state.stalledBy.length > 0);
    expect(state.stalledBy).toEqual(['i2']);
    await until(() => state.watermark === 30);
    expect(subscription.source).toBe(second.address);
    first.instances[1].reached = 30;
    await until(() => subscription.source === first.address);
    it_.reach(40);
    await until(() => state.watermark === 40);
    expect(seen).toEqual(['20/1']);
  });

  it('ends with what no other crossbar can help with, and at close', async () => {
    const it_ = await database();
    const wrong = new Crossbars({ cluster: 'd', crossbars: [at(it_.served, 0).address] });
    const { state } = follow(wrong);
    await until(() => state.error !== '');
    expect(state.error).toBe('WRONG_TARGET');
    await expect(wrong.heartbeat()).rejects.toMatchObject({ reason: 'WRONG_TARGET' });
    wrong.close();
    const crossbars = connected(it_.served);
    const other = follow(crossbars);
    crossbars.close();
    expect(other.state.error).toBe('UNAVAILABLE');
    await expect(crossbars.heartbeat()).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  });

  it('passes gaps on in their place', async () => {
    const it_ = await database();
    const { gaps, state } = follow(connected(it_.served));
    it_.reach(10);
    await until(() => state.watermark === 10);
    const to = { timestamp: 20, recordOffset: 0 };
    // Not of the registry, which would be asked first whether members changed meanwhile.
    for (const following of at(it_.served, 0).instances[1].followings) {
      following.miss({ kind: 'trimmed', from: 12, to });
    }
    it_.reach(30);
    await until(() => state.watermark === 30);
    expect(gaps).toEqual([{ kind: 'trimmed', instance: 'i2', from: 12, to: 19 }]);
  });
});

describe("the sidecar's feed", () => {
  it('gives batches with positions that resume, also when they were applied in part', async () => {
    const it_ = await database();
    const crossbars = it_.served.map(({ address }) => address);
    const config = { cluster: 'c', stream: 's', apply: { crossbars }, timings: {} };
    const settings = { ...config, timings: { heartbeatTimeoutMs: 3000 } };
    const feed = new CrossbarFeed(
      settings as unknown as ConstructorParameters<typeof CrossbarFeed>[0],
      null,
    );
    cleanups.push(() => {
      feed.close();
    });
    const items: FeedItem[] = [];
    const handler = { onItems: (more: readonly FeedItem[]) => items.push(...more), onEnd: () => 0 };
    feed.follow(null, handler);
    it_.append(0, 10, ['s', 's', 't', 's']);
    it_.reach(20);
    await until(() => items.some((item) => item.kind === 'progress' && item.watermark === 20));
    const batches = items.filter((item) => item.kind === 'batch');
    expect(batches.map(({ position }) => position.recordOffset)).toEqual([0, 1, 3]);
    await at(it_.served, 0).stop();
    const again: FeedItem[] = [];
    const rest = { onItems: (more: readonly FeedItem[]) => again.push(...more), onEnd: () => 0 };
    const middle = at(batches, 1).position;
    feed.follow({ ...middle, cursor: middle.cursor ?? new Uint8Array() }, rest);
    await until(() => again.some((item) => item.kind === 'progress'));
    expect(
      again.filter((item) => item.kind === 'batch').map(({ position }) => position.recordOffset),
    ).toEqual([3]);
    expect(await feed.heartbeat()).toBe(20);
  });
});
