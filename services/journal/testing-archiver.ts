/** An archiver of a journal in memory, for tests: small segments, no pauses, told to nobody. */
import type { ObjectStore } from '../../libs/archive/object-store.ts';
import { Archiver } from './archiver.ts';
import type { ArchiverOptions } from './archiver.ts';
import type { MemoryJournal } from './memory-journal.ts';

/** Whose archive it writes. */
export const OF_ARCHIVER = { cluster: 'c', instance: 'i' };

export function archiverOf(
  { index, store: entries, watermark }: MemoryJournal,
  store: ObjectStore,
  options: Partial<ArchiverOptions> = {},
): Archiver {
  return new Archiver({
    store,
    ...OF_ARCHIVER,
    by: '0 a',
    index,
    entries,
    watermark,
    rule: { segmentBytes: 600, windowMicros: 1000 },
    uploadsMax: 2,
    pollMs: 1,
    turnMs: 1,
    baseState: () => null,
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined } as never,
    ...options,
  });
}
