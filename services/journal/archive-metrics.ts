/** What the archive says of itself, as metrics; without one there are none. */
import { addLimits } from '../../libs/telemetry/limits.ts';
import type { Registry } from '../../libs/telemetry/metrics.ts';
import type { Archive } from './archive.ts';
import type { JournalConfig } from './config.ts';
import type { ReleaseIndex } from './release-index.ts';
import type { Watermark } from './watermark.ts';

const A = 'meridian_journal_archive';

/** What was released here. */
export interface Released {
  readonly index: Pick<ReleaseIndex, 'first' | 'count' | 'timestampAt'>;
  readonly watermark: Pick<Watermark, 'value'>;
}

export function addArchiveMetrics(
  registry: Registry,
  config: Pick<JournalConfig, 'archive'>,
  { index, watermark }: Released,
  archive: Archive | null,
): void {
  const read = (
    type: 'gauge' | 'counter',
    name: string,
    help: string,
    value: (of: Archive) => number | null,
  ): void => {
    registry.read(type, { name: `${A}_${name}`, help }, (emit) => {
      emit(archive === null ? null : value(archive));
    });
  };
  read('gauge', 'timestamp_seconds', 'Everything up to here is archived.', ({ archiver }) => {
    return archiver.archivedTimestamp === 0 ? null : archiver.archivedTimestamp / 1e6;
  });
  read('gauge', 'backlog_entries', 'Entries released and not archived.', ({ archiver }) =>
    archiver.catalog === null ? null : Math.max(0, index.count - archiver.archivedTo),
  );
  const backlogHelp = 'For how long the oldest of them has waited, in log time.';
  read('gauge', 'backlog_seconds', backlogHelp, ({ archiver: { archivedTo } }) => {
    // Also when the archive was never reached: then nothing is archived.
    const oldest = Math.max(archivedTo, index.first);
    return oldest >= index.count ? 0 : (watermark.value - index.timestampAt(oldest)) / 1e6;
  });
  read('gauge', 'halted', '1: it holds what it must not; nothing is archived.', ({ archiver }) =>
    Number(archiver.halted),
  );
  read('gauge', 'upload_bytes', 'Segments in memory on their way.', ({ archiver }) => {
    return archiver.heldBytes;
  });
  read('counter', 'segments_total', 'Segments archived by this replica.', ({ archiver }) => {
    return archiver.figures.segments;
  });
  read('counter', 'written_bytes_total', 'Bytes of these segments.', ({ archiver }) => {
    return archiver.figures.bytes;
  });
  read('counter', 'failures_total', 'Rounds that the store made fail.', ({ archiver }) => {
    return archiver.figures.failures;
  });
  read('gauge', 'cache_bytes', 'Segments in memory for readers.', ({ history }) => {
    return history.cachedBytes;
  });
  read('counter', 'cache_hits_total', 'Looks of readers into a segment in memory.', (of) => {
    return of.history.figures.hits;
  });
  read('counter', 'fetches_total', 'Segments fetched for readers.', (of) => {
    return of.history.figures.fetches;
  });
  read('counter', 'fetched_bytes_total', 'Bytes of these segments.', (of) => {
    return of.history.figures.bytes;
  });
  read('counter', 'fetch_failures_total', 'Fetches for readers that failed.', (of) => {
    return of.history.figures.failures;
  });
  addLimits(registry, {
    prefix: A,
    limits: archive === null ? {} : config.archive,
    used: () => ({
      uploadsMax: archive?.archiver.heldSegments ?? null,
      cacheBytesMax: archive?.history.cachedBytes ?? null,
      fetchesMax: archive?.history.fetching ?? null,
    }),
  });
}
