/** Pauses between rounds of attempts: doubling from 50 ms to 2 s, with jitter so that clients spread. */

const FIRST_MS = 50;
const LAST_MS = 2_000;

export class Backoff {
  #rounds = 0;

  /** Something worked: the next failure starts anew. */
  reset(): void {
    this.#rounds = 0;
  }

  /** The pause before the next round, ms: between half of the step and the whole. */
  next(): number {
    const step = Math.min(LAST_MS, FIRST_MS * 2 ** this.#rounds);
    this.#rounds += 1;
    return step * (0.5 + Math.random() / 2);
  }
}
