/**
 * Reads a closed segment from beginning to end and says where it is damaged: checksums, places, the
 * chain, and that it ends where the next one says. Reads a piece at a time, with as long a pause as the
 * caller makes it, and holds no more than that piece: what is old is read for no other reason.
 * Repairs nothing (repair.ts).
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { MeridianError } from '../errors/errors.ts';
import type { Place } from './checkpoint.ts';
import {
  FRAME_BYTES_MAX,
  FRAME_HEADER_BYTES,
  SEGMENT_HEADER_BYTES,
  readSegmentHeader,
  segmentName,
  tagOf,
} from './format.ts';
import type { SegmentHeader } from './format.ts';
import { corrupt } from './recovery.ts';

const PIECE_BYTES = 256 * 1024;

/** Runs `next` when so many bytes may have been read. */
export type Pace = (bytes: number, next: () => void) => void;

/** null: it is as it was written. */
export type ScrubDone = (finding: MeridianError | null) => void;

/** `segment` must be followed by one with frames; where that one's header is damaged, it says so itself. */
export function scrubSegment(place: Place, segment: number, pace: Pace, done: ScrubDone): void {
  const { files, directory, digest } = place;
  const path = join(directory, segmentName(segment));
  let file: number | null = null;
  const finish = (finding: MeridianError | null): void => {
    if (file !== null) files.close(file);
    file = null;
    done(finding);
  };
  let check: SegmentCheck;
  try {
    const next = headerOf(place, segment + 1);
    check = new SegmentCheck(path, segment, digest, next);
    file = files.open(path, 'read');
  } catch (error) {
    finish(error as MeridianError);
    return;
  }
  const buffer = Buffer.allocUnsafe(PIECE_BYTES);
  let position = 0;
  const read = (): void => {
    if (file === null) return;
    files.readLater(file, buffer, position, (error, bytes) => {
      if (error !== null) {
        finish(corrupt(path, position, `it cannot be read: ${error.message}`));
        return;
      }
      const finding = bytes === 0 ? check.end() : check.push(buffer.subarray(0, bytes));
      position += bytes;
      if (finding !== null || bytes === 0) finish(finding);
      else pace(bytes, read);
    });
  };
  read();
}

/** Of the segment with this number; null when it is damaged. */
export function headerOf(place: Place, segment: number): SegmentHeader | null {
  const { files, directory, digest } = place;
  const path = join(directory, segmentName(segment));
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES);
  const file = files.open(path, 'read');
  try {
    files.read(file, bytes, 0);
  } finally {
    files.close(file);
  }
  const found = readSegmentHeader(bytes, digest);
  return found.kind === 'valid' && found.header.segment === segment ? found.header : null;
}

/** The frames of a segment as they come, each checked when its last byte is there. */
class SegmentCheck {
  readonly #path: string;
  readonly #segment: number;
  readonly #digest: Uint8Array;
  readonly #tag: number;
  readonly #next: SegmentHeader | null;
  readonly #head = Buffer.alloc(SEGMENT_HEADER_BYTES);
  #headBytes = 0;
  #hasHeader = false;
  /** Offset of the frame that is being read. */
  #start = 0;
  #bodyLeft = 0;
  #bodyBytes = 0;
  #crc = 0;
  #frame = 0;
  #checksum = 0;

  constructor(path: string, segment: number, digest: Uint8Array, next: SegmentHeader | null) {
    this.#path = path;
    this.#segment = segment;
    this.#digest = digest;
    this.#tag = tagOf(digest, segment);
    this.#next = next;
  }

  push(piece: Buffer): MeridianError | null {
    let at = 0;
    while (at < piece.length) {
      if (this.#bodyLeft > 0) {
        const part = piece.subarray(at, at + this.#bodyLeft);
        this.#crc = crc32(part, this.#crc);
        this.#bodyLeft -= part.length;
        at += part.length;
        const finding = this.#bodyLeft === 0 ? this.#endFrame() : null;
        if (finding !== null) return finding;
        continue;
      }
      const wanted = this.#hasHeader ? FRAME_HEADER_BYTES : SEGMENT_HEADER_BYTES;
      const part = piece.subarray(at, at + wanted - this.#headBytes);
      part.copy(this.#head, this.#headBytes);
      this.#headBytes += part.length;
      at += part.length;
      if (this.#headBytes < wanted) break;
      this.#headBytes = 0;
      const finding = this.#hasHeader ? this.#beginFrame() : this.#segmentHeader();
      if (finding !== null) return finding;
    }
    return null;
  }

  end(): MeridianError | null {
    if (!this.#hasHeader || this.#headBytes > 0 || this.#bodyLeft > 0) {
      return this.#damaged('it ends inside a frame');
    }
    if (this.#next === null) return null;
    const { firstFrame, previous } = this.#next;
    if (firstFrame === this.#frame + 1 && previous === this.#checksum) return null;
    return this.#damaged(`it ends with frame ${this.#frame}, the next one begins at ${firstFrame}`);
  }

  #segmentHeader(): MeridianError | null {
    const found = readSegmentHeader(this.#head, this.#digest);
    if (found.kind !== 'valid' || found.header.segment !== this.#segment) {
      return this.#damaged('the header of the segment is damaged');
    }
    this.#hasHeader = true;
    this.#start = SEGMENT_HEADER_BYTES;
    this.#frame = found.header.firstFrame - 1;
    this.#checksum = found.header.previous;
    return null;
  }

  #beginFrame(): MeridianError | null {
    const head = this.#head;
    const bytes = head.readUInt32LE(0);
    const isPlaced =
      bytes <= FRAME_BYTES_MAX - FRAME_HEADER_BYTES &&
      head.readUInt32LE(8) === this.#tag &&
      head.readUInt32LE(12) === this.#checksum &&
      head.readUInt32LE(16) === this.#start &&
      head.readUIntLE(24, 6) === this.#frame + 1;
    if (!isPlaced) return this.#damaged(`frame ${this.#frame + 1} is damaged or misplaced`);
    this.#crc = crc32(head.subarray(8, FRAME_HEADER_BYTES));
    this.#bodyBytes = bytes;
    this.#bodyLeft = bytes;
    return bytes === 0 ? this.#endFrame() : null;
  }

  #endFrame(): MeridianError | null {
    const checksum = this.#head.readUInt32LE(4);
    if (this.#crc !== checksum) return this.#damaged(`frame ${this.#frame + 1} is damaged`);
    this.#frame += 1;
    this.#checksum = checksum;
    this.#start += FRAME_HEADER_BYTES + this.#bodyBytes;
    return null;
  }

  #damaged(what: string): MeridianError {
    return corrupt(this.#path, this.#start, what);
  }
}
