import { describe, expect, it } from 'vitest';
import { PathHistory } from './path-history.ts';

describe('the history of paths', () => {
  it('knows the path of every entry since it began, by the changes alone', () => {
    const history = new PathHistory();
    for (const timestamp of [8, 16, 24]) history.note(timestamp, '');
    for (const timestamp of [32, 40]) history.note(timestamp, 'us');
    history.note(48, '');
    expect([8, 24, 32, 40, 48, 56].map((timestamp) => history.at(timestamp))).toEqual([
      ...['', '', 'us', 'us', '', ''],
    ]);
    expect(history.at(7)).toBeNull();
  });

  it('forgets the oldest changes, and says that it does not know', () => {
    const history = new PathHistory();
    for (let change = 1; change <= 100; change += 1) {
      history.note(change * 8, change % 2 === 0 ? '' : 'us');
    }
    expect(history.at(36 * 8)).toBeNull();
    expect(history.at(37 * 8)).toBe('us');
    expect(history.at(100 * 8)).toBe('');
  });
});
