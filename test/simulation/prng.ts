/**
 * Seeded randomness of the simulation (sfc32 by Chris Doty-Humphrey, seeded through splitmix32).
 * Every part draws from a stream of its own, so that a new draw in one part does not reshuffle the
 * others. Not for anything but simulation.
 */
export class Prng {
  private a: number;
  private b: number;
  private c: number;
  private counter = 1;

  constructor(seed: number, stream: string) {
    let state = (seed ^ Math.imul(Math.floor(seed / 0x1_0000_0000), 0x9e3779b1)) >>> 0;
    for (let i = 0; i < stream.length; i++) {
      state = Math.imul(state ^ stream.charCodeAt(i), 0x01000193) >>> 0;
    }
    const mix = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let z = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) | 0;
    };
    this.a = mix();
    this.b = mix();
    this.c = mix();
    for (let i = 0; i < 12; i++) this.next();
  }

  /** Uniform in 0 … 2³² − 1. */
  next(): number {
    const sum = (((this.a + this.b) | 0) + this.counter) | 0;
    this.counter = (this.counter + 1) | 0;
    this.a = this.b ^ (this.b >>> 9);
    this.b = (this.c + (this.c << 3)) | 0;
    this.c = ((this.c << 21) | (this.c >>> 11)) + sum;
    return sum >>> 0;
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return this.next() / 0x1_0000_0000;
  }

  /** Integer in 0 … bound − 1. */
  below(bound: number): number {
    return Math.floor(this.unit() * bound);
  }

  /** Integer in low … high, both included. */
  between(low: number, high: number): number {
    return low + Math.floor(this.unit() * (high - low + 1));
  }

  chance(probability: number): boolean {
    return probability > 0 && this.unit() < probability;
  }

  /** Positive integer, exponentially distributed: gaps of a memoryless process. */
  exponential(mean: number): number {
    return 1 + Math.floor(-Math.log(1 - this.unit()) * mean);
  }

  /** Integer in low … high, every order of magnitude alike: short and long both happen. */
  magnitude(low: number, high: number): number {
    return Math.floor(low * Math.pow(high / low, this.unit()));
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new RangeError('pick from nothing');
    return item;
  }
}
