/** Kinds of settings that every service has: names, addresses, times, and what it tells of itself. */
import { z } from 'zod';

const HOUR_MS = 3_600_000;

/** Of a cluster, an instance, a region. */
export const name = z
  .string()
  .regex(/^[\w.-]{1,64}$/, 'expected 1 to 64 letters, digits, dots, dashes or underscores');

export const address = z.string().regex(/^\S+:\d{1,5}$/, 'expected host:port');

/** Milliseconds, up to an hour. */
export function ms(defaultMs: number, least = 1): z.ZodDefault<z.ZodNumber> {
  return z.number().min(least).max(HOUR_MS).default(defaultMs);
}

export const metricsListen = address
  .optional()
  .describe(
    'where /metrics (to this machine; metricsTls), /livez and /readyz are served over HTTP; not at all by default',
  );

export const logLevel = z
  .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
  .default('info');
