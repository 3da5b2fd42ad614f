/**
 * The alert rules of libs/telemetry/alerts, and whether they hold for what a registry says. Rules are of two
 * kinds, which is all that this evaluates: `metric > number`, and for bounds
 * `used{setting=~"a|b"} / limit > number`, series by series.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { Registry } from '../../libs/telemetry/metrics.ts';
import { ROOT } from './source-files.ts';

const ALERTS = join(ROOT, 'libs/telemetry/alerts');

export interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: { readonly summary: string; readonly runbook: string };
}

export const rules: readonly Rule[] = readdirSync(ALERTS).flatMap((name) => {
  const { groups } = parse(readFileSync(join(ALERTS, name), 'utf8')) as {
    groups: { rules: Rule[] }[];
  };
  return groups.flatMap((group) => group.rules);
});

interface Parts {
  readonly metric: string;
  /** null: the metric alone is compared. */
  readonly limit: string | null;
  /** Of the label `setting`, anchored as in Prometheus. */
  readonly settings: readonly string[];
  readonly bound: number;
}

export function partsOf({ expr }: Rule): Parts {
  const simple = /^(\w+) > ([\d.]+)$/.exec(expr);
  if (simple !== null) {
    const [, metric = '', bound = ''] = simple;
    return { metric, limit: null, settings: [], bound: Number(bound) };
  }
  const ratio = /^(\w+)\{setting=~"([^"]+)"\} \/ (\w+) > ([\d.]+)$/.exec(expr);
  if (ratio === null) throw new Error(`a rule that this cannot evaluate: ${expr}`);
  const [, metric = '', settings = '', limit = '', bound = ''] = ratio;
  return { metric, limit, settings: settings.split('|'), bound: Number(bound) };
}

/** Names of the alerts whose expression holds. */
export async function firing(registry: Registry): Promise<string[]> {
  const lines = (await registry.text()).split('\n');
  const valuesOf = (series: string): number[] =>
    lines
      .filter((each) => each.startsWith(`${series} `) || each.startsWith(`${series}{`))
      .map((each) => Number(each.split(' ').at(-1)));
  return rules
    .filter((rule) => {
      const { metric, limit, settings, bound } = partsOf(rule);
      if (limit === null) return valuesOf(metric).some((value) => value > bound);
      return settings.some((setting) => {
        const [used] = valuesOf(`${metric}{setting="${setting}"}`);
        const [most] = valuesOf(`${limit}{setting="${setting}"}`);
        return used !== undefined && most !== undefined && used / most > bound;
      });
    })
    .map(({ alert }) => alert);
}
