/** A bound on bytes a second over all who share it: each waits for what it took, and for those before. */

export class Pace {
  readonly #bytesPerMs: number;
  #freeAt = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1000;
  }

  /** Calls back when `bytes` more are paid for; at once where little was taken lately. */
  wait(bytes: number, done: () => void): void {
    const now = performance.now();
    this.#freeAt = Math.max(this.#freeAt, now) + bytes / this.#bytesPerMs;
    const waitMs = this.#freeAt - now;
    // Timers are not finer than this; small debts are paid together.
    if (waitMs < 2) done();
    else setTimeout(done, waitMs);
  }
}
