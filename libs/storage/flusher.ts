/**
 * Group commit: brings staged groups to disk one at a time, keeps the next segment prepared, and
 * calls back whoever waits for a frame to be on disk. Owns the files being written. The first
 * failure is final (S1): reported once, nothing is written or confirmed afterwards. Only a disk that
 * is full is no failure: what it did not take is still staged, is written again from there to the
 * last byte, and is confirmed when that write is on disk. No sync is ever repeated.
 *
 * Files are opened O_DSYNC and a group is one write or writev: one trip through the thread pool
 * where write + fdatasync takes two (SPEC.md "Decisions": measured, open for large groups).
 */
import { join } from 'node:path';
import { assert } from '../values/assert.ts';
import type { MeridianError } from '../errors/errors.ts';
import { fatalError, isNoSpace, noSpaceError } from './files.ts';
import type { Files } from './files.ts';
import { segmentName } from './format.ts';
import { remainderOf } from './staging.ts';
import type { Group, Staging } from './staging.ts';

export interface FlusherOptions {
  readonly files: Files;
  readonly directory: string;
  readonly staging: Staging;
  /** The segment that the log ends in. */
  readonly segment: number;
  /** The frame that the log ends with; it is on disk. */
  readonly syncedFrame: number;
  readonly onFatal: (error: Error) => void;
  /** Given, a full disk is waited for (`retry`) and not fatal; called whenever one is met. */
  readonly onNoSpace: ((error: MeridianError) => void) | undefined;
}

/** What the full disk did not take: nobody is told that it is there, and it is written again as a whole. */
interface Refused {
  readonly group: Group;
  readonly written: number;
  readonly started: number;
}

interface Waiter {
  readonly frame: number;
  readonly done: () => void;
}

interface SegmentFile {
  readonly segment: number;
  readonly file: number;
}

export class Flusher {
  readonly #options: FlusherOptions;
  readonly #waiters: Waiter[] = [];
  #firstWaiter = 0;
  #syncedFrame: number;
  #failure: Error | undefined;
  #current: SegmentFile;
  /** The next segment, empty but certain to exist after a crash; undefined while being made. */
  #prepared: SegmentFile | undefined;
  #isPreparing = false;
  #isFlushing = false;
  #isScheduled = false;
  #refused: Refused | null = null;
  #isUnprepared = false;
  #isFull = false;
  #closedBefore: number;
  #isClosing = false;
  #onIdle: (() => void) | undefined;
  #flushes = 0;
  #bytes = 0;
  #lastSyncMicros = 0;
  #maxSyncMicros = 0;

  constructor(options: FlusherOptions) {
    this.#options = options;
    this.#syncedFrame = options.syncedFrame;
    this.#closedBefore = options.segment;
    this.#current = { segment: options.segment, file: this.#open(options.segment) };
    this.#prepareNext();
  }

  /** Number of the last frame that is on disk. */
  get syncedFrame(): number {
    return this.#syncedFrame;
  }

  /** The segment being written. */
  get segment(): number {
    return this.#current.segment;
  }

  /** The disk is full: from a refused write until the same one has succeeded. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Writes again what the full disk did not take. */
  retry(): void {
    // Still full until it succeeds.
    const refused = this.#refused;
    this.#refused = null;
    if (refused !== null) this.#write(refused.group, refused.written, refused.started);
    if (!this.#isUnprepared) return;
    this.#isUnprepared = false;
    this.#prepareNext();
  }

  /** Segments below are complete, and the one after each has frames on disk. */
  get closedBefore(): number {
    return this.#closedBefore;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  get stats(): {
    flushes: number;
    bytes: number;
    lastSyncMicros: number;
    maxSyncMicros: number;
  } {
    return {
      flushes: this.#flushes,
      bytes: this.#bytes,
      lastSyncMicros: this.#lastSyncMicros,
      maxSyncMicros: this.#maxSyncMicros,
    };
  }

  /** Calls `done` when `frame` is on disk. What is staged in this turn goes into the same flush. */
  sync(frame: number, done: () => void): void {
    this.#waiters.push({ frame, done });
    this.#schedule();
  }

  /**
   * Flushes up to `frame`, waits until no I/O is under way, closes the files. What a full disk does not
   * take is lost, as by a kill: nobody was told that it is there.
   */
  async close(frame: number): Promise<void> {
    this.#isClosing = true;
    if (this.#failure === undefined) this.sync(frame, () => undefined);
    this.retry();
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      this.#noticeIdle();
    });
    const { files } = this.#options;
    files.close(this.#current.file);
    if (this.#prepared !== undefined) files.close(this.#prepared.file);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #schedule(): void {
    if (this.#isFlushing || this.#isScheduled) return;
    this.#isScheduled = true;
    process.nextTick(() => {
      this.#isScheduled = false;
      this.#flush();
      this.#callBack();
      this.#noticeIdle();
    });
  }

  /** Starts the next flush if somebody waits for it and nothing is in its way. */
  #flush(): void {
    if (this.#isFlushing || this.#failure !== undefined) return;
    const last = this.#waiters.at(-1);
    if (last === undefined || last.frame <= this.#syncedFrame) return;
    const group = this.#options.staging.take();
    assert(group !== undefined, 'frames that are not on disk are staged');
    if (group.segment !== this.#current.segment && !this.#switchTo(group.segment)) return;
    this.#isFlushing = true;
    this.#write(group, 0, performance.now());
  }

  #write(group: Group, written: number, started: number): void {
    const { files } = this.#options;
    const parts = remainderOf(group, written);
    files.writeDurably(this.#current.file, parts, group.start + written, (error, count) => {
      if (error === null && count > 0 && written + count < group.bytes) {
        this.#write(group, written + count, started);
        return;
      }
      if (error !== null && this.#isWaitedFor(error, this.#path(group.segment))) {
        // Still flushing, as far as the groups behind it are concerned.
        this.#refused = { group, written, started };
        this.#noticeIdle();
        return;
      }
      this.#isFlushing = false;
      if (error !== null || count <= 0) {
        this.#fail('write', this.#path(group.segment), error ?? new Error('nothing was written'));
      } else {
        this.#handleFlushed(group, started);
      }
      this.#noticeIdle();
    });
  }

  #handleFlushed(group: Group, started: number): void {
    if (this.#failure !== undefined) return;
    this.#lastSyncMicros = Math.round((performance.now() - started) * 1000);
    this.#maxSyncMicros = Math.max(this.#maxSyncMicros, this.#lastSyncMicros);
    this.#flushes++;
    this.#bytes += group.bytes;
    this.#syncedFrame = group.lastFrame;
    this.#closedBefore = group.segment;
    this.#isFull = this.#isUnprepared;
    this.#options.staging.drop();
    if (this.#prepared === undefined) this.#prepareNext();
    // The disk works on the next group while the callbacks of this one run.
    this.#flush();
    this.#callBack();
  }

  #callBack(): void {
    while (this.#failure === undefined) {
      const waiter = this.#waiters[this.#firstWaiter];
      if (waiter === undefined || waiter.frame > this.#syncedFrame) break;
      this.#firstWaiter++;
      if (this.#firstWaiter === this.#waiters.length || this.#firstWaiter > 4096) {
        this.#waiters.splice(0, this.#firstWaiter);
        this.#firstWaiter = 0;
      }
      waiter.done();
    }
  }

  /** false: the segment is still being prepared, its readiness starts the flush. */
  #switchTo(segment: number): boolean {
    const next = this.#prepared;
    if (next === undefined) return false;
    assert(next.segment === segment, 'segments follow one another');
    this.#options.files.close(this.#current.file);
    this.#current = next;
    // The one after it is prepared when this one has frames: at most one empty file at the end.
    this.#prepared = undefined;
    return true;
  }

  /** Makes the next segment's file and its directory entry durable, off the commit path. */
  #prepareNext(): void {
    if (this.#isPreparing || this.#failure !== undefined) return;
    const { files, directory } = this.#options;
    const segment = this.#current.segment + 1;
    const path = this.#path(segment);
    const opened: number[] = [];
    const finish = (error: unknown): void => {
      this.#isPreparing = false;
      const [file, ...others] = opened;
      for (const other of others) files.close(other);
      if (error !== null || file === undefined) {
        if (file !== undefined) files.close(file);
        this.#isUnprepared = this.#isWaitedFor(error, path);
        if (!this.#isUnprepared) this.#fail('create', path, error);
      } else {
        this.#prepared = { segment, file };
        this.#isFull = this.#refused !== null;
        this.#flush();
      }
      this.#noticeIdle();
    };
    this.#isPreparing = true;
    try {
      const file = this.#open(segment);
      opened.push(file);
      const parent = files.open(directory, 'read');
      opened.push(parent);
      files.syncLater(file, (error) => {
        if (error === null) files.syncLater(parent, finish);
        else finish(error);
      });
    } catch (error) {
      finish(error);
    }
  }

  #isWaitedFor(error: unknown, path: string): boolean {
    const { onNoSpace } = this.#options;
    if (onNoSpace === undefined || !isNoSpace(error)) return false;
    this.#isFull = true;
    onNoSpace(noSpaceError(path, error));
    return true;
  }

  #fail(operation: string, path: string, cause: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = fatalError(operation, path, cause);
    this.#options.onFatal(this.#failure);
  }

  #noticeIdle(): void {
    if (this.#onIdle === undefined || this.#isPreparing) return;
    if (this.#isFlushing && this.#refused === null) return;
    const isDone = this.#firstWaiter === this.#waiters.length && !this.#isScheduled;
    const isGivenUp = this.#isClosing && (this.#refused !== null || this.#isUnprepared);
    if (this.#failure === undefined && !isDone && !isGivenUp) return;
    this.#onIdle();
    this.#onIdle = undefined;
  }

  #open(segment: number): number {
    return this.#options.files.open(this.#path(segment), 'durable');
  }

  #path(segment: number): string {
    return join(this.#options.directory, segmentName(segment));
  }
}
