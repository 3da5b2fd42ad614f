/**
 * One run as one page: no script, nothing from elsewhere. What was done to the system over what its clients
 * saw; what every checker says; where one objects, the operations that show it; how to run it again.
 * Pure: a history and verdicts in, text out.
 */
import { isLegal } from '../model/verdict.ts';
import type { Anomaly, Verdict } from '../model/verdict.ts';
import type { History } from '../model/history.ts';
import type { Operation } from '../model/operation.ts';
import { longestGapUs } from '../traffic/gaps.ts';
import { operationsChart, timeline } from './charts.ts';
import { answered, asked, count, escape, faultText, shortTime } from './html.ts';
import { isTroubled, quantile, seriesOf } from './series.ts';
import { STYLE } from './style.ts';

export interface Report {
  readonly history: History;
  readonly verdicts: readonly Verdict[];
  /** What the scenario is about, in a line. */
  readonly about?: string;
  /** Where the history is, beside the report. */
  readonly historyFile?: string;
}

const OPERATIONS_SHOWN = 8;
/** Of one checker. */
const ANOMALIES_SHOWN = 3;

export function reportHtml({ history, verdicts, about, historyFile }: Report): string {
  const { header } = history;
  const isGood = verdicts.every(isLegal);
  const badge = isGood
    ? '<span class="badge good">all checks hold</span>'
    : `<span class="badge bad">${count(verdicts.filter((it) => !isLegal(it)).length)} checks do not hold</span>`;
  const file = historyFile === undefined ? '' : ` · <a href="${escape(historyFile)}">history</a>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(`${isGood ? '✓' : '✗'} ${header.scenario}`)}</title>
<style>${STYLE}</style>
</head>
<body><main>
<header><h1>${escape(header.scenario)}</h1>${badge}</header>
<p class="about">${escape(about ?? '')}</p>
<pre>${escape(header.command)}</pre>
${tiles(history, verdicts)}
${isGood ? '' : `<h2>What is wrong</h2>\n<div class="card">${anomalies(history, verdicts)}</div>`}
<h2>What happened</h2>
<div class="card">${legend(history)}<div class="scroll"><div>${timeline(seriesOf(history), history.faults)}</div></div></div>
<h2>Checks</h2>
<div class="card scroll">${checks(verdicts)}</div>
<h2>Without a success</h2>
<div class="card scroll">${gaps(history)}</div>
<h2>Operations</h2>
<div class="card scroll">${outcomes(history)}</div>
<footer>Meridian chaos · seed ${header.seed} · ${escape(header.startedAt)}${file}</footer>
</main></body>
</html>
`;
}

function tiles(history: History, verdicts: readonly Verdict[]): string {
  const { operations } = history;
  const ok = operations.filter(({ outcome }) => outcome.kind === 'ok');
  const unknown = operations.filter(({ outcome }) => outcome.kind === 'unknown').length;
  const latencies = ok
    .filter(({ action }) => action.kind === 'append')
    .map((it) => (it.completedUs ?? 0) - it.invokedUs)
    .sort((a, b) => a - b);
  const [median, p99] = [quantile(latencies, 0.5), quantile(latencies, 0.99)];
  const looked = verdicts.filter((verdict) => !sawNothing(verdict));
  const held = looked.filter(isLegal).length;
  const idle = verdicts.length - looked.length;
  const besides = idle === 0 ? '' : `, ${count(idle)} saw nothing`;
  const list: readonly (readonly [string, string, string?])[] = [
    ['checks that hold', `${held}`, `of ${looked.length}${besides}`],
    ['operations', count(operations.length)],
    ['succeeded', count(ok.length)],
    ['nobody knows', count(unknown)],
    ['append, median', median === null ? '–' : shortTime(median)],
    ['append, 99 %', p99 === null ? '–' : shortTime(p99)],
    ['faults', count(history.faults.length)],
    ['length', `${(history.endUs / 1e6).toFixed(1)} s`],
  ];
  const cells = list.map(
    ([name, value, more]) =>
      `<div><dt>${name}</dt><dd>${value}${more === undefined ? '' : ` <small>${more}</small>`}</dd></div>`,
  );
  return `<dl class="tiles">${cells.join('')}</dl>`;
}

function legend({ header, operations }: History): string {
  const regions = [...new Set([...header.regions, ...operations.map(({ region }) => region)])];
  const items = regions.map(
    (region, i) => `<li><i style="border-color:var(--region-${i})"></i>${escape(region)}</li>`,
  );
  return `<ul class="legend">${items.join('')}</ul>`;
}

function checks(verdicts: readonly Verdict[]): string {
  const rows = verdicts
    .filter((verdict) => !sawNothing(verdict))
    .sort((a, b) => Number(isLegal(a)) - Number(isLegal(b)))
    .map((verdict) => {
      const { checker, workload, invariants, checked, anomalyCount, elapsedMs } = verdict;
      const [mark, colour] = isLegal(verdict) ? ['✓', 'good'] : ['✗', 'bad'];
      const found =
        anomalyCount === 0 ? '' : ` <span class="bad-text">${count(anomalyCount)} anomalies</span>`;
      const of = workload === undefined ? '' : ` <span class="soft">${escape(workload)}</span>`;
      return (
        `<tr><td class="${colour}">${mark}</td><td>${escape(checker)}${of}${found}</td>` +
        `<td class="soft wide">${escape(invariants)}</td><td class="number">${count(checked)}</td>` +
        `<td class="number soft wide">${elapsedMs.toFixed(0)} ms</td></tr>`
      );
    });
  return (
    '<table><tr><th></th><th>check</th><th class="wide">invariants</th><th class="number">looked at</th>' +
    `<th class="number wide">took</th></tr>${rows.join('')}</table>${idleChecks(verdicts)}`
  );
}

/** A checker that saw nothing proves nothing: it is named, and not counted among those that hold. */
function sawNothing(verdict: Verdict): boolean {
  return isLegal(verdict) && verdict.checked === 0;
}

function idleChecks(verdicts: readonly Verdict[]): string {
  const byName = new Map<string, string[]>();
  for (const { checker, workload } of verdicts.filter(sawNothing)) {
    byName.set(checker, [
      ...(byName.get(checker) ?? []),
      ...(workload === undefined ? [] : [workload]),
    ]);
  }
  if (byName.size === 0) return '';
  const names = [...byName].map(([checker, workloads]) => {
    return workloads.length === 0 ? checker : `${checker} (${workloads.join(', ')})`;
  });
  return `<p class="soft">There was nothing to check for: ${escape(names.join('; '))}.</p>`;
}

function anomalies(history: History, verdicts: readonly Verdict[]): string {
  const byId = new Map(history.operations.map((operation) => [operation.id, operation]));
  return verdicts
    .filter((verdict) => !isLegal(verdict))
    .map(({ checker, anomalyCount, anomalies: shown }) => {
      const few = shown.slice(0, ANOMALIES_SHOWN);
      const more = anomalyCount - few.length;
      const rest = more > 0 ? `<p class="soft">and ${count(more)} more</p>` : '';
      const list = few.map((anomaly) => anomalyOf(anomaly, byId, history.endUs));
      return `<h3>${escape(checker)} <span>${count(anomalyCount)}</span></h3>${list.join('')}${rest}`;
    })
    .join('');
}

function anomalyOf(
  { what, operations }: Anomaly,
  byId: ReadonlyMap<number, Operation>,
  endUs: number,
): string {
  const shown = operations
    .slice(0, OPERATIONS_SHOWN)
    .map((id) => byId.get(id))
    .filter((it): it is Operation => it !== undefined);
  const rows = shown.map(
    ({ id, client, action, outcome, invokedUs, completedUs }) =>
      `<tr><td>${id}</td><td>${escape(client)}<br><span class="soft">${shortTime(invokedUs)} → ${completedUs === null ? '?' : shortTime(completedUs)}</span></td>` +
      `<td>${escape(asked(action))}<br>→ ${escape(answered(outcome))}</td></tr>`,
  );
  const picture =
    shown.length === 0
      ? ''
      : `<div class="scroll"><div>${operationsChart(shown, endUs)}</div></div><table>${rows.join('')}</table>`;
  return `<div class="anomaly"><p>${escape(what)}</p>${picture}</div>`;
}

/** The longest time without a success, in each region: in all, and around each fault. */
function gaps(history: History): string {
  const { regions } = history.header;
  const whole = { name: 'the whole run', fromUs: 0, untilUs: history.endUs };
  const spans = [
    whole,
    ...history.faults.slice(0, 40).map((fault) => ({
      name: faultText(fault),
      fromUs: fault.fromUs,
      untilUs: fault.untilUs ?? history.endUs,
    })),
  ];
  const cell = (span: typeof whole, kind: 'append' | 'read', region: string): string => {
    const us = longestGapUs(history, span, kind, (it) => it.region === region);
    return `<td class="number">${shortTime(us)}</td>`;
  };
  const rows = spans.map(
    (span) =>
      `<tr><td>${escape(span.name)}</td>${(['append', 'read'] as const)
        .flatMap((kind) => regions.map((region) => cell(span, kind, region)))
        .join('')}</tr>`,
  );
  const heads = ['append', 'read'].flatMap((kind) =>
    regions.map((region) => `<th class="number">${kind}, ${escape(region)}</th>`),
  );
  return `<table><tr><th>longest gap during</th>${heads.join('')}</tr>${rows.join('')}</table>`;
}

function outcomes({ operations }: History): string {
  const rows = new Map<
    string,
    { ok: number; said: number; failed: number; unknown: number; reasons: Map<string, number> }
  >();
  for (const operation of operations) {
    const { workload, action, outcome } = operation;
    const name = `${workload} · ${action.kind}`;
    const row = rows.get(name) ?? {
      ok: 0,
      said: 0,
      failed: 0,
      unknown: 0,
      reasons: new Map<string, number>(),
    };
    rows.set(name, row);
    if (outcome.kind === 'ok') row.ok += 1;
    else {
      if (outcome.kind === 'unknown') row.unknown += 1;
      else if (isTroubled(operation)) row.failed += 1;
      else row.said += 1;
      row.reasons.set(outcome.reason, (row.reasons.get(outcome.reason) ?? 0) + 1);
    }
  }
  const lines = [...rows].map(([name, { ok, said, failed, unknown, reasons }]) => {
    const why = [...reasons].map(([reason, times]) => `${reason} ${count(times)}`).join(', ');
    return (
      `<tr><td>${escape(name)}</td><td class="number">${count(ok)}</td><td class="number">${count(said)}</td>` +
      `<td class="number">${count(failed)}</td><td class="number">${count(unknown)}</td><td class="soft wide">${escape(why)}</td></tr>`
    );
  });
  return (
    '<table><tr><th>workload and operation</th><th class="number">ok</th><th class="number">said no</th>' +
    '<th class="number">failed</th><th class="number">unknown</th><th class="wide">reasons</th></tr>' +
    `${lines.join('')}</table>`
  );
}
