/** What tests ask of an archive that archiverOf (testing-archiver.ts) has written. */
import { expect } from 'vitest';
import { Catalog } from '../../libs/archive/catalog.ts';
import type { ObjectStore } from '../../libs/archive/object-store.ts';
import { ArchiveReplay } from './archive-replay.ts';
import type { MemoryJournal } from './memory-journal.ts';
import { OF_ARCHIVER } from './testing-archiver.ts';

/** As it stands; throws when there is none. */
export async function catalogOf(store: ObjectStore, now = (): number => 1): Promise<Catalog> {
  const catalog = await Catalog.open({ store, ...OF_ARCHIVER, by: 'test', now });
  if (catalog === null) throw new Error('there is no archive');
  return catalog;
}

/** Everything that is named is there, and makes the order that the journal made. */
export async function expectWhole(store: ObjectStore, journal: MemoryJournal): Promise<void> {
  const catalog = await catalogOf(store);
  const replay = await ArchiveReplay.ofAll(catalog);
  expect(replay.ordinal).toBe(catalog.manifest.end);
  expect(replay.order.hash()).toBe(journal.order.hash());
}
