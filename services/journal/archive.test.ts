import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { MemoryStore } from '../../libs/archive/memory-store.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { OFFSET_END } from './read-plan.ts';
import { ArchiveHistory } from './archive-history.ts';
import type { Archiver } from './archiver.ts';
import { MemoryJournal } from './memory-journal.ts';
import { archiverOf as archiverInto } from './testing-archiver.ts';
import { drain, open, place, records } from './testing-reads.ts';
import type { Request } from './testing-reads.ts';

const WINDOW = 1000;

let store: MemoryStore;

beforeEach(() => {
  store = new MemoryStore();
});

function archiverOf(journal: MemoryJournal, by = '0 a', segmentBytes = 600): Archiver {
  const rule = { segmentBytes, windowMicros: WINDOW };
  return archiverInto(journal, store, { by, rule });
}

async function archiveAll(archiver: Archiver): Promise<void> {
  while (await archiver.round());
}

/** The log begins later: what was before is in the archive, if one is given. */
function dropBefore(journal: MemoryJournal, ordinal: number, archiver: Archiver | null): void {
  const { index } = journal;
  if (archiver !== null) {
    const catalog = (): Archiver['catalog'] => archiver.catalog;
    const limits = { bytesMax: 1500, fetchesMax: 2, readAhead: 1 };
    journal.history = new ArchiveHistory({ catalog, index, ...limits });
  }
  index.dropBefore(ordinal);
}

/** Streams a and b, a failed condition, two batches of a stream in one entry. */
function addEntry(journal: MemoryJournal, i: number): void {
  journal.add(80 + i * 96 + (i % 3), [
    { stream: i % 3 === 0 ? 'b' : 'a', records: records(1 + (i % 4)) },
    ...(i % 5 === 0 ? [{ stream: 'a', records: records(1), matchSeqNum: 9999 }] : []),
    ...(i % 7 === 0 ? [{ stream: 'a', records: records(2) }] : []),
  ]);
}

function sample(entries = 40): MemoryJournal {
  const journal = new MemoryJournal();
  for (let i = 0; i < entries; i += 1) addEntry(journal, i);
  return journal;
}

interface Read {
  readonly places: string[];
  readonly gaps: string[];
  readonly watermark: bigint | undefined;
  readonly failed: string | null;
}

async function readAll(journal: MemoryJournal, request: Request, chunkBytes = 200): Promise<Read> {
  const opened = open(journal, request, chunkBytes);
  opened.reader.onRoom = opened.pump;
  const read = { places: [] as string[], gaps: [] as string[] };
  let watermark: bigint | undefined;
  for (let over = false; !over;) {
    over = opened.reader.done;
    const { deliveries, gaps, progress } = drain(opened);
    read.places.push(...deliveries.map(place));
    read.gaps.push(...gaps);
    watermark = progress.at(-1)?.watermark ?? watermark;
    await new Promise((resolve) => setImmediate(resolve));
  }
  return {
    ...read,
    watermark,
    failed: opened.stream.ended instanceof MeridianError ? opened.stream.ended.reason : null,
  };
}

describe('the archiver', () => {
  it('archives everything up to the last whole window, and the rest when the watermark moves on', async () => {
    const journal = sample();
    const archiver = archiverOf(journal, '0 a', 1e6);
    await archiveAll(archiver);
    const { lastTimestamp } = archiver.catalog?.manifest ?? { lastTimestamp: -1 };
    expect(lastTimestamp).toBeLessThan(Math.floor(journal.watermark.value / WINDOW) * WINDOW);
    journal.release([], journal.watermark.value + WINDOW);
    await archiveAll(archiver);
    expect(archiver.archivedTo).toBe(40);
    expect(archiver.catalog?.manifest.lastTimestamp).toBe(journal.index.lastTimestamp);
  });

  it('makes the same objects on every replica, whenever it looks', async () => {
    const journal = sample(0);
    const slow = archiverOf(journal);
    for (let i = 0; i < 40; i += 1) {
      addEntry(journal, i);
      if (i % 3 === 0) await archiveAll(slow);
    }
    await archiveAll(slow);
    const first = new Map(store.objects);
    store = new MemoryStore();
    await archiveAll(archiverOf(sample(), '1 b'));
    const segments = [...first].filter(([key]) => key.startsWith('segments/'));
    expect(segments.length).toBeGreaterThan(4);
    for (const [key, bytes] of segments) {
      expect(Buffer.from(store.objects.get(key) ?? []).equals(bytes), key).toBe(true);
    }
  });

  it('shares a bucket with the others: nothing is archived twice, and all count it as archived', async () => {
    const archivers = ['0 a', '1 b', '2 c'].map((by) => archiverOf(sample(), by));
    await Promise.all(archivers.map(archiveAll));
    await Promise.all(archivers.map(archiveAll));
    const ends = archivers.map(({ archivedTo }) => archivedTo);
    expect(new Set(ends).size).toBe(1);
    expect(ends[0]).toBeGreaterThan(30);
  });

  it('goes on after a restart where the manifest ends', async () => {
    const journal = sample();
    const before = archiverOf(journal);
    await before.round();
    const { archivedTo } = before;
    expect(archivedTo).toBeGreaterThan(0);
    const after = archiverOf(journal);
    await archiveAll(after);
    expect(after.archivedTo).toBeGreaterThan(archivedTo);
  });

  it.each(['before', 'after'] as const)(
    'counts nothing as archived that failed %s the write, and settles it later',
    async (when) => {
      const archiver = archiverOf(sample());
      let calls = 0;
      store.fault = (call) => (call !== 'read' && (calls += 1) % 3 !== 0 ? when : null);
      for (let round = 0; round < 60; round += 1) {
        await archiver.round().catch(() => undefined);
        const named = archiver.catalog?.manifest.end ?? 0;
        expect(archiver.archivedTo).toBeLessThanOrEqual(named);
      }
      store.fault = () => null;
      await archiveAll(archiver);
      expect(archiver.archivedTo).toBeGreaterThan(30);
    },
  );

  it('stops when the archive holds other content, and names the object', async () => {
    const journal = sample();
    const archiver = archiverOf(journal);
    await archiver.round();
    const place = `segments/${String(archiver.archivedTo).padStart(16, '0')}`;
    store.corrupt = (key, bytes) => (key.startsWith(place) ? Buffer.from('other') : bytes);
    await expect(archiveAll(archiver)).rejects.toMatchObject({
      reason: 'CORRUPT',
      details: { key: expect.stringContaining(place) as string },
    });
  });

  it('stops when another replica archived another order', async () => {
    const other = new MemoryJournal();
    const archiver = archiverOf(other, '1 b');
    await archiveAll(archiver);
    await archiveAll(archiverOf(sample()));
    for (let i = 0; i < 40; i += 1) other.add(88 + i * 96, [{ stream: 'x', records: records(1) }]);
    await expect(archiveAll(archiver)).rejects.toThrow(/other content than this replica/);
    expect(archiver.archivedTo).toBe(0);
  });

  it('says that the log begins behind the end of the archive', async () => {
    const journal = sample();
    const archiver = archiverOf(journal);
    await archiver.round();
    journal.index.dropBefore(archiver.archivedTo + 3);
    await expect(archiveAll(archiverOf(journal))).rejects.toMatchObject({ reason: 'REFUSED' });
  });
});

const REQUESTS: [string, Request][] = [
  ['the whole journal', {}],
  ['a stream', { stream: 'a' }],
  ['another stream', { stream: 'b' }],
  ['a number', { stream: 'a', from: { case: 'seqNum', value: 7n } }],
  ['a timestamp', { from: { case: 'timestamp', value: 500n } }],
  ['a timestamp, in a stream', { stream: 'b', from: { case: 'timestamp', value: 1500n } }],
  ['the beginning of time', { stream: 'a', from: { case: 'timestamp', value: 0n } }],
  ['a position', { from: { case: 'after', value: { timestamp: 80n, recordOffset: 0 } } }],
  [
    'all of a timestamp',
    { from: { case: 'after', value: { timestamp: 567n, recordOffset: OFFSET_END } } },
  ],
  ['a limit', { limitRecords: 17n }],
  ['a limit in a stream', { stream: 'a', limitRecords: 9n }],
  ['a bound in time', { untilTimestamp: 900n }],
  ['a bound in numbers', { stream: 'a', untilSeqNum: 30n }],
];

describe('a read of what has left the log', () => {
  it.each(REQUESTS)('is the same as if it had not: %s', async (_, request) => {
    const whole = await readAll(sample(), request);
    expect(whole.failed).toBeNull();
    expect(whole.places.length).toBeGreaterThan(3);
    for (const ordinal of [1, 9, 20]) {
      const journal = sample();
      const archiver = archiverOf(journal);
      await archiveAll(archiver);
      dropBefore(journal, ordinal, archiver);
      const read = await readAll(journal, request);
      expect(read.failed).toBeNull();
      expect(read.places, `${ordinal}`).toEqual(whole.places);
      expect(read.gaps).toEqual([]);
      // A read of a stream learns the time of its next record a segment later.
      expect(Number(read.watermark)).toBeLessThanOrEqual(Number(whole.watermark));
      if (request.stream === undefined) expect(read.watermark).toEqual(whole.watermark);
    }
  });

  it('goes from the log into the archive when the log is taken away under it, and back', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom<Request>(
          { follow: true },
          { stream: 'a', follow: true },
          { stream: 'b', follow: true },
        ),
        fc.integer({ min: 30, max: 400 }),
        fc.array(fc.integer({ min: 1, max: 6 }), { maxLength: 6 }),
        async (request, chunkBytes, steps) => {
          const whole = await readAll(sample(), { ...request, follow: false });
          store = new MemoryStore();
          const journal = sample();
          const archiver = archiverOf(journal);
          await archiveAll(archiver);
          dropBefore(journal, 0, archiver);
          const opened = open(journal, request, chunkBytes);
          opened.reader.onRoom = opened.pump;
          const places: string[] = [];
          let ordinal = 0;
          opened.pump();
          for (const step of steps) {
            ordinal = Math.min(ordinal + step, archiver.archivedTo);
            journal.index.dropBefore(ordinal);
            opened.pump();
            await new Promise((resolve) => setImmediate(resolve));
          }
          while (places.length < whole.places.length) {
            const { deliveries, gaps } = drain(opened);
            expect(gaps).toEqual([]);
            places.push(...deliveries.map(place));
            await new Promise((resolve) => setImmediate(resolve));
          }
          expect(places).toEqual(whole.places);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('tells what is deleted in the archive too as a gap', async () => {
    const journal = sample();
    const archiver = archiverOf(journal);
    await archiveAll(archiver);
    dropBefore(journal, 30, archiver);
    const segment = await archiver.catalog?.segmentAt(10);
    await archiver.catalog?.commit((manifest) => ({
      ...manifest,
      first: segment?.end ?? 0,
      goneTo: segment?.lastTimestamp ?? 0,
    }));
    const all = await readAll(journal, {});
    expect(all.gaps).toEqual([`TRIMMED 0+0 to ${(segment?.lastTimestamp ?? 0) + 1}+0`]);
    const a = await readAll(journal, { stream: 'a' });
    const firstPlace = a.places[0] ?? '';
    expect(a.gaps).toHaveLength(1);
    expect(a.gaps[0]).toMatch(new RegExp(`#0-${firstPlace.split('#')[1] ?? ''}$`));
  });

  it('fails with the key when the object is gone or rotten, and is refused when the archive is away', async () => {
    const journal = sample();
    const archiver = archiverOf(journal);
    dropBefore(journal, 20, archiver);
    expect(() => open(journal, {})).toThrow(/archive cannot be reached/);
    await expect(archiveAll(archiver)).rejects.toThrow();
    const fresh = sample();
    const second = archiverOf(fresh);
    await archiveAll(second);
    dropBefore(fresh, 20, second);
    store.objects.delete((await second.catalog?.segmentAt(5))?.key ?? '');
    expect(await readAll(fresh, {})).toMatchObject({ failed: 'CORRUPT' });
    expect((await readAll(fresh, { from: { case: 'timestamp', value: 2500n } })).failed).toBeNull();
  });
});
