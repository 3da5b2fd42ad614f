import { beforeEach, describe, expect, it } from 'vitest';
import type { Catalog } from '../../libs/archive/catalog.ts';
import { MemoryStore } from '../../libs/archive/memory-store.ts';
import { tightestHold, withHold, withoutHold } from '../../libs/archive/removal.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { catalogOf, expectWhole } from './archive.test-kit.ts';
import { ArchiveHistory } from './archive-history.ts';
import type { History } from './archive-history.ts';
import type { Archiver } from './archiver.ts';
import { cleanArchive } from './janitor.ts';
import type { JanitorOptions, JanitorReport } from './janitor.ts';
import { MemoryJournal } from './memory-journal.ts';
import type { MemoryBatch } from './memory-journal.ts';
import { archiverOf } from './testing-archiver.ts';
import { drain, open, place, records } from './testing-reads.ts';
import type { Open, Request } from './testing-reads.ts';

const STEP = 96;
const ENTRIES = 60;

let store: MemoryStore;
let journal: MemoryJournal;
let archiver: Archiver;
let now: number;

beforeEach(async () => {
  store = new MemoryStore();
  now = 1_000_000;
  await fill((i) => [{ stream: i % 3 === 0 ? 'b' : 'a', records: records(2) }]);
});

async function fill(batches: (i: number) => MemoryBatch[], segmentBytes = 600): Promise<void> {
  store = new MemoryStore();
  journal = new MemoryJournal();
  for (let i = 0; i < ENTRIES; i += 1) journal.add(80 + i * STEP, batches(i));
  journal.release([], journal.watermark.value + 10_000);
  const rule = { segmentBytes, windowMicros: 1000 };
  archiver = archiverOf(journal, store, { rule });
  while (await archiver.round());
}

function clean(options: Partial<JanitorOptions> = {}): Promise<JanitorReport> {
  return cleanArchive({
    store,
    retentionMicros: 0,
    retentionBytes: 0,
    trims: false,
    graceMs: 1000,
    unnamedMs: null,
    dryRun: false,
    now: () => now,
    ...options,
  });
}

const catalog = (): Promise<Catalog> => catalogOf(store, () => now);

const kinds = (kind: string): string[] =>
  [...store.objects.keys()].filter((key) => key.startsWith(`${kind}/`));

function historyOf(of: () => Catalog | null, bytesMax = 1500): ArchiveHistory {
  const { index } = journal;
  return new ArchiveHistory({ catalog: of, index, bytesMax, fetchesMax: 2, readAhead: 1 });
}

async function readAll(
  request: Request,
  of: () => Catalog | null,
  history: History = historyOf(of),
): Promise<string[]> {
  journal.history = history;
  journal.index.dropBefore(archiver.archivedTo - 1);
  const opened = open(journal, request, 200);
  const { gaps, places } = await finish(opened);
  const { ended } = opened.stream;
  const failed = ended instanceof MeridianError ? [`failed ${ended.reason}`] : [];
  return [...gaps.map((gap) => `gap ${gap}`), ...places, ...failed];
}

/** Gaps come before what was sent in these reads. */
async function finish(opened: Open): Promise<{ gaps: string[]; places: string[] }> {
  opened.reader.onRoom = opened.pump;
  const seen = { gaps: [] as string[], places: [] as string[] };
  for (let over = false; !over;) {
    over = opened.reader.done;
    const { deliveries, gaps } = drain(opened);
    seen.gaps.push(...gaps);
    seen.places.push(...deliveries.map(place));
    await new Promise((resolve) => setImmediate(resolve));
  }
  return seen;
}

describe('the janitor', () => {
  it('deletes nothing without a rule', async () => {
    const before = [...store.objects.keys()];
    expect(await clean()).toMatchObject({ first: 0, removedSegments: 0, deletedObjects: 0 });
    expect([...store.objects.keys()]).toEqual(before);
  });

  it('deletes by age in log time, whatever its own clock says', async () => {
    for (const clock of [0, Number.MAX_SAFE_INTEGER - 10_000]) {
      now = clock;
      const { goneTo } = await clean({ retentionMicros: 20 * STEP, dryRun: true });
      expect(goneTo).toBe(0);
    }
    const report = await clean({ retentionMicros: 20 * STEP });
    expect(report.first).toBeGreaterThan(30);
    expect(report.first).toBeLessThan(41);
    expect(report.goneTo).toBeLessThan(journal.index.lastTimestamp - 20 * STEP);
    await expectWhole(store, journal);
  });

  it('deletes by size, and never the last segment', async () => {
    const total = kinds('segments').length;
    const some = await clean({ retentionBytes: 3000 });
    expect(some.removedSegments).toBeGreaterThan(0);
    const { manifest } = await catalog();
    const bytes = manifest.segments.reduce((sum, segment) => sum + segment.bytes, 0);
    expect(bytes).toBeGreaterThanOrEqual(3000);
    const rest = await clean({ retentionBytes: 1 });
    expect(some.removedSegments + rest.removedSegments).toBe(total - 1);
    await expectWhole(store, journal);
  });

  it('deletes what every stream has trimmed, or that belongs to deleted streams, and no more', async () => {
    const trimAt = (i: number): MemoryBatch[] =>
      i === 55
        ? [{ stream: 'a', action: { kind: 'trim', before: 30 } }]
        : [{ stream: 'a', records: records(1) }];
    await fill(trimAt);
    const all = await clean({ trims: true, dryRun: true });
    expect(all.removedSegments).toBeGreaterThan(2);
    const { first } = await clean({ trims: true });
    expect(first).toBeLessThanOrEqual(30);
    expect(first).toBeGreaterThan(20);
    await expectWhole(store, journal);
    // A second stream with a record at the beginning keeps everything.
    await fill((i) => (i === 0 ? [{ stream: 'old', records: records(1) }] : trimAt(i)));
    expect(await clean({ trims: true })).toMatchObject({ first: 0, removedSegments: 0 });
  });

  it('looks into segments with too many streams to be listed', async () => {
    const many = Array.from({ length: 12 }, (_, s) => ({
      stream: `s${s}`,
      records: records(1),
    }));
    const trims = Array.from({ length: 12 }, (_, s) => ({
      stream: `s${s}`,
      action: { kind: 'trim' as const, before: 20 },
    }));
    await fill((i) => (i === 40 ? trims : many));
    expect((await catalog()).manifest.segments[0]?.streams).toBeNull();
    const { first } = await clean({ trims: true });
    expect(first).toBeGreaterThan(10);
    expect(first).toBeLessThanOrEqual(20);
    await expectWhole(store, journal);
  });

  it('goes on from what it knew, and calls its old state garbage', async () => {
    await fill((i) => [{ stream: 'a', records: records(1 + (i % 2)) }], 150);
    await clean({ trims: true });
    const { known } = (await catalog()).manifest;
    expect(known?.ordinal).toBe(ENTRIES);
    store.calls.length = 0;
    await clean({ trims: true });
    expect(store.calls.filter((call) => call.startsWith('read segments/'))).toEqual([]);
    await clean({ retentionBytes: 1 });
    await expectWhole(store, journal);
  });

  it('keeps what a registered reader has not had, until the hold expires or is released', async () => {
    const hold = { name: 'warehouse', timestamp: 80 + 20 * STEP, expiresAt: now + 500 };
    await (await catalog()).commit((manifest) => withHold(manifest, hold, now));
    const held = await clean({ retentionBytes: 1 });
    expect(held.heldBy).toBe('warehouse');
    expect(held.goneTo).toBeLessThanOrEqual(hold.timestamp);
    expect(held.removedSegments).toBeGreaterThan(0);
    await (await catalog()).commit((manifest) => withoutHold(manifest, 'nobody', now));
    now += 501;
    expect(tightestHold((await catalog()).manifest, now)).toBeNull();
    expect(await clean({ retentionBytes: 1 })).toMatchObject({ heldBy: null });
    expect((await catalog()).manifest.segments).toHaveLength(1);
  });

  it('heeds a hold that comes while it works', async () => {
    const hold = { name: 'late', timestamp: 0, expiresAt: now + 1e6 };
    const create = store.create.bind(store);
    store.create = async (key, bytes) => {
      const isState = key.startsWith('states/');
      if (isState) await (await catalog()).commit((manifest) => withHold(manifest, hold, now));
      return create(key, bytes);
    };
    expect(await clean({ retentionBytes: 1 })).toMatchObject({ first: 0, removedSegments: 0 });
    expect((await catalog()).manifest.holds).toEqual([hold]);
    await expectWhole(store, journal);
  });

  it('gives readers of older manifests their time, then deletes by name alone', async () => {
    const { removedSegments } = await clean({ retentionBytes: 1 });
    const named = kinds('segments').length;
    now += 999;
    expect(await clean({ retentionBytes: 1 })).toMatchObject({ deletedObjects: 0 });
    expect(kinds('segments')).toHaveLength(named);
    now += 1;
    const swept = await clean({ retentionBytes: 1 });
    expect(swept.deletedObjects).toBe(removedSegments);
    expect(swept.waitingObjects).toBe(0);
    expect(kinds('segments')).toHaveLength(1);
    expect(kinds('manifests').length).toBeGreaterThan(3);
    expect(store.calls.some((call) => call.startsWith('remove manifests/'))).toBe(false);
    await expectWhole(store, journal);
  });

  it.each<[string, Request]>([
    ['the whole journal', {}],
    ['a stream', { stream: 'a' }],
  ])('a reader by an older manifest is told a gap: %s', async (_, request) => {
    const whole = await readAll(request, () => archiver.catalog);
    const stale = await catalog();
    await clean({ retentionBytes: 3000 });
    now += 1000;
    const { first } = await clean();
    expect(stale.manifest.first).toBe(0);
    expect(first).toBeGreaterThan(10);
    const seen = await readAll(request, () => stale);
    const left = seen.filter((line) => !line.startsWith('gap'));
    expect(seen.filter((line) => line.startsWith('gap TRIMMED'))).toHaveLength(1);
    expect(left.length).toBeGreaterThan(3);
    expect(left).toEqual(whole.slice(-left.length));
    expect(seen[0]).toMatch(/^gap/);
  });

  it('a segment in memory is no way round a gap that was told', async () => {
    const whole = await readAll({}, () => archiver.catalog);
    // The segments that the reader before has fetched are still in memory.
    journal.history = historyOf(() => archiver.catalog, 1_000_000);
    const warm = await readAll({}, () => archiver.catalog, journal.history);
    expect(warm).toEqual(whole);
    await clean({ retentionBytes: 3000 });
    while (await archiver.round());
    const seen = await readAll({}, () => archiver.catalog, journal.history);
    expect(seen[0]).toMatch(/^gap TRIMMED/);
    expect(seen.length).toBeLessThan(whole.length);
    expect(seen.slice(1)).toEqual(whole.slice(-seen.length + 1));
  });

  it('a reader on its way through what is deleted is told the gap, then what is behind it', async () => {
    const whole = await readAll({}, () => archiver.catalog);
    journal.history = historyOf(() => archiver.catalog, 1_000_000);
    await readAll({}, () => archiver.catalog, journal.history);
    const opened = open(journal, {}, 200);
    opened.pump();
    const begun = drain(opened).deliveries.map(place);
    await clean({ retentionBytes: 3000 });
    while (await archiver.round());
    const { gaps, places } = await finish(opened);
    expect(gaps).toHaveLength(1);
    const told = [...begun, ...places];
    expect(told.length).toBeLessThan(whole.length);
    expect(told.slice(-3)).toEqual(whole.slice(-3));
    expect(new Set(told).size).toBe(told.length);
    const { goneTo } = archiver.catalog?.manifest ?? { goneTo: 0 };
    const afterGap = places.filter((line) => Number(line.split('+')[0]) <= goneTo);
    expect(afterGap).toEqual([]);
  });

  it.each(['before', 'after'] as const)(
    'interrupted %s any call of the store leaves an archive that is whole, and the next round finishes',
    async (when) => {
      const finished = new Set<number>();
      for (let failing = 0; ; failing += 1) {
        await fill((i) => [{ stream: i % 3 === 0 ? 'b' : 'a', records: records(2) }]);
        now = 1_000_000;
        let calls = 0;
        store.fault = () => (calls++ === failing ? when : null);
        const rounds = async (): Promise<void> => {
          await clean({ retentionBytes: 3000, trims: true });
          now += 1000;
          await clean({ retentionBytes: 3000, trims: true });
        };
        const error = await rounds().then(
          () => null,
          (reason: unknown) => reason as MeridianError,
        );
        store.fault = () => null;
        await expectWhole(store, journal);
        await rounds();
        await rounds();
        const { manifest } = await catalog();
        finished.add(manifest.first);
        expect(manifest.garbage).toEqual([]);
        expect(kinds('segments')).toHaveLength(manifest.segments.length);
        await expectWhole(store, journal);
        if (calls <= failing) break;
        if (error !== null) expect(error.reason).toBe('UNAVAILABLE');
      }
      expect(finished.size).toBe(1);
    },
  );
});
