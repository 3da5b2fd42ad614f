/**
 * Judges what the check found: a pure function from findings to a verdict with its reasons, and the
 * table and JSON line in which it is told. A check that did too little has not held either: nothing
 * was shown by it.
 */
import type { Latency } from './view.ts';
import { milliseconds, table } from './view.ts';

export interface Findings {
  /** Commits that returned, in all and while replicas were down. */
  readonly commits: number;
  readonly commitsWhileDown: number;
  readonly commitLatency: Latency | null;
  /** Longest time without any COMMIT returning. */
  readonly commitPauseMs: number;
  /** Linearizable reads by region. */
  readonly reads: Readonly<Record<string, number>>;
  readonly readsWhileDown: number;
  readonly readLatency: Latency | null;
  /** Of the history: stale, torn, phantom or incomplete reads. */
  readonly violations: readonly string[];
  /** Records through the crossbars, which must be the same sequence in every region. */
  readonly merged: { readonly records: number; readonly differences: readonly string[] };
  readonly killed: readonly string[];
  /** Until what was killed had everything again. */
  readonly catchUpMs: number;
  /** Instances whose replicas released different histories. */
  readonly diverged: readonly string[];
  readonly comparison: {
    readonly databases: number;
    readonly tables: number;
    readonly rows: number;
    readonly differences: readonly string[];
  };
}

export interface Verdict {
  readonly held: boolean;
  /** Why not; empty when it held. */
  readonly reasons: readonly string[];
}

export function judge(findings: Findings): Verdict {
  const reasons = [
    ...findings.violations,
    ...findings.merged.differences,
    ...findings.diverged.map(
      (instance) => `the replicas of ${instance} released different histories`,
    ),
    ...findings.comparison.differences,
  ];
  const need = (count: number, what: string): void => {
    if (count === 0) reasons.push(`nothing shown: ${what}`);
  };
  need(findings.commits, 'no COMMIT returned');
  need(findings.commitsWhileDown, 'no COMMIT returned while replicas were down');
  for (const [region, reads] of Object.entries(findings.reads)) {
    need(reads, `no linearizable read was answered in ${region}`);
  }
  need(findings.readsWhileDown, 'no linearizable read was answered while replicas were down');
  need(findings.merged.records, 'no record came through the crossbars');
  need(findings.killed.length, 'no replica was killed');
  need(findings.comparison.rows, 'no row was compared');
  return { held: reasons.length === 0, reasons };
}

/** A short table for people. */
export function renderVerdict(findings: Findings, verdict: Verdict): string[] {
  const { comparison, merged } = findings;
  const regions = Object.entries(findings.reads).map(
    ([region, reads]) => `${region} ${number(reads)}`,
  );
  return [
    ...table(
      ['what', 'how many', 'how'],
      [
        [
          'commits in A, each in two regions',
          number(findings.commits),
          latency(findings.commitLatency),
        ],
        [
          '  while two replicas were down',
          number(findings.commitsWhileDown),
          `longest pause ${milliseconds(findings.commitPauseMs)}`,
        ],
        [
          'linearizable reads',
          number(Object.values(findings.reads).reduce((sum, reads) => sum + reads, 0)),
          `${regions.join(', ')}; ${latency(findings.readLatency)}`,
        ],
        ['  while two replicas were down', number(findings.readsWhileDown), ''],
        [
          '  stale, torn or phantom',
          number(findings.violations.length),
          'each checked against all committed before it',
        ],
        [
          'records through three crossbars',
          number(merged.records),
          merged.differences.length === 0 ? 'the same order in A, B and C' : 'different orders',
        ],
        [
          'replicas killed with -9',
          number(findings.killed.length),
          `${findings.killed.join(', ')}; had all again after ${milliseconds(findings.catchUpMs)}`,
        ],
        [
          'rows compared',
          number(comparison.rows),
          `${String(comparison.tables)} tables in ${String(comparison.databases)} databases, ` +
            `${String(comparison.differences.length)} differ`,
        ],
      ],
    ),
    '',
    ...(verdict.held ? ['held'] : ['DID NOT HOLD', ...verdict.reasons.map((it) => `  ${it}`)]),
  ];
}

/** One line for programs. */
export function verdictJson(findings: Findings, verdict: Verdict, seconds: number): string {
  const report = { held: verdict.held, reasons: verdict.reasons, seconds, ...findings };
  return JSON.stringify(report, (_, value: unknown) =>
    typeof value === 'number' ? Math.round(value * 1000) / 1000 : value,
  );
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}

function latency(value: Latency | null): string {
  return value === null ? '' : `p50 ${milliseconds(value.p50Ms)}, p99 ${milliseconds(value.p99Ms)}`;
}
