/**
 * A row as pgoutput wrote it: the bytes of its message, and where in them each value begins. Nothing is
 * decoded or copied before somebody asks: most values only travel on, into the statement that applies them
 * (text-array.ts), and to make strings of them on the way cost more than all the rest.
 *
 * A value is its kind, one byte (`t` text, `n` NULL, `u` unchanged), and for a text its length, four bytes,
 * and the text.
 */
import type { ByteReader } from './bytes.ts';

/** Stands for a large value that an update did not touch and Postgres therefore did not send. */
export const UNCHANGED: unique symbol = Symbol('unchanged');
/** One column: its text, NULL, or not sent. */
export type Value = string | null | typeof UNCHANGED;

export const NULL_VALUE = 0x6e;
export const TEXT_VALUE = 0x74;
export const UNCHANGED_VALUE = 0x75;
/** What stands before a text: its kind and its length. */
export const TEXT_HEAD_BYTES = 5;

const DIGITS_MAX = 15;
const ZERO = 0x30;

export class Tuple {
  /** The message it stands in. */
  readonly bytes: Buffer;
  /** Of each value its kind; at the end, where the last one ends. */
  readonly starts: readonly number[];
  /** Every value was sent. */
  readonly complete: boolean;

  /** What follows in the message; throws INVALID. */
  static read(reader: ByteReader): Tuple {
    const count = reader.u16();
    const starts: number[] = [];
    let complete = true;
    for (let i = 0; i < count; i++) {
      starts.push(reader.offset);
      const kind = reader.u8();
      if (kind === TEXT_VALUE) reader.skip(reader.u32());
      else if (kind === UNCHANGED_VALUE) complete = false;
      else if (kind !== NULL_VALUE) {
        throw reader.invalid(`unknown value kind ${kind}`, reader.offset - 1);
      }
    }
    starts.push(reader.offset);
    return new Tuple(reader.all, starts, complete);
  }

  private constructor(bytes: Buffer, starts: readonly number[], complete: boolean) {
    this.bytes = bytes;
    this.starts = starts;
    this.complete = complete;
  }

  get length(): number {
    return this.starts.length - 1;
  }

  isUnchanged(i: number): boolean {
    return this.bytes[this.#start(i)] === UNCHANGED_VALUE;
  }

  /** Of the value with what says its kind and length. */
  bytesOf(i: number): number {
    return this.#start(i + 1) - this.#start(i);
  }

  value(i: number): Value {
    const start = this.#start(i);
    const kind = this.bytes[start];
    if (kind === NULL_VALUE) return null;
    if (kind === UNCHANGED_VALUE) return UNCHANGED;
    return this.bytes.toString('utf8', start + TEXT_HEAD_BYTES, this.#start(i + 1));
  }

  /** All of them, decoded. */
  values(): Value[] {
    return Array.from({ length: this.length }, (_, i) => this.value(i));
  }

  /** As written, not as the type compares: `1.0` is not `1.00`. */
  sameValue(i: number, other: Tuple): boolean {
    const { bytes, starts } = other;
    const order = this.bytes.compare(
      bytes,
      starts[i],
      starts[i + 1],
      this.starts[i],
      this.starts[i + 1],
    );
    return order === 0;
  }

  /**
   * What tells these columns of rows of one table apart in a set. Two rows that are written differently may have
   * the same (`7` and `07`), two that are written alike always have.
   */
  identity(columns: readonly number[]): string | number {
    const [only] = columns;
    if (columns.length === 1 && only !== undefined) {
      return this.#number(only) ?? this.#latin1(only);
    }
    let id = '';
    for (const i of columns) id += this.#latin1(i);
    return id;
  }

  /** Of a few digits; null: it is something else. */
  #number(i: number): number | null {
    const [start, end] = [this.#start(i) + TEXT_HEAD_BYTES, this.#start(i + 1)];
    if (start >= end || end - start > DIGITS_MAX) return null;
    let value = 0;
    for (let at = start; at < end; at++) {
      const digit = (this.bytes[at] ?? 0) - ZERO;
      if (digit < 0 || digit > 9) return null;
      value = value * 10 + digit;
    }
    return value;
  }

  /** With its kind and length, so that several one after the other say where each ends. */
  #latin1(i: number): string {
    return this.bytes.toString('latin1', this.#start(i), this.#start(i + 1));
  }

  #start(i: number): number {
    return this.starts[i] ?? this.bytes.length;
  }
}
