/**
 * `npm run model`: explores the scopes of the specification with Spin and the real core breadth
 * first, each to its end, and proves that both notice a missing rule. `--explain RULE` tells the
 * counterexample of one; `--only spin|core` runs one half. Ends with one JSON line, and fails on a
 * violation, on a scope that was not visited completely, and on a planted rule that survives.
 */
import { parseArgs } from 'node:util';
import type { RuleId } from '../../libs/lane/rules.ts';
import { searchCore } from './core-search.ts';
import { ARGUED, CORE_PLANTED, CORE_SCOPES, PLANTED, SCOPES } from './scopes.ts';
import { Checkers, findSpin } from './spin.ts';

const USAGE = 'usage: npm run model -- [--long] [--explain RULE]';
/** Times as many states of the real core as in CI. */
const LONG = 10;

interface Total {
  states: number;
  depth: number;
  violations: number;
  planted: number;
  caught: number;
  survivors: string[];
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: { explain: { type: 'string' }, long: { type: 'boolean', default: false } },
  });
  const began = performance.now();
  const total: Total = {
    states: 0,
    depth: 0,
    violations: 0,
    planted: 0,
    caught: 0,
    survivors: [],
  };
  const checkers = new Checkers(findSpin());
  let summary: object;
  try {
    if (values.explain !== undefined) return await explain(checkers, values.explain);
    await exploreScopes(checkers, total);
    await plantRules(checkers, total);
    const core = searchCores(values.long ? LONG : 1, total);
    plantInCore(total);
    summary = { ...total, coreStates: core.states, coreDepth: core.depth };
  } finally {
    checkers.end();
  }
  const wallSeconds = Math.round((performance.now() - began) / 100) / 10;
  write(JSON.stringify({ ...summary, argued: ARGUED, wallSeconds }));
  return total.violations === 0 && total.survivors.length === 0;
}

async function exploreScopes(checkers: Checkers, total: Total): Promise<void> {
  for (const { name, sizes, faults, liveness } of SCOPES) {
    const outcome = await checkers.run(sizes, faults, liveness === true ? 'progress' : 'explore');
    const verdict = outcome.violation ?? (outcome.complete ? 'holds' : 'not explored to its end');
    write(
      `${name.padEnd(44)} ${String(outcome.states).padStart(10)} states, ` +
        `depth ${String(outcome.depth)}: ${verdict} (${outcome.seconds.toFixed(1)} s)`,
    );
    total.states += outcome.states;
    total.depth = Math.max(total.depth, outcome.depth);
    if (outcome.violation !== null || !outcome.complete) total.violations += 1;
  }
}

async function plantRules(checkers: Checkers, total: Total): Promise<void> {
  for (const { id, scope } of PLANTED) {
    const outcome = await checkers.run(
      scope.sizes,
      scope.faults,
      scope.liveness === true ? 'progress' : 'hunt',
    );
    total.planted += 1;
    if (outcome.violation === null) total.survivors.push(id);
    else total.caught += 1;
    const caught = outcome.violation ?? 'SURVIVES';
    write(`without ${id.padEnd(24)} ${String(outcome.states).padStart(9)} states: ${caught}`);
  }
}

/** Breadth first, so the depth that is reported was finished; what a scope leaves beyond is not claimed. */
function searchCores(factor: number, total: Total): { states: number; depth: number } {
  const sum = { states: 0, depth: 0 };
  for (const { name, budget, statesMax } of CORE_SCOPES) {
    const began = performance.now();
    const found = searchCore(budget, statesMax * factor);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const end = found.exhausted ? 'to the end' : 'finished';
    write(
      `${`core: ${name}`.padEnd(44)} ${String(found.states).padStart(10)} states, ` +
        `depth ${String(found.depth)} ${end}: ${found.violation ?? 'holds'} (${seconds} s)`,
    );
    for (const line of found.story) write(`  ${line}`);
    if (found.violation !== null) total.violations += 1;
    sum.states += found.states;
    sum.depth = Math.max(sum.depth, found.depth);
  }
  total.states += sum.states;
  return sum;
}

function plantInCore(total: Total): void {
  for (const { rule, budget, statesMax } of CORE_PLANTED) {
    const found = searchCore(budget, statesMax, new Set<RuleId>([rule]));
    total.planted += 1;
    if (found.violation === null) total.survivors.push(`core:${rule}`);
    else total.caught += 1;
    const caught = found.violation ?? 'SURVIVES';
    write(`core without ${rule.padEnd(19)} ${String(found.states).padStart(9)} states: ${caught}`);
  }
}

async function explain(checkers: Checkers, rule: string): Promise<boolean> {
  const planted = PLANTED.find(({ id }) => id === rule);
  if (planted === undefined) {
    throw new Error(`no rule ${rule}; there are ${PLANTED.map(({ id }) => id).join(', ')}`);
  }
  const { sizes, faults } = planted.scope;
  for (const line of await checkers.story(sizes, faults)) write(line);
  return true;
}

function write(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  if (!(await main())) process.exitCode = 1;
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`);
  process.exitCode = 2;
}
