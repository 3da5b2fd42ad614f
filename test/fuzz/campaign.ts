/**
 * Fuzzes one target for a while: every input is judged, and what breaks a rule is made smaller before it is
 * told. Accepted inputs become seeds of further ones. The same seed and number of inputs give the same
 * inputs.
 */
import { at } from '../../libs/values/assert.ts';
import { Prng } from '../simulation/prng.ts';
import { mutate } from './mutate.ts';
import { judge } from './target.ts';
import type { Target } from './target.ts';

export interface Bounds {
  readonly seconds: number;
  readonly inputsMax: number;
  readonly seed: number;
  /** Called before each input: a watchdog can tell which one hangs. */
  readonly onInput: (bytes: Uint8Array) => void;
}

export interface Finding {
  readonly target: string;
  readonly what: string;
  readonly input: Uint8Array;
}

export interface Campaign {
  readonly target: string;
  readonly inputs: number;
  readonly accepted: number;
  readonly findings: readonly Finding[];
}

const FINDINGS_MAX = 5;
const POOL_MAX = 500;
const SHRINK_STEPS = 300;
/** Of the inputs: their lengths and checksums are made right again. */
const REPAIRED_SHARE = 0.8;

export function fuzz(target: Target, { seconds, inputsMax, seed, onInput }: Bounds): Campaign {
  const random = new Prng(seed, target.name);
  const pool: Uint8Array[] = [...target.seeds, ...(target.hints ?? [])];
  const kept = pool.length;
  const findings: Finding[] = [];
  const kinds = new Set<string>();
  const endsAt = performance.now() + seconds * 1000;
  let [inputs, accepted] = [0, 0];
  for (const it of target.seeds) {
    const what = problemOf(target, it) ?? refusalOf(target, it);
    if (what !== null) findings.push({ target: target.name, what: `a seed: ${what}`, input: it });
  }
  while (inputs < inputsMax && findings.length < FINDINGS_MAX && performance.now() < endsAt) {
    const base = at(pool, random.below(pool.length));
    const other = at(pool, random.below(pool.length));
    const mutated = mutate(base, other, random);
    const { repair } = target;
    const isRepaired = repair !== undefined && random.chance(REPAIRED_SHARE);
    const input = isRepaired ? repair(mutated) : mutated;
    inputs += 1;
    onInput(input);
    try {
      if (judge(target, input) === 'accepted') {
        accepted += 1;
        if (pool.length < POOL_MAX) pool.push(input);
        else pool[kept + random.below(POOL_MAX - kept)] = input;
      }
    } catch (error) {
      const kind = kindOf(error);
      if (kinds.has(kind)) continue;
      kinds.add(kind);
      const small = shrink(target, input, kind);
      const what = problemOf(target, small) ?? String(error);
      findings.push({ target: target.name, what, input: small });
    }
  }
  return { target: target.name, inputs, accepted, findings };
}

/** null: all is well with it. */
export function problemOf(target: Target, input: Uint8Array): string | null {
  try {
    judge(target, input);
    return null;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

/** A seed that is refused is none: most of what is made of it goes no deeper. */
function refusalOf(target: Target, seed: Uint8Array): string | null {
  try {
    target.run(seed);
    return null;
  } catch (error) {
    return String(error);
  }
}

/** Where it was thrown: one finding each is enough. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const place = error.stack?.split('\n').find((line) => /^\s+at /.test(line)) ?? '';
  return `${error.name} ${place}`;
}

/** Leaves out pieces as long as the same goes wrong. */
function shrink(target: Target, input: Uint8Array, kind: string): Uint8Array {
  let small: Buffer = Buffer.from(input);
  let steps = 0;
  for (let size = small.length >> 1; size >= 1; size >>= 1) {
    for (let from = 0; from < small.length && steps < SHRINK_STEPS; steps += 1) {
      const less = Buffer.concat([small.subarray(0, from), small.subarray(from + size)]);
      const candidate = target.repair?.(less) ?? less;
      try {
        judge(target, candidate);
        from += size;
      } catch (error) {
        if (kindOf(error) === kind) small = candidate;
        else from += size;
      }
    }
  }
  return small;
}
