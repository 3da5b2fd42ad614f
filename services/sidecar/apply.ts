/**
 * One attempt at applying: opens the applier, follows the journal from its position, applies what
 * comes, and says how far it is. Ends with an error; a new attempt begins at the position that is
 * stored in the database, whatever happened.
 *
 * What waits is applied together, one local transaction for as much as is there (bounded), so that
 * a replica that is behind catches up several times faster than one that is not. While one is being
 * committed the next is made. The journal is not read while more than `queueBytesMax` wait.
 */
import type { MeridianError } from '../../libs/errors/errors.ts';
import type { JournalPosition } from '../../libs/postgres/applied-position.ts';
import type { Source } from '../../libs/postgres/change-format.ts';
import { Applier } from '../../libs/postgres/applier.ts';
import type { IncomingBatch } from '../../libs/postgres/applier.ts';
import { fromPostgres } from '../../libs/postgres/connection.ts';
import type { PostgresAddress } from '../../libs/postgres/connection.ts';
import { LSN_ZERO, formatLsn } from '../../libs/postgres/lsn.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { SidecarConfig } from './config.ts';
import type { ApplyJournal, Feed, FeedItem } from './journal-port.ts';
import type { AppliedWatermark } from './watermark.ts';

export interface ApplyOptions {
  readonly address: PostgresAddress;
  readonly settings: SidecarConfig['apply'];
  readonly journal: ApplyJournal;
  readonly watermark: AppliedWatermark;
  readonly logger: Logger;
  readonly status: ApplyProgress;
  /** For what is under way when it is to end; the rest is applied again next time. */
  readonly drainMs: number;
  /** The database as a source, where it may become the primary. */
  readonly self?: Source;
}

/** What is told about applying, over all attempts. */
export class ApplyProgress {
  /** `off`: this database is the primary at the moment. */
  state: 'connecting' | 'applying' | 'waiting' | 'off' = 'connecting';
  error = '';
  timestamp = 0;
  commitLsn: Lsn = LSN_ZERO;
  commitTime = 0;
  transactions = 0;
  rows = 0;
  queuedBytes = 0;
  /** Rolls back what a dead shipper left unfinished, so that nobody waits for its end. */
  abandonUnfinished: () => Promise<void> = () => Promise.resolve();
}

/**
 * Resolves when `signal` aborts and what was begun is committed (or rejects, not having it in time), or when the stream was handed over to
 * this database; else rejects.
 */
export async function apply(options: ApplyOptions, signal: AbortSignal): Promise<void> {
  const { address, settings, logger, self = null, drainMs: graceMs } = options;
  const run = new ApplyRun(options);
  const target = { address, name: settings.name, self, until: signal, graceMs };
  const applier = await Applier.open(target, (error) => {
    run.end(error);
  });
  try {
    const { position } = applier;
    logger.info(
      {
        epoch: position.epoch,
        commitLsn: formatLsn(position.commitLsn),
        timestamp: position.journal.timestamp,
      },
      'applying',
    );
    if (!applier.replicaRole) {
      logger.warn('may not set session_replication_role: triggers and foreign keys are in force');
    }
    if (applier.origin === null) {
      logger.warn(
        'may not set a replication origin: a sidecar that ships this database would loop',
      );
    }
    await run.run(applier, signal);
  } finally {
    await applier.close();
  }
}

/** Taken from the queue, and not committed yet. */
interface Staged {
  readonly bytes: number;
  /** Watermark behind it; 0: none came. */
  readonly reached: number;
  /** Where the journal stands after it, should that be no batch. */
  readonly passed: JournalPosition | null;
}

class ApplyRun {
  readonly #options: ApplyOptions;
  #queue: FeedItem[] = [];
  #feed: Feed | null = null;
  #paused = false;
  #error: MeridianError | null = null;
  #abandon: (() => void) | null = null;
  #wake: (() => void) | null = null;
  #staged: Staged | null = null;
  /** What is committed, and not stored as progress yet. */
  #passed: JournalPosition | null = null;
  #counted = { transactions: 0, rows: 0 };

  constructor(options: ApplyOptions) {
    this.#options = options;
  }

  end(error: unknown): void {
    this.#error ??= fromPostgres(error);
    this.#wakeUp();
  }

  async run(applier: Applier, signal: AbortSignal): Promise<void> {
    const { journal, status, settings } = this.#options;
    status.queuedBytes = 0;
    this.#tell(applier);
    const stored = applier.position.journal;
    const feed = journal.follow(stored.timestamp === 0 ? null : stored, {
      onItems: (items) => {
        this.#arrived(items);
      },
      onEnd: (error) => {
        this.end(error);
      },
    });
    this.#feed = feed;
    const wake = (): void => {
      this.#wakeUp();
    };
    signal.addEventListener('abort', wake);
    const timer = setInterval(wake, settings.saveProgressMs);
    let saved = Date.now();
    status.abandonUnfinished = () =>
      new Promise((resolve) => {
        this.#abandon = resolve;
        wake();
      });
    try {
      status.state = 'applying';
      while (!signal.aborted) {
        if (this.#error !== null) throw this.#error;
        await this.#abandonUnfinished(applier);
        await this.#step(applier);
        if (applier.position.role === 'primary') return;
        // Of what is staged the position is on its way.
        const due = this.#staged === null && Date.now() - saved >= settings.saveProgressMs;
        if (due && this.#passed !== null) {
          await applier.saveProgress(this.#passed);
          saved = Date.now();
          this.#passed = null;
        }
        if (this.#queue.length === 0) await this.#sleep(signal);
      }
      await applier.committed();
      this.#done(applier, null);
      if (this.#passed !== null) await applier.saveProgress(this.#passed);
    } finally {
      status.abandonUnfinished = () => Promise.resolve();
      this.#abandon?.();
      clearInterval(timer);
      signal.removeEventListener('abort', wake);
      feed.cancel();
    }
  }

  async #abandonUnfinished(applier: Applier): Promise<void> {
    if (this.#abandon === null) return;
    await applier.abandonUnfinished();
    this.#abandon();
    this.#abandon = null;
  }

  /** Applies what waits, up to the bound; if more waits, its COMMIT may still be under way afterwards. */
  async #step(applier: Applier): Promise<void> {
    const { mergeBytesMax } = this.#options.settings;
    const batches: IncomingBatch[] = [];
    let bytes = 0;
    let taken = 0;
    let reached = 0;
    let passed: JournalPosition | null = null;
    for (const item of this.#queue) {
      if (item.kind === 'batch') {
        if (bytes > 0 && bytes + item.bytes > mergeBytesMax) break;
        batches.push(item);
        bytes += item.bytes;
        passed = null;
      } else {
        reached = item.watermark;
        passed = item.position;
      }
      taken += 1;
    }
    this.#queue.splice(0, taken);
    if (taken > 0) {
      // When it resolves, what was staged before is committed.
      await applier.stage(batches);
      this.#done(applier, { bytes, reached, passed });
    }
    if (this.#queue.length > 0) return;
    await applier.committed();
    this.#done(applier, null);
  }

  /** What was staged is committed; `next` is staged now. */
  #done(applier: Applier, next: Staged | null): void {
    const { settings, watermark, status } = this.#options;
    const done = this.#staged;
    this.#staged = next;
    if (done === null) return;
    const { transactions, rows } = applier.counters;
    status.transactions += transactions - this.#counted.transactions;
    status.rows += rows - this.#counted.rows;
    this.#counted = { transactions, rows };
    this.#passed = done.passed;
    this.#tell(applier);
    watermark.advance(done.reached);
    status.queuedBytes -= done.bytes;
    if (this.#paused && status.queuedBytes < settings.queueBytesMax / 2) {
      this.#paused = false;
      this.#feed?.resume();
    }
  }
  #arrived(items: readonly FeedItem[]): void {
    const { settings, status } = this.#options;
    for (const item of items) {
      const last = this.#queue.at(-1);
      // Only the newest of consecutive watermarks says something.
      if (item.kind === 'progress' && last?.kind === 'progress') this.#queue.pop();
      this.#queue.push(item);
      if (item.kind === 'batch') status.queuedBytes += item.bytes;
    }
    if (!this.#paused && status.queuedBytes > settings.queueBytesMax) {
      this.#paused = true;
      this.#feed?.pause();
    }
    this.#wakeUp();
  }

  #tell(applier: Applier): void {
    const { status } = this.#options;
    const { journal, commitLsn, commitTime } = applier.position;
    status.timestamp = journal.timestamp;
    status.commitLsn = commitLsn;
    status.commitTime = commitTime;
    status.error = '';
  }

  async #sleep(signal: AbortSignal): Promise<void> {
    if (this.#error !== null || signal.aborted || this.#abandon !== null) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
