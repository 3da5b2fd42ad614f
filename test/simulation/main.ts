/**
 * `npm run sim -- --seeds N [--from S]`: runs seeds and reports violations; `--trace SEED` prints
 * one run; `--shrink SEED` makes a failing one small; `--planted` proves that the checkers notice broken rules. Each ends with one JSON line,
 * and fails on a violation, or on a planted bug that survives without an argument in SPEC.md.
 */
import { parseArgs } from 'node:util';
import { RULES } from '../../libs/lane/rules.ts';
import { work, type Batch, type Hunt, type Job } from './campaign.ts';
import { ARGUED, HARNESS_BUGS } from './planted-bugs.ts';
import { uncovered } from './coverage.ts';
import { shrink } from './shrink.ts';
import { ONE_INSTANCE, SYSTEM, type Subject } from './subjects.ts';
import { SYSTEM_BUGS } from './system/system-bugs.ts';

const USAGE =
  'usage: npm run sim -- [--system] [--seeds N] [--from S] | ' +
  '--trace SEED [--bug ID] [--control] [--strikes N,N] [--without NAME,NAME] | ' +
  '--shrink SEED [--bug ID] | ' +
  '--planted [--only ID,ID] [--budget SECONDS]';
const JOB_SEEDS = 10;
const PLANTED_SEEDS_MAX = 4_000;
const FAILING_SHOWN_MAX = 5;
/** So many seeds have every fault there is. */
const COVERING_SEEDS = { one: 40, system: 26 } as const;

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
      system: { type: 'boolean', default: false },
      only: { type: 'string' },
      budget: { type: 'string', default: '60' },
    },
  });
  const { bug, control } = values;
  if (values.planted) return huntAll(values.only?.split(','), natural(values.budget));
  if (values.trace === undefined && values.shrink === undefined) {
    return runSeeds(natural(values.from), natural(values.seeds), values.system);
  }
  const asked = { trace: values.trace, shrink: values.shrink, bug, control };
  const how = { ...asked, strikes: values.strikes, without: values.without };
  return values.system ? look(SYSTEM, how) : look(ONE_INSTANCE, how);
}

interface Look {
  readonly trace: string | undefined;
  readonly shrink: string | undefined;
  readonly bug: string | undefined;
  readonly control: boolean;
  readonly strikes: string | undefined;
  readonly without: string | undefined;
}

/** At one seed. */
async function look<Options>(subject: Subject<Options>, how: Look): Promise<boolean> {
  const { bug, control } = how;
  if (how.trace !== undefined) {
    return printRun(subject, subject.draw(natural(how.trace), bug, control), how);
  }
  return shrinkRun(subject, natural(how.shrink ?? ''), bug);
}

/** With `control`, the run in which a planted bug would be looked for, without it. */
async function printRun<Options>(
  subject: Subject<Options>,
  drawn: Options,
  given: Look,
): Promise<boolean> {
  const without = given.without?.split(',') ?? [];
  const unknown = without.find((name) => !subject.easings.includes(name));
  if (unknown !== undefined) {
    throw new Error(`nothing is called ${unknown}; there are ${subject.easings.join(', ')}`);
  }
  const numbers = given.strikes?.split(',').filter((text) => text !== '');
  const strikes = numbers === undefined ? null : new Set(numbers.map(natural));
  const options = subject.struck(subject.eased(drawn, without), strikes);
  write(describe(options));
  const result = await subject.run(options, write);
  write(JSON.stringify(result));
  return result.violation === null;
}

async function shrinkRun<Options>(
  subject: Subject<Options>,
  seed: number,
  bug: string | undefined,
): Promise<boolean> {
  const shrunk = await shrink(subject.draw(seed, bug), subject);
  if (shrunk === null) {
    write(`seed ${seed} breaks nothing`);
    return true;
  }
  const { result, strikes, without, runs } = shrunk;
  const rule = result.violation?.rule;
  write(`${rule}: ${result.violation?.message}`);
  const planted = `${subject.flag}${bug === undefined ? '' : ` --bug ${bug}`}`;
  const easier = without.length === 0 ? '' : ` --without ${without.join(',')}`;
  write(`replay: npm run sim -- --trace ${seed}${planted} --strikes=${strikes.join(',')}${easier}`);
  const { simulatedSeconds } = result;
  write(JSON.stringify({ seed, rule, strikes, without, runs, simulatedSeconds }));
  return false;
}

async function runSeeds(from: number, seeds: number, system: boolean): Promise<boolean> {
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
  const counts: Record<string, number> = {};
  const failing: { seed: number; rule: string }[] = [];
  let finished = 0;
  let reported = 0;
  const jobs: Job[] = [];
  const jobSeeds = system ? 2 : JOB_SEEDS;
  for (let seed = from; seed < from + seeds; seed += jobSeeds) {
    const count = Math.min(jobSeeds, from + seeds - seed);
    jobs.push({ type: 'seeds', from: seed, count, system });
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
      for (const [what, count] of Object.entries(result.counts)) {
        counts[what] = (counts[what] ?? 0) + count;
      }
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
  const { user, system: kernel } = process.cpuUsage();
  for (const { seed } of failing.slice(0, FAILING_SHOWN_MAX)) {
    write(`replay: npm run sim -- --trace ${seed}${system ? SYSTEM.flag : ''}`);
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
      perProcessorSecond: Math.round((total.seconds * 1e6) / (user + kernel)),
      steps: total.steps,
      counts,
    }),
  );
  const covering = system ? COVERING_SEEDS.system : COVERING_SEEDS.one;
  const missing = seeds < covering ? [] : uncovered(counts, system);
  for (const row of missing) write(`no seed had ${row}`);
  return failing.length === 0 && missing.length === 0;
}

async function huntAll(only: readonly string[] | undefined, secondsMax: number): Promise<boolean> {
  const began = performance.now();
  const bugs = [...RULES, ...HARNESS_BUGS, ...SYSTEM_BUGS].filter(
    ({ id }) => only?.includes(id) ?? true,
  );
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

function describe(options: unknown): string {
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
