/** Readers that wait until the data has come to a timestamp. */
import { MeridianError } from '../errors/errors.ts';

interface Waiter {
  readonly timestamp: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: () => void;
  readonly reject: (error: MeridianError) => void;
}

export class WatermarkWaiters {
  readonly #waiting = new Set<Waiter>();
  #watermark = 0;

  get watermark(): number {
    return this.#watermark;
  }

  /** Rejects as DEADLINE, or with the error given to `fail`. */
  reached(timestamp: number, deadlineMs: number): Promise<void> {
    if (timestamp <= this.#watermark) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(waiter);
        const message = `not at ${timestamp} within ${Math.round(deadlineMs)} ms; the watermark is ${this.#watermark}`;
        reject(new MeridianError('DEADLINE', message));
      }, deadlineMs);
      const waiter = { timestamp, timer, resolve, reject };
      this.#waiting.add(waiter);
    });
  }

  /** The data stands here, even if it was further before. */
  begin(watermark: number): void {
    this.#watermark = watermark;
    this.advance(watermark);
  }

  /** Never goes back. */
  advance(watermark: number): void {
    this.#watermark = Math.max(this.#watermark, watermark);
    for (const waiter of this.#waiting) {
      if (waiter.timestamp > this.#watermark) continue;
      this.#take(waiter);
      waiter.resolve();
    }
  }

  fail(error: MeridianError): void {
    for (const waiter of this.#waiting) {
      this.#take(waiter);
      waiter.reject(error);
    }
  }

  #take(waiter: Waiter): void {
    clearTimeout(waiter.timer);
    this.#waiting.delete(waiter);
  }
}
