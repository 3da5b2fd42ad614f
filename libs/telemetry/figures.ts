/**
 * Latency figures on HDR histograms, corrected for coordinated omission: a driver that waits for a
 * slow answer does not send meanwhile, so the waits it would have seen are filled in (closed loop), or
 * latency counts from when the request was due (open loop).
 */
import { build } from 'hdr-histogram-js';
import type { Histogram } from 'hdr-histogram-js';

const HIGHEST_MICROS = 60_000_000;

export interface Figures {
  readonly count: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
}

export class LatencyRecorder {
  private readonly histogram: Histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_MICROS,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 32,
  });

  private count = 0;

  record(micros: number): void {
    this.count += 1;
    this.histogram.recordValue(clamp(micros));
  }

  /** Values as they were seen by a driver that keeps `inflight` requests under way. */
  figures(closedLoop: { inflight: number; seconds: number } | null): Figures {
    const corrected =
      closedLoop === null || this.count === 0 ? this.histogram : this.correct(closedLoop);
    const ms = (percentile: number): number =>
      round(corrected.getValueAtPercentile(percentile) / 1000);
    return {
      count: this.count,
      p50Ms: ms(50),
      p90Ms: ms(90),
      p99Ms: ms(99),
      p999Ms: ms(99.9),
      maxMs: round(corrected.maxValue / 1000),
    };
  }

  /** Each of the `inflight` slots was expected to send again after the mean time of a request. */
  private correct(closedLoop: { inflight: number; seconds: number }): Histogram {
    const perSlot = this.count / closedLoop.inflight;
    const expected = Math.max(1, Math.round((closedLoop.seconds * 1e6) / perSlot));
    return this.histogram.copyCorrectedForCoordinatedOmission(expected);
  }
}

function clamp(micros: number): number {
  return Math.min(HIGHEST_MICROS, Math.max(1, Math.round(micros)));
}

export function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
