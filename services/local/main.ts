/**
 * The command behind `npm start`. Exit codes: 0 stopped as told, or the check held; 1 it did not
 * hold or could not start, and says why; 64 the options are wrong.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { check } from './check.ts';
import { watchInterrupt } from './interrupt.ts';
import { parseOptions, USAGE } from './options.ts';
import type { Options } from './options.ts';
import { run } from './run.ts';

const EXIT_FAILED = 1;
const EXIT_USAGE = 64;

const options = parsed();
if (options.mode === 'help') {
  process.stdout.write(USAGE);
  process.exit(0);
}
const interrupt = watchInterrupt();
let code = 0;
try {
  if (options.mode === 'run') await run(options, process.stdout, interrupt);
  else if (!(await check(options, process.stdout, interrupt))) code = EXIT_FAILED;
} catch (error) {
  // Ours says what happened and what to do; anything else is a defect and shows where.
  const text = error instanceof MeridianError ? error.message : error;
  console.error('meridian:', text);
  code = EXIT_FAILED;
}
// Everything is stopped; a connection that still lingers in some pool does not keep us.
process.exit(code);

function parsed(): Options {
  try {
    return parseOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`meridian: ${error instanceof Error ? error.message : String(error)}`);
    process.exit(EXIT_USAGE);
  }
}
