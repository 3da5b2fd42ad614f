import { describe, expect, it } from 'vitest';
import { judge, renderVerdict, verdictJson } from './verdict.ts';
import type { Findings } from './verdict.ts';

const GOOD: Findings = {
  commits: 4321,
  commitsWhileDown: 1800,
  commitLatency: { p50Ms: 2.1, p99Ms: 9.8 },
  commitPauseMs: 340,
  reads: { B: 700, C: 534 },
  readsWhileDown: 400,
  readLatency: { p50Ms: 3.1, p99Ms: 21 },
  violations: [],
  merged: { records: 5000, differences: [] },
  killed: ['journal-one-c', 'journal-two-b'],
  catchUpMs: 1200,
  diverged: [],
  comparison: { databases: 3, tables: 3, rows: 5678, differences: [] },
};

describe('the verdict', () => {
  it('is that it held when everything was done and nothing objected', () => {
    expect(judge(GOOD)).toEqual({ held: true, reasons: [] });
  });

  it.each<[string, Partial<Findings>, string]>([
    ['a stale read', { violations: ['read in B: stale'] }, 'read in B: stale'],
    [
      'another order in another region',
      { merged: { records: 9, differences: ['crossbar B: record 3 differs'] } },
      'crossbar B: record 3 differs',
    ],
    [
      'replicas with different histories',
      { diverged: ['one'] },
      'the replicas of one released different histories',
    ],
    [
      'a row that differs',
      { comparison: { databases: 3, tables: 1, rows: 1, differences: ['t (1) is missing in C'] } },
      't (1) is missing in C',
    ],
    ['no commits at all', { commits: 0 }, 'nothing shown: no COMMIT returned'],
    [
      'commits that stopped while replicas were down',
      { commitsWhileDown: 0 },
      'nothing shown: no COMMIT returned while replicas were down',
    ],
    [
      'a region without reads',
      { reads: { B: 1, C: 0 } },
      'nothing shown: no linearizable read was answered in C',
    ],
    [
      'reads that stopped while replicas were down',
      { readsWhileDown: 0 },
      'nothing shown: no linearizable read was answered while replicas were down',
    ],
    ['nothing killed', { killed: [] }, 'nothing shown: no replica was killed'],
    [
      'crossbars that delivered nothing',
      { merged: { records: 0, differences: [] } },
      'nothing shown: no record came through the crossbars',
    ],
    [
      'nothing to compare',
      { comparison: { databases: 3, tables: 0, rows: 0, differences: [] } },
      'nothing shown: no row was compared',
    ],
  ])('is that it did not hold after %s', (_, change, reason) => {
    expect(judge({ ...GOOD, ...change })).toEqual({ held: false, reasons: [reason] });
  });

  it('is told in a short table', () => {
    expect(renderVerdict(GOOD, judge(GOOD))).toMatchInlineSnapshot(`
      [
        "what                               how many  how",
        "commits in A, each in two regions  4,321     p50 2.1 ms, p99 9.8 ms",
        "  while two replicas were down     1,800     longest pause 340 ms",
        "linearizable reads                 1,234     B 700, C 534; p50 3.1 ms, p99 21 ms",
        "  while two replicas were down     400",
        "  stale, torn or phantom           0         each checked against all committed before it",
        "records through three crossbars    5,000     the same order in A, B and C",
        "replicas killed with -9            2         journal-one-c, journal-two-b; had all again after 1200 ms",
        "rows compared                      5,678     3 tables in 3 databases, 0 differ",
        "",
        "held",
      ]
    `);
  });

  it('tells its reasons below the table', () => {
    const bad = { ...GOOD, diverged: ['one'] };
    expect(renderVerdict(bad, judge(bad)).slice(-2)).toEqual([
      'DID NOT HOLD',
      '  the replicas of one released different histories',
    ]);
  });

  it('is told in one line of JSON', () => {
    const line = verdictJson(GOOD, judge(GOOD), 41.5);
    expect(line).not.toContain('\n');
    expect(JSON.parse(line)).toMatchObject({ held: true, seconds: 41.5, commits: 4321 });
  });
});
