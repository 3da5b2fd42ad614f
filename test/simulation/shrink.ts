/**
 * A failing run made small: as few strikes as will do (delta debugging, by A. Zeller), and a world without
 * what the failure does not need. Every candidate is a whole run, and fails only if it breaks the same
 * rule. The result is no proof of the cause; it is what is pleasant to read with `--trace`.
 */
import type { RunResult } from './run.ts';
import type { Subject } from './subjects.ts';

export interface Shrunk<Options> {
  readonly options: Options;
  readonly result: RunResult;
  readonly strikes: readonly number[];
  readonly without: readonly string[];
  /** Runs that it took. */
  readonly runs: number;
}

/** null: the run does not fail. */
export async function shrink<Options>(
  options: Options,
  subject: Subject<Options>,
  runsMax = 400,
): Promise<Shrunk<Options> | null> {
  let runs = 0;
  const failing = async (candidate: Options, rule: string | null): Promise<RunResult | null> => {
    runs += 1;
    const result = await subject.run(candidate, null);
    const broken = result.violation?.rule ?? null;
    return broken !== null && (rule === null || broken === rule) ? result : null;
  };
  const first = await failing(options, null);
  const rule = first?.violation?.rule;
  if (first === null || rule === undefined) return null;
  let best = { options, result: first };
  const attempt = async (candidate: Options): Promise<boolean> => {
    if (runs >= runsMax) return false;
    const result = await failing(candidate, rule);
    if (result !== null) best = { options: candidate, result };
    return result !== null;
  };
  const without: string[] = [];
  const ease = async (): Promise<void> => {
    for (const name of subject.easings) {
      if (without.includes(name)) continue;
      if (await attempt(subject.eased(best.options, [name]))) without.push(name);
    }
  };
  await ease();
  const all = Array.from({ length: first.strikes }, (_, i) => i + 1);
  const strikes = await fewest(all, (kept) => attempt(subject.struck(best.options, new Set(kept))));
  await ease();
  return { ...best, strikes, without, runs };
}

/** ddmin: leaves out ever smaller pieces for as long as what is left `fails`. */
async function fewest(
  all: readonly number[],
  fails: (kept: readonly number[]) => Promise<boolean>,
): Promise<number[]> {
  let kept = [...all];
  for (let pieces = 2; kept.length > 0;) {
    const size = Math.ceil(kept.length / pieces);
    let smaller: number[] | null = null;
    for (let from = 0; from < kept.length && smaller === null; from += size) {
      const rest = [...kept.slice(0, from), ...kept.slice(from + size)];
      if (await fails(rest)) smaller = rest;
    }
    if (smaller !== null) {
      kept = smaller;
      pieces = Math.max(2, pieces - 1);
    } else if (size === 1) break;
    else pieces = Math.min(kept.length, pieces * 2);
  }
  return kept;
}
