/** What waits to be stamped: fair between sources, in order within one, and counted. */
import { expect, it } from 'vitest';
import { FairQueue, TURN_BYTES } from './fair-queue.ts';
import { A, B, C, Trio } from './testing.ts';

interface Waiting {
  readonly source: number;
  readonly number: number;
  readonly bytes: number;
  readonly minTimestamp: number;
}

function fill(queue: FairQueue<Waiting>, source: number, count: number, bytes: number): void {
  for (let number = 0; number < count; number += 1) {
    queue.push({ source, number, bytes, minTimestamp: 0 });
  }
}

/** Takes until `bytes` are gone, and counts them by source. */
function bytesOf(queue: FairQueue<Waiting>, bytes: number): Map<number, number> {
  const taken = new Map<number, number>();
  for (let sum = 0; sum < bytes;) {
    const next = queue.take();
    if (next === null) break;
    sum += next.bytes;
    taken.set(next.source, (taken.get(next.source) ?? 0) + next.bytes);
  }
  return taken;
}

it('a thousand appends of one source delay the one of another by a turn', () => {
  const queue = new FairQueue<Waiting>();
  fill(queue, 1, 1000, 8 * 1024);
  queue.take();
  fill(queue, 2, 1, 100);
  let before = 0;
  for (let next = queue.take(); next?.source !== 2; next = queue.take()) before += next?.bytes ?? 0;
  expect(before).toBeLessThanOrEqual(TURN_BYTES);
});

it('sources with much to send get the same bytes, whatever the size of their appends', () => {
  const queue = new FairQueue<Waiting>();
  fill(queue, 1, 40, 1024 * 1024);
  fill(queue, 2, 40_000, 1024);
  fill(queue, 3, 4000, 10_000);
  const taken = bytesOf(queue, 30 * 1024 * 1024);
  const shares = [1, 2, 3].map((source) => (taken.get(source) ?? 0) / (10 * 1024 * 1024));
  for (const share of shares) expect(Math.abs(share - 1)).toBeLessThan(0.11);
});

it('the appends of a source keep their order, and what is put back comes first', () => {
  const queue = new FairQueue<Waiting>();
  fill(queue, 1, 5000, 1000);
  fill(queue, 2, 5000, 3000);
  const seen = new Map<number, number>();
  const next = (): Waiting | null => {
    const peeked = queue.peek();
    const taken = queue.take();
    expect(taken).toBe(peeked);
    return taken;
  };
  const takenBack = [next(), next(), next()].flatMap((each) => (each === null ? [] : [each]));
  queue.putBack(takenBack);
  expect(queue.peek()).toBe(takenBack[0]);
  for (let each = next(); each !== null; each = next()) {
    expect(each.number).toBe((seen.get(each.source) ?? -1) + 1);
    seen.set(each.source, each.number);
  }
  expect([...seen]).toEqual([
    [1, 4999],
    [2, 4999],
  ]);
  expect([queue.length, queue.bytes]).toEqual([0, 0]);
});

it('counts what waits, and forgets sources that have nothing more', () => {
  const queue = new FairQueue<Waiting>();
  fill(queue, 1, 2, 100);
  fill(queue, 2, 1, 50);
  expect([queue.length, queue.bytes]).toEqual([3, 250]);
  expect(queue.takeAll().map(({ source, number }) => `${source}.${number}`)).toEqual([
    '1.0',
    '1.1',
    '2.0',
  ]);
  expect([queue.length, queue.bytes, queue.peek(), queue.take()]).toEqual([0, 0, null, null]);
});

it('a replica puts the append of a quiet source into its next entry, not behind a flood', () => {
  const trio = Trio.open({ settings: { entryBytesMax: 256 * 1024, queueBytesMax: 1 << 26 } });
  const names = Array.from({ length: 400 }, (_, i) => `flood ${i}`);
  for (const name of names) trio.append(A, name, { bytes: 8 * 1024, source: 1 });
  trio.append(A, 'quiet', { source: 2 });
  trio.until(() => trio.releasedBy(A, 'quiet'));
  const entry = trio.replica(A).released.indexOf('quiet');
  trio.until(() => names.every((name) => trio.releasedBy(A, name)));
  expect(entry).toBeLessThan((256 * 1024) / (8 * 1024));
  expect(trio.replica(A).released.filter((name) => name !== 'quiet')).toEqual(names);
});

it('what the links cannot take yet waits where sources take turns, not behind the stamp', () => {
  const trio = Trio.open({ settings: { entryBytesMax: 128 * 1024, queueBytesMax: 1 << 26 } });
  for (const peer of [B, C]) trio.delay(A, peer, 40_000);
  const names = Array.from({ length: 400 }, (_, i) => `flood ${i}`);
  for (const name of names) trio.append(A, name, { bytes: 10 * 1024, source: 1 });
  trio.run(20);
  trio.append(A, 'quiet', { source: 2 });
  trio.until(() => [...names, 'quiet'].every((name) => trio.releasedBy(A, name)));
  // 1 MiB, which is always under way, and the entry that fills it.
  expect(trio.replica(A).released.indexOf('quiet')).toBeLessThan(140);
  expect(trio.lane(A, A).committed).toBe(trio.lane(A, A).last);
});
