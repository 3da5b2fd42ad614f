/**
 * Ctrl-C, SIGTERM and a closed terminal: the first asks for an orderly stop, the second ends the
 * process at once, whereupon libs/processes ends the children.
 */

export interface Interrupt {
  /** Resolves at the first signal. */
  readonly happened: Promise<void>;
  isSet(): boolean;
}

/** Exit code after a signal that could not wait, as shells number SIGINT. */
const EXIT_INTERRUPTED = 130;

export function watchInterrupt(): Interrupt {
  let set = false;
  const happened = new Promise<void>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => {
        if (set) process.exit(EXIT_INTERRUPTED);
        set = true;
        resolve();
      });
    }
  });
  return { happened, isSet: () => set };
}
