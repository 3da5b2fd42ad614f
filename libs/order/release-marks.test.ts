import { describe, expect, it } from 'vitest';
import { ReleaseMarks } from './release-marks.ts';

function marksAfter(entries: number, from = 0): ReleaseMarks {
  const marks = new ReleaseMarks();
  for (let count = from + 1; count <= entries; count += 1) {
    marks.released(count, count * 8, () => `hash of ${count}`);
  }
  return marks;
}

describe('the marks of a release', () => {
  it('stand at round numbers, ascending, each with the hash of that moment', () => {
    expect(marksAfter(50).list()).toEqual([
      { entries: 16, timestamp: 128, hash: 'hash of 16' },
      { entries: 32, timestamp: 256, hash: 'hash of 32' },
      { entries: 48, timestamp: 384, hash: 'hash of 48' },
    ]);
  });

  it('ask for the hash only there', () => {
    const marks = new ReleaseMarks();
    let asked = 0;
    for (let count = 1; count <= 100; count += 1) {
      marks.released(count, count, () => String((asked += 1)));
    }
    expect(asked).toBe(6);
  });

  it('stay few and reach back to the beginning', () => {
    const list = marksAfter(300_000).list();
    expect(list.length).toBeLessThanOrEqual(64 * 6);
    expect(list.at(0)?.entries).toBeLessThanOrEqual(65_536);
    expect(list.at(-1)?.entries).toBe(300_000);
    const numbers = list.map(({ entries }) => entries);
    expect(numbers).toEqual([...new Set(numbers)].sort((one, other) => one - other));
  });

  it('have one in common for two replicas of which one is a hundred thousand entries behind', () => {
    const ahead = marksAfter(300_000).list();
    const behind = new Set(
      marksAfter(200_000)
        .list()
        .map(({ entries }) => entries),
    );
    expect(ahead.filter(({ entries }) => behind.has(entries)).at(-1)?.entries).toBe(196_608);
  });
});
