/** What the charts show, computed from a history: operations by region and time, and their latency. */
import type { History } from '../model/history.ts';
import type { Operation } from '../model/operation.ts';
import { kindOf } from '../traffic/gaps.ts';

export interface Bin {
  /** Seconds since the run began, of its beginning. */
  readonly from: number;
  readonly succeeded: number;
  /** Failed for another reason than a condition, or unknown. */
  readonly troubled: number;
  /** Of successful appends, by completion; null: none. Milliseconds. */
  readonly median: number | null;
  readonly p99: number | null;
}

export interface RegionSeries {
  readonly region: string;
  readonly bins: readonly Bin[];
}

export interface Series {
  readonly binSeconds: number;
  readonly seconds: number;
  readonly regions: readonly RegionSeries[];
}

const BINS_MAX = 120;
/** Answers that say what is so; the system did what it was asked to. */
const DECIDED = new Set([
  'CONDITION_FAILED',
  'FENCED',
  'WRITER_FENCED',
  'WRITER_GAP',
  'LEASE_HELD',
  'LEASE_LOST',
  'STREAM_NOT_FOUND',
]);

export function isTroubled({ outcome }: Operation): boolean {
  if (outcome.kind === 'ok') return false;
  return outcome.kind === 'unknown' || !DECIDED.has(outcome.reason);
}

export function seriesOf(history: History): Series {
  const seconds = Math.max(0.1, history.endUs / 1e6);
  const binSeconds = niceStep(seconds / BINS_MAX);
  const count = Math.ceil(seconds / binSeconds);
  const names = new Set([...history.header.regions, ...history.operations.map((it) => it.region)]);
  const regions = [...names].map((region) => {
    const bins = Array.from({ length: count }, () => ({
      succeeded: 0,
      troubled: 0,
      latencies: [] as number[],
    }));
    for (const operation of history.operations) {
      if (operation.region !== region) continue;
      const us = operation.completedUs ?? operation.invokedUs;
      const bin = bins[Math.min(count - 1, Math.floor(us / 1e6 / binSeconds))];
      if (bin === undefined) continue;
      if (isTroubled(operation)) bin.troubled += 1;
      else bin.succeeded += 1;
      if (operation.outcome.kind === 'ok' && kindOf(operation) === 'append') {
        bin.latencies.push((us - operation.invokedUs) / 1000);
      }
    }
    return {
      region,
      bins: bins.map(({ succeeded, troubled, latencies }, i) => {
        const sorted = latencies.sort((a, b) => a - b);
        const median = quantile(sorted, 0.5);
        return { from: i * binSeconds, succeeded, troubled, median, p99: quantile(sorted, 0.99) };
      }),
    };
  });
  return { binSeconds, seconds, regions };
}

/** Of sorted numbers; null: there are none. */
export function quantile(sorted: readonly number[], share: number): number | null {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
}

/** 1, 2 or 5 times a power of ten, not below `least`. */
export function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(least, 1e-9)));
  return [1, 2, 5, 10].map((it) => it * power).find((it) => it >= least) ?? 10 * power;
}
