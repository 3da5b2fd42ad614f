import { describe, expect, it } from 'vitest';
import type { History } from '../model/history.ts';
import type { Fault, Operation, Outcome } from '../model/operation.ts';
import { isLegal } from '../model/verdict.ts';
import { demandEnough, demandGaps, demandHealed, demandMostSucceed } from './demands.ts';

const OK: Outcome = { kind: 'ok', answer: {} };
const LOST: Outcome = { kind: 'unknown', reason: 'DEADLINE' };
const REFUSED: Outcome = { kind: 'failed', reason: 'CONDITION_FAILED' };

function operation(id: number, atUs: number, outcome: Outcome = OK, region = 'a'): Operation {
  return {
    id,
    workload: 'w',
    client: 'c',
    region,
    action: { kind: 'append', instance: 1, stream: 's', values: ['x'], ack: 'QUORUM' },
    invokedUs: atUs,
    completedUs: atUs + 1,
    outcome,
  };
}

function history(operations: readonly Operation[], faults: readonly Fault[] = []): History {
  return { operations, faults } as unknown as History;
}

const fault = { name: 'f', target: 'a', fromUs: 1_000, untilUs: 2_000 };

describe('a run', () => {
  it('with fewer successes than its floor is invalid, whatever else was tried', () => {
    const few = history([operation(0, 1), operation(1, 2, LOST)]);
    expect(isLegal(demandEnough(few, 1))).toBe(true);
    expect(isLegal(demandEnough(few, 2))).toBe(false);
  });

  it('is invalid when most fails although nothing was wrong, and only then', () => {
    const calm = [operation(0, 1), operation(1, 2, LOST), operation(2, 3, LOST)];
    expect(isLegal(demandMostSucceed(history(calm)))).toBe(false);
    const during = [operation(0, 1), operation(1, 1_500, LOST), operation(2, 1_600, LOST)];
    expect(isLegal(demandMostSucceed(history(during, [fault])))).toBe(true);
    expect(isLegal(demandMostSucceed(history([operation(0, 1, REFUSED)])))).toBe(true);
  });

  it('in which a region that is not affected pauses too long is objected to', () => {
    const operations = [0, 1_000, 9_000, 10_000].map((us, id) => operation(id, us));
    const demand = { kind: 'append', during: 'f', fromUs: 0, untilUs: 10_000 } as const;
    const judge = (region: 'a' | 'b', gapMsMax: number): boolean =>
      isLegal(
        demandGaps(history(operations), [{ ...demand, regions: [region], gapMsMax }], () => true),
      );
    expect(judge('a', 8)).toBe(true);
    expect(judge('a', 7)).toBe(false);
    expect(judge('b', 8)).toBe(false);
  });

  it('after which something is not well is objected to', () => {
    expect(isLegal(demandHealed([], 3))).toBe(true);
    expect(isLegal(demandHealed(['journal-one-a ended by itself'], 3))).toBe(false);
  });
});
