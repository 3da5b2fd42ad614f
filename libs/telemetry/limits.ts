/**
 * The bounds of a configuration as metrics, with the same two names in every part: `…_limit{setting}`, and,
 * where something is kept below it, `…_limit_used{setting}` in the same unit. So one alert rule and
 * one panel serve all of them. test/layout/limits.test.ts holds the settings of every service against it.
 */
import type { Registry } from './metrics.ts';

export interface LimitsSource {
  /** Before `_limit`: `meridian_journal`. */
  readonly prefix: string;
  /** By the name of the setting; what is no number is passed over. */
  readonly limits: Readonly<Record<string, unknown>>;
  /** Read at each scrape; null: not known at the moment. */
  readonly used: () => Readonly<Record<string, number | null>>;
}

export function addLimits(registry: Registry, { prefix, limits, used }: LimitsSource): void {
  const bounds = Object.entries(limits).filter(
    (each): each is [string, number] => typeof each[1] === 'number',
  );
  registry.read(
    'gauge',
    {
      name: `${prefix}_limit`,
      help: 'The bounds of the configuration; 0 where there is none.',
      labels: ['setting'],
    },
    (emit) => {
      for (const [setting, value] of bounds) emit(value, setting);
    },
  );
  registry.read(
    'gauge',
    {
      name: `${prefix}_limit_used`,
      help: 'What is used of a bound at the moment, in its unit; of bounds of one thing, the largest so far.',
      labels: ['setting'],
    },
    (emit) => {
      const now = used();
      for (const [setting, value] of bounds) if (value > 0) emit(now[setting] ?? null, setting);
    },
  );
}
