/**
 * Cursors over little-endian bytes, for the packet codec: one that writes into a scratch buffer it
 * reuses, one that reads and refuses what is not there. Bytes come from another replica, yet every
 * size is looked at before it is believed.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import {
  readU16,
  readU32,
  readU64,
  readU8,
  writeU16,
  writeU32,
  writeU64,
} from '../../libs/frames/ints.ts';

export class ByteWriter {
  #buffer = Buffer.allocUnsafeSlow(64 * 1024);
  length = 0;

  /** What was written from `start` on; valid until the next write. */
  bytes(start = 0): Buffer {
    return this.#buffer.subarray(start, this.length);
  }

  reset(): void {
    this.length = 0;
  }

  u8(value: number): void {
    const start = this.#take(1);
    this.#buffer[start] = value;
  }

  u16(value: number): void {
    const start = this.#take(2);
    writeU16(this.#buffer, start, value);
  }

  u32(value: number): void {
    const start = this.#take(4);
    writeU32(this.#buffer, start, value);
  }

  u64(value: number): void {
    const start = this.#take(8);
    writeU64(this.#buffer, start, value);
  }

  raw(bytes: Uint8Array): void {
    const start = this.#take(bytes.length);
    this.#buffer.set(bytes, start);
  }

  /** Writes over four bytes that were written before. */
  patchU32(offset: number, value: number): void {
    writeU32(this.#buffer, offset, value);
  }

  #take(bytes: number): number {
    const start = this.length;
    const needed = start + bytes;
    if (needed > this.#buffer.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(grown, 0, 0, start);
      this.#buffer = grown;
    }
    this.length = needed;
    return start;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  offset: number;

  constructor(bytes: Uint8Array, offset: number, end: number) {
    this.#bytes = bytes;
    this.offset = offset;
    this.#end = end;
  }

  get remaining(): number {
    return this.#end - this.offset;
  }

  u8(): number {
    return readU8(this.#bytes, this.#take(1));
  }

  u16(): number {
    return readU16(this.#bytes, this.#take(2));
  }

  u32(): number {
    return readU32(this.#bytes, this.#take(4));
  }

  u64(): number {
    return readU64(this.#bytes, this.#take(8));
  }

  /** 0 or 1. */
  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw this.invalid(`a flag is ${value}`, this.offset - 1);
    return value === 1;
  }

  /** A count of items that each take at least `itemBytes`: checked before an array is made. */
  count(value: number, itemBytes: number): number {
    if (value * itemBytes > this.remaining) {
      throw this.invalid(`${value} items do not fit into ${this.remaining} bytes`);
    }
    return value;
  }

  invalid(what: string, offset = this.offset): MeridianError {
    return new MeridianError('INVALID', `packet: ${what} at offset ${offset}`);
  }

  #take(bytes: number): number {
    const start = this.offset;
    if (start + bytes > this.#end) {
      throw this.invalid(`${bytes} bytes expected, ${this.#end - start} left`);
    }
    this.offset = start + bytes;
    return start;
  }
}
