/** `npm run chaos`: chooses scenarios, runs them, ends with one line of JSON and one of counts. */
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { MeridianError } from '../libs/errors/errors.ts';
import { availability } from './availability-command.ts';
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
  const seed = options.seed ?? Date.now() % 1_000_000;
  const directory = resolve(options.directory ?? mkdtempSync(join(tmpdir(), 'meridian-chaos-')));
  const onEvent = (text: string): void => {
    if (options.verbose) print(`        ${text}`);
  };
  const own = { seed, directory, print, onEvent };
  const scenarios = options.mode === 'run' ? scenariosNamed(options.names) : [];
  print(`seed ${String(seed)}, reports in ${directory}`);
  const result =
    options.mode === 'availability'
      ? await availability(own)
      : await runSuite({ ...own, scenarios, minutes: options.minutes });
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  const chaos = options.mode === 'availability' ? 'availability' : scenarios.length;
  print(JSON.stringify({ chaos, ...result, seconds, seed, directory }));
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
