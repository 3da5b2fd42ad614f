/**
 * One input's waiting items: a ring of (timestamp, item) that doubles when full and gives its memory
 * back once it has run empty after a burst. Two flat arrays, so that waiting costs no object per
 * item. Knows nothing of closed timestamps: order and promises are the merge's business.
 */

const CAPACITY_MIN = 64;
/** An empty ring larger than this is dropped; smaller ones are kept for the next burst. */
const CAPACITY_KEPT = 4096;

export class Queue<Item> {
  #timestamps = new Float64Array(CAPACITY_MIN);
  #items: (Item | undefined)[] = new Array<Item | undefined>(CAPACITY_MIN);
  #mask = CAPACITY_MIN - 1;
  #head = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Timestamp of the oldest item; Infinity when empty, so that a scan for the least needs no special case. */
  get head(): number {
    return this.#size === 0 ? Infinity : (this.#timestamps[this.#head] ?? 0);
  }

  push(timestamp: number, item: Item): void {
    if (this.#size > this.#mask) this.#resize((this.#mask + 1) * 2);
    const slot = (this.#head + this.#size) & this.#mask;
    this.#timestamps[slot] = timestamp;
    this.#items[slot] = item;
    this.#size += 1;
  }

  /** Takes the oldest item; the caller has looked at `head`. */
  shift(): Item {
    const slot = this.#head;
    const item = this.#items[slot] as Item;
    this.#items[slot] = undefined;
    this.#head = (slot + 1) & this.#mask;
    this.#size -= 1;
    if (this.#size === 0 && this.#mask >= CAPACITY_KEPT) this.#resize(CAPACITY_MIN);
    return item;
  }

  #resize(capacity: number): void {
    const timestamps = new Float64Array(capacity);
    const items = new Array<Item | undefined>(capacity);
    for (let i = 0; i < this.#size; i += 1) {
      const slot = (this.#head + i) & this.#mask;
      timestamps[i] = this.#timestamps[slot] ?? 0;
      items[i] = this.#items[slot];
    }
    this.#timestamps = timestamps;
    this.#items = items;
    this.#mask = capacity - 1;
    this.#head = 0;
  }
}
