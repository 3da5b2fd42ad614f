/**
 * `npm run model`: explores the scopes of the specification with Spin and the real core breadth
 * first, each to its end, and proves that both notice a missing rule. Two searches run at a time, the
 * core's in a thread of its own. Runs of the simulation are followed in the specification, and runs with
 * a broken rule must not all be. `--explain RULE` tells the counterexample of one. Ends with one JSON
 * line, and fails on a violation, on a scope that was not visited completely, and on a planted rule
 * that survives.
 */
import { parseArgs } from 'node:util';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { RuleId } from '../../libs/lane/rules.ts';
import { at } from '../../libs/values/assert.ts';
import { searchCore } from './core-search.ts';
import { ARGUED, CORE_PLANTED, CORE_SCOPES, PLANTED, SCOPES } from './scopes.ts';
import type { Planted, Scope } from './scopes.ts';
import { Checkers, findSpin } from './spin.ts';
import { TRACES_PLANTED, TraceValidator } from './trace-validation.ts';

const USAGE = 'usage: npm run model -- [--long] [--explain RULE]';
/** Times as many states of the real core as in CI. */
const LONG = 10;
/** Runs of the simulation that are followed, each with its three lanes. */
const TRACED_SEEDS = 6;

/** Searches at a time: one keeps one processor busy. */
const HANDS = 2;

interface Total {
  states: number;
  depth: number;
  violations: number;
  planted: number;
  caught: number;
  survivors: string[];
}

interface CoreTotal extends Total {
  coreStates: number;
  coreDepth: number;
}

function nothing(): Total {
  return { states: 0, depth: 0, violations: 0, planted: 0, caught: 0, survivors: [] };
}

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: { explain: { type: 'string' }, long: { type: 'boolean', default: false } },
  });
  const began = performance.now();
  const total = nothing();
  const checkers = new Checkers(findSpin());
  const validator = new TraceValidator(checkers);
  const cores: CoreTotal[] = [];
  try {
    if (values.explain !== undefined) return await explain(checkers, values.explain);
    const jobs: (() => Promise<void>)[] = [
      async () => {
        cores.push(await searchCoresAside(values.long ? LONG : 1));
      },
      ...SCOPES.filter(({ long }) => values.long || long !== true).map(
        (scope) => () => exploreScope(checkers, scope, total),
      ),
      () => followTraces(validator, TRACED_SEEDS * (values.long ? LONG : 1), total),
      ...PLANTED.map((planted) => () => plantRule(checkers, planted, total)),
    ];
    const hand = async (): Promise<void> => {
      for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
    };
    await Promise.all(Array.from({ length: HANDS }, hand));
  } finally {
    validator.end();
    checkers.end();
  }
  const found = add(total, at(cores, 0));
  const wallSeconds = Math.round((performance.now() - began) / 100) / 10;
  write(JSON.stringify({ ...found, argued: ARGUED, wallSeconds }));
  return found.violations === 0 && found.survivors.length === 0;
}

function add(total: Total, core: CoreTotal): CoreTotal {
  return {
    ...core,
    states: total.states + core.states,
    depth: Math.max(total.depth, core.depth),
    violations: total.violations + core.violations,
    planted: total.planted + core.planted,
    caught: total.caught + core.caught,
    survivors: [...total.survivors, ...core.survivors],
  };
}

async function exploreScope(checkers: Checkers, scope: Scope, total: Total): Promise<void> {
  const { name, sizes, faults, liveness } = scope;
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

/** What the real core did must be what the specification allows; with a rule broken, not always. */
async function followTraces(validator: TraceValidator, seeds: number, total: Total): Promise<void> {
  const began = performance.now();
  let events = 0;
  for (let seed = 1; seed <= seeds; seed += 1) {
    for (const judged of await validator.validate(seed)) {
      events += judged.events;
      if (judged.why === null) continue;
      total.violations += 1;
      write(`trace of seed ${String(seed)}, lane ${String(judged.lane)}: ${judged.why}`);
    }
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  write(`${String(3 * seeds)} traces of the simulation, ${String(events)} events (${seconds} s)`);
  for (const { rule, seedsMax } of TRACES_PLANTED) {
    let caught: string | null = null;
    for (let seed = 1; seed <= seedsMax && caught === null; seed += 1) {
      const judged = await validator.validate(seed, [rule]);
      caught = judged.find(({ why }) => why !== null)?.why ?? null;
    }
    total.planted += 1;
    if (caught === null) total.survivors.push(`trace:${rule}`);
    else total.caught += 1;
    write(`traces without ${rule.padEnd(18)}: ${caught ?? 'SURVIVES'}`);
  }
}

async function plantRule(checkers: Checkers, { id, scope }: Planted, total: Total): Promise<void> {
  const search = scope.liveness === true ? 'progress' : 'hunt';
  const outcome = await checkers.run(scope.sizes, scope.faults, search);
  total.planted += 1;
  if (outcome.violation === null) total.survivors.push(id);
  else total.caught += 1;
  const caught = outcome.violation ?? 'SURVIVES';
  write(`without ${id.padEnd(24)} ${String(outcome.states).padStart(9)} states: ${caught}`);
}

/** In a thread of its own; what it finds is written as it comes. */
function searchCoresAside(factor: number): Promise<CoreTotal> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { factor } });
    worker.on('message', (message: string | CoreTotal) => {
      if (typeof message === 'string') write(message);
      else resolve(message);
    });
    worker.on('error', reject);
    worker.on('exit', () => {
      reject(new Error('the search of the core ended without a result'));
    });
  });
}

/** Breadth first, so the depth that is reported was finished; what a scope leaves beyond is not claimed. */
function searchCores(factor: number, say: (line: string) => void): CoreTotal {
  const total = { ...nothing(), coreStates: 0, coreDepth: 0 };
  for (const { name, budget, statesMax } of CORE_SCOPES) {
    const began = performance.now();
    const found = searchCore(budget, statesMax * factor);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const end = found.exhausted ? 'to the end' : 'finished';
    say(
      `${`core: ${name}`.padEnd(44)} ${String(found.states).padStart(10)} states, ` +
        `depth ${String(found.depth)} ${end}: ${found.violation ?? 'holds'} (${seconds} s)`,
    );
    for (const line of found.story) say(`  ${line}`);
    if (found.violation !== null) total.violations += 1;
    total.coreStates += found.states;
    total.coreDepth = Math.max(total.coreDepth, found.depth);
  }
  total.states = total.coreStates;
  for (const { rule, budget, statesMax } of CORE_PLANTED) {
    const found = searchCore(budget, statesMax, new Set<RuleId>([rule]));
    total.planted += 1;
    if (found.violation === null) total.survivors.push(`core:${rule}`);
    else total.caught += 1;
    const caught = found.violation ?? 'SURVIVES';
    say(`core without ${rule.padEnd(19)} ${String(found.states).padStart(9)} states: ${caught}`);
  }
  return total;
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

if (isMainThread) {
  try {
    if (!(await main())) process.exitCode = 1;
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${USAGE}\n`);
    process.exitCode = 2;
  }
} else {
  const { factor } = workerData as { factor: number };
  parentPort?.postMessage(
    searchCores(factor, (line) => {
      parentPort?.postMessage(line);
    }),
  );
}
