import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { probeRegion } from './calls.ts';
import { FakeRegions } from './fake-regions.ts';
import type { ReadMood } from './fake-regions.ts';
import { connectJournal } from './journal.ts';
import type { Journal } from './journal.ts';
import { Regions } from './regions.ts';
import type { JournalOptions, ReadItem } from './types.ts';

let fakes: FakeRegions;
let journal: Journal;

const FAST = { cluster: 'test', instance: 'one', deadlineMs: 10_000, silenceMs: 250 };

beforeEach(async () => {
  fakes = new FakeRegions();
  (await fakes.start()).close();
  journal = open();
});

afterEach(async () => {
  await journal.close({ drainMs: 0 });
  await fakes.stop();
});

function open(options: Partial<JournalOptions> = {}): Journal {
  return connectJournal({ ...FAST, replicas: fakes.replicas, ...options });
}

const record = (text: string): { body: Uint8Array } => ({ body: Buffer.from(text) });
const text = ({ body }: { body: Uint8Array }): string => Buffer.from(body).toString();

async function fill(count: number, stream = 's'): Promise<void> {
  const appends = Array.from({ length: count }, (_, n) => journal.append(stream, [record(`${n}`)]));
  await Promise.all(appends);
}

async function collect<T>(items: AsyncIterable<T>, count = Infinity): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    all.push(item);
    if (all.length >= count) break;
  }
  return all;
}

function failureOf(promise: Promise<unknown>): Promise<MeridianError> {
  return promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => {
      if (error instanceof MeridianError) return error;
      throw error;
    },
  );
}

/** Deterministic numbers in [0, 1), Park and Miller. */
function random(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}

describe('appends without an explicit writer', () => {
  it('are answered in the order of the calls, with places in their stream', async () => {
    const results = await Promise.all([
      journal.append('s', [record('a'), record('b')]),
      journal.append('s', [record('c')]),
      journal.append('t', [record('d')]),
    ]);
    expect(results.map(({ firstSeqNum }) => firstSeqNum)).toEqual([0, 2, 0]);
    expect(results.map(({ region }) => region)).toEqual(['a', 'a', 'a']);
  });

  it('go on after one of them was refused by its size or its name', async () => {
    const all = await Promise.allSettled([
      journal.append('s', [record('a')]),
      journal.append('s', [{ body: new Uint8Array(2 << 20) }]),
      journal.append('', [record('b')]),
      journal.append('s', []),
      journal.append('s', [record('c')]),
    ]);
    expect(
      all.map((each) =>
        each.status === 'fulfilled'
          ? each.value.firstSeqNum
          : (each.reason as MeridianError).reason,
      ),
    ).toEqual([0, 'TOO_LARGE', 'INVALID', 'INVALID', 1]);
    expect(fakes.kept.map(({ seq }) => seq)).toEqual([1, 2]);
  });

  it('refuse arguments of a wrong type without harm to others', async () => {
    const notBytes = 'text' as unknown as Uint8Array;
    const wrong = [
      journal.append('s', [{ body: notBytes }]),
      journal.append(undefined as unknown as string, [record('x')]),
      journal.append('s', [record('x')], { minTimestamp: 0.5 }),
      journal.append('s', [record('x')], { deadlineMs: NaN }),
      journal.append('s', [record('x')], { matchSeqNum: -1 }),
    ];
    const failures = await Promise.all(wrong.map(failureOf));
    expect(failures.map(({ reason }) => reason)).toEqual(wrong.map(() => 'INVALID'));
    expect(await journal.append('s', [record('x')])).toMatchObject({ firstSeqNum: 0 });
  });

  it('find the one batch a replica cannot take, and only that one fails', async () => {
    fakes.mood = (_region, frame) => (Buffer.from(frame).includes('poison') ? 'unfit' : 'answer');
    const bodies = Array.from({ length: 20 }, (_, n) => (n === 13 ? 'poison' : `${n}`));
    const all = await Promise.allSettled(bodies.map((body) => journal.append('s', [record(body)])));
    const failed = all.flatMap((each, n) => (each.status === 'rejected' ? [n] : []));
    expect(failed).toEqual([13]);
    expect(all[13]).toMatchObject({ reason: { reason: 'TOO_LARGE', noEffect: true } });
    expect(fakes.kept).toHaveLength(19);
    expect(await journal.append('s', [record('on')])).toMatchObject({ firstSeqNum: 19 });
  });

  it('say for certain that there was no effect while every replica is overloaded', async () => {
    fakes.mood = () => 'refuse';
    const error = await failureOf(journal.append('s', [record('x')], { deadlineMs: 300 }));
    expect(error).toMatchObject({ reason: 'UNAVAILABLE', noEffect: true });
    fakes.mood = () => 'answer';
    expect(await journal.append('s', [record('y')])).toMatchObject({ firstSeqNum: 0 });
  });

  it('send a condition as ORDERED also when QUORUM is asked for', async () => {
    const result = await journal.append('s', [record('x')], { ack: 'QUORUM', matchSeqNum: 0 });
    expect(result.firstSeqNum).toBe(0);
    const plain = await journal.append('s', [record('x')], { ack: 'QUORUM' });
    expect(plain.firstSeqNum).toBe(null);
  });

  it('carry the timestamp they are to lie above', async () => {
    const result = await journal.append('s', [record('x')], { minTimestamp: 5_000_000 });
    expect(result.timestamp).toBeGreaterThan(5_000_000);
  });

  it('return to the nearest region and to QUORUM while appends go on without a pause', async () => {
    const regions = new Set<string>();
    let broken = true;
    fakes.mood = (region) => (region === 'a' && broken ? 'lose-answer' : 'answer');
    fakes.deaf.add('a');
    const quick = open({ silenceMs: 250 });
    const inFlight = new Set<Promise<void>>();
    const endsAt = performance.now() + 15_000;
    let back = false as boolean;
    while (!back && performance.now() < endsAt) {
      const append = quick.append('s', [record('x')], { ack: 'QUORUM' }).then((result) => {
        regions.add(result.region);
        if (regions.has('b') && broken) {
          broken = false;
          fakes.deaf.clear();
        }
        back = result.region === 'a' && regions.has('b') && result.firstSeqNum === null;
        inFlight.delete(append);
      });
      inFlight.add(append);
      if (inFlight.size >= 8) await Promise.race(inFlight);
    }
    await Promise.all(inFlight);
    await quick.close();
    expect(back).toBe(true);
    const seqs = fakes.kept.map(({ seq }) => seq);
    expect(seqs).toEqual(seqs.map((_, n) => n + 1));
  });

  it('keep at most as many unanswered as the order remembers', async () => {
    fakes.windowBytes = 1 << 30;
    let largest = 0;
    fakes.mood = () => {
      largest += 1;
      return 'silence';
    };
    const appends = Array.from({ length: 6_000 }, () =>
      journal.append('s', [record('x')], { deadlineMs: 1_000 }).catch(() => null),
    );
    await Promise.all(appends);
    // One session after the other begins with the same oldest ones; none gets further.
    expect(largest).toBeGreaterThan(0);
    await journal.close({ drainMs: 0 });
    expect(fakes.kept).toHaveLength(0);
  });

  it('are rejected when the client closes: unknown if they were sent', async () => {
    fakes.mood = () => 'silence';
    const sent = failureOf(journal.append('s', [record('x')]));
    await expect.poll(() => fakes.hellos.length).toBe(1);
    await journal.close({ drainMs: 50 });
    expect(['INDEFINITE', 'UNAVAILABLE']).toContain((await sent).reason);
    expect((await failureOf(journal.append('s', [record('y')]))).reason).toBe('UNAVAILABLE');
  });

  it('wait on close for answers that are on their way', async () => {
    const appends = Array.from({ length: 100 }, () => journal.append('s', [record('x')]));
    await journal.close();
    expect(await Promise.all(appends)).toHaveLength(100);
  });
});

describe('an explicit writer', () => {
  it('goes on where the journal knows it stands, in a higher epoch', async () => {
    const first = journal.writer({ id: 'shipper' });
    await first.append('s', [record('a')], { seq: 100 });
    await first.append('s', [record('b')], { seq: 250 });
    first.close();
    const second = journal.writer({ id: 'shipper' });
    expect(await second.start()).toMatchObject({ epoch: 2, lastSeq: 250 });
    await second.append('s', [record('c')], { seq: 300 });
    expect(fakes.kept.map(({ seq, epoch }) => [seq, epoch])).toEqual([
      [100, 1],
      [250, 1],
      [300, 2],
    ]);
  });

  it('keeps the order of appends made before it has started', async () => {
    const writer = journal.writer({ id: 'w' });
    const order: string[] = [];
    const started = writer.start().then(() => writer.append('s', [record('later')]));
    const early = ['a', 'b', 'c'].map((body) => writer.append('s', [record(body)]));
    await Promise.all([started, ...early]);
    for await (const each of journal.records({ stream: 's', from: 'start' }))
      order.push(text(each));
    expect(order).toEqual(['a', 'b', 'c', 'later']);
  });

  it('refuses a seq that does not go forward', async () => {
    const writer = journal.writer({ id: 'w' });
    await writer.append('s', [record('a')], { seq: 5 });
    const error = await failureOf(writer.append('s', [record('b')], { seq: 5 }));
    expect(error.reason).toBe('INVALID');
  });

  it('does not jump over an append that failed undecided', async () => {
    const writer = journal.writer({ id: 'w' });
    const [, large, behind] = await Promise.allSettled([
      writer.append('s', [record('a')]),
      writer.append('s', [{ body: new Uint8Array(2 << 20) }]),
      writer.append('s', [record('c')]),
    ]);
    expect(large).toMatchObject({ reason: { reason: 'TOO_LARGE' } });
    expect(behind).toMatchObject({ reason: { reason: 'UNAVAILABLE', noEffect: true } });
    expect(writer.ended?.reason).toBe('TOO_LARGE');
    expect(fakes.kept).toHaveLength(1);
  });

  it('is refused when a higher epoch has appended', async () => {
    await journal.writer({ id: 'w', epoch: 7 }).append('s', [record('a')]);
    const old = journal.writer({ id: 'w', epoch: 6 });
    expect((await failureOf(old.append('s', [record('b')]))).reason).toBe('WRITER_FENCED');
  });
});

describe('reading', () => {
  it('yields batches and progress in one order, and ends', async () => {
    await fill(3);
    const items = await collect(journal.read({ from: 'start' }));
    const kinds = items.map(({ type }) => type);
    expect(kinds.filter((kind) => kind === 'batches')).toHaveLength(3);
    let watermark = 0;
    for (const item of items) {
      if (item.type === 'progress') watermark = item.watermark;
      if (item.type === 'batches') expect(item.position.timestamp).toBeGreaterThan(watermark);
    }
  });

  it('begins and ends exactly where it was asked to, also inside a batch', async () => {
    const names = ['a', 'b', 'c', 'd'];
    await journal.append('s', names.map(record));
    await journal.append('s', [record('e'), record('f')]);
    const read = async (from: object, limit?: number): Promise<string[]> => {
      const options = { stream: 's', from: from as { seqNum: number } };
      const records = await collect(
        journal.records(limit === undefined ? options : { ...options, limit }),
      );
      return records.map(text);
    };
    expect(await read({ seqNum: 2 })).toEqual(['c', 'd', 'e', 'f']);
    expect(await read({ seqNum: 1 }, 2)).toEqual(['b', 'c']);
    expect(await read({ seqNum: 3 }, 3)).toEqual(['d', 'e', 'f']);
    expect(await read({ tailOffset: 3 })).toEqual(['d', 'e', 'f']);
    const [, second] = await collect(journal.records({ stream: 's', from: 'start' }));
    expect(await read({ after: second })).toEqual(['c', 'd', 'e', 'f']);
  });

  it("begins at 'end' after everything that was completed before the call", async () => {
    await fill(5);
    const following = collect(journal.records({ from: 'end', follow: true }), 1);
    await expect.poll(() => fakes.reads.length).toBe(1);
    await journal.append('s', [record('new')]);
    expect((await following).map(text)).toEqual(['new']);
  });

  it('loses, repeats and reorders nothing, whatever replicas do (20 seeds)', async () => {
    const count = 60;
    await fill(count);
    const expected = Array.from({ length: count }, (_, n) => n);
    for (let seed = 1; seed <= 20; seed += 1) {
      const next = random(seed * 104_729);
      fakes.readMood = () => {
        const draw = next();
        const moods: ReadMood[] = ['break', 'break', 'break', 'break', 'break', 'stall', 'silence'];
        return draw < 0.08 ? (moods[Math.floor(next() * moods.length)] ?? 'answer') : 'answer';
      };
      const reader = open({ silenceMs: 120 });
      const records = reader.records({ stream: 's', from: 'start', follow: true, limit: count });
      const seen = await collect(records);
      expect(seen.map(({ seqNum }) => seqNum)).toEqual(expected);
      await reader.close();
    }
  });

  it('never lets the watermark go back when another replica lags', async () => {
    await fill(30);
    let answers = 0;
    fakes.readMood = () => {
      answers += 1;
      return answers % 5 === 0 ? 'break' : 'answer';
    };
    const items: ReadItem[] = await collect(journal.read({ from: 'start' }));
    const watermarks = items.flatMap((item) => (item.type === 'progress' ? [item.watermark] : []));
    expect(watermarks).toEqual([...watermarks].sort((a, b) => a - b));
    expect(new Set(fakes.reads).size).toBeGreaterThan(1);
  });

  it('says that it is stalled while no replica can be read, and goes on afterwards', async () => {
    await fill(1);
    fakes.readMood = () => 'silence';
    const items = journal.read({ from: 'start', follow: true });
    const first = await items.next();
    expect(first.value).toMatchObject({ type: 'progress', stalled: true });
    fakes.readMood = () => 'answer';
    let item: ReadItem | undefined;
    do item = (await items.next()).value;
    while (item?.type !== 'batches');
    await items.return?.();
  });

  it('fails with a reason when it cannot follow and no replica answers', async () => {
    await fill(1);
    fakes.readMood = () => 'break';
    const reader = open({ deadlineMs: 400 });
    const error = await failureOf(collect(reader.read({ from: 'start' })));
    expect(error.reason).toBe('UNAVAILABLE');
    await reader.close();
  });

  it('makes the replica wait for a slow consumer, and ends when the client closes', async () => {
    await fill(200);
    const items = journal.read({ from: 'start', follow: true });
    const some = await collect({ [Symbol.asyncIterator]: () => withoutReturn(items) }, 5);
    expect(some.length).toBe(5);
    await journal.close();
    const rest = failureOf(collect(items));
    expect((await rest).reason).toBe('UNAVAILABLE');
  });

  it('refuses a number without a stream, and what is no number', async () => {
    const bad = [
      { from: { seqNum: 3 } },
      { stream: 's', from: { seqNum: -1 } },
      { from: { timestamp: 1.5 } },
      { from: { after: { timestamp: NaN, recordOffset: 0 } } },
      { from: 'start', limit: 0 },
    ] as const;
    for (const options of bad) {
      expect((await failureOf(collect(journal.read(options)))).reason).toBe('INVALID');
    }
  });
});

function withoutReturn<T>(items: AsyncIterator<T>): AsyncIterator<T> {
  return { next: () => items.next() };
}

describe('calls', () => {
  it('are answered by another region when the nearest is silent', async () => {
    await fill(2);
    fakes.deaf.add('a');
    const point = await journal.heartbeat();
    expect(point.readPoint).toBeGreaterThanOrEqual(fakes.kept.at(-1)?.timestamp ?? Infinity);
    expect(await journal.checkTail('s')).toMatchObject({ nextSeqNum: 2 });
    expect(await journal.getWriter('nobody')).toBe(null);
    expect((await journal.status('b')).region).toBe('b');
    expect((await failureOf(journal.status('a'))).reason).toBe('UNAVAILABLE');
  });

  it('fail as DEADLINE, naming the last error, when no region answers', async () => {
    for (const region of ['a', 'b', 'c']) fakes.deaf.add(region);
    const error = await failureOf(journal.heartbeat({ deadlineMs: 300 }));
    expect(error.reason).toBe('DEADLINE');
    expect(error.message).toContain('300 ms');
  });

  it('ask a witness once, and go on elsewhere without coming back', async () => {
    fakes.witnesses.add('a');
    await journal.append('s', [record('x')]);
    expect(fakes.refusals).toEqual(['a']);
    await journal.heartbeat();
    for await (const item of journal.read({ stream: 's', from: 'start' })) {
      if (item.type === 'batches') break;
    }
    expect(fakes.refusals).toEqual(['a']);
    const regions = new Regions({ replicas: fakes.replicas });
    const works = regions.list.map((region) => probeRegion(region, FAST));
    // So nobody moves back to it, though it is the nearest and well.
    expect(await Promise.all(works)).toEqual([false, true, true]);
    regions.close();
  });

  it('refuse options that cannot work', () => {
    expect(() => open({ replicas: [] })).toThrow(MeridianError);
    expect(() => open({ region: 'z' })).toThrow('none of a, b, c');
  });
});
