/**
 * Rounds of the janitor through several archives, one archive after the other, as long as the process runs. An
 * archive that cannot be cleaned keeps no other from its turn; it is told once, and again when it works. The end of
 * the process may cut a round off anywhere: the next one finishes it (janitor.ts).
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { ListingStore } from '../../libs/archive/object-store.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { cleanArchive } from './janitor.ts';
import type { JanitorOptions } from './janitor.ts';

export interface RoundsOptions {
  readonly stores: readonly ListingStore[];
  readonly rules: Omit<JanitorOptions, 'store'>;
  /** Pause between two rounds, milliseconds. */
  readonly roundMs: number;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

/** Of one archive. */
export interface RoundFigures {
  /** Wall clock of the last round that ended well, or of the start, milliseconds since 1970. */
  goodAt: number;
  failures: number;
  removedSegments: number;
  removedBytes: number;
  deletedObjects: number;
  /** Left behind by the last round: they wait for their grace. */
  waitingObjects: number;
  /** Why the last round failed; null: it did not. */
  trouble: string | null;
}

/** The longest that a timer of Node waits. */
const PAUSE_MS_MAX = 2 ** 31 - 1;
/** Nobody heals these by waiting. */
const FINAL = new Set(['CORRUPT', 'WRONG_TARGET', 'PERMISSION_DENIED']);

export class JanitorRounds {
  readonly #options: RoundsOptions;
  /** By the archive's url. */
  readonly figures: ReadonlyMap<string, RoundFigures>;

  constructor(options: RoundsOptions) {
    this.#options = options;
    const goodAt = options.rules.now();
    const counts = { failures: 0, removedSegments: 0, removedBytes: 0, deletedObjects: 0 };
    this.figures = new Map(
      options.stores.map(({ url }) => [
        url,
        { goodAt, ...counts, waitingObjects: 0, trouble: null },
      ]),
    );
  }

  /** Goes on until something is broken that is no trouble of an archive, and rejects with that. */
  async run(): Promise<never> {
    for (;;) {
      await this.round();
      await pause(Math.min(this.#options.roundMs, PAUSE_MS_MAX));
    }
  }

  /** Once through all archives. */
  async round(): Promise<void> {
    for (const store of this.#options.stores) {
      const figures = this.figures.get(store.url);
      if (figures !== undefined) await this.#clean(store, figures);
    }
  }

  async #clean(store: ListingStore, figures: RoundFigures): Promise<void> {
    const { rules, logger } = this.#options;
    const archive = store.url;
    try {
      const report = await cleanArchive({ ...rules, store });
      const { removedSegments, removedBytes, deletedObjects, waitingObjects } = report;
      figures.goodAt = rules.now();
      figures.removedSegments += removedSegments;
      figures.removedBytes += removedBytes;
      figures.deletedObjects += deletedObjects;
      figures.waitingObjects = waitingObjects + report.unnamedObjects;
      const isNews = removedSegments > 0 || deletedObjects > 0 || figures.trouble !== null;
      figures.trouble = null;
      if (isNews) logger.info({ archive, ...report }, 'the archive was cleaned');
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      figures.failures += 1;
      if (figures.trouble === error.message) return;
      figures.trouble = error.message;
      const fields = { archive, reason: error.reason, found: error.message };
      const message = 'the archive cannot be cleaned; nothing is lost by it, and it grows';
      if (FINAL.has(error.reason)) logger.error(fields, message);
      else logger.warn(fields, message);
    }
  }
}
