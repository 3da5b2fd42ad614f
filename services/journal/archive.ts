/** The archive of a replica, put together: store, archiver, and what readers see of it. */
import { openStore } from '../../libs/archive/open-store.ts';
import type { ObjectStore } from '../../libs/archive/object-store.ts';
import { encodeState } from '../../libs/archive/state.ts';
import type { Log } from '../../libs/storage/log.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import { ArchiveHistory } from './archive-history.ts';
import { Archiver } from './archiver.ts';
import { laneOf, machineChunks, readHead } from './checkpoint-sections.ts';
import type { Checkpointer } from './checkpointer.ts';
import type { JournalConfig } from './config.ts';
import type { OpenedLog } from './open-log.ts';
import type { Watermark } from './watermark.ts';

export interface ArchiveOptions {
  readonly config: JournalConfig;
  readonly opened: OpenedLog;
  readonly watermark: Pick<Watermark, 'value'>;
  readonly checkpointer: () => Pick<Checkpointer, 'base'>;
  readonly logger: Logger;
}

export interface Archive {
  readonly archiver: Archiver;
  readonly history: ArchiveHistory;
  stop(): void;
}

/** null: none is configured. */
export async function openArchive(options: ArchiveOptions): Promise<Archive | null> {
  const { config, opened, watermark, checkpointer, logger } = options;
  const { index, store: entries, log } = opened;
  const { url, region, endpoint, pathStyle, keysFile, timeoutMs, ...settings } = config.archive;
  if (url === undefined) return null;
  const place = { url, region, endpoint, pathStyle, keysFile, timeoutMs };
  const store: ObjectStore = await openStore(place);
  const { cluster, instance } = config;
  const { segmentBytes, windowMs, uploadsMax, pollMs, turnMs } = settings;
  const archiver = new Archiver({
    store,
    cluster,
    instance,
    by: `${config.replica} ${config.region}`,
    index,
    entries,
    watermark,
    rule: { segmentBytes, windowMicros: Math.round(windowMs * 1000) },
    uploadsMax,
    pollMs,
    turnMs,
    baseState: () => {
      const { base } = checkpointer();
      return base === null ? null : stateOf(log, base.number);
    },
    logger,
  });
  const history = new ArchiveHistory({
    catalog: () => archiver.catalog,
    index,
    bytesMax: settings.cacheBytesMax,
    fetchesMax: settings.fetchesMax,
    readAhead: settings.readAhead,
  });
  return {
    archiver,
    history,
    stop: () => {
      archiver.stop();
      store.close();
    },
  };
}

/** Of a checkpoint: what an archive that begins there needs. */
function stateOf(log: Pick<Log, 'readCheckpoint'>, number: number): Uint8Array {
  const sections = [...log.readCheckpoint(number)];
  const head = readHead(sections[0]);
  const lanes = REPLICAS.map((lane) => laneOf(head, lane).released);
  const timestamp = Math.max(...lanes.map((mark) => mark.timestamp));
  return encodeState({ ordinal: head.count, timestamp, lanes, machine: machineChunks(sections) });
}
