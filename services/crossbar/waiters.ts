/**
 * Callers that wait until the watermark has reached a timestamp. Bounded: each is a call that is open.
 */
import { MeridianError } from '../../libs/errors/errors.ts';

interface Waiter {
  readonly timestamp: number;
  readonly resolve: (watermark: number) => void;
  readonly reject: (error: MeridianError) => void;
}

export class Waiters {
  readonly #waitersMax: number;
  readonly #waiting = new Set<Waiter>();
  /** Of those that wait: looked at on every move of the watermark. */
  #least = Infinity;
  #watermark = 0;

  constructor(waitersMax: number) {
    this.#waitersMax = waitersMax;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Resolves with the watermark; rejects as OVERLOADED, or UNAVAILABLE when nobody waits any more. */
  reached(timestamp: number, signal?: AbortSignal): Promise<number> {
    if (timestamp <= this.#watermark) return Promise.resolve(this.#watermark);
    if (this.#waiting.size >= this.#waitersMax) {
      const message = `${this.#waiting.size} callers wait already; try another crossbar`;
      const details = { limit: this.#waitersMax, retryAfterMs: 1000 };
      return Promise.reject(new MeridianError('OVERLOADED', message, { details }));
    }
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        signal?.removeEventListener('abort', give);
        this.#waiting.delete(waiter);
      };
      const give = (): void => {
        leave();
        reject(new MeridianError('UNAVAILABLE', 'the caller has gone'));
      };
      const waiter = {
        timestamp,
        resolve: (watermark: number) => {
          leave();
          resolve(watermark);
        },
        reject: (error: MeridianError) => {
          leave();
          reject(error);
        },
      };
      this.#waiting.add(waiter);
      this.#least = Math.min(this.#least, timestamp);
      signal?.addEventListener('abort', give, { once: true });
      if (signal?.aborted === true) give();
    });
  }

  advance(watermark: number): void {
    this.#watermark = Math.max(this.#watermark, watermark);
    if (this.#watermark < this.#least) return;
    this.#least = Infinity;
    for (const waiter of this.#waiting) {
      if (waiter.timestamp <= this.#watermark) waiter.resolve(this.#watermark);
      else this.#least = Math.min(this.#least, waiter.timestamp);
    }
  }

  fail(error: MeridianError): void {
    for (const waiter of this.#waiting) waiter.reject(error);
  }
}
