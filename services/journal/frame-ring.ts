/**
 * Memory for the newest entries: one buffer, written round and round, the oldest entries leave for
 * the newest. Copying into it costs a memory move; keeping every entry's own buffer instead made the
 * garbage collector walk the whole heap several times a second, because V8 starts a full collection
 * for every 64 MiB of buffers that grew old.
 *
 * A view handed out is good until the next `keep`: whoever holds on to an entry asks again.
 */
import { assert, at } from '../../libs/values/assert.ts';
import type { JournalEntry } from './content.ts';

export class FrameRing {
  readonly #capacity: number;
  readonly #onEvicted: (entry: JournalEntry) => void;
  /** Taken with the first entry; the system gives its pages as they are written. */
  #buffer: Buffer | null = null;
  #head = 0;
  /** Entries in the ring with their places, in the order they came, from `#oldest` on. */
  #entries: JournalEntry[] = [];
  #starts: number[] = [];
  #oldest = 0;
  #bytes = 0;

  constructor(capacity: number, onEvicted: (entry: JournalEntry) => void) {
    this.#capacity = capacity;
    this.#onEvicted = onEvicted;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Moves the entry's content into the ring; false, and content null, when it is too large for it. */
  keep(entry: JournalEntry): boolean {
    const { content } = entry;
    assert(content !== null, 'only contents are kept');
    if (content.length * 2 > this.#capacity) {
      entry.content = null;
      return false;
    }
    this.#buffer ??= Buffer.allocUnsafeSlow(this.#capacity);
    const start = this.#makeRoom(content.length);
    this.#buffer.set(content, start);
    entry.content = this.#buffer.subarray(start, start + content.length);
    this.#head = start + content.length;
    this.#entries.push(entry);
    this.#starts.push(start);
    this.#bytes += content.length;
    return true;
  }

  #makeRoom(bytes: number): number {
    let start = this.#head;
    if (start + bytes > this.#capacity) {
      // What lies between the head and the end is the oldest, and is given up with the rest.
      while (this.#oldestStart() >= start) this.#evict();
      start = 0;
    }
    for (let next = this.#oldestStart(); next >= start && next < start + bytes;) {
      this.#evict();
      next = this.#oldestStart();
    }
    return start;
  }

  /** -1 when the ring is empty. */
  #oldestStart(): number {
    return this.#starts[this.#oldest] ?? -1;
  }

  #evict(): void {
    const entry = at(this.#entries, this.#oldest);
    this.#oldest += 1;
    this.#bytes -= entry.content?.length ?? 0;
    entry.content = null;
    this.#onEvicted(entry);
    if (this.#oldest > 1024 && this.#oldest * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#oldest);
      this.#starts = this.#starts.slice(this.#oldest);
      this.#oldest = 0;
    }
  }
}
