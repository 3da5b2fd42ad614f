/** For tests: a crossbar over two fake instances, others that may join, and how to look at what it delivered. */
import type { MeridianError } from '../../libs/errors/errors.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import type { MemberRecord } from '../../libs/frames/member-record.ts';
import { assert } from '../../libs/values/assert.ts';
import { Crossbar } from './crossbar.ts';
import type { CrossbarSettings, SubscribeWish } from './crossbar.ts';
import { FakeInstance } from './fake-instance.ts';

export const SETTINGS: CrossbarSettings = {
  windowBytesMax: 1024 * 1024,
  inputBytesMax: 1024 * 1024,
  retryMs: 1,
  stallAfterMs: 400,
  stallRepeatMs: 1000,
  subscribersMax: 100,
  catchUpsMax: 4,
  streamsPerSubscriberMax: 10,
  progressIntervalMs: 0,
  subscriberBytesMax: 64 * 1024,
  subscribersBytesMax: 64 * 1024 * 1024,
  slowReaderMs: 30_000,
  catchUpTurnMs: 100,
  waitersMax: 3,
};

export interface World {
  readonly instances: readonly FakeInstance[];
  readonly crossbar: Crossbar;
  readonly fatal: MeridianError[];
  readonly troubles: string[];
  readonly stop: () => void;
}

export async function world(
  settings: Partial<CrossbarSettings> = {},
  prepare: (instances: readonly FakeInstance[]) => void = () => undefined,
): Promise<World> {
  const instances = [new FakeInstance('i1', 1), new FakeInstance('i2', 2)];
  prepare(instances);
  return open(instances, settings);
}

/** A crossbar over these; the first two are founders, the others may join. */
export async function open(
  instances: readonly FakeInstance[],
  settings: Partial<CrossbarSettings> = {},
): Promise<World> {
  const fatal: MeridianError[] = [];
  const troubles: string[] = [];
  const crossbar = new Crossbar({
    cluster: 'c',
    instances: instances.slice(0, 2).reverse(),
    connect: ({ number }) => {
      const joined = instances.find((instance) => instance.number === number);
      assert(joined !== undefined, 'an instance that exists joins');
      return joined;
    },
    settings: { ...SETTINGS, ...settings },
    now: () => Date.now(),
    wall: () => 1_000_000,
    onTrouble: (instance) => troubles.push(instance),
    onFatal: (error) => fatal.push(error),
    onReady: () => undefined,
  });
  crossbar.start();
  // The instances' answers are promises that have resolved already.
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  const stop = (): void => {
    crossbar.stop();
  };
  return { instances, crossbar, fatal, troubles, stop };
}

/** Numbered from 1: more than the founders, for those who join. */
export function four(): [FakeInstance, FakeInstance, FakeInstance, FakeInstance] {
  const make = (number: number): FakeInstance => new FakeInstance(`i${number}`, number);
  return [make(1), make(2), make(3), make(4)];
}

/** All of them have closed everything up to there. */
export function reach(instances: readonly FakeInstance[], at: number): void {
  for (const instance of instances) instance.reached = at;
}

export const FOUNDERS: MemberRecord['founders'] = [
  { number: 1, name: 'i1' },
  { number: 2, name: 'i2' },
];

export function memberChange(kind: 'join' | 'leave', instance: number): MemberRecord {
  const replicas = kind === 'join' ? [{ region: 'here', address: `10.0.0.${instance}:7400` }] : [];
  return { kind, instance, name: `i${instance}`, replicas, founders: FOUNDERS, history: [] };
}

export const wish = (
  streams: readonly string[] = [],
  cursor: Uint8Array = new Uint8Array(),
  keyRanges: SubscribeWish['keyRanges'] = [],
): SubscribeWish => ({ cluster: 'c', cursor, streams, keyRanges });

export const places = (items: readonly Delivery[]): string[] =>
  items.map((item) => `${item.timestamp}/${item.instance}/${item.recordOffset}`);

/** Settles until nobody, catching up included, has anything left. */
export function settle({ instances }: World): void {
  for (let round = 0; round < 6; round += 1) for (const instance of instances) instance.settle();
}
