/**
 * Runs a role for as long as the process lives: attempt, failure, pause, next attempt. Says what is
 * wrong once, not at every attempt, and when it is over.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { MeridianError } from '../../libs/errors/errors.ts';
import { maybeFromPostgres } from '../../libs/postgres/connection.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';

export interface RetryOptions {
  readonly role: string;
  readonly logger: Logger;
  readonly retryMs: number;
  readonly retryMsMax: number;
  /** An attempt that lasted this long was a success; default 5,000. */
  readonly healthyMs?: number;
  readonly onFailure: (error: MeridianError) => void;
  /** true: no further attempt. */
  readonly endsWith: (error: MeridianError) => boolean;
}

/** Resolves when `signal` aborts; rejects with an error that ends the role, or that only a mistake of ours can be. */
export async function keepTrying(
  attempt: (signal: AbortSignal) => Promise<void>,
  options: RetryOptions,
  signal: AbortSignal,
): Promise<void> {
  const { role, logger } = options;
  let pauseMs = options.retryMs;
  let told = '';
  while (!signal.aborted) {
    const began = Date.now();
    try {
      await attempt(signal);
      return;
    } catch (thrown) {
      if (isAborted(signal)) return;
      // A Postgres that dies does so under any statement, also one whose errors nobody translates.
      const error = maybeFromPostgres(thrown);
      if (error === null || options.endsWith(error)) throw error ?? thrown;
      options.onFailure(error);
      const healthy = Date.now() - began > (options.healthyMs ?? 5_000);
      if (healthy) pauseMs = options.retryMs;
      if (healthy || told !== error.message) {
        const details = { role, reason: error.reason, details: error.details };
        if (error.retry) logger.warn(details, error.message);
        else logger.error(details, error.message);
      }
      told = error.message;
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
    pauseMs = Math.min(pauseMs * 2, options.retryMsMax);
  }
}

/** Asked again after a wait: TypeScript takes the first answer for the last. */
function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
