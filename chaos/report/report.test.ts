/** A report is one page that needs nothing else and shows what it was given. */
import { describe, expect, it } from 'vitest';
import { judgeStreams } from '../checkers/stream-judges.ts';
import { Story } from '../checkers/testing-story.ts';
import type { Verdict } from '../model/verdict.ts';
import { reportHtml } from './report.ts';

const good = new Story()
  .append('a', [0, 10_000], { at: 0, ts: 8 })
  .tail(1, [20_000, 30_000])
  .stands('a', 8, 0)
  .history();
const stale = new Story()
  .append('<script>alert(1)</script>', [0, 10_000], { at: 0, ts: 8 })
  .tail(0, [20_000, 30_000])
  .append('b', [25_000, Infinity])
  .stands('<script>alert(1)</script>', 8, 0)
  .history();
const faults = [
  { name: 'cut', target: 'r0-r1', fromUs: 5_000, untilUs: 12_000 },
  { name: 'kill -9', target: 'r2', fromUs: 8_000, untilUs: null },
];
const page = (history: typeof good): string =>
  reportHtml({ history: { ...history, faults }, verdicts: judgeStreams(history), about: 'a & b' });

describe('a report', () => {
  it('says that all checks hold, and names faults, seed and text', () => {
    const html = page(good);
    expect(html).toContain('all checks hold');
    expect(html).toContain('cut r0-r1');
    expect(html).toContain('kill -9 r2');
    expect(html).toContain('a &#38; b');
    expect(html).not.toContain('What is wrong');
  });

  it('says what a fault strikes once, and of which workload a check is', () => {
    const named = [{ name: 'isolate c (refused)', target: 'c', fromUs: 5_000, untilUs: 12_000 }];
    const [first, ...others] = judgeStreams(good);
    if (first === undefined) throw new Error('no verdict');
    const verdicts = [{ ...first, workload: 'registers' }, ...others];
    const html = reportHtml({ history: { ...good, faults: named }, verdicts });
    expect(html).toContain('>isolate c (refused)<');
    expect(html).not.toContain('(refused) c');
    expect(html).toContain(`${first.checker} <span class="soft">registers</span>`);
  });

  it('does not count a check that saw nothing among those that hold', () => {
    const seen = judgeStreams(good).filter(({ checked }) => checked > 0);
    const idle = { ...seen[0], checker: 'idle', workload: 'leases', checked: 0 } as Verdict;
    const html = reportHtml({ history: good, verdicts: [...seen, idle] });
    expect(html).toContain(`${seen.length} <small>of ${seen.length}, 1 saw nothing</small>`);
    expect(html).toContain('nothing to check for: idle (leases).');
  });

  it('shows the operations of an anomaly', () => {
    const html = page(stale);
    expect(html).toContain('2 checks do not hold');
    expect(html).toContain('answered before tail 1 began, which saw the tail 0');
    expect(html.match(/class="operation ok"/g)?.length).toBeGreaterThanOrEqual(2);
  });

  it('loads nothing from elsewhere and runs nothing, whatever a history holds', () => {
    const html = page(stale);
    expect(html).not.toMatch(/<script|<link|<img|@import|url\(/);
    expect(html).not.toMatch(/(src|href)="(https?:)?\/\//);
    expect(html).not.toContain('NaN');
    expect(html).not.toContain('undefined');
  });

  it('can be made of a history without operations', () => {
    expect(page(new Story().history())).not.toContain('NaN');
  });
});
