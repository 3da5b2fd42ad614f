/**
 * Reads single frames from segments and checks them: checksum, log, segment and place, so that a
 * block from elsewhere is noticed although its checksum is right. Keeps a bounded number of files
 * open, the least recently used one goes first.
 */
import { join } from 'node:path';
import { FRAME_HEADER_BYTES, readFrameHeader, segmentName, tagOf } from './format.ts';
import { MeridianError } from '../errors/errors.ts';
import type { Files } from './files.ts';
import { corrupt } from './recovery.ts';
import type { Location } from './recovery.ts';

const OPEN_FILES_MAX = 64;

interface OpenSegment {
  readonly file: number;
  readonly tag: number;
}

export class SegmentReader {
  readonly #files: Files;
  readonly #directory: string;
  readonly #digest: Uint8Array;
  /** In the order of use, the latest last. */
  readonly #open = new Map<number, OpenSegment>();

  constructor(files: Files, directory: string, digest: Uint8Array) {
    this.#files = files;
    this.#directory = directory;
    this.#digest = digest;
  }

  read(location: Location): Uint8Array {
    const { segment, offset, bytes } = location;
    const { file, tag } = this.#segment(segment);
    const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + bytes);
    const start = offset - FRAME_HEADER_BYTES;
    const count = this.#files.read(file, frame, start);
    const header =
      count === frame.length && frame.readUInt32LE(0) === bytes
        ? readFrameHeader(frame, 0, tag)
        : undefined;
    if (header?.offset !== start) {
      const path = join(this.#directory, segmentName(segment));
      throw corrupt(path, start, `no whole frame of ${bytes} bytes is there`);
    }
    return frame.subarray(FRAME_HEADER_BYTES);
  }

  /** Closes what is open of segments below. */
  forgetBefore(segment: number): void {
    for (const [number, { file }] of this.#open) {
      if (number >= segment) continue;
      this.#files.close(file);
      this.#open.delete(number);
    }
  }

  /** The file under its name is another one now. */
  forget(segment: number): void {
    const known = this.#open.get(segment);
    if (known === undefined) return;
    this.#files.close(known.file);
    this.#open.delete(segment);
  }

  close(): void {
    for (const { file } of this.#open.values()) this.#files.close(file);
    this.#open.clear();
  }

  #segment(segment: number): OpenSegment {
    const known = this.#open.get(segment);
    if (known !== undefined) {
      this.#open.delete(segment);
      this.#open.set(segment, known);
      return known;
    }
    const opened = { file: this.#openFile(segment), tag: tagOf(this.#digest, segment) };
    this.#open.set(segment, opened);
    for (const [oldest, { file }] of this.#open) {
      if (this.#open.size <= OPEN_FILES_MAX) break;
      this.#files.close(file);
      this.#open.delete(oldest);
    }
    return opened;
  }

  #openFile(segment: number): number {
    const path = join(this.#directory, segmentName(segment));
    try {
      return this.#files.open(path, 'read');
    } catch (error) {
      const isMissing = error instanceof MeridianError && error.details['code'] === 'ENOENT';
      throw isMissing ? corrupt(path, 0, 'missing') : error;
    }
  }
}
