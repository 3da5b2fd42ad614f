/**
 * Metrics, their reference (libs/telemetry/METRICS.md) and the Grafana dashboard say the same names.
 * `UPDATE=1 npx vitest run --project unit test/layout/metrics.test.ts` writes the reference anew.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { addArchiveMetrics } from '../../services/journal/archive-metrics.ts';
import { HotFigures } from '../../services/journal/hot-figures.ts';
import { addJanitorMetrics } from '../../services/journal/janitor-metrics.ts';
import { addJournalMetrics } from '../../services/journal/metrics.ts';
import { addCrossbarMetrics } from '../../services/crossbar/metrics.ts';
import { addSidecarMetrics } from '../../services/sidecar/metrics.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import type { MetricDescription } from '../../libs/telemetry/metrics.ts';
import { addSecurityMetrics } from '../../libs/telemetry/security-metrics.ts';
import { addProcessMetrics } from '../../libs/telemetry/process-metrics.ts';
import { repositoryFiles } from './source-files.ts';

const TELEMETRY = new URL('../../libs/telemetry/', import.meta.url);
const REFERENCE = fileURLToPath(new URL('METRICS.md', TELEMETRY));
const DASHBOARD = fileURLToPath(new URL('dashboards/meridian.json', TELEMETRY));

/** Declarations only: nothing is read, so the sources may be empty. */
function declared(): Map<string, MetricDescription[]> {
  const nothing = {} as never;
  const of = (declare: (registry: Registry) => void): MetricDescription[] => {
    const registry = new Registry();
    declare(registry);
    return registry.descriptions();
  };
  return new Map([
    [
      'Journal replica',
      of((registry) => {
        new HotFigures(registry);
        addJournalMetrics(registry, { config: { limits: {} } } as never);
        addArchiveMetrics(registry, nothing, nothing, null);
      }),
    ],
    [
      'Janitor',
      of((registry) => {
        addJanitorMetrics(registry, nothing, () => 0);
      }),
    ],
    [
      'Crossbar',
      of((registry) => {
        addCrossbarMetrics(registry, { config: { limits: {} }, crossbar: {} } as never);
      }),
    ],
    [
      'Sidecar',
      of((registry) => {
        addSidecarMetrics(registry, { config: { ship: {}, apply: {} } } as never);
      }),
    ],
    [
      'Every server',
      of((registry) => {
        addSecurityMetrics(registry, { limits: {} } as never);
      }),
    ],
    [
      'Every process',
      of((registry) => {
        addProcessMetrics(registry, { service: '', version: '' })();
      }),
    ],
  ]);
}

function reference(sections: ReadonlyMap<string, readonly MetricDescription[]>): string {
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  const tables = [...sections].map(([title, metrics]) => {
    const rows = metrics.map(({ name, type, labels, help }) => {
      const shown = labels.map((label) => `\`${label}\``).join(', ');
      return `| \`${name}\` | ${type} | ${shown} | ${cell(help)} |`;
    });
    return `## ${title}\n\n| name | type | labels | meaning |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  return `<!-- Written by test/layout/metrics.test.ts from the declarations; see there how. -->
# Metrics

Served as Prometheus text (0.0.4) on \`metricsListen\` at \`/metrics\`, beside \`/livez\` and \`/readyz\`; off
unless the address is set. Metrics are for this machine and, with \`metricsTls\`, for certificates of the cluster. The
Grafana dashboard is \`dashboards/meridian.json\`. Whatever is bounded has its bound in
\`…_limit{setting}\` and, where something is kept below it, its use in \`…_limit_used{setting}\`.

${tables.join('\n')}`;
}

interface Panel {
  readonly title: string;
  readonly targets?: readonly { readonly expr: string }[];
}

function names(expression: string): string[] {
  return expression.match(/\b(?:meridian|process|nodejs)_[a-z0-9_]+/g) ?? [];
}

/** A histogram is asked for by its series. */
function isKnown(name: string, metrics: readonly MetricDescription[]): boolean {
  return metrics.some(({ name: declaredName, type }) => {
    if (type !== 'histogram') return name === declaredName;
    return ['_bucket', '_sum', '_count'].some((suffix) => name === `${declaredName}${suffix}`);
  });
}

/** Label names in matchers and groupings. */
function labelsIn(expression: string): string[] {
  const grouped = [...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) =>
    list.split(',').map((label) => label.trim()),
  );
  return grouped.filter((label) => !['le', 'instance', 'job'].includes(label));
}

const sections = declared();
const all = [...sections.values()].flat();
const dashboard = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as { panels: Panel[] };
const expressions = dashboard.panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ title, expr })),
);

describe('the reference of metrics', () => {
  it('says what the services export, all of it and nothing else', () => {
    const text = reference(sections);
    if (process.env['UPDATE'] === '1') writeFileSync(REFERENCE, text);
    const words = (each: string): string => each.replace(/[\s-]+/g, ' ');
    expect(words(readFileSync(REFERENCE, 'utf8'))).toBe(words(text));
  });
});

describe('the alarms of terraform', () => {
  it('look only at metrics that the services export', () => {
    const files = repositoryFiles().filter(({ path }) => /^terraform\/.*\.tf$/.test(path));
    const named = files.flatMap(({ path, text }) =>
      (text.match(/\bmeridian_(?:journal|janitor|crossbar|sidecar)_[a-z0-9_]+/g) ?? []).map(
        (name) => ({
          path,
          name,
        }),
      ),
    );
    expect(named.filter(({ name }) => !isKnown(name, all))).toEqual([]);
  });
});

describe('the dashboard', () => {
  it('asks only for metrics that the services export', () => {
    const unknown = expressions.flatMap(({ title, expr }) =>
      names(expr)
        .filter((name) => !isKnown(name, all))
        .map((name) => `${title}: ${name}`),
    );
    expect(unknown).toEqual([]);
    expect(expressions.length).toBeGreaterThan(40);
  });

  it('groups only by labels that the metric has', () => {
    const wrong = expressions.flatMap(({ title, expr }) => {
      const labels = names(expr).flatMap((name) =>
        all.filter((metric) => isKnown(name, [metric])).flatMap((metric) => metric.labels),
      );
      return labelsIn(expr)
        .filter((label) => !labels.includes(label))
        .map((label) => `${title}: ${label}`);
    });
    expect(wrong).toEqual([]);
  });

  it('shows every metric of the journal that says how it is', () => {
    const asked = new Set(expressions.flatMap(({ expr }) => names(expr)));
    const quiet = ['meridian_journal_info', 'meridian_journal_watermark_timestamp_seconds'];
    const missing = (sections.get('Journal replica') ?? []).filter(
      ({ name }) => ![...asked].some((each) => each.startsWith(name)) && !quiet.includes(name),
    );
    expect(missing.map(({ name }) => name)).toEqual([]);
  });

  it('knows a name that nobody exports', () => {
    expect(isKnown('meridian_journal_appends', all)).toBe(false);
    expect(isKnown('meridian_journal_sync_duration_seconds', all)).toBe(false);
    expect(isKnown('meridian_journal_sync_duration_seconds_bucket', all)).toBe(true);
  });
});
