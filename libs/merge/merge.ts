/**
 * Timestamp-ordered inputs, each with a closed timestamp, become one order up to the minimum of
 * these (design §5, end). The lanes of a replica and the instances of a crossbar go through this same code.
 *
 * Rules M1–M7 are in SPEC.md. The merge owns what waits; it does not bound it (its owner, who also
 * decides what to stop reading, does), has no idea of commitment, and never invents a promise: only
 * `close` moves the watermark, not an item that happened to arrive.
 */
import { assert, at } from '../values/assert.ts';
import { Queue } from './queue.ts';

export class Merge<Item> {
  readonly #queues: readonly Queue<Item>[];
  readonly #pushed: Float64Array;
  readonly #closed: Float64Array;
  #watermark = 0;
  #size = 0;
  #draining = false;

  /** `inputs` are numbered from 0; the number breaks ties of equal timestamps. */
  constructor(inputs: number) {
    assert(Number.isSafeInteger(inputs) && inputs >= 1, `a merge of ${inputs} inputs`);
    this.#queues = Array.from({ length: inputs }, () => new Queue<Item>());
    this.#pushed = new Float64Array(inputs);
    this.#closed = new Float64Array(inputs);
  }

  /** M1, M2: strictly above everything pushed to and closed on this input. */
  push(input: number, timestamp: number, item: Item): void {
    const queue = this.#queues[input];
    assert(queue !== undefined, 'no such input');
    assert(Number.isSafeInteger(timestamp), 'not a timestamp');
    const above = Math.max(this.#pushed[input] ?? 0, this.#closed[input] ?? 0);
    // The message is built only on failure: this runs for every item.
    if (timestamp <= above) assert(false, `input ${input}: ${timestamp} not above ${above}`);
    assert(!this.#draining, 'push while draining');
    this.#pushed[input] = timestamp;
    queue.push(timestamp, item);
    this.#size += 1;
  }

  /** Nothing at or below `timestamp` will follow on this input; ignored when lower than before (M3). */
  close(input: number, timestamp: number): void {
    const before = this.closed(input);
    assert(Number.isSafeInteger(timestamp), 'not a timestamp');
    assert(!this.#draining, 'close while draining');
    if (timestamp <= before) return;
    this.#closed[input] = timestamp;
    if (before !== this.#watermark) return;
    let least = Infinity;
    for (const closed of this.#closed) if (closed < least) least = closed;
    this.#watermark = least;
  }

  /** What was closed on this input; 0 before the first time. */
  closed(input: number): number {
    const closed = this.#closed[input];
    assert(closed !== undefined, 'no such input');
    return closed;
  }

  /** M4: the minimum over the inputs; never decreases. */
  get watermark(): number {
    return this.#watermark;
  }

  /** Items waiting, over all inputs. */
  get size(): number {
    return this.#size;
  }

  /** Items waiting on one input. */
  sizeOf(input: number): number {
    const queue = this.#queues[input];
    assert(queue !== undefined, 'no such input');
    return queue.size;
  }

  /**
   * Emits what waits with timestamp ≤ watermark in (timestamp, input) order (M5), at most `limit`
   * items, and returns how many. An item leaves the merge before it is emitted, so one that throws
   * is not emitted again (M6). An `emit` that returns false has had enough: it is the last of this drain.
   *
   * Goes by runs: the input with the least head is drained until the second least would come before
   * it. In practice inputs take turns in bursts, and a run costs one comparison an item.
   */
  drain(emit: (item: Item, input: number, timestamp: number) => unknown, limit = Infinity): number {
    if (this.#size === 0 || limit < 1) return 0;
    assert(!this.#draining, 'drain while draining');
    this.#draining = true;
    let emitted = 0;
    try {
      while (emitted < limit) {
        const least = this.#least();
        const queue = at(this.#queues, least);
        let head = queue.head;
        if (head > this.#watermark) break;
        const last = Math.min(this.#lastOfRun(least), this.#watermark);
        while (head <= last && emitted < limit) {
          const item = queue.shift();
          this.#size -= 1;
          emitted += 1;
          if (emit(item, least, head) === false) return emitted;
          head = queue.head;
        }
      }
    } finally {
      this.#draining = false;
    }
    return emitted;
  }

  /** M8: an input of another merge, which knows nothing of it yet, goes on where this one stands. */
  handOver(input: number, other: Merge<Item>, to: number): void {
    const queue = this.#queues[input];
    assert(queue !== undefined && !this.#draining, 'an input at rest');
    assert(other.closed(to) === 0 && other.sizeOf(to) === 0, 'an input that nothing is known of');
    this.#size -= queue.size;
    while (queue.size > 0) other.push(to, queue.head, queue.shift());
    other.#pushed[to] = this.#pushed[input] ?? 0;
    other.close(to, this.closed(input));
  }

  /** The input whose head comes first in the order. */
  #least(): number {
    let least = 0;
    let head = Infinity;
    for (let input = 0; input < this.#queues.length; input += 1) {
      const other = this.#queues[input]?.head ?? Infinity;
      if (other < head) {
        least = input;
        head = other;
      }
    }
    return least;
  }

  /** The highest timestamp with which `input` still comes before the heads of all others. */
  #lastOfRun(input: number): number {
    let last = Infinity;
    for (let other = 0; other < this.#queues.length; other += 1) {
      if (other === input) continue;
      const head = this.#queues[other]?.head ?? Infinity;
      last = Math.min(last, other < input ? head - 1 : head);
    }
    return last;
  }
}
