/** A sealed archive: what replicas with the same key make, and what is left to whoever has none. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { MemoryStore } from '../../libs/archive/memory-store.ts';
import { isSealed } from '../../libs/archive/sealing.ts';
import { SealedStore } from '../../libs/archive/sealed-store.ts';
import { cleanArchive } from './janitor.ts';
import { MemoryJournal } from './memory-journal.ts';
import { restoreReplica } from './restore.ts';
import { archiverOf } from './testing-archiver.ts';
import { records } from './testing-reads.ts';

const KEY = { id: 'old', secret: randomBytes(32) };
const NEXT = { id: 'new', secret: randomBytes(32) };
const ENTRIES = 40;
const directory = mkdtempSync(join(tmpdir(), 'meridian-sealed-'));
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

function journal(): MemoryJournal {
  const made = new MemoryJournal();
  for (let i = 0; i < ENTRIES; i += 1) {
    made.add(80 + i * 96, [{ stream: 'secret-stream', records: records(2) }]);
  }
  made.release([], made.watermark.value + 10_000);
  return made;
}

it('three replicas, one with the next key already, make one archive, which a restore and a janitor read', async () => {
  const inner = new MemoryStore();
  const keys = [[KEY], [KEY], [NEXT, KEY]];
  const all = keys.map((own, i) =>
    archiverOf(journal(), new SealedStore(inner, i < 2 ? [...own, NEXT] : own), { by: `${i} r` }),
  );
  for (let round = 0; round < 200; round += 1) {
    for (const archiver of all) await archiver.attempt();
  }
  for (const archiver of all) {
    expect(archiver.archivedTo).toBe(ENTRIES);
    expect(archiver.halted).toBe(false);
  }
  for (const [key, bytes] of inner.objects) {
    expect(isSealed(bytes), key).toBe(!['journal.json', 'latest.json'].includes(key));
    expect(Buffer.from(bytes).includes('secret-stream'), key).toBe(false);
  }
  const store = new SealedStore(inner, [NEXT, KEY]);
  const rules = { retentionMicros: 0, retentionBytes: 2000, trims: true, unnamedMs: 0, graceMs: 0 };
  const report = await cleanArchive({ store, ...rules, dryRun: false, now: () => 1_000_000 });
  expect(report.removedSegments).toBeGreaterThan(0);
  const place = { directory: join(directory, 'data'), replica: 0 as const, generation: 1 };
  const restored = await restoreReplica({ store, ...place, wall: 1_000_000 });
  expect(restored).toMatchObject({ entries: ENTRIES, hash: journal().order.hash() });
});

it('without the key nothing of it is read, restored or halted, and the key is asked for by name', async () => {
  const inner = new MemoryStore();
  const writer = archiverOf(journal(), new SealedStore(inner, [KEY]));
  while (await writer.round());
  const store = new SealedStore(inner, []);
  const place = { directory: join(directory, 'none'), replica: 0 as const, generation: 1 };
  const why = { reason: 'REFUSED', message: expect.stringContaining('with the key old') as string };
  await expect(restoreReplica({ store, ...place, wall: 1_000_000 })).rejects.toMatchObject(why);
  const stranger = archiverOf(journal(), store);
  for (let round = 0; round < 5; round += 1) await stranger.attempt();
  expect(stranger.halted).toBe(false);
  expect(stranger.figures.failures).toBe(5);
});
