/** The command line of `npm start`. Only loopback, so nothing here is about addresses or secrets. */
import { parseArgs } from 'node:util';
import { MeridianError } from '../../libs/errors/errors.ts';

export interface Options {
  readonly mode: 'run' | 'check' | 'help';
  /** Where the state lives; null: the default of the mode. */
  readonly directory: string | null;
  /** Throw the state away first. */
  readonly fresh: boolean;
  /** First of the 70 numbers from which the ports are taken; null: the usual ones, or free ones. */
  readonly firstPort: number | null;
  /** Lines instead of a live view, also on a terminal. */
  readonly plain: boolean;
  /** Write rows in region A, so that there is something to see. */
  readonly traffic: boolean;
  /** How long the check writes and reads, seconds. */
  readonly seconds: number;
}

export const PORT_SPAN = 70;
const SECONDS_DEFAULT = 12;
const SECONDS_MAX = 600;

export const USAGE = `Usage: npm start [-- options]

Runs Meridian on this machine: three regions A, B and C, each with a replica of two journal
instances, a crossbar, a Postgres and its sidecar. Ctrl-C stops everything and keeps the state.

  --check              do the main job once, compare all databases, and exit 0 only if it held
  --seconds <n>        how long the check writes and reads (default ${String(SECONDS_DEFAULT)})
  --fresh              start over: delete what an earlier run left in the state directory
  --directory <path>   state directory (default .meridian; the check: a temporary one)
  --ports <first>      take the ports from <first> to <first> + ${String(PORT_SPAN - 1)}
  --traffic            write rows in region A all the time, to have something to look at
  --plain              print lines instead of the live view
  --help               this text
`;

/** Throws INVALID with what is wrong and what there is. */
export function parseOptions(args: readonly string[]): Options {
  const values = parse(args);
  const number = (name: 'ports' | 'seconds', from: number, to: number): number | null => {
    const text = values[name];
    if (text === undefined) return null;
    const value = Number(text);
    if (Number.isInteger(value) && value >= from && value <= to) return value;
    throw invalid(
      `--${name} ${text}: expected a whole number from ${String(from)} to ${String(to)}`,
    );
  };
  return {
    mode: values.help === true ? 'help' : values.check === true ? 'check' : 'run',
    directory: values.directory ?? null,
    fresh: values.fresh ?? false,
    firstPort: number('ports', 1024, 65_536 - PORT_SPAN),
    plain: values.plain ?? false,
    traffic: values.traffic ?? false,
    seconds: number('seconds', 1, SECONDS_MAX) ?? SECONDS_DEFAULT,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      allowPositionals: false,
      options: {
        check: { type: 'boolean' },
        fresh: { type: 'boolean' },
        directory: { type: 'string' },
        ports: { type: 'string' },
        seconds: { type: 'string' },
        traffic: { type: 'boolean' },
        plain: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : String(error));
  }
}

function invalid(problem: string): MeridianError {
  return new MeridianError('INVALID', `${problem} (npm start -- --help lists the options)`);
}
