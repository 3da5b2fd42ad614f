import { describe, expect, it } from 'vitest';
import type { History } from '../model/history.ts';
import type { Operation } from '../model/operation.ts';
import { longestGapUs } from './gaps.ts';

function historyOf(times: readonly number[], more: Partial<Operation> = {}): History {
  const operations = times.map((completedUs, id): Operation => ({
    id,
    workload: 'w',
    client: 'c',
    region: 'a',
    action: { kind: 'append', instance: 1, stream: 's', values: ['x'], ack: 'QUORUM' },
    invokedUs: completedUs - 1,
    completedUs,
    outcome: { kind: 'ok', answer: {} },
    ...more,
  }));
  return { operations } as unknown as History;
}

const all = (): boolean => true;
const span = { fromUs: 100, untilUs: 200 };

describe('the longest gap', () => {
  it('begins with the last success before the span and ends with the first after it', () => {
    expect(longestGapUs(historyOf([10, 90, 260, 300]), span, 'append', all)).toBe(170);
  });

  it('is the longest of several inside the span', () => {
    expect(longestGapUs(historyOf([100, 110, 150, 160, 200]), span, 'append', all)).toBe(40);
  });

  it('is the whole span where nothing succeeded', () => {
    expect(longestGapUs(historyOf([]), span, 'append', all)).toBe(100);
  });

  it('does not end with what failed, is of another kind, or does not count', () => {
    const failed = historyOf([100, 150, 200], { outcome: { kind: 'unknown', reason: 'DEADLINE' } });
    expect(longestGapUs(failed, span, 'append', all)).toBe(100);
    expect(longestGapUs(historyOf([100, 150, 200]), span, 'read', all)).toBe(100);
    expect(longestGapUs(historyOf([100, 150, 200]), span, 'append', () => false)).toBe(100);
  });
});
