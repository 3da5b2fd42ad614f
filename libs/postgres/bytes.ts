/**
 * Reading big-endian fields from bytes that may be malformed: every step checks its bounds and
 * throws `INVALID` with the offset. Big-endian because pgoutput is, and our own records sit beside it.
 */
import { MeridianError } from '../errors/errors.ts';

export class ByteReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** What it reads from, whole. */
  get all(): Buffer {
    return this.#bytes;
  }

  get offset(): number {
    return this.#offset;
  }

  get left(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  i32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  u32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  /** A number up to 2^53 - 1 in eight bytes. */
  u64(): number {
    const at = this.#take(8);
    const value = this.#bytes.readUInt32BE(at) * 0x1_0000_0000 + this.#bytes.readUInt32BE(at + 4);
    if (!Number.isSafeInteger(value)) throw this.invalid('a number above 2^53', at);
    return value;
  }

  /** Eight bytes whose whole range is in use, in decimal. */
  u64Text(): string {
    return this.#bytes.readBigUInt64BE(this.#take(8)).toString();
  }

  /** Eight bytes, signed, within the safe integers. */
  i64(): number {
    const at = this.#take(8);
    const value = this.#bytes.readInt32BE(at) * 0x1_0000_0000 + this.#bytes.readUInt32BE(at + 4);
    if (!Number.isSafeInteger(value)) throw this.invalid('a number beyond 2^53', at);
    return value;
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** true: these bytes were next, and have been read. */
  takeIfSame(bytes: Buffer): boolean {
    const end = this.#offset + bytes.length;
    if (end > this.#bytes.length) return false;
    if (bytes.compare(this.#bytes, this.#offset, end) !== 0) return false;
    this.#offset = end;
    return true;
  }

  text(length: number): string {
    const at = this.#take(length);
    return this.#bytes.toString('utf8', at, at + length);
  }

  /** Text up to a zero byte. */
  cstring(): string {
    const end = this.#bytes.indexOf(0, this.#offset);
    if (end < 0) throw this.invalid('a text without end', this.#offset);
    const text = this.#bytes.toString('utf8', this.#offset, end);
    this.#offset = end + 1;
    return text;
  }

  /** A copy. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(at, at + length));
  }

  /** Throws unless everything has been read. */
  end(): void {
    if (this.left !== 0) throw this.invalid(`${this.left} bytes too many`, this.#offset);
  }

  invalid(what: string, offset = this.#offset): MeridianError {
    return new MeridianError('INVALID', `malformed change record: ${what} at byte ${offset}`, {
      details: { offset },
    });
  }

  #take(length: number): number {
    const at = this.#offset;
    if (length > this.#bytes.length - at) throw this.invalid(`${length} bytes are missing`, at);
    this.#offset = at + length;
    return at;
  }
}
