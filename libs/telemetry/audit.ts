/**
 * What was refused for reasons of security, as lines of the log: `audit` is true in each, so they can be
 * kept apart and longer. A flood must not become a flood of lines: of refused connections the first is
 * told, then how many there were since.
 */
import type { Logger } from './logger.ts';

const EVERY_MS = 1_000;

interface Hearers {
  readonly onWarning: (message: string) => void;
  readonly onDenied: (denial: object & { readonly message: string }) => void;
}

export function auditTo(logger: Logger): Hearers {
  return {
    onWarning: (message) => {
      logger.warn(message);
    },
    onDenied: ({ message, ...denial }) => {
      logger.warn({ audit: true, ...denial, why: message }, 'a call was denied');
    },
  };
}

export function refusalsTo(
  logger: Logger,
  now: () => number = () => performance.now(),
): (why: string, address: string, detail: string) => void {
  const told = new Map<string, { at: number; since: number }>();
  return (why, address, detail) => {
    const last = told.get(why) ?? { at: -Infinity, since: 0 };
    told.set(why, last);
    if (now() - last.at < EVERY_MS) {
      last.since += 1;
      return;
    }
    const { since } = last;
    told.set(why, { at: now(), since: 0 });
    logger.warn({ audit: true, address, refusal: why, since, detail }, 'a connection was refused');
  };
}
