/**
 * Many seeds, or many planted bugs, on all cores: worker threads take small pieces of work from one
 * queue, so that a slow piece keeps nobody waiting. The same file is the worker.
 */
import { availableParallelism } from 'node:os';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import type { RuleId } from '../../libs/lane/rules.ts';
import { drawOptions } from './options.ts';
import { focusOf, HARNESS_BUGS, type HarnessBug } from './planted-bugs.ts';
import { run, type RunResult } from './run.ts';
import { SYSTEM_BUGS, SYSTEM_FOCUS, type SystemBug } from './system/system-bugs.ts';
import { drawSystemOptions } from './system/system-options.ts';
import { runSystem } from './system/system-run.ts';

/** Marks the threads that are ours: a test runner has its own. */
const WORKER = 'simulation';

/** A run lives for a tenth of a second and leaves nothing: what is young need not be copied often. */
const YOUNG_MB = 128;

export type Job =
  | {
      readonly type: 'seeds';
      readonly from: number;
      readonly count: number;
      /** Of the whole system, not of one instance. */
      readonly system?: boolean;
    }
  /** Seeds until the bug is caught, or until the budget is spent. */
  | {
      readonly type: 'planted';
      readonly bug: string;
      readonly seedsMax: number;
      readonly secondsMax: number;
    };

export interface Batch {
  readonly type: 'seeds';
  readonly from: number;
  readonly results: readonly RunResult[];
}

export interface Hunt {
  readonly type: 'planted';
  readonly bug: string;
  /** Seeds run, the catching one included. */
  readonly seeds: number;
  readonly caught: RunResult | null;
  /** Seeds that fail without the bug as well: they catch nothing, and must not exist. */
  readonly controls: readonly RunResult[];
  readonly seconds: number;
}

export type Done = Batch | Hunt;

/** Runs the jobs on all cores, in order of start; `onDone` sees each as it ends. */
export async function work(jobs: readonly Job[], onDone: (done: Done) => void): Promise<void> {
  const waiting = [...jobs];
  const count = Math.min(availableParallelism(), jobs.length);
  await Promise.all(
    Array.from({ length: count }, async () => {
      const worker = new Worker(new URL(import.meta.url), {
        workerData: WORKER,
        resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB },
      });
      try {
        for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
          onDone(await ask(worker, job));
        }
      } finally {
        await worker.terminate();
      }
    }),
  );
}

function ask(worker: Worker, job: Job): Promise<Done> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('message', (done: Done) => {
      worker.off('error', reject);
      resolve(done);
    });
    worker.postMessage(job);
  });
}

export async function execute(job: Job): Promise<Done> {
  if (job.type === 'seeds') {
    const results: RunResult[] = [];
    for (let seed = job.from; seed < job.from + job.count; seed++) {
      results.push(
        job.system === true ? await runSystem(drawSystemOptions(seed)) : run(drawOptions(seed)),
      );
    }
    return { type: 'seeds', from: job.from, results };
  }
  const began = performance.now();
  let seeds = 0;
  let caught: RunResult | null = null;
  const controls: RunResult[] = [];
  while (caught === null && seeds < job.seedsMax && secondsSince(began) < job.secondsMax) {
    seeds++;
    const result = await runPlanted(job.bug, seeds, true);
    if (result.violation === null || result.violation.rule === 'invalid-run') continue;
    // The same run without the bug: only the difference is a catch.
    const control = await runPlanted(job.bug, seeds, false);
    if (control.violation === null) caught = result;
    else if (control.violation.rule !== 'invalid-run') controls.push(control);
  }
  return { type: 'planted', bug: job.bug, seeds, caught, controls, seconds: secondsSince(began) };
}

/** Where the bug is looked for, with it or without. */
async function runPlanted(id: string, seed: number, withBug: boolean): Promise<RunResult> {
  const bug = systemBug(id);
  if (bug !== null) {
    const focus = SYSTEM_FOCUS[bug] ?? {};
    return runSystem(drawSystemOptions(seed, withBug ? { bug, focus } : { focus }));
  }
  const planted = plant(id);
  return run(drawOptions(seed, withBug ? planted : { focus: planted.focus ?? {} }));
}

/** null: it is planted in one instance. */
export function systemBug(id: string): SystemBug | null {
  return SYSTEM_BUGS.find((bug) => bug.id === id)?.id ?? null;
}

/** The options that plant a bug of either list and look where it shows. */
export function plant(bug: string): NonNullable<Parameters<typeof drawOptions>[1]> {
  const focus = focusOf(bug);
  const harness = HARNESS_BUGS.find(({ id }) => id === bug);
  return harness === undefined
    ? { broken: new Set([bug as RuleId]), focus }
    : { bug: bug as HarnessBug, focus };
}

function secondsSince(began: number): number {
  return (performance.now() - began) / 1000;
}

if (workerData === WORKER) {
  parentPort?.on('message', (job: Job) => {
    void execute(job).then((done) => {
      parentPort?.postMessage(done);
    });
  });
}
