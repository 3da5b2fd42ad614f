/**
 * The parameter of a `text[]` in Postgres's binary format (array_recv), filled from values as pgoutput
 * writes them: both put a length of four bytes before a text, so a value is copied from message to
 * statement as it stands, without being decoded, quoted or encoded again.
 *
 * Header: dimensions (1), whether there are NULLs, the oid of `text`, how many elements, the first index.
 */
import { NULL_VALUE } from './tuple.ts';
import type { Tuple } from './tuple.ts';

const HEADER_BYTES = 20;
const TEXT_OID = 25;
/** Up to so many bytes a loop is quicker than a call that copies. */
const LOOP_BYTES_MAX = 24;
const NULL_LENGTH = 0xffff_ffff;

export class TextArray {
  #bytes: Buffer;
  #end = HEADER_BYTES;
  #count = 0;
  #nulls = 0;

  /** `bytes`: of its values, as far as that is known; more are taken too. */
  constructor(bytes = 0) {
    this.#bytes = Buffer.allocUnsafe(HEADER_BYTES + bytes);
  }

  /** Takes value `i` of the row, which must not be UNCHANGED. */
  push(row: Tuple, i: number): void {
    this.#count += 1;
    const start = row.starts[i] ?? 0;
    if (row.bytes[start] === NULL_VALUE) {
      this.#nulls += 1;
      this.#reserve(4);
      this.#bytes.writeUInt32BE(NULL_LENGTH, this.#end);
      this.#end += 4;
      return;
    }
    // Behind the kind: length and text.
    const from = start + 1;
    const to = row.starts[i + 1] ?? from;
    this.#reserve(to - from);
    if (to - from <= LOOP_BYTES_MAX) {
      let end = this.#end;
      for (let at = from; at < to; at++) this.#bytes[end++] = row.bytes[at] ?? 0;
    } else row.bytes.copy(this.#bytes, this.#end, from, to);
    this.#end += to - from;
  }

  /** The parameter; a view, good until the next `push`. */
  parameter(): Buffer {
    const bytes = this.#bytes;
    bytes.writeUInt32BE(1, 0);
    bytes.writeUInt32BE(this.#nulls === 0 ? 0 : 1, 4);
    bytes.writeUInt32BE(TEXT_OID, 8);
    bytes.writeUInt32BE(this.#count, 12);
    bytes.writeUInt32BE(1, 16);
    return bytes.subarray(0, this.#end);
  }

  #reserve(more: number): void {
    const needed = this.#end + more;
    if (needed <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
    this.#bytes.copy(larger, 0, 0, this.#end);
    this.#bytes = larger;
  }
}
