/** Up to where everything is applied here, and those who wait for it. */
import { MeridianError } from '../../libs/errors/errors.ts';

interface Waiter {
  readonly point: number;
  readonly reached: () => void;
}

/** Waits beyond this are refused: each costs memory. */
export const WAITERS_MAX = 10_000;

export class AppliedWatermark {
  #value = 0;
  readonly #waiters = new Set<Waiter>();

  get value(): number {
    return this.#value;
  }

  advance(to: number): void {
    if (to <= this.#value) return;
    this.#value = to;
    for (const waiter of this.#waiters) {
      if (waiter.point > to) continue;
      this.#waiters.delete(waiter);
      waiter.reached();
    }
  }

  /** Resolves when everything up to the point is applied; rejects when `signal` aborts before. */
  async reach(point: number, signal: AbortSignal): Promise<void> {
    if (point <= this.#value) return;
    if (this.#waiters.size >= WAITERS_MAX) {
      throw new MeridianError('OVERLOADED', `${WAITERS_MAX} reads wait already`, {
        details: { retryAfterMs: 100 },
      });
    }
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => {
        this.#waiters.delete(waiter);
        reject(
          new MeridianError('DEADLINE', `not applied in time: at ${this.#value}, wanted ${point}`, {
            details: { watermark: this.#value, readPoint: point },
          }),
        );
      };
      const waiter = {
        point,
        reached: () => {
          signal.removeEventListener('abort', stop);
          resolve();
        },
      };
      if (signal.aborted) {
        stop();
        return;
      }
      signal.addEventListener('abort', stop, { once: true });
      this.#waiters.add(waiter);
    });
  }
}
