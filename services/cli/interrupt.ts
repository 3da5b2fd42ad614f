/**
 * Ctrl-C, SIGTERM and SIGHUP as an AbortSignal: the first asks the command to end in order, a second one
 * ends the process at once. Installed only for commands that ask; else the signal does what it does.
 */
import { EXIT } from './exit-codes.ts';

export interface Interrupt {
  readonly signal: AbortSignal;
  /** Also for other reasons than a signal. */
  abort(): void;
}

export function watchInterrupt(): Interrupt {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(EXIT.interrupted);
      controller.abort();
    });
  }
  return {
    signal: controller.signal,
    abort: () => {
      controller.abort();
    },
  };
}

/** Resolves when the signal is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else {
      signal.addEventListener('abort', () => {
        resolve();
      });
    }
  });
}
