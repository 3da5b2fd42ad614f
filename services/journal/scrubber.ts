/**
 * Reads everything old on the disk, slowly and again and again, so that rot is found while the peers
 * still hold what it ate (S2): closed segments, then checkpoints, at most `bytesPerSecond`. What is
 * found is told with file and offset and repaired: a segment from the peers (log-repair.ts), a checkpoint by
 * taking a new one. A segment that a read stumbled over comes first. When nobody can repair it, the
 * replica has to begin anew from both others, and while these are not well it waits.
 *
 * The segment that is being written is not read; neither is what only a start reads, the identity.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Log, Pace } from '../../libs/storage/log.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { Checkpointer } from './checkpointer.ts';
import type { LogRepair } from './log-repair.ts';

export interface ScrubberOptions {
  readonly log: Pick<Log, 'care' | 'checkpoints' | 'stats'>;
  readonly repair: Pick<LogRepair, 'repair'>;
  readonly checkpointer: Pick<Checkpointer, 'replaceDamaged'>;
  /** 0: nothing is read, only what reads stumble over is repaired. */
  readonly bytesPerSecond: number;
  /** Between two readings of everything. */
  readonly pauseMs: number;
  /** Both others are well, so this replica can be recovered from them. */
  readonly othersAreWell: () => boolean;
  /** The data must be set aside and recovered from both others. */
  readonly onHopeless: (why: MeridianError) => void;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

export interface OpenFinding {
  readonly file: string;
  readonly offset: number;
  readonly problem: string;
}

export interface ScrubFigures {
  readonly passes: number;
  readonly readBytes: number;
  readonly found: number;
  readonly repaired: number;
  /** Found and not repaired so far, the newest first. */
  readonly open: readonly OpenFinding[];
}

/** After a repair that failed for the moment. */
const AGAIN_MS = 5_000;
/** Between two pieces, at a rate that is not asked for exactly. */
const REST_MS_MAX = 60_000;

type Subject = { readonly segment: number } | { readonly checkpoint: number };

export class Scrubber {
  readonly #options: ScrubberOptions;
  readonly #urgent = new Set<number>();
  readonly #open = new Map<string, OpenFinding>();
  #stopped = false;
  #wake: (() => void) | null = null;
  #passes = 0;
  #readBytes = 0;
  #found = 0;
  #repaired = 0;

  constructor(options: ScrubberOptions) {
    this.#options = options;
  }

  get figures(): ScrubFigures {
    return {
      passes: this.#passes,
      readBytes: this.#readBytes,
      found: this.#found,
      repaired: this.#repaired,
      open: [...this.#open.values()].reverse(),
    };
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  /** A read has found this segment damaged: it comes before all others. */
  urgent(segment: number): void {
    if (this.#urgent.has(segment) || this.#stopped) return;
    this.#urgent.add(segment);
    this.#wake?.();
  }

  async #run(): Promise<void> {
    const { bytesPerSecond, pauseMs } = this.#options;
    while (!this.#stopped) {
      if (bytesPerSecond > 0) await this.#readAll();
      const again = this.#open.size > 0 || this.#urgent.size > 0;
      await this.#rest(again ? Math.min(AGAIN_MS, pauseMs) : pauseMs);
      await this.#readUrgent();
    }
  }

  async #readAll(): Promise<void> {
    const { log } = this.#options;
    for (let segment = log.stats.firstSegment; segment < log.care.closedBefore; segment += 1) {
      segment = Math.max(segment, log.stats.firstSegment);
      await this.#look({ segment });
      await this.#readUrgent();
      if (this.#isStopped()) return;
    }
    for (const checkpoint of [...log.checkpoints]) {
      await this.#look({ checkpoint });
      if (this.#isStopped()) return;
    }
    this.#passes += 1;
  }

  async #readUrgent(): Promise<void> {
    for (const segment of [...this.#urgent]) {
      if (this.#stopped) return;
      // The one being written can be repaired once it is closed.
      if (segment >= this.#options.log.care.closedBefore) continue;
      await this.#look({ segment });
      this.#urgent.delete(segment);
    }
  }

  async #look(subject: Subject): Promise<void> {
    const { care } = this.#options.log;
    const finding = await new Promise<MeridianError | null>((resolve) => {
      if ('segment' in subject) care.checkSegment(subject.segment, this.#pace, resolve);
      else care.checkCheckpoint(subject.checkpoint, this.#pace, resolve);
    });
    const key = JSON.stringify(subject);
    if (finding === null) this.#open.delete(key);
    else if (!this.#stopped) await this.#handle(subject, key, finding);
  }

  async #handle(subject: Subject, key: string, finding: MeridianError): Promise<void> {
    const { logger } = this.#options;
    const { file = '', offset = '0' } = finding.details;
    const isNew = !this.#open.has(key);
    this.#open.set(key, { file, offset: Number(offset), problem: finding.message });
    if (isNew) {
      this.#found += 1;
      logger.error({ file, offset: Number(offset), found: finding.message }, 'old data is damaged');
    }
    try {
      const what = await this.#mend(subject);
      this.#open.delete(key);
      this.#repaired += 1;
      logger.warn({ file, offset: Number(offset), ...what }, 'damaged data was repaired');
    } catch (error) {
      if (!(error instanceof MeridianError)) {
        logger.error({ file, error }, 'the repair failed; it will be tried again');
      } else this.#handleFailure(file, isNew, error);
    }
  }

  async #mend(subject: Subject): Promise<Readonly<Record<string, number>>> {
    if ('segment' in subject) return this.#options.repair.repair(subject.segment);
    await this.#options.checkpointer.replaceDamaged(subject.checkpoint);
    return { checkpoint: subject.checkpoint };
  }

  #handleFailure(file: string, isNew: boolean, error: MeridianError): void {
    const { logger, othersAreWell, onHopeless } = this.#options;
    const why = error.message;
    if (error.reason !== 'CORRUPT') {
      if (isNew) logger.warn({ file, why }, 'it cannot be repaired at the moment');
    } else if (!othersAreWell()) {
      if (isNew) logger.error({ file, why }, 'it cannot be repaired, and a peer is away');
    } else {
      logger.error(
        { file, why },
        'it cannot be repaired: the data is set aside and recovered from both others',
      );
      this.stop();
      onHopeless(error);
    }
  }

  readonly #pace: Pace = (bytes, next) => {
    this.#readBytes += bytes;
    const { bytesPerSecond } = this.#options;
    const ms = bytesPerSecond === 0 ? 0 : (bytes * 1000) / bytesPerSecond;
    setTimeout(next, Math.min(ms, REST_MS_MAX)).unref();
  };

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      timer.unref();
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Asked anew after every wait. */
  #isStopped(): boolean {
    return this.#stopped;
  }
}
