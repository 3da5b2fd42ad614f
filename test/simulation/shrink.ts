/**
 * A failing run made small: as few strikes as will do (delta debugging, by A. Zeller), and a world without
 * what the failure does not need. Every candidate is a whole run, and fails only if it breaks the same
 * rule. The result is no proof of the cause; it is what is pleasant to read with `--trace`.
 */
import type { SimulationOptions } from './options.ts';
import { run, type RunResult } from './run.ts';

/** What a failure may not need, by the name that `--without` takes. */
export const EASINGS: Readonly<
  Record<string, (options: SimulationOptions) => Partial<SimulationOptions>>
> = {
  loss: ({ network }) => ({ network: { ...network, loss: 0 } }),
  duplicates: ({ network }) => ({ network: { ...network, duplicate: 0 } }),
  ghosts: ({ network }) => ({ network: { ...network, ghost: 0 } }),
  jitter: ({ network, disk }) => ({
    network: { ...network, jitter: 0 },
    disk: { ...disk, jitter: 0 },
  }),
  stalls: ({ disk }) => ({ disk: { ...disk, stall: 0 } }),
  skew: ({ clocks }) => ({ clocks: { ...clocks, offset: 0, driftPpm: 0 } }),
  checkpoints: ({ checkpoints }) => ({ checkpoints: { ...checkpoints, every: 0 } }),
  turns: () => ({ turn: 0 }),
  reads: ({ workload }) => ({ workload: { ...workload, reads: 0 } }),
  conditions: ({ workload }) => ({ workload: { ...workload, conditions: 0 } }),
  clients: ({ workload }) => ({ workload: { ...workload, clients: 2 } }),
};

export interface Shrunk {
  readonly options: SimulationOptions;
  readonly result: RunResult;
  readonly strikes: readonly number[];
  readonly without: readonly string[];
  /** Runs that it took. */
  readonly runs: number;
}

/** null: the run does not fail. */
export function shrink(options: SimulationOptions, runsMax = 400): Shrunk | null {
  let runs = 0;
  const failing = (candidate: SimulationOptions, rule: string | null): RunResult | null => {
    runs += 1;
    const result = run(candidate);
    const broken = result.violation?.rule ?? null;
    return broken !== null && (rule === null || broken === rule) ? result : null;
  };
  const first = failing(options, null);
  const rule = first?.violation?.rule;
  if (first === null || rule === undefined) return null;
  let best = { options, result: first };
  const attempt = (candidate: SimulationOptions): boolean => {
    if (runs >= runsMax) return false;
    const result = failing(candidate, rule);
    if (result !== null) best = { options: candidate, result };
    return result !== null;
  };
  const easings = (): string[] =>
    Object.keys(EASINGS).filter((name) => {
      return !without.includes(name) && attempt(eased(best.options, [name]));
    });
  const without: string[] = [];
  without.push(...easings());
  const all = Array.from({ length: first.strikes }, (_, i) => i + 1);
  const strikes = fewest(all, (kept) => attempt({ ...best.options, strikes: new Set(kept) }));
  without.push(...easings());
  return { ...best, strikes, without, runs };
}

export function eased(options: SimulationOptions, without: readonly string[]): SimulationOptions {
  return without.reduce((o, name) => ({ ...o, ...EASINGS[name]?.(o) }), options);
}

/** ddmin: leaves out ever smaller pieces for as long as what is left `fails`. */
function fewest(all: readonly number[], fails: (kept: readonly number[]) => boolean): number[] {
  let kept = [...all];
  for (let pieces = 2; kept.length > 0;) {
    const size = Math.ceil(kept.length / pieces);
    let smaller: number[] | null = null;
    for (let from = 0; from < kept.length && smaller === null; from += size) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      if (fails(rest)) smaller = rest;
    }
    if (smaller !== null) {
      kept = smaller;
      pieces = Math.max(2, pieces - 1);
    } else if (size === 1) break;
    else pieces = Math.min(kept.length, pieces * 2);
  }
  return kept;
}
