/**
 * The write-ahead log of one replica (SPEC.md): frames are staged synchronously and reach the disk
 * by group commit: one flush in flight, whatever was staged meanwhile goes into the next. Callbacks
 * instead of promises, no worker thread: both would cost more than the sync itself.
 *
 * Owns the data directory, its lock and its files. Does not know what frames mean, deletes old segments
 * only when told to, and never retries: after the first failed write or sync the log is dead, and so is the process
 * (S1). The driver bounds what it appends at once; `stagedBytesMax` is the backstop.
 */
import { join } from 'node:path';
import { assert } from '../values/assert.ts';
import { MeridianError } from '../errors/errors.ts';
import { LogCare } from './care.ts';
import { CheckpointShelf } from './checkpoint-shelf.ts';
import { Flusher } from './flusher.ts';
import { nodeFiles } from './files.ts';
import type { Files } from './files.ts';
import {
  CLOSE_FRAME,
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  segmentName,
  tagOf,
  writeFrameHeader,
  writeSegmentHeader,
} from './format.ts';
import { inspectDirectory, LOCK_FILE, readIdentity, requireIdentity } from './identity.ts';
import type { Identity } from './identity.ts';
import { recover } from './recovery.ts';
import type { Location, LogFrame, Recovery, Tail } from './recovery.ts';
import { SegmentReader } from './segment-reader.ts';
import { Staging } from './staging.ts';

export type { LogCare, Pace, RepairSource } from './care.ts';
export type { Files } from './files.ts';
export { formatDirectory, inspectDirectory, setAside } from './identity.ts';
export type { DirectoryState, Identity } from './identity.ts';
export type { Location, LogFrame } from './recovery.ts';

export const SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024;
const SEGMENT_BYTES_MIN = 4096;
const SEGMENT_BYTES_MAX = 512 * 1024 * 1024;
export const STAGED_BYTES_MAX_DEFAULT = 512 * 1024 * 1024;
export const BODY_BYTES_MAX = FRAME_BYTES_MAX - FRAME_HEADER_BYTES;

export interface LogOptions {
  readonly directory: string;
  readonly identity: Identity;
  /** A segment is closed when the next frame would not fit; 64 MiB unless given. */
  readonly segmentBytes?: number;
  /** Bytes that may be appended and not yet on disk; 512 MiB unless given. */
  readonly stagedBytesMax?: number;
  readonly files?: Files;
  /**
   * Given the sections of the newest checkpoint, returns the first segment whose frames must be
   * replayed on top of it. Throws CORRUPT when they make no sense; then the one before is tried.
   */
  readonly onCheckpoint?: (sections: Iterable<Uint8Array>) => number;
  /** Called at most once, when a write or sync failed. The process must end. */
  readonly onFatal: (error: Error) => void;
  /**
   * Called when a write found the disk full. The log then waits: it confirms nothing and keeps what is
   * staged until `retryWrites` succeeds. Not given, a full disk is fatal like every other failure.
   */
  readonly onNoSpace?: (error: MeridianError) => void;
}

export interface LogStats {
  /** Since the log was opened. */
  readonly flushes: number;
  readonly frames: number;
  readonly bytes: number;
  readonly lastSyncMicros: number;
  readonly maxSyncMicros: number;
  /** Segments with frames. */
  readonly segments: number;
  /** Appended and not yet on disk. */
  readonly stagedBytes: number;
  readonly recoveredFrames: number;
  /** Bytes of a torn tail that opening the log cut. */
  readonly tornBytes: number;
  /** The oldest segment there is. */
  readonly firstSegment: number;
}

export interface Log {
  /**
   * Stages a frame of `type` 1–255 whose body is the parts, one after the other; they are copied.
   * Throws TOO_LARGE, OVERLOADED (`stagedBytesMax`), UNAVAILABLE (after a fatal error or close).
   */
  append(type: number, parts: readonly Uint8Array[]): Location;
  /**
   * Calls `done`, never synchronously, when everything appended so far is on disk; calls are in
   * order. After a fatal error no `done` runs any more. Throws UNAVAILABLE like `append`.
   */
  sync(done: () => void): void;
  /** Where the next frame goes at the earliest. */
  readonly position: { readonly segment: number; readonly offset: number };
  /** Bytes of frames and segments appended since the log was opened, on disk or not. */
  readonly appendedBytes: number;
  /** Numbers of the checkpoints on disk, ascending. */
  readonly checkpoints: readonly number[];
  /** A write found the disk full and waits. */
  readonly isFull: boolean;
  /** Tries what the full disk did not take once more. */
  retryWrites(): void;
  /** Number of the checkpoint that the log was opened with; null when it was replayed whole. */
  readonly openedWith: number | null;
  /** Checkpoints that could not be read; each was set aside and the one before it was used. */
  readonly findings: readonly MeridianError[];
  /**
   * Writes a checkpoint, asking for each section when the ones before it are on disk, and calls `done`
   * with its number when all of it is. One at a time. A failure leaves everything as it was.
   */
  saveCheckpoint(sections: Iterator<Uint8Array>, done: SaveDone): void;
  /** The sections of a checkpoint. Throws CORRUPT. */
  readCheckpoint(number: number): Generator<Uint8Array>;
  dropCheckpoint(number: number): void;
  /** Deletes the segments below; a checkpoint must cover them. The one being written stays. */
  dropBefore(segment: number): void;
  /** The body at a location that `append` or the replay gave. Throws CORRUPT with file and offset. */
  read(location: Location): Uint8Array;
  /**
   * Flushes, marks the log as closed in order, releases the lock. Rejects with the fatal error if
   * there was one: then what was staged may be lost, as it is when the disk is full.
   */
  close(): Promise<void>;
  /** Looks after old segments and checkpoints. */
  readonly care: LogCare;
  readonly stats: LogStats;
}

export type SaveDone = (error: Error | null, number: number) => void;

/**
 * Opens the log: takes the lock, checks the identity, gives every frame in order to `onFrame`, and
 * returns when all of them are known to be on disk. An exception of `onFrame` ends it. Throws
 * REFUSED (no log there, in use, another version), WRONG_TARGET (somebody else's), CORRUPT.
 */
export function openLog(options: LogOptions, onFrame: (frame: LogFrame) => void): Log {
  const { directory, identity, files = nodeFiles, segmentBytes = SEGMENT_BYTES_DEFAULT } = options;
  if (segmentBytes < SEGMENT_BYTES_MIN || segmentBytes > SEGMENT_BYTES_MAX) {
    throw new MeridianError(
      'INVALID',
      `segmentBytes is ${segmentBytes}, must be ${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES_MAX}`,
    );
  }
  const state = inspectDirectory(directory, files);
  if (state.kind !== 'log') {
    throw new MeridianError(
      'REFUSED',
      `${directory} is ${state.kind}, not a log: format it first`,
      {
        details: { directory },
      },
    );
  }
  requireIdentity(directory, state.identity, identity);
  const lock = files.lock(join(directory, LOCK_FILE));
  try {
    const { digest } = readIdentity(directory, files);
    const shelf = new CheckpointShelf({ files, directory, digest });
    const from = shelf.open(options.onCheckpoint);
    const recovery = recover(files, directory, digest, from, onFrame);
    const { stagedBytesMax = STAGED_BYTES_MAX_DEFAULT } = options;
    const place = { files, directory, digest, lock, segmentBytes, stagedBytesMax };
    return new SegmentedLog(place, recovery, shelf, options);
  } catch (error) {
    files.close(lock);
    throw error;
  }
}

interface Place {
  readonly files: Files;
  readonly directory: string;
  readonly digest: Uint8Array;
  readonly lock: number;
  readonly segmentBytes: number;
  readonly stagedBytesMax: number;
}

class SegmentedLog implements Log {
  readonly #place: Place;
  readonly #recovery: Recovery;
  readonly #staging = new Staging();
  readonly #flusher: Flusher;
  readonly #reader: SegmentReader;
  readonly #shelf: CheckpointShelf;
  readonly care: LogCare;
  #firstSegment: number;
  #appendedBytes = 0;
  /** Where the next frame goes, and what it continues. */
  #tail: Tail;
  #tag: number;
  #frames = 0;
  #closing: Promise<void> | undefined;

  constructor(
    place: Place,
    recovery: Recovery,
    shelf: CheckpointShelf,
    { onFatal, onNoSpace }: Pick<LogOptions, 'onFatal' | 'onNoSpace'>,
  ) {
    const { files, directory, digest } = place;
    this.#place = place;
    this.#recovery = recovery;
    this.#shelf = shelf;
    this.#firstSegment = recovery.firstSegment;
    this.#tail = recovery.tail;
    this.#tag = tagOf(digest, this.#tail.segment);
    this.#reader = new SegmentReader(files, directory, digest);
    this.#flusher = new Flusher({
      files,
      directory,
      staging: this.#staging,
      segment: this.#tail.segment,
      syncedFrame: this.#tail.frame,
      onFatal,
      onNoSpace,
    });
    this.care = new LogCare({
      place: { files, directory, digest },
      shelf,
      reader: this.#reader,
      firstSegment: () => this.#firstSegment,
      closedBefore: () => this.#flusher.closedBefore,
    });
  }

  append(type: number, parts: readonly Uint8Array[]): Location {
    assert(Number.isInteger(type) && type >= 1 && type <= 255, `${type} is not a frame type`);
    this.#requireOpen();
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    if (bytes > BODY_BYTES_MAX) {
      throw new MeridianError('TOO_LARGE', `a body of ${bytes} bytes, at most ${BODY_BYTES_MAX}`, {
        details: { bytes, limit: BODY_BYTES_MAX },
      });
    }
    const { stagedBytesMax } = this.#place;
    if (this.#staging.bytes + bytes > stagedBytesMax) {
      throw new MeridianError(
        'OVERLOADED',
        `${this.#staging.bytes} bytes wait for the disk, at most ${stagedBytesMax}`,
        { details: { bytes: this.#staging.bytes, limit: stagedBytesMax, retryAfterMs: 100 } },
      );
    }
    return this.#stage(type, parts, bytes);
  }

  sync(done: () => void): void {
    this.#requireOpen();
    this.#flusher.sync(this.#tail.frame, done);
  }

  read(location: Location): Uint8Array {
    const { segment, offset, bytes } = location;
    const staged = this.#staging.copy(segment, offset, bytes);
    return staged ?? this.#reader.read(location);
  }

  get position(): { segment: number; offset: number } {
    const { segment, offset } = this.#tail;
    return { segment, offset };
  }

  get appendedBytes(): number {
    return this.#appendedBytes;
  }

  get checkpoints(): readonly number[] {
    return this.#shelf.numbers;
  }

  get isFull(): boolean {
    return this.#flusher.isFull;
  }

  retryWrites(): void {
    this.#flusher.retry();
  }

  get openedWith(): number | null {
    return this.#shelf.openedWith;
  }

  get findings(): readonly MeridianError[] {
    return this.#shelf.findings;
  }

  saveCheckpoint(sections: Iterator<Uint8Array>, done: SaveDone): void {
    this.#requireOpen();
    this.#shelf.save(sections, done);
  }

  readCheckpoint(number: number): Generator<Uint8Array> {
    return this.#shelf.read(number);
  }

  dropCheckpoint(number: number): void {
    this.#shelf.drop(number);
  }

  dropBefore(segment: number): void {
    const { files, directory } = this.#place;
    const end = Math.min(segment, this.#flusher.segment);
    this.#reader.forgetBefore(end);
    for (; this.#firstSegment < end; this.#firstSegment += 1) {
      files.remove(join(directory, segmentName(this.#firstSegment)));
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  get stats(): LogStats {
    return {
      ...this.#flusher.stats,
      frames: this.#frames,
      segments: this.#tail.segment - this.#firstSegment + 1,
      stagedBytes: this.#staging.bytes,
      recoveredFrames: this.#recovery.frameCount,
      tornBytes: this.#recovery.tornBytes,
      firstSegment: this.#firstSegment,
    };
  }

  #stage(type: number, parts: readonly Uint8Array[], bodyBytes: number): Location {
    const frameBytes = FRAME_HEADER_BYTES + bodyBytes;
    const number = this.#tail.frame + 1;
    if (this.#tail.offset + frameBytes > this.#place.segmentBytes) this.#rollOver(number);
    const { segment, offset, checksum: previous } = this.#tail;
    const [buffer, at] = this.#staging.allocate(segment, offset, frameBytes, number);
    let end = at + FRAME_HEADER_BYTES;
    for (const part of parts) {
      buffer.set(part, end);
      end += part.length;
    }
    const unsynced = number - this.#flusher.syncedFrame;
    const checksum = writeFrameHeader(buffer, at, this.#tag, {
      bodyBytes,
      previous,
      offset,
      unsynced,
      number,
      type,
    });
    this.#appendedBytes += frameBytes;
    const isClosed = type === CLOSE_FRAME;
    this.#tail = { segment, offset: offset + frameBytes, frame: number, checksum, isClosed };
    if (!isClosed) this.#frames++;
    return { segment, offset: offset + FRAME_HEADER_BYTES, bytes: bodyBytes };
  }

  /** Continues in the next segment; a frame larger than a segment gets one of its own. */
  #rollOver(firstFrame: number): void {
    if (this.#tail.offset <= SEGMENT_HEADER_BYTES) return;
    const { digest } = this.#place;
    const segment = this.#tail.segment + 1;
    const previous = this.#tail.checksum;
    const [buffer, at] = this.#staging.allocate(segment, 0, SEGMENT_HEADER_BYTES, firstFrame - 1);
    writeSegmentHeader(buffer, at, digest, { segment, previous, firstFrame });
    this.#tail = { ...this.#tail, segment, offset: SEGMENT_HEADER_BYTES };
    this.#tag = tagOf(digest, segment);
  }

  async #close(): Promise<void> {
    const { files, lock } = this.#place;
    try {
      if (!this.#tail.isClosed && this.#flusher.failure === undefined && this.#tail.frame > 0) {
        this.#stage(CLOSE_FRAME, [], 0);
      }
      await this.#flusher.close(this.#tail.frame);
    } finally {
      this.#reader.close();
      files.close(lock);
    }
  }

  #requireOpen(): void {
    const { failure } = this.#flusher;
    if (failure === undefined && this.#closing === undefined) return;
    throw new MeridianError(
      'UNAVAILABLE',
      failure === undefined ? 'the log is closed' : `the log has failed: ${failure.message}`,
      { cause: failure },
    );
  }
}
