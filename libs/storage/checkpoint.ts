/**
 * Checkpoints (SPEC.md "Checkpoints"): numbered files of sections beside the segments. What they mean
 * is the caller's business; here they are written a piece at a time between the log's own writes,
 * appear whole or not at all, and are read back checked to the last byte.
 *
 * A section is asked for only when the one before it is on disk, so a checkpoint costs the memory of
 * one piece and the log one write in its way, never a large sync.
 */
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { assert } from '../values/assert.ts';
import type { Files } from './files.ts';
import { checkpointName, unfinishedName } from './format.ts';
import { corrupt } from './recovery.ts';

export const CHECKPOINT_VERSION = 1;
export const SECTION_BYTES_MAX = 16 * 1024 * 1024;
const HEADER_BYTES = 64;
const SECTION_HEADER_BYTES = 16;
const MAGIC = Buffer.from('MERICKPT', 'latin1');
/**
 * Sections are gathered into writes of about this size. The caller makes them in one turn of the event
 * loop: 1 MiB of a machine with 100,000 streams took 60 ms, which every append would have waited.
 */
const WRITE_BYTES = 128 * 1024;

export interface Place {
  readonly files: Files;
  readonly directory: string;
  readonly digest: Uint8Array;
}

/**
 * Writes the sections under `number` and calls `done` once: null when the checkpoint is on disk under
 * its name. Nothing else is touched on failure; what is left of it goes at the next start.
 */
export function saveCheckpoint(
  place: Place,
  number: number,
  sections: Iterator<Uint8Array>,
  done: (error: Error | null) => void,
): void {
  const { files, directory, digest } = place;
  const path = join(directory, checkpointName(number));
  const unfinished = join(directory, unfinishedName(number));
  const tag = tagOf(digest, number);
  let file: number | null = null;
  let position = 0;
  let count = 0;
  const finish = (error: Error | null): void => {
    if (file !== null) files.close(file);
    file = null;
    if (error !== null) giveBack(place, number);
    done(error);
  };
  const attempt = (action: () => void): void => {
    try {
      action();
    } catch (error) {
      finish(error instanceof Error ? error : new Error(String(error)));
    }
  };
  const publish = (): void => {
    if (file !== null) files.close(file);
    file = null;
    files.rename(unfinished, path);
    const parent = files.open(directory, 'read');
    files.syncLater(parent, (error) => {
      files.close(parent);
      done(error);
    });
  };
  const write = (bytes: Buffer, from: number, last: boolean): void => {
    assert(file !== null, 'the file is open');
    files.writeDurably(file, [bytes.subarray(from)], position, (error, written) => {
      attempt(() => {
        if (error !== null) throw error;
        if (written <= 0) throw new Error('nothing was written');
        position += written;
        if (from + written < bytes.length) write(bytes, from + written, last);
        else if (last) publish();
        else next();
      });
    });
  };
  const next = (): void => {
    const parts: Buffer[] = count === 0 ? [headerOf(digest, number)] : [];
    let bytes = 0;
    let last = false;
    while (bytes < WRITE_BYTES && !last) {
      const section = sections.next();
      last = section.done === true;
      const body = last ? new Uint8Array() : (section.value as Uint8Array);
      assert(last || body.length > 0, 'only the end is empty');
      assert(body.length <= SECTION_BYTES_MAX, 'a section is bounded');
      parts.push(
        sectionHeader(tag, count, body),
        Buffer.from(body.buffer, body.byteOffset, body.length),
      );
      bytes += SECTION_HEADER_BYTES + body.length;
      count += 1;
    }
    write(Buffer.concat(parts), 0, last);
  };
  attempt(() => {
    if (files.list(directory)?.includes(unfinishedName(number)) === true) {
      files.remove(unfinished);
    }
    file = files.open(unfinished, 'durable');
    next();
  });
}

/** A full disk needs the room of what was not finished; failing here changes nothing. */
function giveBack({ files, directory }: Place, number: number): void {
  try {
    files.remove(join(directory, unfinishedName(number)));
  } catch {
    // It goes at the next start.
  }
}

/** The sections of a checkpoint, one after the other. Throws CORRUPT with file and offset. */
export function* readCheckpoint(place: Place, number: number): Generator<Uint8Array> {
  const { files, directory, digest } = place;
  const path = join(directory, checkpointName(number));
  const tag = tagOf(digest, number);
  const file = files.open(path, 'read');
  try {
    const size = files.size(file);
    const header = readAt(files, file, 0, HEADER_BYTES);
    if (!header.equals(headerOf(digest, number))) {
      throw corrupt(path, 0, 'the header is damaged, or of another log or version');
    }
    for (let position = HEADER_BYTES, count = 0; ; count += 1) {
      const head = readAt(files, file, position, SECTION_HEADER_BYTES);
      const bytes = head.length === SECTION_HEADER_BYTES ? head.readUInt32LE(0) : Infinity;
      if (bytes > SECTION_BYTES_MAX || position + SECTION_HEADER_BYTES + bytes > size) {
        throw corrupt(path, position, `section ${count} is not whole`);
      }
      const body = readAt(files, file, position + SECTION_HEADER_BYTES, bytes);
      if (!sectionHeader(tag, count, body).equals(head)) {
        throw corrupt(path, position, `section ${count} is damaged`);
      }
      position += SECTION_HEADER_BYTES + bytes;
      if (bytes === 0) {
        if (position !== size) throw corrupt(path, position, 'bytes after the end');
        return;
      }
      yield body;
    }
  } finally {
    files.close(file);
  }
}

function tagOf(digest: Uint8Array, number: number): number {
  const bytes = Buffer.from(checkpointName(number), 'latin1');
  return crc32(bytes, crc32(digest));
}

function headerOf(digest: Uint8Array, number: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeUInt32LE(CHECKPOINT_VERSION, 12);
  header.set(digest, 16);
  header.writeUIntLE(number, 32, 6);
  header.writeUInt32LE(crc32(header.subarray(12)), 8);
  return header;
}

/** Bytes of the body, checksum of body and what follows, tag, number of the section. */
function sectionHeader(tag: number, count: number, body: Uint8Array): Buffer {
  const header = Buffer.alloc(SECTION_HEADER_BYTES);
  header.writeUInt32LE(body.length, 0);
  header.writeUInt32LE(tag, 8);
  header.writeUInt32LE(count, 12);
  // Of no bytes zlib makes one checksum or another, depending on where they are not.
  const checksum = body.length === 0 ? 0 : crc32(body);
  header.writeUInt32LE(crc32(header.subarray(8), checksum), 4);
  return header;
}

function readAt(files: Files, file: number, position: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  return buffer.subarray(0, files.read(file, buffer, position));
}
