/**
 * What is found in a log's segments when it is opened (S2): replays every frame in order, tells a
 * torn tail from corruption (SPEC.md "Findings"), cuts the one, throws CORRUPT for the other, and
 * makes sure that what was replayed is on disk. Runs before the log is handed out; owns no state.
 */
import { join } from 'node:path';
import { MeridianError } from '../errors/errors.ts';
import { writeFully } from './files.ts';
import type { Files } from './files.ts';
import {
  checkpointOfName,
  CLOSE_FRAME,
  findFrame,
  FORMAT_VERSION,
  FRAME_HEADER_BYTES,
  isUnfinished,
  readFrameHeader,
  readSegmentHeader,
  SEGMENT_HEADER_BYTES,
  segmentName,
  segmentOfName,
  tagOf,
} from './format.ts';
import type { FrameHeader } from './format.ts';
import { ASIDE_PREFIX, IDENTITY_FILE, LOCK_FILE } from './identity.ts';

/** Where a frame's body lies. */
export interface Location {
  readonly segment: number;
  readonly offset: number;
  /** Bytes of the body. */
  readonly bytes: number;
}

export interface LogFrame {
  readonly type: number;
  /** A view of the segment's bytes: keeping it keeps the whole segment in memory. */
  readonly body: Uint8Array;
  readonly location: Location;
}

/** The end of the log. */
export interface Tail {
  readonly segment: number;
  readonly offset: number;
  /** Number of the last frame; 0 when there is none. */
  readonly frame: number;
  readonly checksum: number;
  /** The last frame is the mark of an orderly close. */
  readonly isClosed: boolean;
}

export interface Recovery {
  readonly tail: Tail;
  /** The oldest segment that is there. */
  readonly firstSegment: number;
  readonly frameCount: number;
  /** Bytes of an incomplete last write that were cut. */
  readonly tornBytes: number;
}

/** No segment of any configuration is larger; a larger file is not read into memory. */
const FILE_BYTES_MAX = 1024 * 1024 * 1024;

interface Scan {
  readonly tail: Tail;
  /** Frames up to this number are known to have been synced when the last frame was staged. */
  readonly synced: number;
  /** Offset of the first byte that is not known to have been synced. */
  readonly unsyncedFrom: number;
}

/** Replays from segment `from` on: what is before it, a checkpoint covers, and it is not read. */
export function recover(
  files: Files,
  directory: string,
  digest: Uint8Array,
  from: number,
  onFrame: (frame: LogFrame) => void,
): Recovery {
  const { firstSegment, segments } = listSegments(files, directory, from);
  let tail: Tail = { segment: from, offset: 0, frame: 0, checksum: 0, isClosed: false };
  let frameCount = 0;
  let tornBytes = 0;
  for (const [position, segment] of segments.entries()) {
    const path = join(directory, segmentName(segment));
    const isFirst = position === 0 && segment > 1;
    const isLast = position === segments.length - 1;
    const file = files.open(path, 'write');
    try {
      const bytes = readWhole(files, file, path);
      const scan = scanSegment(
        bytes,
        { path, segment, digest, before: tail, isFirst, isLast },
        (frame) => {
          frameCount++;
          onFrame(frame);
        },
      );
      if (isLast) {
        tornBytes = bytes.length - scan.tail.offset;
        settle(files, file, bytes, scan);
      }
      // A segment cut to nothing counts as prepared: the one before remains the tail.
      if (scan.tail.offset > 0) tail = scan.tail;
    } finally {
      files.close(file);
    }
  }
  files.syncDirectory(directory);
  return { tail, firstSegment, frameCount, tornBytes };
}

/**
 * Segments from `from` to the last one with bytes. Files without bytes after it are prepared, not used.
 */
function listSegments(
  files: Files,
  directory: string,
  from: number,
): { firstSegment: number; segments: readonly number[] } {
  const segments: number[] = [];
  let firstSegment = from;
  for (const name of files.list(directory) ?? []) {
    if (name === IDENTITY_FILE || name === LOCK_FILE) continue;
    if (checkpointOfName(name) !== undefined || isUnfinished(name)) continue;
    if (name.startsWith(ASIDE_PREFIX)) continue;
    const segment = segmentOfName(name);
    if (segment === undefined) {
      throw new MeridianError('REFUSED', `${join(directory, name)} does not belong to a log`, {
        details: { file: join(directory, name) },
      });
    }
    firstSegment = Math.min(firstSegment, segment);
    if (segment < from) continue;
    const expected = from + segments.length;
    if (segment !== expected) {
      throw corrupt(join(directory, segmentName(expected)), 0, `missing, but ${name} exists`);
    }
    segments.push(segment);
  }
  if (segments.length === 0) throw corrupt(join(directory, segmentName(from)), 0, 'missing');
  while (segments.length > 1) {
    const file = files.open(join(directory, segmentName(segments.at(-1) ?? from)), 'read');
    const bytes = files.size(file);
    files.close(file);
    if (bytes > 0) break;
    segments.pop();
  }
  return { firstSegment, segments };
}

interface Place {
  readonly path: string;
  readonly segment: number;
  readonly digest: Uint8Array;
  /** The end of the segment before. */
  readonly before: Tail;
  /** Nothing is known of the segment before: a checkpoint covers it. */
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

function scanSegment(bytes: Buffer, place: Place, onFrame: (frame: LogFrame) => void): Scan {
  const { path, segment, isLast } = place;
  const tag = tagOf(place.digest, segment);
  const before = checkSegmentHeader(bytes, place, tag);
  if (before === null) {
    const tail = { ...place.before, segment, offset: 0 };
    return { tail, synced: tail.frame, unsyncedFrom: 0 };
  }
  let { frame, checksum, isClosed } = before;
  let offset = SEGMENT_HEADER_BYTES;
  let synced = frame;
  const starts: number[] = [];
  while (offset < bytes.length) {
    const header = readFrameHeader(bytes, offset, tag);
    if (header === undefined) {
      requireTornTail(bytes, offset, place, { tag, number: frame + 1 });
      break;
    }
    requireNext(header, { path, offset, number: frame + 1, previous: checksum });
    starts.push(offset);
    const body = offset + FRAME_HEADER_BYTES;
    ({ number: frame, checksum } = header);
    synced = frame - header.unsynced;
    isClosed = header.type === CLOSE_FRAME;
    offset = body + header.bodyBytes;
    if (!isClosed) {
      onFrame({
        type: header.type,
        body: bytes.subarray(body, offset),
        location: { segment, offset: body, bytes: header.bodyBytes },
      });
    }
  }
  if (offset < bytes.length && !isLast) {
    throw corrupt(path, offset, 'damaged, and a later segment was written');
  }
  // A segment after the first gets its header with its first frames: without them it is unused.
  if (starts.length === 0 && segment > 1) offset = 0;
  const firstFrame = frame - starts.length + 1;
  const isUnsyncedFromHeader = synced < firstFrame && segment > 1;
  const unsyncedFrom = isUnsyncedFromHeader ? 0 : (starts[synced - firstFrame + 1] ?? offset);
  const tail = { segment, offset, frame, checksum, isClosed };
  return { tail, synced, unsyncedFrom: Math.min(unsyncedFrom, offset) };
}

/** What the segment continues; null: a header torn in the first write of this segment. */
function checkSegmentHeader(bytes: Buffer, place: Place, tag: number): Tail | null {
  const { path, segment, before } = place;
  const finding = readSegmentHeader(bytes, place.digest);
  switch (finding.kind) {
    case 'valid': {
      const { header } = finding;
      if (header.segment !== segment) {
        throw corrupt(path, 0, `it is segment ${header.segment}, expected ${segment}`);
      }
      if (place.isFirst) {
        return { ...before, frame: header.firstFrame - 1, checksum: header.previous };
      }
      if (header.firstFrame === before.frame + 1 && header.previous === before.checksum) {
        return before;
      }
      throw corrupt(
        join(path, '..', segmentName(before.segment)),
        before.offset,
        `it ends with frame ${before.frame}, but the next segment continues after frame ${header.firstFrame - 1}`,
      );
    }
    case 'version':
      throw new MeridianError(
        'REFUSED',
        `${path} is of format version ${finding.version}, this program reads version ${FORMAT_VERSION}`,
        { details: { file: path, expected: FORMAT_VERSION, actual: finding.version } },
      );
    case 'foreign':
      throw corrupt(path, 0, 'it is a segment of another log, or of an earlier life of this one');
    case 'damaged':
      if (segment === 1 || place.isFirst || !place.isLast) {
        throw corrupt(path, 0, 'the header is damaged');
      }
      if (findFrame(bytes, 0, tag) >= 0) {
        throw corrupt(path, 0, 'the header is damaged and whole frames follow');
      }
      return null;
  }
}

/** A whole frame that is not the one expected here was misdirected, or is from before a cut. */
function requireNext(
  header: FrameHeader,
  expected: { path: string; offset: number; number: number; previous: number },
): void {
  const { path, offset, number, previous } = expected;
  if (header.offset !== offset) {
    throw corrupt(path, offset, `it holds the frame of offset ${header.offset}`);
  }
  if (header.number !== number) {
    throw corrupt(path, offset, `it holds frame ${header.number}, expected ${number}`);
  }
  if (header.previous !== previous) {
    throw corrupt(path, offset, `frame ${number} does not continue the frame before it`);
  }
}

/** Throws CORRUPT when anything whole follows the bad frame at `offset`. */
function requireTornTail(
  bytes: Buffer,
  offset: number,
  place: Place,
  expected: { tag: number; number: number },
): void {
  const at = findFrame(bytes, offset, expected.tag);
  if (at < 0) return;
  const later = readFrameHeader(bytes, at, expected.tag);
  const wasSynced = later !== undefined && later.number - later.unsynced >= expected.number;
  throw corrupt(
    place.path,
    offset,
    `frame ${expected.number} is damaged, but a whole frame follows at offset ${at}; ` +
      (wasSynced ? 'it had been synced' : 'whether it had been synced is not known'),
    { synced: wasSynced ? 'yes' : 'unknown' },
  );
}

/**
 * Cuts the torn tail, and writes again what was replayed without proof that it is on disk: after a
 * failed sync the kernel shows pages that never reached the disk and calls them clean, so that
 * another sync alone would succeed and prove nothing.
 */
function settle(files: Files, file: number, bytes: Buffer, scan: Scan): void {
  const { tail, unsyncedFrom } = scan;
  if (bytes.length > tail.offset) files.truncate(file, tail.offset);
  writeFully(files, file, bytes.subarray(unsyncedFrom, tail.offset), unsyncedFrom);
  files.sync(file);
}

function readWhole(files: Files, file: number, path: string): Buffer {
  const size = files.size(file);
  if (size > FILE_BYTES_MAX) {
    throw corrupt(path, FILE_BYTES_MAX, `it has ${size} bytes, more than any segment`);
  }
  const bytes = Buffer.allocUnsafe(size);
  return bytes.subarray(0, files.read(file, bytes, 0));
}

export function corrupt(
  file: string,
  offset: number,
  what: string,
  details: Readonly<Record<string, string>> = {},
): MeridianError {
  return new MeridianError(
    'CORRUPT',
    `the log is corrupt: ${file}, offset ${offset}: ${what}; it must be repaired from its peers`,
    { details: { file, offset, ...details } },
  );
}
