/**
 * Watches how much room the disk of the data directory has, ahead of need (S3): below
 * `diskReserveBytes` the replica takes no appends of clients, below half of it no entries of its peers
 * either. What then remains is for promises, reservations, markers and checkpoints, so that reads, heartbeats and
 * seals go on. When the disk refuses a write all the same, the log waits, and is told here to try again.
 *
 * Between two looks at the file system the own writing is counted, so a burst is noticed in time
 * without a call on the commit path. Levels are left upwards only with an eighth of the reserve to spare.
 */
import { statfs } from 'node:fs/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Space } from '../../libs/lane/types.ts';
import type { Log } from '../../libs/storage/log.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { Micros } from '../../libs/values/numbers.ts';

export interface SpaceWatchOptions {
  /** 0: only a write that the disk refuses counts. */
  readonly reserveBytes: number;
  readonly log: Pick<Log, 'isFull' | 'retryWrites' | 'appendedBytes'>;
  /** Bytes this process may still take; null when nobody can say. */
  readonly freeBytes: () => Promise<number | null>;
  readonly onChange: (space: Space) => void;
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
}

export interface SpaceFigures {
  readonly space: Space;
  /** Writes that the disk refused for want of room. */
  readonly refusedWrites: number;
}

const LOOK_MICROS = 250_000;
const LEVELS: readonly Space[] = ['ample', 'low', 'none'];

export class SpaceWatch {
  readonly #options: SpaceWatchOptions;
  #lookedAt = -Infinity;
  #busy = false;
  /** As the file system said last, and what had been appended by then. */
  #free = Infinity;
  #appendedThen = 0;
  #space: Space = 'ample';
  #refusedWrites = 0;

  constructor(options: SpaceWatchOptions) {
    this.#options = options;
  }

  get figures(): SpaceFigures {
    return { space: this.#space, refusedWrites: this.#refusedWrites };
  }

  get space(): Space {
    return this.#space;
  }

  /** What is left when everything appended since the last look is on disk. */
  get freeBytes(): number {
    return this.#free - (this.#options.log.appendedBytes - this.#appendedThen);
  }

  /** So much may be written without touching the last quarter of the reserve. */
  hasRoom(bytes: number): boolean {
    return !this.#options.log.isFull && this.freeBytes - bytes >= this.#options.reserveBytes / 4;
  }

  /** Why an append is not taken; null when it is. A small one, which may make room, is while it fits. */
  obstacle(small = false): MeridianError | null {
    const space = this.#space;
    if (space === 'ample' || (small && space === 'low')) return null;
    const { reserveBytes } = this.#options;
    const free = Math.max(0, this.freeBytes);
    return new MeridianError(
      'DISK_FULL',
      `the disk of this replica is nearly full: ${free} bytes are free, ${reserveBytes} are kept ` +
        '(limits.diskReserveBytes); append through another region',
      { details: { freeBytes: free, limit: reserveBytes } },
    );
  }

  /** A write found the disk full. */
  refused(error: MeridianError): void {
    this.#refusedWrites += 1;
    if (this.#space !== 'none') {
      this.#options.logger.error({ error, details: error.details }, 'the disk took no write');
    }
    this.#judge();
  }

  /** Call it after every step. */
  look(now: Micros): void {
    const { log, reserveBytes } = this.#options;
    if (now - this.#lookedAt < LOOK_MICROS) {
      if (reserveBytes > 0 && this.freeBytes < reserveBytes) this.#judge();
      return;
    }
    this.#lookedAt = now;
    if (log.isFull) log.retryWrites();
    if (!this.#busy) void this.#ask();
    this.#judge();
  }

  async #ask(): Promise<void> {
    this.#busy = true;
    const appended = this.#options.log.appendedBytes;
    const free = await this.#options.freeBytes();
    this.#busy = false;
    this.#free = free ?? Infinity;
    this.#appendedThen = appended;
  }

  #judge(): void {
    const { log, onChange, logger, reserveBytes } = this.#options;
    const space = log.isFull ? 'none' : this.#level();
    if (space === this.#space) return;
    const fields = { space, freeBytes: Math.floor(this.freeBytes), reserveBytes };
    if (space === 'ample') logger.info(fields, 'the disk has room again: appends are taken');
    else if (LEVELS.indexOf(space) < LEVELS.indexOf(this.#space)) {
      logger.warn(fields, 'the disk has some room again: entries of the peers are taken');
    } else if (space === 'low') {
      logger.error(fields, 'the disk is nearly full: this replica takes no appends');
    } else {
      logger.error(fields, 'the disk is full: this replica takes no entries and is in no quorum');
    }
    this.#space = space;
    onChange(space);
  }

  #level(): Space {
    const { reserveBytes } = this.#options;
    const spare = (level: Space): number =>
      LEVELS.indexOf(this.#space) >= LEVELS.indexOf(level) ? reserveBytes / 8 : 0;
    const free = this.freeBytes;
    if (free < reserveBytes / 2 + spare('none')) return reserveBytes === 0 ? 'ample' : 'none';
    return free < reserveBytes + spare('low') ? 'low' : 'ample';
  }
}

/** Of the file system of this directory, for a process without privileges. */
export async function freeBytesOf(directory: string): Promise<number | null> {
  try {
    const { bavail, bsize, blocks } = await statfs(directory);
    return blocks > 0 ? bavail * bsize : null;
  } catch {
    // The directory is gone or unreadable: the log itself says so, and louder.
    return null;
  }
}
