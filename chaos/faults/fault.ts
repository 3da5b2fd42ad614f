/**
 * A fault: something that begins, lasts, and is healed. Faults compose (`together`), and healing is never
 * conditional: a fault that was half injected is healed like a whole one, twice does no harm. What a
 * cluster does about it is for the scenario and the checkers to say.
 */
export interface Fault {
  /** As reports show it: `kill -9`, `cut a-b`. */
  readonly name: string;
  /** What it strikes: a region, a link, a process. */
  readonly target: string;
  inject(): Promise<void>;
  /** Resolves when it is gone and what it stopped runs again. */
  heal(): Promise<void>;
}

/** All of them at the same time. */
export function together(...faults: readonly Fault[]): Fault {
  return {
    name: faults.map(({ name }) => name).join(' + '),
    target: [...new Set(faults.map(({ target }) => target))].join(', '),
    inject: async () => {
      await Promise.all(faults.map((fault) => fault.inject()));
    },
    heal: async () => {
      await allOf(faults.map((fault) => () => fault.heal()));
    },
  };
}

/** Something that goes on by itself while the fault lasts: a loop that ends when it is healed. */
export function ongoing(
  name: string,
  target: string,
  turn: (healing: AbortSignal) => Promise<void>,
  finish: () => Promise<void> = () => Promise.resolve(),
): Fault {
  let healing = new AbortController();
  let loop: Promise<void> = Promise.resolve();
  return {
    name,
    target,
    inject: () => {
      healing = new AbortController();
      const { signal } = healing;
      const run = async (): Promise<void> => {
        while (!signal.aborted) await turn(signal);
      };
      loop = run();
      loop.catch(() => undefined); // it is thrown where the fault is healed
      return Promise.resolve();
    },
    heal: async () => {
      healing.abort();
      await allOf([() => loop, finish]);
    },
  };
}

/** Runs all of them, whatever one throws; then throws the first error. */
export async function allOf(acts: readonly (() => Promise<unknown>)[]): Promise<void> {
  const results = await Promise.allSettled(acts.map((act) => act()));
  const failed = results.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Resolves after `ms`, or at once when the signal is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve();
      return;
    }
    const over = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal?.addEventListener('abort', over);
  });
}
