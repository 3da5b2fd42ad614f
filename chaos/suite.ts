/**
 * Several scenarios one after another. Scenarios that need the same kind of cluster share one, as long as
 * each leaves it well: after a failure, and around those that say `fresh`, there is a new one. Owns
 * clusters, the Toxiproxy server, directories, and what is printed per run.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cluster } from './cluster/cluster.ts';
import { ToxiproxyServer } from './cluster/toxiproxy-server.ts';
import { WIDE_AREAS } from './cluster/wide-area.ts';
import { isLegal } from './model/verdict.ts';
import { reportHtml } from './report/report.ts';
import { commandOf, runScenario } from './scenarios/run-scenario.ts';
import type { ScenarioRun } from './scenarios/run-scenario.ts';
import type { Scenario } from './scenarios/scenario.ts';

export interface SuiteOptions {
  readonly scenarios: readonly Scenario[];
  readonly seed: number;
  readonly minutes: number;
  readonly directory: string;
  readonly print: (line: string) => void;
  readonly onEvent: (text: string) => void;
}

export interface SuiteResult {
  readonly passed: number;
  readonly failed: number;
  readonly operations: number;
  readonly toxiproxy: string;
}

/** Links of a single machine's clusters share it with others' processes: false seals prove nothing. */
const TIMINGS = { sealTimeoutMs: 1_000 };

export async function runSuite(options: SuiteOptions): Promise<SuiteResult> {
  const { directory, print, onEvent } = options;
  mkdirSync(directory, { recursive: true });
  const server = await ToxiproxyServer.open(directory, onEvent);
  const clusters = new Clusters(server, directory);
  const result = { passed: 0, failed: 0, operations: 0, toxiproxy: server.version };
  try {
    for (const [i, scenario] of options.scenarios.entries()) {
      const outcome = await runOne(scenario, i, clusters, options);
      result.operations += outcome.operations;
      if (outcome.passed) result.passed += 1;
      else result.failed += 1;
      print(outcome.line);
    }
  } finally {
    await clusters.close();
    await server.close();
  }
  return result;
}

interface Outcome {
  readonly passed: boolean;
  readonly operations: number;
  readonly line: string;
}

async function runOne(
  scenario: Scenario,
  number: number,
  clusters: Clusters,
  { seed, minutes, directory, onEvent }: SuiteOptions,
): Promise<Outcome> {
  const own = join(directory, scenario.name.replaceAll('/', '-'));
  mkdirSync(own, { recursive: true });
  try {
    const cluster = await clusters.of(scenario);
    const run = await runScenario(scenario, cluster, {
      seed,
      minutes,
      directory: own,
      number,
      onEvent,
    });
    const { history, verdicts } = run;
    const { about } = scenario;
    const report = join(own, 'report.html');
    const historyFile = 'history.jsonl';
    writeFileSync(report, reportHtml({ history, verdicts, about, historyFile }));
    if (!run.passed || scenario.fresh === true) await clusters.drop(run.passed);
    return { passed: run.passed, operations: run.operations, line: lineOf(run, report) };
  } catch (error) {
    await clusters.drop(false);
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const again = commandOf(scenario.name, seed, minutes);
    return {
      passed: false,
      operations: 0,
      line: `FAILED  ${scenario.name}: ${why}\n        again: ${again}`,
    };
  }
}

/** One line when all is well; else what is wrong, and how to see it again. */
function lineOf({ scenario, history, verdicts, ...run }: ScenarioRun, report: string): string {
  const { seconds, operations } = run;
  const figures = `${String(operations)} operations, ${seconds.toFixed(1)} s`;
  const head = `${run.passed ? 'ok     ' : 'FAILED '} ${scenario.name}  ${figures}  ${report}`;
  if (run.passed) return head;
  const anomalies = verdicts
    .filter((verdict) => !isLegal(verdict))
    .flatMap(({ checker, anomalies, anomalyCount }) => [
      `        ${checker}: ${String(anomalyCount)}`,
      ...anomalies.slice(0, 5).map(({ what }) => `          ${what}`),
    ]);
  return [head, ...anomalies, `        again: ${history.header.command}`].join('\n');
}

/** At most one cluster at a time. */
class Clusters {
  readonly #server: ToxiproxyServer;
  readonly #directory: string;
  #current: Cluster | null = null;
  #area = '';
  #count = 0;

  constructor(server: ToxiproxyServer, directory: string) {
    this.#server = server;
    this.#directory = directory;
  }

  async of({ size, area = WIDE_AREAS.europe, fresh }: Scenario): Promise<Cluster> {
    const fits = this.#current?.size === size && this.#area === area.name && fresh !== true;
    if (this.#current !== null && fits) return this.#current;
    await this.drop(true);
    this.#count += 1;
    const name = `cluster-${String(this.#count)}`;
    this.#area = area.name;
    this.#current = await Cluster.start({
      directory: join(this.#directory, name),
      name: `${name}-${String(process.pid)}`,
      size,
      server: this.#server,
      area,
      timings: TIMINGS,
    });
    return this.#current;
  }

  /** `clean`: nothing of it is worth keeping; else its logs and data stay for whoever looks. */
  async drop(clean: boolean): Promise<void> {
    const cluster = this.#current;
    if (cluster === null) return;
    this.#current = null;
    await cluster.stop();
    if (clean) rmSync(cluster.directory, { recursive: true, force: true });
  }

  close(): Promise<void> {
    return this.drop(true);
  }
}
