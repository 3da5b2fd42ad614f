/**
 * Growing arrays of numbers. One entry of the journal costs a few bytes here and no object, so that
 * an index over millions of entries neither slows the garbage collector nor doubles the memory.
 * Values are appended in order and removed from either end; a position keeps its number for ever,
 * whatever was removed before it.
 */
import { assert } from '../../libs/values/assert.ts';

const FIRST_CAPACITY = 4;
const EMPTY = new Float64Array(0);
const VALUE_BYTES = Float64Array.BYTES_PER_ELEMENT;

/** Safe integers, or any doubles. */
export class Column {
  /** While there has been one value only it needs no array: most streams are that short. */
  #values = EMPTY;
  #single = 0;
  #start = 0;
  #length = 0;

  /** The lowest position there is, or `length` when there is none. */
  get start(): number {
    return this.#start;
  }

  /** Above the highest position. */
  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    const used = this.#length - this.#start;
    if (used === 0 && this.#values === EMPTY) this.#single = value;
    else {
      if (used >= this.#values.length) this.#grow(used + 1);
      this.#values[used] = value;
    }
    this.#length += 1;
  }

  /** Removes everything at and above `length`. */
  truncate(length: number): void {
    if (length < this.#length) this.#length = Math.max(length, this.#start);
  }

  /** Removes everything below `position`, and gives the memory back. */
  dropBefore(position: number): void {
    const to = Math.min(position, this.#length);
    if (to <= this.#start) return;
    if (this.#values !== EMPTY) {
      const left = this.#values.subarray(to - this.#start, this.#length - this.#start);
      const capacity = Math.max(FIRST_CAPACITY, left.length + (left.length >> 2));
      const values = new Float64Array(capacity);
      values.set(left);
      this.#values = values;
    }
    this.#start = to;
  }

  /** Begins at `position`; only an empty column. */
  startAt(position: number): void {
    assert(this.#length === this.#start, 'only an empty column is moved');
    this.#start = position;
    this.#length = position;
  }

  at(position: number): number {
    assert(
      position >= this.#start && position < this.#length,
      `column has no position ${position}`,
    );
    if (this.#values === EMPTY) return this.#single;
    return this.#values[position - this.#start] ?? 0;
  }

  /** Position of the first value ≥ `wanted`, `length` when there is none. The values must ascend. */
  lowerBound(wanted: number): number {
    let low = this.#start;
    let high = this.#length;
    // Readers mostly ask for the newest: one probe at the end saves the search.
    if (high > low && this.at(high - 1) < wanted) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.at(middle) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A copy of the values from `from` to below `to`, as bytes. */
  bytes(from: number, to: number): Uint8Array {
    const copy = new Float64Array(to - from);
    for (let position = from; position < to; position += 1)
      copy[position - from] = this.at(position);
    return new Uint8Array(copy.buffer);
  }

  /** Appends what `bytes` gave. */
  pushBytes(bytes: Uint8Array): void {
    assert(bytes.length % VALUE_BYTES === 0, 'whole values');
    const values = new Float64Array(bytes.length / VALUE_BYTES);
    new Uint8Array(values.buffer).set(bytes);
    for (const value of values) this.push(value);
  }

  #grow(least: number): void {
    const grown = new Float64Array(Math.max(FIRST_CAPACITY, least, this.#values.length * 2));
    if (this.#values === EMPTY) grown[0] = this.#single;
    else grown.set(this.#values);
    this.#values = grown;
  }
}
