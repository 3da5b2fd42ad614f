/** The command line of `npm run chaos`. */
import { parseArgs } from 'node:util';
import { MeridianError } from '../libs/errors/errors.ts';

export interface Options {
  readonly mode: 'run' | 'list' | 'availability' | 'help';
  /** Names of scenarios, or beginnings of names; `all`. */
  readonly names: readonly string[];
  /** null: one that the clock gives. */
  readonly seed: number | null;
  /** How long each schedule is repeated; 0: once. */
  readonly minutes: number;
  /** Where reports go; null: a new temporary directory. */
  readonly directory: string | null;
  /** Tell every fault as it comes and goes. */
  readonly verbose: boolean;
}

export const USAGE = `Usage: npm run chaos -- <scenario>... | all | availability | --list

Runs clusters of real processes whose every link passes through Toxiproxy, breaks them, and judges what
clients saw. Each run writes a report and its history into a directory that it prints.

  --list               name the scenarios
  --minutes <m>        repeat each scenario's schedule for so long (default: once)
  --seed <s>           choices of an earlier run, which printed its seed
  --directory <path>   where reports go (default: a new temporary directory)
  --verbose            tell every fault as it comes and goes
  --help               this text

A scenario is named whole (net/isolate-one) or by its beginning (net). Toxiproxy is the server that
TOXIPROXY_URL names, toxiproxy-server on the PATH, or built once with Go.
`;

const MINUTES_MAX = 24 * 60;

/** Throws INVALID with what is wrong and what there is. */
export function parseOptions(args: readonly string[]): Options {
  const { values, positionals } = parse(args);
  const mode = modeOf(values.help === true, values.list === true, positionals);
  if (mode === 'run' && positionals.length === 0) {
    throw invalid('name a scenario, or all, or --list');
  }
  return {
    mode,
    names: positionals,
    seed: numberOf('seed', values.seed, 0, 2 ** 32 - 1, true),
    minutes: numberOf('minutes', values.minutes, 0, MINUTES_MAX, false) ?? 0,
    directory: values.directory ?? null,
    verbose: values.verbose === true,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        list: { type: 'boolean' },
        minutes: { type: 'string' },
        seed: { type: 'string' },
        directory: { type: 'string' },
        verbose: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error));
  }
}

function modeOf(help: boolean, list: boolean, names: readonly string[]): Options['mode'] {
  if (help) return 'help';
  if (list) return 'list';
  return names.length === 1 && names[0] === 'availability' ? 'availability' : 'run';
}

function numberOf(
  name: string,
  text: string | undefined,
  from: number,
  to: number,
  whole: boolean,
): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  const fits = text !== '' && value >= from && value <= to && (!whole || Number.isInteger(value));
  if (fits) return value;
  const kind = whole ? 'a whole number' : 'a number';
  throw invalid(`--${name} ${text}: expected ${kind} from ${String(from)} to ${String(to)}`);
}

function invalid(message: string): MeridianError {
  return new MeridianError('INVALID', `${message}\n\n${USAGE}`);
}
