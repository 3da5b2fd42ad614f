/** `npm run chaos`: chooses scenarios, runs them, ends with one line of JSON and one of counts. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { MeridianError } from '../libs/errors/errors.ts';
import { parseOptions, USAGE } from './options.ts';
import type { Options } from './options.ts';
import { SCENARIOS, scenariosNamed } from './scenarios/catalogue.ts';
import { runSuite } from './suite.ts';

const EXIT_USAGE = 2;

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function list(): void {
  for (const { name, about, rows } of SCENARIOS) {
    print(`${name.padEnd(24)} ${about} (${rows.join(', ')})`);
  }
}

async function run(options: Options): Promise<boolean> {
  const began = performance.now();
  const scenarios = scenariosNamed(options.names);
  const seed = options.seed ?? Date.now() % 1_000_000;
  const directory = resolve(options.directory ?? mkdtempSync(join(tmpdir(), 'meridian-chaos-')));
  print(`seed ${String(seed)}, reports in ${directory}`);
  const result = await runSuite({
    scenarios,
    seed,
    minutes: options.minutes,
    directory,
    print,
    onEvent: (text) => {
      if (options.verbose) print(`        ${text}`);
    },
  });
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  print(JSON.stringify({ chaos: scenarios.length, ...result, seconds, seed, directory }));
  print(`${String(result.passed)} passed, ${String(result.failed)} failed`);
  return result.failed === 0;
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options.mode === 'help') print(USAGE);
  else if (options.mode === 'list') list();
  else process.exitCode = (await run(options)) ? 0 : 1;
} catch (error) {
  if (!(error instanceof MeridianError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exitCode = EXIT_USAGE;
}
