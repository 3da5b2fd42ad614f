/**
 * The replica's published watermark: everything up to it has been released and executed here. Keeps
 * who waits for it to reach a timestamp, so that a heartbeat or a tail check needs no polling.
 */
import { assert } from '../../libs/values/assert.ts';
import type { Micros, Timestamp } from '../../libs/values/numbers.ts';

interface Waiter {
  readonly timestamp: number;
  readonly reached: () => void;
}

export class Watermark {
  #value = 0 as Timestamp;
  #movedAt: Micros;
  readonly #waiters = new Set<Waiter>();

  constructor(now: Micros) {
    this.#movedAt = now;
  }

  get value(): Timestamp {
    return this.#value;
  }

  /** When it last grew. */
  get movedAt(): Micros {
    return this.#movedAt;
  }

  publish(value: Timestamp, now: Micros): void {
    assert(value >= this.#value, `the watermark falls from ${this.#value} to ${value}`);
    if (value === this.#value) return;
    this.#value = value;
    this.#movedAt = now;
    if (this.#waiters.size === 0) return;
    for (const waiter of this.#waiters) {
      if (waiter.timestamp > value) continue;
      this.#waiters.delete(waiter);
      waiter.reached();
    }
  }

  /** Calls `reached` once, at once when it is so already. Returns how to stop waiting. */
  whenReached(timestamp: number, reached: () => void): () => void {
    if (timestamp <= this.#value) {
      reached();
      return () => undefined;
    }
    const waiter = { timestamp, reached };
    this.#waiters.add(waiter);
    return () => {
      this.#waiters.delete(waiter);
    };
  }

  get waiterCount(): number {
    return this.#waiters.size;
  }
}
