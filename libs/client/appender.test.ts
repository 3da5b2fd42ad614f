import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { Ack } from '../gen/meridian/journal/v1/journal_pb.ts';
import { Appender } from './appender.ts';
import type { AppenderOptions } from './appender.ts';
import { FakeRegions } from './fake-regions.ts';
import type { Mood } from './fake-regions.ts';
import type { AppendResult } from './pipeline.ts';
import type { Regions } from './regions.ts';

let fakes: FakeRegions;
let regions: Regions;
const appenders: Appender[] = [];

beforeEach(async () => {
  fakes = new FakeRegions();
  regions = await fakes.start();
});

afterEach(async () => {
  for (const appender of appenders.splice(0)) appender.close();
  regions.close();
  await fakes.stop();
});

function newAppender(options: Partial<AppenderOptions> = {}): Appender {
  const appender = new Appender({
    cluster: 'test',
    instance: 'one',
    regions,
    ack: 'ORDERED',
    writer: { id: 'w', epoch: 1, lastSeq: 0 },
    silenceMs: 300,
    ...options,
  });
  appenders.push(appender);
  return appender;
}

function append(appender: Appender, text: string, deadlineMs = 20_000): Promise<AppendResult> {
  return new Promise((resolve, reject) => {
    const input = { stream: 's', records: [{ body: new TextEncoder().encode(text) }] };
    appender.append(input, deadlineMs, (error, result) => {
      if (error !== null) reject(error);
      else if (result !== null) resolve(result);
    });
  });
}

function many(appender: Appender, count: number): Promise<AppendResult[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => append(appender, `r${i}`)));
}

/** Deterministic numbers in [0, 1), Park and Miller. */
function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

describe('the appender', () => {
  it('answers appends in order with their places', async () => {
    const results = await many(newAppender(), 100);
    expect(results.map(({ firstSeqNum }) => firstSeqNum)).toEqual([...Array(100).keys()]);
    expect(results.every(({ region, duplicate }) => region === 'a' && !duplicate)).toBe(true);
  });

  it('lets every append take effect once, in order, whatever sessions do (30 seeds)', async () => {
    for (let seed = 1; seed <= 30; seed += 1) {
      const next = random(seed * 7919);
      const moods: Mood[] = ['lose-answer', 'lose-append', 'refuse'];
      fakes.mood = () => (next() < 0.1 ? (moods[Math.floor(next() * 3)] ?? 'answer') : 'answer');
      const id = `w${seed}`;
      const results = await many(newAppender({ writer: { id, epoch: 1, lastSeq: 0 } }), 60);
      const mine = fakes.kept.filter(({ writer }) => writer === id);
      expect(mine.map(({ seq }) => seq)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1));
      expect(results.map(({ firstSeqNum }) => firstSeqNum)).toEqual(
        mine.map(({ firstSeqNum }) => firstSeqNum),
      );
    }
  });

  it('learns the first outcome with ORDERED after a lost answer, above what it saw', async () => {
    const appender = newAppender({ ack: 'QUORUM' });
    const first = await append(appender, 'seen');
    expect(first.firstSeqNum).toBeNull();
    let lose = true;
    fakes.mood = () => {
      const mood = lose ? 'lose-answer' : 'answer';
      lose = false;
      return mood;
    };
    const again = await append(appender, 'lost answer');
    expect(again).toMatchObject({ duplicate: true, firstSeqNum: 1, region: 'b' });
    expect(fakes.hellos.map(({ region, ack }) => [region, ack])).toEqual([
      ['a', Ack.QUORUM],
      ['b', Ack.ORDERED],
    ]);
    expect((await append(appender, 'plain again')).firstSeqNum).toBeNull();
    expect(fakes.kept.at(-1)?.minTimestamp).toBe(again.timestamp);
  });

  /**
   * Found by `npm run chaos` (proc/cut-and-kill, seed 11): a writer took over while appends of its former
   * self were under way. They came first, so its own first two were refused as gaps, but the third named
   * as its predecessor a number that the former self had by then: it took effect without the two.
   */
  it('sends nothing behind the first append of a takeover until that is answered', async () => {
    await many(newAppender(), 3);
    const late = newAppender({ writer: { id: 'w', epoch: 2, lastSeq: 1 } });
    const results = await Promise.allSettled(['x', 'y', 'z'].map((text) => append(late, text)));
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    expect(late.ended?.reason).toBe('WRITER_GAP');
    expect(fakes.kept.map(({ epoch }) => epoch)).toEqual([1, 1, 1]);
    const next = newAppender({ writer: { id: 'w', epoch: 2, lastSeq: 3 } });
    expect((await many(next, 3)).map(({ firstSeqNum }) => firstSeqNum)).toEqual([3, 4, 5]);
  });

  /**
   * Found by the simulation of the whole system (seed 4): a QUORUM writer took over while its former self was still
   * appending. The quorum answered its first append, and all behind it, before the order found that the chain had gone
   * on elsewhere: every one of them was acknowledged, and none is there.
   */
  it('asks the order for the first append of a takeover, whatever kind of writer it is', async () => {
    await many(newAppender(), 3);
    const next = newAppender({ ack: 'QUORUM', writer: { id: 'w', epoch: 2, lastSeq: 3 } });
    const results = await many(next, 3);
    expect(results.map(({ firstSeqNum }) => firstSeqNum)).toEqual([3, null, null]);
    expect(fakes.hellos.map(({ ack }) => ack)).toEqual([Ack.ORDERED, Ack.ORDERED, Ack.QUORUM]);
    expect(fakes.kept.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('tries another region when one falls silent', async () => {
    fakes.mood = (region) => (region === 'a' ? 'silence' : 'answer');
    expect(await append(newAppender(), 'x')).toMatchObject({ region: 'b', firstSeqNum: 0 });
  });

  it('says that the outcome is unknown when the deadline passes after sending', async () => {
    fakes.mood = () => 'silence';
    const error = await append(newAppender(), 'x', 200).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(MeridianError);
    expect(error).toMatchObject({ reason: 'DEADLINE', noEffect: false });
  });

  it('keeps a place in the chain for an append whose caller gave up', async () => {
    let silent = true;
    fakes.mood = () => (silent ? 'silence' : 'answer');
    const appender = newAppender();
    const lost = append(appender, 'x', 100).catch(() => 'gave up');
    const kept = append(appender, 'y');
    expect(await lost).toBe('gave up');
    silent = false;
    expect((await kept).firstSeqNum).toBe(1);
    expect(fakes.kept.map(({ seq }) => seq)).toEqual([1, 2]);
  });

  it('refuses a malformed append alone, and the next one takes its place', async () => {
    const appender = new Appender({ cluster: 'test', instance: 'one', regions, ack: 'ORDERED' });
    appenders.push(appender);
    const bad = new Promise((_, reject) => {
      appender.append({ stream: '', records: [{ body: new Uint8Array(1) }] }, 1_000, reject);
    });
    const good = append(appender, 'y');
    await expect(bad).rejects.toMatchObject({ reason: 'INVALID', noEffect: true });
    expect((await good).firstSeqNum).toBe(0);
  });

  it('ends with the writer when the journal has fenced it or misses an append', async () => {
    const appender = newAppender({ writer: { id: 'w', epoch: 1, lastSeq: 7 } });
    await expect(append(appender, 'x')).rejects.toMatchObject({ reason: 'WRITER_GAP' });
    await expect(append(appender, 'y')).rejects.toMatchObject({ reason: 'WRITER_GAP' });
  });

  it('refuses more than its bound as OVERLOADED, without effect', async () => {
    fakes.mood = () => 'silence';
    const appender = newAppender({ queueBytesMax: 10 });
    const first = append(appender, '12345678', 100).catch(() => null);
    await expect(append(appender, '12345678')).rejects.toMatchObject({ reason: 'OVERLOADED' });
    await first;
  });

  it('stays within the window the replica grants', async () => {
    fakes.windowBytes = 300;
    const results = await many(newAppender(), 50);
    expect(results.at(-1)?.firstSeqNum).toBe(49);
  });
});
