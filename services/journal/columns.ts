/**
 * Growing arrays of numbers. One entry of the journal costs a few bytes here and no object, so that
 * an index over millions of entries neither slows the garbage collector nor doubles the memory.
 * Values are appended in order and removed only from the end.
 */
import { assert } from '../../libs/values/assert.ts';

const FIRST_CAPACITY = 8;

/** Safe integers, or any doubles. */
export class Column {
  #values = new Float64Array(FIRST_CAPACITY);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      const grown = new Float64Array(this.#length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.#length] = value;
    this.#length += 1;
  }

  /** Removes everything at and above `length`. */
  truncate(length: number): void {
    if (length < this.#length) this.#length = length;
  }

  at(position: number): number {
    assert(position >= 0 && position < this.#length, `column has no position ${position}`);
    return this.#values[position] ?? 0;
  }

  /** Position of the first value ≥ `wanted`, `length` when there is none. The values must ascend. */
  lowerBound(wanted: number): number {
    const values = this.#values;
    let low = 0;
    let high = this.#length;
    // Readers mostly ask for the newest: one probe at the end saves the search.
    if (high > 0 && (values[high - 1] ?? 0) < wanted) return high;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((values[middle] ?? 0) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
