/**
 * An error as the user sees it, and as an exit code: one place for all commands. People get a line that
 * says what happened and what it means for the data; with JSON, programs get one document on standard
 * error. A bug shows its stack, because somebody will have to report it.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { UsageError } from './arguments.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { complain } from './output.ts';

/** What `error.noEffect` and `error.retry` mean in words; of a question nobody wonders about its effect. */
function consequence(error: MeridianError, asks: boolean): string {
  if (asks) return error.retry ? ': the same call may succeed later' : '';
  const effect = error.noEffect ? 'certainly no effect' : 'it may have taken effect';
  return error.retry ? `: ${effect}; the same call may succeed later` : `: ${effect}`;
}

/** Prints the error; returns the exit code. `asks`: the command changes nothing. */
export function reportFailure(error: unknown, json: boolean, asks: boolean): number {
  if (error instanceof UsageError) {
    const of = error.about === null ? '' : ` ${error.about.path.join(' ')}`;
    if (json) complainJson({ reason: 'USAGE', message: error.message, exitCode: EXIT.usage });
    else complain(`meridian${of}: ${error.message}\n\`meridian help${of}\` tells more.\n`);
    return EXIT.usage;
  }
  if (error instanceof MeridianError) {
    const { reason, message, details, noEffect, retry } = error;
    const exitCode = exitCodeOf(reason);
    if (json) complainJson({ reason, message, details, noEffect, retry, exitCode });
    else complain(`meridian: ${message}\n  ${reason}${consequence(error, asks)}\n`);
    return exitCode;
  }
  if (isFileError(error)) {
    const message = `${error.path}: ${fileProblem(error)}`;
    if (json) complainJson({ reason: 'FAILURE', message, exitCode: EXIT.failure });
    else complain(`meridian: ${message}\n`);
    return EXIT.failure;
  }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
  if (json) complainJson({ reason: 'FAILURE', message: text, exitCode: EXIT.failure });
  else complain(`meridian: unexpected: ${text}\n`);
  return EXIT.failure;
}

/** Of a file that the user named: no bug, and nobody wants its stack. */
function isFileError(error: unknown): error is NodeJS.ErrnoException & { readonly path: string } {
  return error instanceof Error && 'syscall' in error && 'path' in error;
}

/** `ENOENT: no such file or directory, open 'x'` without the code and the call. */
function fileProblem({ message, code = '' }: NodeJS.ErrnoException): string {
  return message.replace(`${code}: `, '').replace(/, \w+( '.*)?$/, '');
}

function complainJson(error: object): void {
  complain(`${JSON.stringify({ error })}\n`);
}
