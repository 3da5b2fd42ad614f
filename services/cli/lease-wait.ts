/** Acquiring a lease that somebody else may hold: tries again until it is free or the time is up. */
import { setTimeout as pause } from 'node:timers/promises';
import { hostname } from 'node:os';
import type { Journal } from '../../libs/client/client.ts';
import type { LeaseGrant } from '../../libs/client/client.ts';
import { MeridianError } from '../../libs/errors/errors.ts';

const POLL_MS = 200;

/** Who this process is, when nothing is said: unique on all machines for as long as it runs. */
export function defaultHolder(): string {
  return `${hostname()}-${process.pid}`;
}

/** Throws LEASE_HELD when the time is up; null when aborted. */
export async function acquireWithin(
  journal: Journal,
  stream: string,
  options: { readonly holder: string; readonly ttlMs: number },
  waitMs: number,
  signal?: AbortSignal,
): Promise<LeaseGrant | null> {
  const until = performance.now() + waitMs;
  for (;;) {
    try {
      return await journal.acquireLease(stream, options);
    } catch (error) {
      const isHeld = error instanceof MeridianError && error.reason === 'LEASE_HELD';
      if (!isHeld || performance.now() >= until) throw error;
    }
    if (signal?.aborted === true) return null;
    const wait = Math.min(POLL_MS, Math.max(1, until - performance.now()));
    await pause(wait, undefined, signal === undefined ? {} : { signal }).catch(() => undefined);
  }
}
