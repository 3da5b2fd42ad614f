/**
 * Latencies of the last ten seconds: count, median, 99th percentile, maximum. A ring of histograms,
 * each for two seconds, so that old values leave by themselves. Recording costs one histogram
 * update and, per call, one look at the clock.
 */
import { build } from 'hdr-histogram-js';
import type { Histogram } from 'hdr-histogram-js';
import { at } from '../values/assert.ts';

/** All latencies in microseconds, exact to 1 %. */
export interface LatencySnapshot {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const SLICES = 5;
const SLICE_MS = 2_000;
/** Larger latencies count as this: ten minutes. */
const MICROS_MAX = 600_000_000;

export class Latency {
  readonly #slices: Histogram[];
  readonly #now: () => number;
  #current = 0;
  #currentEnds: number;

  /** `now`: a monotonic clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#slices = Array.from({ length: SLICES }, newHistogram);
    this.#now = now;
    this.#currentEnds = now() + SLICE_MS;
  }

  /** Records `count` latencies of `micros` microseconds each. */
  record(micros: number, count = 1): void {
    this.#advance();
    const value = Math.min(Math.max(Math.round(micros), 1), MICROS_MAX);
    at(this.#slices, this.#current).recordValueWithCount(value, count);
  }

  /** Of the last eight to ten seconds; zeros when there was none. */
  snapshot(): LatencySnapshot {
    this.#advance();
    const all = newHistogram();
    for (const slice of this.#slices) all.add(slice);
    if (all.totalCount === 0) return { count: 0, p50: 0, p99: 0, max: 0 };
    return {
      count: all.totalCount,
      p50: all.getValueAtPercentile(50),
      p99: all.getValueAtPercentile(99),
      max: all.maxValue,
    };
  }

  #advance(): void {
    const now = this.#now();
    for (let passed = 0; now >= this.#currentEnds; passed += 1) {
      if (passed === SLICES) {
        this.#currentEnds = now + SLICE_MS;
        return;
      }
      this.#current = (this.#current + 1) % SLICES;
      at(this.#slices, this.#current).reset();
      this.#currentEnds += SLICE_MS;
    }
  }
}

function newHistogram(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: MICROS_MAX,
    numberOfSignificantValueDigits: 2,
    bitBucketSize: 32,
    useWebAssembly: false,
  });
}
