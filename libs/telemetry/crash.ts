/**
 * The last line of defence of a process: an exception that nobody caught, or a promise that nobody
 * awaited, is logged once and ends the process. Going on in an unknown state would spread it; a
 * replica that stops and restarts is what the protocol is built for.
 */
import type { Logger } from './logger.ts';

/** sysexits.h EX_SOFTWARE. */
export const EXIT_SOFTWARE = 70;

/** `exit` is for tests. */
export function installCrashHandlers(
  logger: Pick<Logger, 'fatal'>,
  exit: (code: number) => void = (code) => process.exit(code),
): void {
  let crashed = false;
  const crash = (error: unknown, kind: string): void => {
    if (crashed) return;
    crashed = true;
    try {
      logger.fatal({ error: error instanceof Error ? error : new Error(String(error)) }, kind);
    } finally {
      exit(EXIT_SOFTWARE);
    }
  };
  process.on('uncaughtException', (error) => {
    crash(error, 'uncaught exception');
  });
  process.on('unhandledRejection', (reason) => {
    crash(reason, 'unhandled rejection');
  });
}
