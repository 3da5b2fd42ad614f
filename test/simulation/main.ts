/**
 * `npm run sim -- --seeds N [--from S]`: runs seeds and reports violations; `--trace SEED` prints
 * one run; `--shrink SEED` makes a failing one small; `--planted` proves that the checkers notice broken rules. Each ends with one JSON line,
 * and fails on a violation, or on a planted bug that survives without an argument in SPEC.md.
 */
import { parseArgs } from 'node:util';
import { RULES } from '../../libs/lane/rules.ts';
import { plant, work, type Batch, type Hunt, type Job } from './campaign.ts';
import { drawOptions } from './options.ts';
import { ARGUED, HARNESS_BUGS } from './planted-bugs.ts';
import { run } from './run.ts';
import { eased, EASINGS, shrink } from './shrink.ts';

const USAGE =
  'usage: npm run sim -- [--seeds N] [--from S] | ' +
  '--trace SEED [--bug ID] [--control] [--strikes N,N] [--without NAME,NAME] | ' +
  '--shrink SEED [--bug ID] | ' +
  '--planted [--only ID,ID] [--budget SECONDS]';
const JOB_SEEDS = 10;
const PLANTED_SEEDS_MAX = 4_000;
const FAILING_SHOWN_MAX = 5;

async function main(): Promise<boolean> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '2000' },
      from: { type: 'string', default: '1' },
      trace: { type: 'string' },
      shrink: { type: 'string' },
      strikes: { type: 'string' },
      without: { type: 'string' },
      bug: { type: 'string' },
      control: { type: 'boolean', default: false },
      planted: { type: 'boolean', default: false },
      only: { type: 'string' },
      budget: { type: 'string', default: '60' },
    },
  });
  if (values.trace !== undefined) {
    const { bug, control, strikes, without } = values;
    return printRun(natural(values.trace), { bug, control, strikes, without });
  }
  if (values.shrink !== undefined) return shrinkRun(natural(values.shrink), values.bug);
  if (values.planted) return huntAll(values.only?.split(','), natural(values.budget));
  return runSeeds(natural(values.from), natural(values.seeds));
}

/** With `control`, the run in which a planted bug would be looked for, without it. */
function printRun(
  seed: number,
  given: {
    readonly bug: string | undefined;
    readonly control: boolean;
    readonly strikes: string | undefined;
    readonly without: string | undefined;
  },
): boolean {
  const planted = given.bug === undefined ? {} : plant(given.bug);
  const drawn = drawOptions(seed, given.control ? { focus: planted.focus ?? {} } : planted);
  const without = given.without?.split(',') ?? [];
  const unknown = without.find((name) => !(name in EASINGS));
  if (unknown !== undefined) {
    throw new Error(`nothing is called ${unknown}; there are ${Object.keys(EASINGS).join(', ')}`);
  }
  const numbers = given.strikes?.split(',').filter((text) => text !== '');
  const strikes = numbers === undefined ? null : new Set(numbers.map(natural));
  const options = { ...eased(drawn, without), strikes };
  write(describe(options));
  const result = run(options, { print: write });
  write(JSON.stringify(result));
  return result.violation === null;
}

function shrinkRun(seed: number, bug: string | undefined): boolean {
  const shrunk = shrink(drawOptions(seed, bug === undefined ? {} : plant(bug)));
  if (shrunk === null) {
    write(`seed ${seed} breaks nothing`);
    return true;
  }
  const { result, strikes, without, runs } = shrunk;
  write(`${result.violation?.rule}: ${result.violation?.message}`);
  const planted = bug === undefined ? '' : ` --bug ${bug}`;
  const easier = without.length === 0 ? '' : ` --without ${without.join(',')}`;
  write(`replay: npm run sim -- --trace ${seed}${planted} --strikes=${strikes.join(',')}${easier}`);
  const { simulatedSeconds } = result;
  write(
    JSON.stringify({
      seed,
      rule: result.violation?.rule,
      strikes,
      without,
      runs,
      simulatedSeconds,
    }),
  );
  return false;
}

async function runSeeds(from: number, seeds: number): Promise<boolean> {
  const began = performance.now();
  const total = {
    operations: 0,
    appends: 0,
    ok: 0,
    indefinite: 0,
    failed: 0,
    seconds: 0,
    steps: 0,
  };
  const failing: { seed: number; rule: string }[] = [];
  let finished = 0;
  let reported = 0;
  const jobs: Job[] = [];
  for (let seed = from; seed < from + seeds; seed += JOB_SEEDS) {
    jobs.push({ type: 'seeds', from: seed, count: Math.min(JOB_SEEDS, from + seeds - seed) });
  }
  await work(jobs, (done) => {
    for (const result of (done as Batch).results) {
      finished++;
      const { accounts, violation } = result;
      total.operations += accounts.appends + accounts.reads;
      total.appends += accounts.appends;
      total.ok += accounts.ok;
      total.failed += accounts.failed;
      total.indefinite += accounts.indefinite;
      total.seconds += result.simulatedSeconds;
      total.steps += result.steps;
      if (violation === null) continue;
      failing.push({ seed: result.seed, rule: violation.rule });
      if (failing.length <= FAILING_SHOWN_MAX) {
        write(`seed ${result.seed}: ${violation.rule}: ${violation.message}`);
      }
    }
    const tenths = Math.floor((10 * finished) / seeds);
    if (tenths === reported) return;
    reported = tenths;
    write(`${finished} of ${seeds} seeds, ${failing.length} violations, ${elapsed(began)} s`);
  });
  failing.sort((a, b) => a.seed - b.seed);
  const wallSeconds = Number(elapsed(began));
  for (const { seed } of failing.slice(0, FAILING_SHOWN_MAX)) {
    write(`replay: npm run sim -- --trace ${seed}`);
  }
  write(
    JSON.stringify({
      seeds,
      from,
      violations: failing.length,
      failingSeeds: failing.slice(0, 50),
      clientOperations: total.operations,
      okShare: share(total.ok, total.appends),
      failedShare: share(total.failed, total.appends),
      indefiniteShare: share(total.indefinite, total.appends),
      simulatedSeconds: Math.round(total.seconds),
      wallSeconds,
      speedup: Math.round(total.seconds / wallSeconds),
      steps: total.steps,
    }),
  );
  return failing.length === 0;
}

async function huntAll(only: readonly string[] | undefined, secondsMax: number): Promise<boolean> {
  const began = performance.now();
  const bugs = [...RULES, ...HARNESS_BUGS].filter(({ id }) => only?.includes(id) ?? true);
  const hunts: Hunt[] = [];
  await work(
    bugs.map(({ id }) => {
      return { type: 'planted', bug: id, seedsMax: PLANTED_SEEDS_MAX, secondsMax };
    }),
    (done) => {
      hunts.push(done as Hunt);
      const hunt = done as Hunt;
      write(`${hunts.length} of ${bugs.length}: ${line(hunt)}`);
      for (const { seed, violation } of hunt.controls) {
        write(`  seed ${seed} fails without the bug: ${violation?.rule}: ${violation?.message}`);
      }
    },
  );
  write('');
  write(`${'planted bug'.padEnd(26)} ${'seeds'.padStart(6)}  caught as`);
  for (const { id } of bugs) {
    const hunt = hunts.find(({ bug }) => bug === id);
    if (hunt !== undefined) write(line(hunt));
  }
  const survivors = hunts.filter(({ bug, caught }) => caught === null && !(bug in ARGUED));
  const controls = hunts.flatMap((hunt) => hunt.controls.map(({ seed }) => `${hunt.bug}:${seed}`));
  const seeds = hunts.filter(({ caught }) => caught !== null).map((hunt) => hunt.seeds);
  seeds.sort((a, b) => a - b);
  write(
    JSON.stringify({
      planted: hunts.length,
      caught: seeds.length,
      argued: hunts.filter(({ bug, caught }) => caught === null && bug in ARGUED).length,
      survivors: survivors.map(({ bug }) => bug),
      /** Runs that fail with nothing planted: violations of the real thing. */
      violations: controls,
      medianSeeds: seeds[Math.floor(seeds.length / 2)] ?? null,
      wallSeconds: Number(elapsed(began)),
    }),
  );
  return survivors.length === 0 && controls.length === 0;
}

function line({ bug, seeds, caught }: Hunt): string {
  const argued = ARGUED[bug];
  const outcome =
    caught?.violation?.rule ?? (argued === undefined ? 'SURVIVES' : `survives: ${argued}`);
  return `${bug.padEnd(26)} ${String(seeds).padStart(6)}  ${outcome}`;
}

function describe(options: ReturnType<typeof drawOptions>): string {
  return JSON.stringify(
    options,
    (_key, value: unknown) => (value instanceof Set ? [...(value as Set<string>)] : value),
    2,
  );
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((10_000 * part) / whole) / 10_000;
}

function elapsed(began: number): string {
  return ((performance.now() - began) / 1000).toFixed(1);
}

function natural(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 0) throw new Error(`${text} is no number\n${USAGE}`);
  return value;
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
