/** What was uploaded and never named: when the janitor may delete it, and who may still name what. */
import { beforeEach, expect, it } from 'vitest';
import type { Catalog } from '../../libs/archive/catalog.ts';
import { segmentKey, stateKey, sweepOf } from '../../libs/archive/keys.ts';
import { MemoryStore } from '../../libs/archive/memory-store.ts';
import { catalogOf, expectWhole } from './archive.test-kit.ts';
import type { Archiver } from './archiver.ts';
import { cleanArchive } from './janitor.ts';
import type { JanitorOptions, JanitorReport } from './janitor.ts';
import { MemoryJournal } from './memory-journal.ts';
import { archiverOf } from './testing-archiver.ts';
import { records } from './testing-reads.ts';

const STEP = 96;
const ENTRIES = 40;
const AGE_MS = 5000;
const GRACE_MS = 1000;
const NEVER_NAMED = [
  segmentKey(0, 'ab'.repeat(32)),
  stateKey(7, 'cd'.repeat(32)),
  segmentKey(12, 'ef'.repeat(32)),
];

let store: MemoryStore;
let journal: MemoryJournal;
let archiver: Archiver;
let now: number;

beforeEach(async () => {
  now = 1_000_000;
  store = new MemoryStore();
  store.now = () => now;
  journal = new MemoryJournal();
  append(ENTRIES);
  archiver = archiverOf(journal, store);
  while (await archiver.round());
});

function append(entries: number): void {
  const from = journal.index.count;
  for (let i = from; i < from + entries; i += 1) {
    const time = Math.ceil((journal.watermark.value + STEP) / 8) * 8;
    journal.add(time, [{ stream: i % 3 === 0 ? 'b' : 'a', records: records(2) }]);
  }
  journal.release([], journal.watermark.value + 10_000);
}

async function leave(keys: readonly string[]): Promise<void> {
  for (const key of keys) await store.create(key, Buffer.from('uploaded'));
}

function clean(options: Partial<JanitorOptions> = {}): Promise<JanitorReport> {
  const rules = { retentionMicros: 0, retentionBytes: 0, trims: false, dryRun: false };
  const times = { graceMs: GRACE_MS, unnamedMs: AGE_MS, now: () => now };
  return cleanArchive({ store, ...rules, ...times, ...options });
}

const catalog = (): Promise<Catalog> => catalogOf(store, () => now);

const standing = (keys: readonly string[]): string[] =>
  keys.filter((key) => store.objects.has(key));

it('is deleted at the second look, a grace after a manifest after which nobody can name it', async () => {
  await leave(NEVER_NAMED);
  const before = [...store.objects.keys()].filter((key) => !NEVER_NAMED.includes(key));
  now += AGE_MS;
  expect(await clean()).toMatchObject({ deletedObjects: 0, unnamedObjects: 3 });
  expect((await catalog()).manifest).toMatchObject({ version: 2, sweep: { number: 1, at: now } });
  now += GRACE_MS - 1;
  expect(await clean()).toMatchObject({ deletedObjects: 0, unnamedObjects: 3 });
  expect(standing(NEVER_NAMED)).toEqual(NEVER_NAMED);
  now += 1;
  expect(await clean()).toMatchObject({ deletedObjects: 3, unnamedObjects: 0 });
  expect(standing(NEVER_NAMED)).toEqual([]);
  expect(standing(before)).toEqual(before);
  expect((await catalog()).manifest.sweep?.number).toBe(1);
  await expectWhole(store, journal);
});

it('stays while it is young, and with a dry run, and without the rule', async () => {
  await leave(NEVER_NAMED);
  const { number } = (await catalog()).manifest;
  now += AGE_MS - 1;
  expect(await clean()).toMatchObject({ unnamedObjects: 0 });
  now += 1;
  expect(await clean({ dryRun: true })).toMatchObject({ unnamedObjects: 3 });
  expect(await clean({ unnamedMs: null })).toMatchObject({ unnamedObjects: 0 });
  expect((await catalog()).manifest.number).toBe(number);
  expect(standing(NEVER_NAMED)).toEqual(NEVER_NAMED);
});

it('deletes nothing that is named: by the manifest, its pages, or the root', async () => {
  store = new MemoryStore();
  store.now = () => now;
  append(300);
  archiver = archiverOf(journal, store, { rule: { segmentBytes: 100, windowMicros: 1000 } });
  while (await archiver.round());
  await clean({ retentionBytes: 30_000, trims: true });
  const { manifest } = await catalog();
  expect(manifest.pages).not.toEqual([]);
  expect(manifest.garbage).not.toEqual([]);
  for (let round = 0; round < 4; round += 1) {
    now += AGE_MS + GRACE_MS;
    await leave([segmentKey(round, '12'.repeat(32), round)]);
    await clean();
    append(20);
    while (await archiver.round());
    await expectWhole(store, journal);
  }
  expect((await catalog()).manifest.sweep?.number).toBeGreaterThan(1);
});

it('cannot be named by a writer that slept between upload and manifest; it uploads once more', async () => {
  append(20);
  const read = store.read.bind(store);
  const uploaded: string[] = [];
  store.read = async (key) => {
    const bytes = await read(key);
    if (!key.startsWith('segments/') || uploaded.length > 0) return bytes;
    // It has its answer, and sleeps: for so long that the janitor deletes what it uploaded.
    uploaded.push(key);
    store.read = read;
    now += AGE_MS;
    await clean();
    now += GRACE_MS;
    expect((await clean()).deletedObjects).toBeGreaterThan(0);
    expect(store.objects.has(key)).toBe(false);
    return bytes;
  };
  while (await archiver.round());
  expect(uploaded).toHaveLength(1);
  expect(sweepOf(uploaded[0] ?? '')).toBe(0);
  expect(archiver.archivedTo).toBe(ENTRIES + 20);
  expect(sweepOf((await catalog()).manifest.segments.at(-1)?.key ?? '')).toBe(1);
  await expectWhole(store, journal);
});

it('comes of a janitor too, interrupted before or after any call, and goes with the rest', async () => {
  const rules = { retentionBytes: 3000, trims: true };
  for (const when of ['before', 'after'] as const) {
    for (let failing = 0; failing < 60; failing += 3) {
      let calls = 0;
      store.fault = () => (calls++ === failing ? when : null);
      await clean(rules).catch(() => null);
      store.fault = () => null;
      append(8);
      while (await archiver.round());
      now += AGE_MS + GRACE_MS;
    }
  }
  for (let round = 0; round < 4; round += 1) {
    await clean();
    now += AGE_MS + GRACE_MS;
  }
  const { manifest, root } = await catalog();
  const states = [root.state, manifest.state, manifest.known].flatMap((ref) => ref?.key ?? []);
  const there = [...store.objects.keys()].filter((key) => key.startsWith('states/'));
  expect(there.sort()).toEqual([...new Set(states)].sort());
  await expectWhole(store, journal);
});
