/**
 * An error as the user sees it, and as an exit code: one place for all commands. People get a line that
 * says what happened and what it means for the data; with JSON, programs get one document on standard
 * error. A bug shows its stack, because somebody will have to report it.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { UsageError } from './arguments.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { complain } from './output.ts';

/** What `error.noEffect` and `error.retry` mean in words. */
function consequence(error: MeridianError): string {
  const effect = error.noEffect ? 'certainly no effect' : 'it may have taken effect';
  return error.retry ? `${effect}; the same call may succeed later` : effect;
}

/** Prints the error; returns the exit code. */
export function reportFailure(error: unknown, json: boolean): number {
  if (error instanceof UsageError) {
    const of = error.command === null ? '' : ` ${error.command.path.join(' ')}`;
    if (json) complainJson({ reason: 'USAGE', message: error.message, exitCode: EXIT.usage });
    else complain(`meridian${of}: ${error.message}\n\`meridian help${of}\` tells more.\n`);
    return EXIT.usage;
  }
  if (error instanceof MeridianError) {
    const { reason, message, details, noEffect, retry } = error;
    const exitCode = exitCodeOf(reason);
    if (json) complainJson({ reason, message, details, noEffect, retry, exitCode });
    else complain(`meridian: ${message}\n  ${reason}: ${consequence(error)}\n`);
    return exitCode;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (json) complainJson({ reason: 'FAILURE', message: text, exitCode: EXIT.failure });
  else complain(`meridian: unexpected: ${text}\n`);
  return EXIT.failure;
}

function complainJson(error: object): void {
  complain(`${JSON.stringify({ error })}\n`);
}
