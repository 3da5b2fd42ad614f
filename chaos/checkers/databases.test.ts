/** The same of what is seen in databases: every illegal history must be rejected, and no legal one. */
import { describe, expect, it } from 'vitest';
import { checkBank } from './bank.ts';
import { checkDatabases } from './databases.ts';
import { Story } from './testing-story.ts';

describe('money', () => {
  const rules = { accounts: ['x', 'y'], opening: 10 };
  const verdict = (story: Story) => checkBank(story.history(), rules);
  /** One transfer that is over, one that nobody knows of, one that failed. */
  const transfers = () =>
    new Story()
      .transfer('c', 1, ['x', 'y', 3], [0, 10])
      .transfer('c', 2, ['y', 'x', 1], [20, Infinity])
      .transfer('d', 1, ['x', 'y', 5], [0, 10], { kind: 'failed', reason: '40001' });

  it.each<[string, Story]>([
    ['nothing before it is over', transfers().balances({ x: 10, y: 10 }, {}, [1, 5])],
    ['what is over', transfers().balances({ x: 7, y: 13 }, { c: [1, 1] }, [20, 30])],
    ['what may be', transfers().balances({ x: 8, y: 12 }, { c: [2, 2] }, [25, 30])],
  ])('may be read as %s', (_what, story) => {
    expect(verdict(story).anomalies).toEqual([]);
  });

  it.each<[string, Story]>([
    ['made', transfers().balances({ x: 7, y: 14 }, { c: [1, 1] }, [20, 30])],
    ['on the wrong account', transfers().balances({ x: 9, y: 11 }, { c: [1, 1] }, [20, 30])],
    ['read too late', transfers().balances({ x: 10, y: 10 }, {}, [20, 30])],
    [
      'moved by a transfer that failed',
      transfers().balances({ x: 2, y: 18 }, { c: [1, 1], d: [1, 1] }, [20, 30]),
    ],
    [
      'moved by half of a client’s transfers',
      transfers().balances({ x: 8, y: 12 }, { c: [1, 2] }, [25, 30]),
    ],
    [
      'moved before it was asked for',
      transfers().balances({ x: 8, y: 12 }, { c: [2, 2] }, [11, 15]),
    ],
    [
      'seen in one region and then not in another',
      transfers()
        .balances({ x: 8, y: 12 }, { c: [2, 2] }, [25, 30])
        .balances({ x: 7, y: 13 }, { c: [1, 1] }, [35, 40]),
    ],
  ])('must not be %s', (_what, story) => {
    expect(verdict(story).anomalyCount).toBeGreaterThan(0);
  });
});

describe('databases', () => {
  const verdict = (story: Story) => checkDatabases(story.history(), 'primary', ['r1']);
  const primary = () => new Story().row('primary', '1', 'a', null).row('primary', '2', 'b', 'c');

  it('are equal when every row is', () => {
    const story = primary().row('r1', '2', 'b', 'c').row('r1', '1', 'a', null);
    expect(verdict(story).anomalies).toEqual([]);
  });

  it.each<[string, Story]>([
    ['a row is missing', primary().row('r1', '1', 'a', null)],
    ['a column differs', primary().row('r1', '1', 'a', '').row('r1', '2', 'b', 'c')],
    [
      'there is one more',
      primary().row('r1', '1', 'a', null).row('r1', '2', 'b', 'c').row('r1', '3', 'z', null),
    ],
    [
      'one is there twice',
      primary().row('r1', '1', 'a', null).row('r1', '2', 'b', 'c').row('r1', '2', 'b', 'c'),
    ],
    ['nothing was recorded', new Story()],
  ])('are not when %s', (_what, story) => {
    expect(verdict(story).anomalyCount).toBeGreaterThan(0);
  });
});
