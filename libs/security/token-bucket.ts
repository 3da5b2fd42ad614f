/**
 * A rate with a burst. May be overdrawn by one taking, which is then waited for: a large message is not
 * refused for ever by a small bucket. Knows no clock; asks nobody.
 */
export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  #level: number;
  #at = 0;

  /** `perSecond` 0: without limit. */
  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#level = burst;
  }

  /** How long to wait before the next taking, ms; 0: not at all. */
  take(amount: number, nowMs: number): number {
    if (this.#perMs === 0) return 0;
    this.#fill(nowMs);
    this.#level -= amount;
    return this.#level >= 0 ? 0 : -this.#level / this.#perMs;
  }

  /** Takes only what there is; else says how long until then, ms. */
  tryTake(amount: number, nowMs: number): number {
    if (this.#perMs === 0) return 0;
    this.#fill(nowMs);
    if (this.#level >= amount) {
      this.#level -= amount;
      return 0;
    }
    return (amount - this.#level) / this.#perMs;
  }

  #fill(nowMs: number): void {
    const passed = Math.max(0, nowMs - this.#at);
    this.#at = nowMs;
    this.#level = Math.min(this.#burst, this.#level + passed * this.#perMs);
  }
}
