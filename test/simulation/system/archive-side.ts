/**
 * The archive of one instance, and what a replica's process has of it: the archiver and the history for its readers,
 * which are the code of services/journal, over a client of the simulated store.
 */
import type { Logger } from '../../../libs/telemetry/logger.ts';
import { ArchiveHistory, type History } from '../../../services/journal/archive-history.ts';
import { Archiver } from '../../../services/journal/archiver.ts';
import type { LaneStore } from '../../../services/journal/lane-store.ts';
import type { ReleaseIndex } from '../../../services/journal/release-index.ts';
import type { Watermark } from '../../../services/journal/watermark.ts';
import type { Replica } from '../replica.ts';
import type { ArchiveChecker } from './archive-checker.ts';
import type { SimulatedStore } from './simulated-store.ts';
import type { SystemBug } from './system-bugs.ts';
import type { ArchiveOptions } from './system-options.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface ArchiveSide {
  readonly history: History;
  /** Log below this ordinal may go. */
  readonly archivedTo: number;
  stop(): void;
}

export interface SimulatedArchiveOptions {
  readonly cluster: string;
  readonly instance: string;
  readonly options: ArchiveOptions;
  readonly store: SimulatedStore;
  readonly checker: () => ArchiveChecker;
  readonly time: VirtualTime;
  readonly bug: SystemBug | null;
}

const silent = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
} as unknown as Logger;

export class SimulatedArchive {
  private readonly given: SimulatedArchiveOptions;
  private readonly histories: ArchiveHistory[] = [];

  constructor(given: SimulatedArchiveOptions) {
    this.given = given;
  }

  get checker(): ArchiveChecker {
    return this.given.checker();
  }

  /** Segments that were fetched for readers. */
  get fetches(): number {
    return this.histories.reduce((sum, { figures }) => sum + figures.fetches, 0);
  }

  /** For one life of a replica. */
  join(life: {
    readonly index: ReleaseIndex;
    readonly entries: Pick<LaneStore, 'content'>;
    readonly watermark: Watermark;
    readonly replica: Replica;
  }): ArchiveSide {
    const { index, entries, watermark, replica } = life;
    const { cluster, instance, options, bug, time } = this.given;
    const { segmentBytes, windowMicros, cacheBytesMax, uploadsMax, pollMs, turnMs } = options;
    const store = this.given.store.client(() => replica.paused);
    const archiver = new Archiver({
      store,
      cluster,
      instance,
      by: `replica ${replica.id}`,
      index,
      entries,
      watermark,
      rule: { segmentBytes, windowMicros },
      uploadsMax,
      pollMs,
      turnMs,
      baseState: () => null,
      logger: silent,
    });
    const history = new ArchiveHistory({
      catalog: () => archiver.catalog,
      index,
      bytesMax: cacheBytesMax,
      fetchesMax: 2,
      readAhead: 1,
    });
    this.histories.push(history);
    time.enter(() => {
      archiver.start();
    });
    return {
      history: bug === 'tier-skips' ? skipping(history) : history,
      get archivedTo() {
        if (bug === 'dropped-unarchived') return index.count;
        return bug === 'dropped-at-upload' ? store.uploadedTo : archiver.archivedTo;
      },
      stop: () => {
        store.close();
        archiver.stop();
      },
    };
  }
}

/** Planted: a reader that comes from the log begins one entry too late. */
function skipping(history: ArchiveHistory): History {
  return {
    get goneTo() {
      return history.goneTo;
    },
    problem: () => history.problem(),
    peek: (ordinal) => history.peek(ordinal + 1),
    find: (place, stream, fromSeqNum, answer) => {
      const later = 'ordinal' in place ? { ordinal: place.ordinal + 1 } : place;
      history.find(later, stream, fromSeqNum, answer);
    },
  };
}
