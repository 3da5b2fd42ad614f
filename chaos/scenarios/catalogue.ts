/** All scenarios, in the order in which `all` runs them: those of one kind of cluster after one another. */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Size } from '../cluster/layout.ts';
import { bank } from '../traffic/workloads/bank.ts';
import { lists, sets } from '../traffic/workloads/collections.ts';
import { conditional } from '../traffic/workloads/conditional.ts';
import { leases } from '../traffic/workloads/leases.ts';
import { registers } from '../traffic/workloads/registers.ts';
import { totalOrder } from '../traffic/workloads/total-order.ts';
import { writers } from '../traffic/workloads/writers.ts';
import type { Workload } from '../traffic/workload.ts';
import { databaseScenarios } from './database-scenarios.ts';
import { diskScenarios } from './disk-scenarios.ts';
import { mergedScenarios } from './merged-scenarios.ts';
import { netScenarios } from './net-scenarios.ts';
import { processScenarios } from './process-scenarios.ts';
import type { Plan, Scenario } from './scenario.ts';

const PLANS: readonly Plan[] = [
  ...netScenarios,
  ...processScenarios,
  ...diskScenarios,
  ...mergedScenarios,
  ...databaseScenarios,
];

const STREAM_WORKLOADS = [registers, conditional, sets, leases, lists, writers];

/** Two in turn, so that over a set each meets every kind of fault, and a run stays readable. */
function workloadsFor(size: Size, number: number): readonly Workload[] {
  if (size === 'database') return [bank];
  const inTurn = (i: number): Workload =>
    STREAM_WORKLOADS[i % STREAM_WORKLOADS.length] ?? registers;
  if (size === 'merged') return [totalOrder, inTurn(number)];
  return [inTurn(number), inTurn(number + 3)];
}

export const SCENARIOS: readonly Scenario[] = PLANS.map((plan, number) => ({
  ...plan,
  workloads: workloadsFor(plan.size, number),
}));

/** By whole name, by the folder it begins with, or `all`. INVALID when a name fits none. */
export function scenariosNamed(names: readonly string[]): Scenario[] {
  const chosen = new Set<Scenario>();
  for (const name of names) {
    const fitting = SCENARIOS.filter(
      (scenario) =>
        name === 'all' || scenario.name === name || scenario.name.startsWith(`${name}/`),
    );
    if (fitting.length === 0) {
      const known = SCENARIOS.map((scenario) => scenario.name).join(', ');
      throw new MeridianError('INVALID', `no scenario is called ${name}; there are: ${known}`);
    }
    for (const scenario of fitting) chosen.add(scenario);
  }
  return SCENARIOS.filter((scenario) => chosen.has(scenario));
}
