/** All scenarios, in the order in which `all` runs them: those of one kind of cluster after one another. */
import { MeridianError } from '../../libs/errors/errors.ts';
import { databaseScenarios } from './database-scenarios.ts';
import { diskScenarios } from './disk-scenarios.ts';
import { mergedScenarios } from './merged-scenarios.ts';
import { netScenarios } from './net-scenarios.ts';
import { processScenarios } from './process-scenarios.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [
  ...netScenarios,
  ...processScenarios,
  ...diskScenarios,
  ...mergedScenarios,
  ...databaseScenarios,
];

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
