/**
 * One scenario on one cluster: traffic, the schedule, healing, reading back, judgement. Whatever goes wrong
 * becomes part of the verdict; only a failure of the harness itself is thrown.
 */
import { join } from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { REGIONS } from '../cluster/wide-area.ts';
import { pause } from '../faults/fault.ts';
import { readHistory } from '../model/history.ts';
import type { History } from '../model/history.ts';
import { Recorder } from '../model/recorder.ts';
import type { Verdict } from '../model/verdict.ts';
import { isLegal } from '../model/verdict.ts';
import { Random } from '../random.ts';
import { fleet, FLEET } from '../traffic/fleet.ts';
import type { Traffic, Workload } from '../traffic/workload.ts';
import { demandEnough, demandGaps, demandHealed, demandMostSucceed } from './demands.ts';
import { unexpectedEnds, untilEqual, untilWell } from './healing.ts';
import type { Scenario } from './scenario.ts';
import { Stage } from './stage.ts';

export interface RunOptions {
  readonly seed: number;
  /** The schedule is repeated until so much time has passed; 0: once. */
  readonly minutes: number;
  /** Of this run; the history is written there. */
  readonly directory: string;
  /** No other run on this cluster has it. */
  readonly number: number;
  readonly onEvent: (text: string) => void;
}

export interface ScenarioRun {
  readonly scenario: Scenario;
  readonly history: History;
  readonly verdicts: readonly Verdict[];
  readonly passed: boolean;
  /** Operations that succeeded. */
  readonly operations: number;
  readonly seconds: number;
}

/** Traffic alone, before the first fault and after the last. */
const CALM_MS = 700;
const HEAL_MS = 60_000;
const FLEET_RATES = { appendsPerSecond: 60, readsPerSecond: 20, orderedShare: 1 / 4 };

export function commandOf(scenario: string, seed: number, minutes: number): string {
  const length = minutes === 0 ? '' : ` --minutes ${String(minutes)}`;
  return `npm run chaos -- ${scenario}${length} --seed ${String(seed)}`;
}

export async function runScenario(
  scenario: Scenario,
  cluster: Cluster,
  options: RunOptions,
): Promise<ScenarioRun> {
  const began = performance.now();
  const { seed, minutes, onEvent } = options;
  const random = new Random(seed).fork(scenario.name);
  const path = join(options.directory, 'history.jsonl');
  const command = commandOf(scenario.name, seed, minutes);
  const record = new Recorder({ path, scenario: scenario.name, seed, regions: REGIONS, command });
  const stage = new Stage({ cluster, record, random, onEvent });
  const workloads = [fleet(FLEET_RATES), ...scenario.workloads];
  const traffic: Traffic = {
    endpoints: cluster.endpoints(),
    run: `${scenario.name.replaceAll('/', '-')}-${String(options.number)}`,
    seed: random.fork('workloads').integer(0, 2 ** 31),
    record,
  };
  await act(stage, workloads, traffic, () => follow(scenario, stage, minutes));
  record.close();
  const history = await readHistory(path);
  const verdicts = [
    ...workloads.flatMap((workload) =>
      workload.judge(history).map((verdict) => ({ ...verdict, workload: workload.name })),
    ),
    demandEnough(history, scenario.operationsMin),
    demandMostSucceed(history),
    demandGaps(history, stage.gapDemands, ({ workload }) => workload === FLEET),
    demandHealed(stage.failures, cluster.parts().length),
  ];
  return {
    scenario,
    history,
    verdicts,
    passed: verdicts.every(isLegal),
    operations: history.operations.filter(({ outcome }) => outcome.kind === 'ok').length,
    seconds: (performance.now() - began) / 1000,
  };
}

/** Until it has been followed once, and the time is up. */
async function follow(scenario: Scenario, stage: Stage, minutes: number): Promise<void> {
  const endsAt = performance.now() + minutes * 60_000;
  do {
    await scenario.schedule(stage);
    await stage.healAll();
    if (performance.now() < endsAt) await stage.pause(CALM_MS);
  } while (performance.now() < endsAt);
}

/** Traffic around the schedule, then healing, then what the workloads read back. */
async function act(
  stage: Stage,
  workloads: readonly Workload[],
  traffic: Traffic,
  schedule: () => Promise<void>,
): Promise<void> {
  const { cluster, failures } = stage;
  const over = new AbortController();
  const running = workloads.map((workload) =>
    workload.run(traffic, over.signal).catch((error: unknown) => {
      failures.push(`workload ${workload.name} gave up: ${wordsOf(error)}`);
    }),
  );
  await pause(CALM_MS);
  await noting(failures, 'the schedule', schedule);
  await noting(failures, 'healing', () => stage.healAll());
  await noting(failures, 'healing', async () => {
    failures.push(...(await unexpectedEnds(cluster)));
  });
  const unwell = await untilWell(cluster, HEAL_MS);
  if (unwell !== null) failures.push(`not healed after ${String(HEAL_MS)} ms: ${unwell}`);
  await stage.settle();
  await pause(CALM_MS);
  over.abort();
  await Promise.all(running);
  const unequal = await untilEqual(cluster, HEAL_MS);
  if (unequal !== null) failures.push(unequal);
  for (const workload of workloads) {
    await noting(failures, `reading back ${workload.name}`, () => workload.finish(traffic));
  }
}

async function noting(failures: string[], what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    failures.push(`${what} failed: ${wordsOf(error)}`);
  }
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
