/**
 * How full the disk of the data directory is and how much of it the log takes, for the status. Asks
 * the file system when somebody wants to know, at most once a second, without blocking; a failure
 * leaves the last figures. Deciding anything by them is not its business.
 */
import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';

export interface DiskFigures {
  readonly totalBytes: number;
  /** For processes without privileges, as this one should be. */
  readonly freeBytes: number;
  readonly logBytes: number;
  readonly segments: number;
}

const FRESH_MS = 1_000;
const NOTHING: DiskFigures = { totalBytes: 0, freeBytes: 0, logBytes: 0, segments: 0 };

export class DiskUsage {
  readonly #directory: string;
  #figures = NOTHING;
  #readAt = -Infinity;
  #reading: Promise<DiskFigures> | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  figures(): Promise<DiskFigures> {
    if (performance.now() - this.#readAt < FRESH_MS) return Promise.resolve(this.#figures);
    this.#reading ??= this.#read().finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #read(): Promise<DiskFigures> {
    try {
      const system = await statfs(this.#directory);
      const names = await readdir(this.#directory);
      const sizes = await Promise.all(names.map((name) => this.#sizeOf(name)));
      this.#figures = {
        totalBytes: system.blocks * system.bsize,
        freeBytes: system.bavail * system.bsize,
        logBytes: sizes.reduce((sum, bytes) => sum + bytes, 0),
        segments: names.filter((name) => name.endsWith('.log')).length,
      };
      this.#readAt = performance.now();
    } catch {
      // The directory is gone or unreadable: the log itself says so, and louder.
    }
    return this.#figures;
  }

  /** A segment may be trimmed while it is looked at. */
  async #sizeOf(name: string): Promise<number> {
    try {
      return (await stat(join(this.#directory, name))).size;
    } catch {
      return 0;
    }
  }
}
