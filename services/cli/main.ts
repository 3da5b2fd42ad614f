#!/usr/bin/env node
/**
 * The command `meridian`. Reads the command line by the table, loads the one command that is meant, runs
 * it, and turns what it threw into a message and an exit code. Imports nothing heavy: help and
 * completion must not wait for a network library.
 */
import { chooseCommand, readValues } from './arguments.ts';
import type { Values } from './arguments.ts';
import { resolveEndpoint } from './endpoint.ts';
import { reportFailure } from './failure.ts';
import { commandHelp, overview } from './help.ts';
import { watchInterrupt } from './interrupt.ts';
import type { Interrupt } from './interrupt.ts';
import type { Invocation } from './invocation.ts';
import { Output } from './output.ts';
import type { CommandSpec } from './spec.ts';
import { GENERAL_OPTIONS, LEADING_OPTIONS, TABLE, optionsOf } from './table/table.ts';

const HELP = ['--help', '-h'];
/** The command that is run, once it is known. */
let chosen: CommandSpec | null = null;

/** What `meridian` alone, `-h`, `--version` and `instances --help`, of a group, mean. */
function aliased(argv: readonly string[]): readonly string[] {
  const [first, second = ''] = argv;
  if (first === undefined || HELP.includes(first)) return ['help', ...argv.slice(1)];
  if (first === '--version' || first === '-V') return ['version', ...argv.slice(1)];
  const isGroup = TABLE.groups.some(({ name }) => name === first);
  return isGroup && HELP.includes(second) ? ['help', first] : argv;
}

async function main(argv: readonly string[]): Promise<number> {
  const words = aliased(argv);
  const { command, words: left } = chooseCommand(TABLE, LEADING_OPTIONS, words);
  chosen = command;
  const end = left.indexOf('--');
  const own = end < 0 ? left : left.slice(0, end);
  if (own.some((word) => HELP.includes(word))) {
    process.stdout.write(commandHelp(command));
    return 0;
  }
  const values = readValues(command, optionsOf(command), left, Date.now() * 1000);
  const { run } = await command.load();
  return run(invocation(command, values));
}

function invocation(command: CommandSpec, values: Values): Invocation {
  const output = new Output({ json: wantsJson(values), quiet: values.flag('quiet') });
  let interrupt: Interrupt | null = null;
  return {
    command,
    values,
    output,
    environment: process.env,
    endpoint: () => resolveEndpoint(values, process.env, command),
    interrupted: () => {
      interrupt ??= watchInterrupt();
      const watched = interrupt;
      output.onClosed(() => {
        watched.abort();
      });
      if (output.closed) watched.abort();
      return watched.signal;
    },
  };
}

function wantsJson(values: Values): boolean {
  return (values.text('output') ?? process.env['MERIDIAN_OUTPUT']) === 'json';
}

/** Before the command line is understood, as well as it can be guessed. */
function asksForJson(argv: readonly string[]): boolean {
  const names = GENERAL_OPTIONS.filter(({ name }) => name === 'output').flatMap(
    ({ name, short }) => [`--${name}`, `-${short ?? ''}`],
  );
  const at = argv.findIndex((word) => names.includes(word));
  const said = argv.includes('--output=json') || (at >= 0 && argv[at + 1] === 'json');
  return said || (at < 0 && process.env['MERIDIAN_OUTPUT'] === 'json');
}

const argv = process.argv.slice(2);
if (argv.length === 0) process.stdout.write(overview());
else {
  main(argv).then(
    (code) => {
      // Handles of streams that were left, or standard input, must not keep the process.
      process.exit(code);
    },
    (error: unknown) => {
      process.exit(reportFailure(error, asksForJson(argv), chosen?.asks === true));
    },
  );
}
