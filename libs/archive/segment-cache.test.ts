import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { segmentKey } from './keys.ts';
import type { SegmentRef } from './manifest.ts';
import { SegmentCache } from './segment-cache.ts';

const COUNT = 20;

/** Segments of ten entries and 100 bytes; fetches end when they are told to. */
function harness(limits: { bytesMax?: number; fetchesMax?: number; readAhead?: number } = {}) {
  const open: { ref: SegmentRef; end: (error?: Error) => void }[] = [];
  const locate = (ordinal: number): Promise<SegmentRef | null> => {
    const first = Math.floor(ordinal / 10) * 10;
    if (first >= COUNT * 10) return Promise.resolve(null);
    const times = { firstTimestamp: first, lastTimestamp: first + 9, streams: null };
    return Promise.resolve({
      key: segmentKey(first, 'ab'.repeat(32)),
      bytes: 100,
      sha256: '',
      first,
      end: first + 10,
      ...times,
    });
  };
  const cache = new SegmentCache<number>({
    bytesMax: 300,
    fetchesMax: 2,
    readAhead: 0,
    ...limits,
    locate,
    fetch: (ref) =>
      new Promise((resolve, reject) => {
        open.push({
          ref,
          end: (error) => {
            if (error === undefined) resolve(ref.first);
            else reject(error);
          },
        });
      }),
  });
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 20; i += 1) await Promise.resolve();
  };
  const ask = (ordinal: number): Promise<number | null> =>
    new Promise((resolve, reject) => {
      cache.ask(ordinal, (error, loaded) => {
        if (error === null) resolve(loaded);
        else reject(error);
      });
    });
  return { cache, open, settle, ask };
}

describe('the cache of segments', () => {
  it('fetches a segment once for all that wait for it', async () => {
    const { cache, open, settle, ask } = harness();
    const answers = Promise.all([ask(12), ask(15), ask(19)]);
    await settle();
    expect(open).toHaveLength(1);
    open[0]?.end();
    expect(await answers).toEqual([10, 10, 10]);
    expect(cache.peek(11)).toBe(10);
    expect(cache.peek(9)).toBeNull();
  });

  it('fetches no more at once than its bound', async () => {
    const { open, settle, ask } = harness();
    const answers = [0, 10, 20, 30].map((ordinal) => ask(ordinal));
    await settle();
    expect(open).toHaveLength(2);
    open[0]?.end();
    await settle();
    expect(open).toHaveLength(3);
    open[1]?.end();
    open[2]?.end();
    await settle();
    open[3]?.end();
    expect(await Promise.all(answers)).toEqual([0, 10, 20, 30]);
  });

  it('keeps what was used last, up to its bound in bytes', async () => {
    const { cache, open, settle, ask } = harness({ fetchesMax: 9 });
    for (const ordinal of [0, 10, 20]) {
      const answer = ask(ordinal);
      await settle();
      open.at(-1)?.end();
      await answer;
    }
    cache.peek(0);
    const answer = ask(30);
    await settle();
    open.at(-1)?.end();
    await answer;
    expect([0, 10, 20, 30].map((ordinal) => cache.peek(ordinal))).toEqual([0, null, 20, 30]);
    expect(cache.bytes).toBe(300);
  });

  it('reads ahead, and never beyond the end', async () => {
    const { open, settle, ask } = harness({ bytesMax: 10_000, fetchesMax: 9, readAhead: 2 });
    void ask(0);
    await settle();
    expect(open.map(({ ref }) => ref.first)).toEqual([0, 10, 20]);
    void ask(190);
    await settle();
    expect(open.map(({ ref }) => ref.first)).toEqual([0, 10, 20, 190]);
  });

  it('tells everybody who waits that it failed, and tries again when asked again', async () => {
    const { open, settle, ask } = harness();
    const answers = [ask(0), ask(5)];
    await settle();
    open[0]?.end(new MeridianError('UNAVAILABLE', 'no answer'));
    for (const answer of answers) await expect(answer).rejects.toThrow('no answer');
    const again = ask(0);
    await settle();
    open[1]?.end();
    expect(await again).toBe(0);
  });

  it('says that no segment holds the ordinal', async () => {
    expect(await harness().ask(COUNT * 10)).toBeNull();
  });
});
