import { describe, expect, it } from 'vitest';
import type { MeridianError } from '../../libs/errors/errors.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import { micros } from '../../libs/values/numbers.ts';
import { MemoryJournal } from './memory-journal.ts';
import { SLOW_MICROS, drain, open, place, records } from './testing-reads.ts';
import type { Request } from './testing-reads.ts';

/** a: 3 records at 80, 2 at 88; b: 4 at 97. */
function sample(): MemoryJournal {
  const journal = new MemoryJournal();
  journal.add(80, [{ stream: 'a', records: records(3) }]);
  journal.add(88, [{ stream: 'a', records: records(2) }]);
  journal.add(97, [{ stream: 'b', records: records(4) }]);
  return journal;
}

describe('a read', () => {
  it('stops pulling while the client does not take anything', () => {
    const journal = new MemoryJournal(0);
    for (let i = 1; i <= 100; i += 1) journal.add(i * 8, [{ records: records(5) }]);
    const read = open(journal, { follow: true });
    for (let i = 0; i < 50; i += 1) read.pump();
    expect(read.stream.written.length).toBeLessThan(6);
    expect(read.room.heldBytes).toBeGreaterThan(0);
    expect(drain(read).deliveries.length).toBe(100);
    expect(read.room.heldBytes).toBe(0);
  });

  it('cuts off a client that takes nothing, and names what to resume after', () => {
    const journal = new MemoryJournal();
    for (let i = 1; i <= 9; i += 1) journal.add(i * 8, [{ records: records(5) }]);
    const read = open(journal, { follow: true });
    read.pump();
    journal.now = SLOW_MICROS;
    expect(read.reader.checkPace(micros(journal.now))).toBe(false);
    journal.now += 1;
    expect(read.reader.checkPace(micros(journal.now))).toBe(true);
    expect(read.reader.done).toBe(true);
    const written = read.stream.written.flatMap(({ message }) =>
      message.case === 'batches' ? decodeDeliveries(message.value.frames) : [],
    );
    const { details } = read.stream.ended as MeridianError;
    expect(read.stream.reason).toBe('SLOW_READER');
    const last = written.at(-1);
    expect(details).toEqual({ timestamp: String(last?.timestamp), recordOffset: '4' });
    const { timestamp: time, recordOffset } = details;
    const after = { timestamp: BigInt(time ?? ''), recordOffset: Number(recordOffset) };
    const rest = drain(open(journal, { from: { case: 'after', value: after } }));
    expect([...written, ...rest.deliveries].map((each) => Number(each.timestamp))).toEqual(
      Array.from({ length: 9 }, (_unused, i) => (i + 1) * 8),
    );
  });

  it('leaves a slow client that takes something now and then, and one for whom nothing waits', () => {
    const journal = new MemoryJournal();
    for (let i = 1; i <= 9; i += 1) journal.add(i * 8, [{ records: records(5) }]);
    const read = open(journal, { follow: true });
    for (let i = 0; i < 5; i += 1) {
      read.pump();
      journal.now += SLOW_MICROS - 1;
      expect(read.reader.checkPace(micros(journal.now))).toBe(false);
      read.stream.take();
    }
    journal.now += 3 * SLOW_MICROS;
    expect(read.reader.checkPace(micros(journal.now))).toBe(false);
  });

  it('gives back what waits when the call is over', () => {
    const journal = sample();
    const read = open(journal, {});
    read.pump();
    expect(read.room.heldBytes).toBeGreaterThan(0);
    read.reader.close();
    expect(read.room.heldBytes).toBe(0);
    read.stream.take();
    expect(read.room.heldBytes).toBe(0);
  });

  describe('filtered by keys', () => {
    const keyed = (...keys: string[]): { key: Uint8Array; body: Uint8Array }[] =>
      keys.map((key) => ({ key: Buffer.from(key), body: Buffer.alloc(20) }));
    const keyRanges = [{ from: Buffer.from('k'), to: Buffer.from('l') }];

    it('sends batches with a match whole, and tells what lies between and behind them once', () => {
      const journal = new MemoryJournal();
      journal.add(80, [{ records: keyed('a') }, { records: keyed('b', 'k1', 'z') }]);
      journal.add(88, [{ records: keyed('x') }]);
      journal.add(96, [{ records: keyed('k2') }, { records: keyed('c') }]);
      journal.add(104, [{ records: records(2) }]);
      const seen = drain(open(journal, { keyRanges }));
      expect(seen.deliveries.map(place)).toEqual(['80+1 s#1', '96+0 s#5']);
      expect(seen.gaps).toEqual(['FILTERED 96+1 to 105+0']);
      expect(seen.progress.at(-1)?.watermark).toBe(104n);
    });

    it('tells a follower of a stretch without a match with its progress, never per batch', () => {
      const journal = new MemoryJournal();
      const read = open(journal, { keyRanges, follow: true });
      const gaps: string[] = [];
      for (let ms = 1; ms <= 30; ms += 1) {
        journal.now = ms * 1000;
        journal.add(ms * 8, [{ records: keyed('a') }, { records: keyed('b') }]);
        gaps.push(...drain(read).gaps);
      }
      expect(gaps).toEqual([
        'FILTERED 8+0 to 9+0',
        'FILTERED 16+0 to 89+0',
        'FILTERED 96+0 to 169+0',
      ]);
    });

    it('counts only matching records for a limit', () => {
      const journal = new MemoryJournal();
      for (let i = 1; i <= 9; i += 1) journal.add(i * 8, [{ records: keyed('a', 'k', 'b') }]);
      expect(drain(open(journal, { keyRanges, limitRecords: 3n })).deliveries.length).toBe(3);
    });

    it('looks through a long stretch in slices', () => {
      const journal = new MemoryJournal(0);
      const large = [{ key: Buffer.from('a'), body: Buffer.alloc(200_000) }];
      for (let i = 1; i <= 9; i += 1) journal.add(i * 8, [{ records: large }]);
      journal.add(80, [{ records: keyed('k') }]);
      const read = open(journal, { keyRanges });
      const pumped = [1, 2, 3, 4].map(() => read.reader.pump(micros(0)));
      expect(pumped).toEqual(['more', 'more', 'more', 'done']);
      expect(drain(read).deliveries.map(place)).toEqual(['80+0 s#9']);
    });
  });

  describe('of a stream that was trimmed', () => {
    const trim = (before: number) => ({ stream: 'a', action: { kind: 'trim', before } }) as const;
    const trimmed = (): MemoryJournal => {
      const journal = new MemoryJournal();
      journal.add(80, [{ stream: 'a', records: records(3) }]);
      journal.add(88, [{ stream: 'a', records: records(1) }, { stream: 'b' }]);
      journal.add(96, [{ stream: 'a', records: records(2) }]);
      return journal;
    };

    it.each<[string, Request, string[]]>([
      ['the first number', { from: { case: 'seqNum', value: 0n } }, ['TRIMMED 0+0 to 88+0 #0-3']],
      ['a number inside', { from: { case: 'seqNum', value: 2n } }, ['TRIMMED 0+0 to 88+0 #2-3']],
      ['the first number left', { from: { case: 'seqNum', value: 3n } }, []],
      ['the beginning', {}, ['TRIMMED 0+0 to 88+0 #0-3']],
      ['before all', { from: { case: 'timestamp', value: 0n } }, ['TRIMMED 0+0 to 88+0 #0-3']],
      ['a timestamp that is left', { from: { case: 'timestamp', value: 88n } }, []],
      [
        'more than is left',
        { from: { case: 'tailOffset', value: 9n } },
        ['TRIMMED 0+0 to 88+0 #0-3'],
      ],
    ])('tells from %s what is missing, then delivers the rest', (_name, request, gaps) => {
      const journal = trimmed();
      journal.add(104, [trim(3)]);
      const seen = drain(open(journal, { stream: 'a', ...request }));
      expect(seen.gaps).toEqual(gaps);
      expect(seen.deliveries.map(place)).toEqual(['88+0 a#3', '96+0 a#4']);
    });

    it('delivers a batch of which a part is left, whole', () => {
      const journal = trimmed();
      journal.add(104, [trim(5)]);
      const seen = drain(open(journal, { stream: 'a' }));
      expect(seen.gaps).toEqual(['TRIMMED 0+0 to 96+0 #0-5']);
      expect(seen.deliveries.map(place)).toEqual(['96+0 a#4']);
    });

    it('tells that nothing is left, and a follower of what comes', () => {
      const journal = trimmed();
      journal.add(104, [trim(6)]);
      const read = open(journal, { stream: 'a', follow: true });
      const seen = drain(read);
      expect([seen.gaps, seen.deliveries]).toEqual([['TRIMMED 0+0 to 97+0 #0-6'], []]);
      journal.add(112, [{ stream: 'a' }]);
      const later = drain(read);
      expect([later.gaps, later.deliveries.map(place)]).toEqual([[], ['112+0 a#6']]);
    });

    it('tells a reader that is overtaken by a trim on its way', () => {
      const journal = trimmed();
      const read = open(journal, { stream: 'a', follow: true }, 1);
      read.pump();
      const first = drain({ ...read, pump: () => undefined });
      journal.add(104, [trim(4)]);
      const rest = drain(read);
      expect([...first.deliveries, ...rest.deliveries].map(place)).toEqual([
        '80+0 a#0',
        '96+0 a#4',
      ]);
      expect(rest.gaps).toEqual(['TRIMMED 88+0 to 96+0 #3-4']);
    });

    it('ends when the stream is deleted, and begins behind the gap when it is there again', () => {
      const journal = trimmed();
      const read = open(journal, { stream: 'a', follow: true });
      drain(read);
      journal.add(104, [{ stream: 'a', action: { kind: 'delete' } }]);
      read.pump();
      expect(read.stream.reason).toBe('STREAM_NOT_FOUND');
      journal.add(112, [{ stream: 'a' }]);
      const again = drain(open(journal, { stream: 'a' }));
      expect([again.gaps, again.deliveries.map(place)]).toEqual([
        ['TRIMMED 0+0 to 112+0 #0-6'],
        ['112+0 a#6'],
      ]);
    });

    it('follows a stream that was created empty', () => {
      const journal = new MemoryJournal();
      const config = { fencing: null };
      journal.add(80, [{ stream: 'a', action: { kind: 'create', config } }]);
      const read = open(journal, { stream: 'a', follow: true });
      expect(drain(read).progress.at(-1)).toMatchObject({ watermark: 80n, tailSeqNum: 0n });
      journal.add(88, [{ stream: 'a' }]);
      expect(drain(read).deliveries.map(place)).toEqual(['88+0 a#0']);
    });
  });
});
