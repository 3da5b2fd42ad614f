/**
 * The newest part of the merged order, in memory, shared by all subscribers. Bounded by bytes: what
 * no longer fits leaves at the old end, whoever may still want it (a subscriber that falls behind it
 * reads the instances itself). Entries have absolute numbers, so that a place survives that.
 */
import { assert } from '../../libs/values/assert.ts';
import type { MergedEntry } from './merged-entry.ts';
import { comparePositions } from './position.ts';
import type { Position } from './position.ts';

/** What an entry costs besides its frames. */
const ENTRY_OVERHEAD_BYTES = 200;

/** Neighbours in the order, packed for everybody who wants all of them. */
export interface Run {
  readonly frames: Uint8Array;
  readonly first: Position;
  readonly last: Position;
  /** Number of the entry after them. */
  readonly next: number;
}

/** Runs that are remembered: subscribers at the tail ask for the same one after the other. */
const RUNS_MAX = 4;

export class Window {
  readonly #bytesMax: number;
  #entries: MergedEntry[] = [];
  /** Index in the array of the oldest entry; those before it are gone. */
  #head = 0;
  /** Absolute number of the entry at index 0 of the array. */
  #base = 0;
  #bytes = 0;
  #floor: Position;
  #runs: { readonly from: number; readonly end: number; readonly bytes: number; run: Run }[] = [];

  /** Everything after `floor` will be appended. */
  constructor(bytesMax: number, floor: Position) {
    this.#bytesMax = bytesMax;
    this.#floor = floor;
  }

  /** Every entry after this position is, or will be, in the window. */
  get floor(): Position {
    return this.#floor;
  }

  /** Number of the oldest entry. */
  get first(): number {
    return this.#base + this.#head;
  }

  /** Number the next entry will get. */
  get end(): number {
    return this.#base + this.#entries.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  append(entry: MergedEntry): void {
    assert(comparePositions(entry, this.#entries.at(-1) ?? this.#floor) > 0, 'in the order');
    this.#entries.push(entry);
    this.#bytes += cost(entry);
    while (this.#bytes > this.#bytesMax) this.#evict();
  }

  get(number: number): MergedEntry {
    const entry = this.#entries[number - this.#base];
    assert(number >= this.first && entry !== undefined, `entry ${number} is in the window`);
    return entry;
  }

  /** The entries from this one on, about so many bytes of them; null where there is a gap to tell. */
  run(from: number, bytes: number): Run | null {
    const { end } = this;
    const known = this.#runs.find(
      (each) => each.from === from && each.end === end && each.bytes === bytes,
    );
    if (known !== undefined) return known.run;
    const first = this.get(from);
    if (first.gap !== null) return null;
    const frames = [first.frames];
    let last = first;
    let size = first.frames.length;
    let next = from + 1;
    for (; next < end && size < bytes; next += 1) {
      const entry = this.get(next);
      if (entry.gap !== null) break;
      frames.push(entry.frames);
      size += entry.frames.length;
      last = entry;
    }
    const packed = frames.length === 1 ? first.frames : Buffer.concat(frames, size);
    const run = { frames: packed, first: placeOf(first), last: placeOf(last), next };
    this.#runs = [{ from, end, bytes, run }, ...this.#runs.slice(0, RUNS_MAX - 1)];
    return run;
  }

  /** Number of the first entry after the position, which is not before the floor. */
  locate(position: Position): number {
    assert(this.covers(position), 'the position is covered');
    let low = this.#head;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle];
      if (entry !== undefined && comparePositions(entry, position) <= 0) low = middle + 1;
      else high = middle;
    }
    return this.#base + low;
  }

  covers(position: Position): boolean {
    return comparePositions(position, this.#floor) >= 0;
  }

  #evict(): void {
    const entry = this.#entries[this.#head];
    assert(entry !== undefined, 'bytes belong to entries');
    this.#bytes -= cost(entry);
    this.#floor = placeOf(entry);
    this.#head += 1;
    if (this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#base += this.#head;
      this.#head = 0;
    }
  }
}

function placeOf({ timestamp, instance }: MergedEntry): Position {
  return { timestamp, instance };
}

function cost(entry: MergedEntry): number {
  return entry.frames.length + ENTRY_OVERHEAD_BYTES;
}
