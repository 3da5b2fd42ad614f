import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeBatchHeader, decodeRecords } from '../../libs/frames/batch.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import { timestamp } from '../../libs/values/numbers.ts';
import { MemoryJournal } from './memory-journal.ts';
import { OFFSET_END } from './read-plan.ts';
import { drain, open, place, plan, records } from './testing-reads.ts';
import type { Request } from './testing-reads.ts';

/** a: 3 records at 80, 2 at 88; b: 1 at 88, 4 at 97; a batch without records at 88. */
function sample(): MemoryJournal {
  const journal = new MemoryJournal();
  journal.add(80, [{ stream: 'a', records: records(3) }]);
  journal.add(88, [
    { stream: 'b', records: records(1) },
    { stream: 'a', records: records(1), matchSeqNum: 99 },
    { stream: 'a', records: records(2) },
  ]);
  journal.add(97, [{ stream: 'b', records: records(4) }]);
  return journal;
}

describe('reading', () => {
  it('delivers the whole journal with places, numbers and without failed batches', () => {
    const seen = drain(open(sample(), {}));
    expect(seen.deliveries.map(place)).toEqual(['80+0 a#0', '88+0 b#0', '88+2 a#3', '97+0 b#1']);
    expect(seen.progress.at(-1)?.watermark).toBe(97n);
  });

  it.each<[string, Request, string[]]>([
    ['a stream', { stream: 'a' }, ['80+0 a#0', '88+2 a#3']],
    ['a number', { stream: 'a', from: { case: 'seqNum', value: 3n } }, ['88+2 a#3']],
    [
      'a number inside a batch: the whole batch',
      { stream: 'a', from: { case: 'seqNum', value: 2n } },
      ['80+0 a#0', '88+2 a#3'],
    ],
    ['the tail: nothing', { stream: 'a', from: { case: 'seqNum', value: 5n } }, []],
    [
      'an offset before the tail',
      { stream: 'b', from: { case: 'tailOffset', value: 2n } },
      ['97+0 b#1'],
    ],
    [
      'more than there is before the tail',
      { stream: 'b', from: { case: 'tailOffset', value: 50n } },
      ['88+0 b#0', '97+0 b#1'],
    ],
    [
      'a timestamp',
      { from: { case: 'timestamp', value: 81n } },
      ['88+0 b#0', '88+2 a#3', '97+0 b#1'],
    ],
    [
      'a timestamp, in a stream',
      { stream: 'b', from: { case: 'timestamp', value: 89n } },
      ['97+0 b#1'],
    ],
    [
      'a position',
      { from: { case: 'after', value: { timestamp: 88n, recordOffset: 0 } } },
      ['88+2 a#3', '97+0 b#1'],
    ],
    [
      'a position inside a batch: the whole batch',
      { from: { case: 'after', value: { timestamp: 88n, recordOffset: 2 } } },
      ['88+2 a#3', '97+0 b#1'],
    ],
    [
      'the last record of an entry',
      { from: { case: 'after', value: { timestamp: 88n, recordOffset: 3 } } },
      ['97+0 b#1'],
    ],
    [
      'everything of a timestamp that no entry has',
      { from: { case: 'after', value: { timestamp: 90n, recordOffset: OFFSET_END } } },
      ['97+0 b#1'],
    ],
    ['until before an entry', { untilTimestamp: 88n }, ['80+0 a#0']],
    ['with a limit', { limitRecords: 4n }, ['80+0 a#0', '88+0 b#0']],
    ['with a limit of one byte: one batch', { limitBytes: 1n }, ['80+0 a#0']],
    ['with a limit of bytes', { limitBytes: 150n }, ['80+0 a#0', '88+0 b#0']],
    ['until a number', { stream: 'a', untilSeqNum: 3n }, ['80+0 a#0']],
    [
      'until a number inside a batch: the whole batch',
      { stream: 'a', untilSeqNum: 4n },
      ['80+0 a#0', '88+2 a#3'],
    ],
    ['until the tail', { stream: 'a', untilSeqNum: 5n, follow: true }, ['80+0 a#0', '88+2 a#3']],
    [
      'until a number before the start: nothing',
      { stream: 'a', from: { case: 'seqNum', value: 3n }, untilSeqNum: 2n },
      [],
    ],
  ])('starts or ends at %s', (_name, request, expected) => {
    const read = open(sample(), request);
    expect(drain(read).deliveries.map(place)).toEqual(expected);
    expect(read.stream.ended).toBe('well');
  });

  it('says how far it came before it ends, and no further than it was asked for', () => {
    expect(drain(open(sample(), { untilTimestamp: 88n })).progress.at(-1)?.watermark).toBe(87n);
    expect(
      drain(open(sample(), { limitRecords: 4n })).progress.at(-1)?.watermark ?? 0n,
    ).toBeLessThan(88n);
  });

  it.each<[string, Request, string]>([
    ['an unknown stream', { stream: 'x' }, 'STREAM_NOT_FOUND'],
    [
      'a number beyond the tail',
      { stream: 'a', from: { case: 'seqNum', value: 6n } },
      'OUT_OF_RANGE',
    ],
    [
      'a position of elsewhere',
      { from: { case: 'after', value: { timestamp: 85n, recordOffset: 0 } } },
      'OUT_OF_RANGE',
    ],
    [
      'a record the entry does not have',
      { from: { case: 'after', value: { timestamp: 88n, recordOffset: 4 } } },
      'OUT_OF_RANGE',
    ],
    [
      'a position in the future',
      { from: { case: 'after', value: { timestamp: 2_000_000n, recordOffset: 0 } } },
      'OUT_OF_RANGE',
    ],
    [
      'a timestamp in the future',
      { from: { case: 'timestamp', value: 2_000_000n } },
      'OUT_OF_RANGE',
    ],
    ['a number to end at without a stream', { untilSeqNum: 3n }, 'INVALID'],
    [
      'a range of keys that holds none',
      { keyRanges: [{ from: Buffer.from('b'), to: Buffer.from('a') }] },
      'INVALID',
    ],
    ['a number without a stream', { from: { case: 'seqNum', value: 0n } }, 'INVALID'],
    [
      'a number that is none',
      { stream: 'a', from: { case: 'seqNum', value: 2n ** 60n } },
      'INVALID',
    ],
  ])('refuses %s', (_name, request, reason) => {
    const refusal = (): unknown => {
      try {
        return plan(sample(), request);
      } catch (error) {
        return error;
      }
    };
    expect(refusal()).toBeInstanceOf(MeridianError);
    expect(refusal()).toMatchObject({ reason });
  });

  it.each<[string, Request]>([
    ['a stream', { stream: 'x' }],
    ['a number', { stream: 'a', from: { case: 'seqNum', value: 6n } }],
    ['a position', { from: { case: 'after', value: { timestamp: 105n, recordOffset: 0 } } }],
    ['a tail', { stream: 'a', from: { case: 'tailOffset', value: 1n } }],
  ])('asks to wait for %s that a replica which lags may not have seen', (_name, request) => {
    expect(plan(sample(), request, false)).toBe('later');
  });

  it('follows: sends what comes, with progress behind it', () => {
    const journal = sample();
    const read = open(journal, { stream: 'b', follow: true });
    drain(read);
    journal.add(105, [{ stream: 'a' }]);
    journal.add(113, [{ stream: 'b' }]);
    const seen = drain(read);
    expect(seen.deliveries.map(place)).toEqual(['113+0 b#5']);
    expect(seen.progress.at(-1)).toMatchObject({ watermark: 113n, tailSeqNum: 6n, stalled: false });
    expect(read.stream.ended).toBeNull();
  });

  it('ends a following read when the watermark has passed its end', () => {
    const journal = sample();
    const read = open(journal, { follow: true, untilTimestamp: 120n });
    drain(read);
    expect(read.stream.ended).toBeNull();
    journal.now = 20_000;
    journal.release([], 119);
    expect(drain(read).progress.at(-1)?.watermark).toBe(119n);
    expect(read.stream.ended).toBe('well');
  });

  it('gives a follower progress at its interval while the watermark moves, not for every move', () => {
    const journal = sample();
    const read = open(journal, { follow: true });
    drain(read);
    const at: number[] = [];
    for (let ms = 1; ms <= 40; ms += 1) {
      journal.now = ms * 1000;
      journal.release([], 97 + ms);
      if (drain(read).progress.length > 0) at.push(ms);
      // What it keeps back it says that it owes: nothing else would have it pumped again.
      expect(read.reader.owesProgress).toBe(at.at(-1) !== ms);
    }
    expect(at).toEqual([10, 20, 30, 40]);
  });

  it('tells a follower that the view stands still, again and again', () => {
    const journal = sample();
    const read = open(journal, { follow: true });
    drain(read);
    const stalled: number[] = [];
    for (let ms = 100; ms <= 3500; ms += 100) {
      journal.now = ms * 1000;
      for (const progress of drain(read).progress) if (progress.stalled) stalled.push(ms);
    }
    expect(stalled).toEqual([1000, 2000, 3000]);
    journal.release([], 200);
    expect(drain(read).progress.at(-1)).toMatchObject({ watermark: 200n, stalled: false });
  });

  it('follows a stream from its tail', () => {
    const journal = sample();
    const read = open(journal, {
      stream: 'a',
      from: { case: 'seqNum', value: 5n },
      follow: true,
    });
    expect(drain(read).deliveries).toEqual([]);
    journal.add(105, [{ stream: 'a' }]);
    expect(drain(read).deliveries.map(place)).toEqual(['105+0 a#5']);
  });

  it('delivers exactly what a scan of the journal finds, whatever the chunks and the start', () => {
    const streams = ['a', 'b', 'c'];
    const entry = fc.array(
      fc.record({
        stream: fc.constantFrom(...streams),
        records: fc.integer({ min: 1, max: 4 }).map(records),
        fails: fc.boolean(),
      }),
      { minLength: 1, maxLength: 5 },
    );
    fc.assert(
      fc.property(
        fc.array(entry, { minLength: 1, maxLength: 12 }),
        fc.constantFrom('', ...streams),
        fc.nat(120),
        fc.integer({ min: 1, max: 600 }),
        (entries, stream, from, chunkBytes) => {
          const journal = new MemoryJournal(300);
          const model: { time: number; stream: string; seq: number }[] = [];
          const next = new Map<string, number>();
          entries.forEach((batches, i) => {
            const time = (i + 1) * 8 + (i % 3);
            journal.add(
              time,
              batches.map(({ fails, ...batch }) =>
                fails ? { ...batch, matchSeqNum: 1e6 } : batch,
              ),
            );
            for (const batch of batches) {
              if (batch.fails) continue;
              const seq = next.get(batch.stream) ?? 0;
              model.push({ time, stream: batch.stream, seq });
              next.set(batch.stream, seq + batch.records.length);
            }
          });
          if (stream !== '' && !next.has(stream)) return;
          const seen = drain(
            open(journal, { stream, from: { case: 'timestamp', value: BigInt(from) } }, chunkBytes),
          );
          const expected = model.filter(
            (batch) => batch.time >= from && (stream === '' || batch.stream === stream),
          );
          expect(
            seen.deliveries.map((d) => ({
              time: d.timestamp,
              stream: decodeBatchHeader(d.batch).stream,
              seq: d.firstSeqNum,
            })),
          ).toEqual(expected);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('goes on inside an entry whose place in the cache was overwritten meanwhile', () => {
    const journal = new MemoryJournal(1500);
    const bodies = Array.from({ length: 9 }, (_unused, i) => Buffer.alloc(20, i + 1));
    journal.add(
      8,
      bodies.map((body) => ({ stream: 'a', records: [{ body }] })),
    );
    const read = open(journal, { stream: 'a', follow: true }, 1);
    read.pump();
    const first = read.stream.take();
    for (let i = 2; i < 20; i += 1) journal.add(i * 8, [{ stream: 'b', records: records(9) }]);
    const later = drain(read).deliveries;
    const all = [
      ...first.flatMap(({ message }) =>
        message.case === 'batches' ? decodeDeliveries(message.value.frames) : [],
      ),
      ...later,
    ];
    expect(first.length).toBeLessThan(9);
    expect(all.map(({ batch }) => Buffer.from(decodeRecords(batch)[0]?.body ?? []))).toEqual(
      bodies,
    );
  });

  it('reads evicted entries back from the log', () => {
    const journal = new MemoryJournal(0);
    journal.add(80, [{ stream: 'a', records: records(2) }]);
    expect(journal.store.cachedBytes).toBe(0);
    expect(drain(open(journal, {})).deliveries.map(place)).toEqual(['80+0 a#0']);
    expect(journal.watermark.value).toBe(timestamp(80));
  });
});
