/**
 * The bytes of a snapshot (SPEC.md, Snapshot): a row of items, cut between items into chunks of bounded
 * size, each with a number, a checksum and the mark of its snapshot, so that damage, a missing chunk
 * and a chunk of another snapshot are noticed. What the items mean is the business of who writes them.
 */
import { MeridianError } from '../errors/errors.ts';
import { checkCrc, frameSize, writeCrc } from '../frames/batch.ts';
import { readU16, readU32, readU64, readU8 } from '../frames/ints.ts';
import { writeU16, writeU32, writeU64 } from '../frames/ints.ts';
import { assert } from '../values/assert.ts';

/** Size of a chunk; an item must fit what is left of one, or a new one is begun. */
export const CHUNK_BYTES = 64 * 1024;
/** No item is larger. */
export const ITEM_BYTES_MAX = 8 * 1024;
export const SNAPSHOT_VERSION = 1;

const MAGIC = 0x504e_534d;
const HEADER_BYTES = 32;
const LAST = 1;

export class ChunkWriter {
  /** Says which snapshot a chunk belongs to. */
  readonly #mark: number;
  #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  #offset = HEADER_BYTES;
  #number = 0;

  constructor(mark: number) {
    this.#mark = mark;
  }

  /** false: `cut` before the next item. */
  get hasRoom(): boolean {
    return this.#offset + ITEM_BYTES_MAX <= CHUNK_BYTES;
  }

  u8(value: number): void {
    this.#buffer[this.#offset] = value;
    this.#offset += 1;
  }

  u32(value: number): void {
    writeU32(this.#buffer, this.#offset, value);
    this.#offset += 4;
  }

  u64(value: number): void {
    writeU64(this.#buffer, this.#offset, value);
    this.#offset += 8;
  }

  text(value: string): void {
    const start = this.#offset + 2;
    const bytes = this.#buffer.write(value, start, 'utf8');
    assert(bytes < ITEM_BYTES_MAX, 'a text fits an item');
    writeU16(this.#buffer, this.#offset, bytes);
    this.#offset = start + bytes;
  }

  /** The chunk so far, which is the caller's from now on. */
  cut(last: boolean): Uint8Array {
    const chunk = this.#buffer.subarray(0, this.#offset);
    writeU32(chunk, 0, chunk.length);
    writeU32(chunk, 8, MAGIC);
    chunk[12] = SNAPSHOT_VERSION;
    chunk[13] = last ? LAST : 0;
    writeU16(chunk, 14, 0);
    writeU32(chunk, 16, this.#number);
    writeU32(chunk, 20, 0);
    writeU64(chunk, 24, this.#mark);
    writeCrc(chunk);
    this.#number += 1;
    if (!last) {
      this.#buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      this.#offset = HEADER_BYTES;
    }
    return chunk;
  }
}

/** Every method throws CORRUPT for bytes that no `ChunkWriter` wrote. */
export class ChunkReader {
  readonly #chunks: Iterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array();
  #offset = 0;
  #number = 0;
  #mark = 0;
  #last = false;

  constructor(chunks: Iterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.iterator]();
    this.#load();
  }

  get mark(): number {
    return this.#mark;
  }

  /** Before each item. */
  item(): void {
    if (this.#offset === this.#chunk.length) this.#load();
  }

  u8(): number {
    return readU8(this.#chunk, this.#advance(1));
  }

  u32(): number {
    return readU32(this.#chunk, this.#advance(4));
  }

  u64(): number {
    return readU64(this.#chunk, this.#advance(8));
  }

  text(): string {
    const bytes = readU16(this.#chunk, this.#advance(2));
    const start = this.#advance(bytes);
    const { buffer, byteOffset } = this.#chunk;
    return Buffer.from(buffer, byteOffset + start, bytes).toString('utf8');
  }

  /** Nothing may follow. */
  end(): void {
    if (!this.#last || this.#offset !== this.#chunk.length || this.#chunks.next().done !== true) {
      throw corrupt(`chunk ${this.#number - 1} is not the end`);
    }
  }

  #advance(bytes: number): number {
    const start = this.#offset;
    if (start + bytes > this.#chunk.length) {
      throw corrupt(`chunk ${this.#number - 1} ends inside an item`);
    }
    this.#offset = start + bytes;
    return start;
  }

  #load(): void {
    const number = this.#number;
    const next = this.#chunks.next();
    if (this.#last || next.done === true) throw corrupt(`chunk ${number} is missing`);
    const chunk = next.value;
    if (frameSize(chunk, 0, HEADER_BYTES, 'chunk') !== chunk.length) {
      throw corrupt(`chunk ${number} has another size than it says`);
    }
    checkCrc(chunk, 'chunk');
    if (readU32(chunk, 8) !== MAGIC) throw corrupt(`chunk ${number} is not of a snapshot`);
    const version = readU8(chunk, 12);
    if (version !== SNAPSHOT_VERSION) {
      throw new MeridianError(
        'REFUSED',
        `the snapshot has format version ${version}, this software reads ${SNAPSHOT_VERSION}`,
        { details: { expected: SNAPSHOT_VERSION, actual: version } },
      );
    }
    const mark = readU64(chunk, 24);
    if (number === 0) this.#mark = mark;
    if (readU32(chunk, 16) !== number || mark !== this.#mark) {
      throw corrupt(`instead of chunk ${number} comes ${readU32(chunk, 16)} of snapshot ${mark}`);
    }
    this.#chunk = chunk;
    this.#offset = HEADER_BYTES;
    this.#last = (readU8(chunk, 13) & LAST) !== 0;
    this.#number = number + 1;
  }
}

/** Runs `read`; whatever it stumbles over becomes CORRUPT. */
export function orCorrupt<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof MeridianError && error.reason !== 'INVALID') throw error;
    throw corrupt(error instanceof Error ? error.message : String(error), error);
  }
}

function corrupt(what: string, cause?: unknown): MeridianError {
  return new MeridianError('CORRUPT', `the snapshot is damaged: ${what}`, { cause });
}
