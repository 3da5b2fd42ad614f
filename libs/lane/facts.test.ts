import { describe, expect, it } from 'vitest';
import type { Epoch, Index, ReplicaId, Timestamp } from '../values/numbers.ts';
import { Facts } from './facts.ts';
import type { RuleId } from './rules.ts';

const e = (value: number): Epoch => value as Epoch;

type Statement = readonly [
  replica: ReplicaId,
  promised: number,
  epoch: number,
  index: number,
  closed?: number,
];

function factsOf(statements: readonly Statement[], broken: readonly RuleId[] = []): Facts {
  const facts = new Facts(new Set(broken));
  for (const [replica, promised, epoch, index, closed = 0] of statements) {
    facts.learn(replica, {
      promised: e(promised),
      tail: { epoch: e(epoch), index: index as Index },
      closed: closed as Timestamp,
      feeder: replica,
      base: { epoch: 0 as Epoch, index: 0 as Index },
    });
  }
  return facts;
}

describe('facts', () => {
  it('L1: commits up to the second highest index that was synced in the epoch', () => {
    const facts = factsOf([
      [0, 8, 8, 9],
      [1, 8, 8, 5],
      [2, 8, 8, 7],
    ]);
    expect(facts.committed(e(8))).toBe(7);
  });

  it('L1: a replica that promised a newer epoch no longer speaks for the old one', () => {
    const statements: Statement[] = [
      [0, 16, 8, 5],
      [1, 16, 8, 5],
    ];
    expect(factsOf(statements).committed(e(8))).toBe(0);
    expect(factsOf(statements, ['L1-old-epoch']).committed(e(8))).toBe(5);
  });

  it('L1: copies in different epochs are not copies of one log', () => {
    const facts = factsOf([
      [0, 16, 16, 5],
      [1, 8, 8, 5],
    ]);
    expect(facts.committed(e(16))).toBe(0);
    expect(facts.committed(e(8))).toBe(0);
  });

  it('does not go back when statements come late, twice or out of order', () => {
    const facts = factsOf([
      [0, 8, 8, 9],
      [1, 8, 8, 9],
      [1, 8, 8, 3],
      [0, 8, 8, 9],
    ]);
    expect(facts.committed(e(8))).toBe(9);
  });

  it('a fact of a lower epoch does not replace one of a higher', () => {
    const facts = factsOf([
      [0, 16, 16, 4],
      [1, 16, 16, 4],
      [1, 8, 8, 9],
    ]);
    expect(facts.committed(e(16))).toBe(4);
  });

  it("O3: a sealer's closed timestamp is known as far as two replicas have stated it", () => {
    const statements: Statement[] = [
      [1, 17, 17, 2, 500],
      [2, 17, 17, 2, 300],
    ];
    expect(factsOf(statements).closedKnown(e(17))).toBe(300);
    expect(factsOf(statements, ['O3-one-knows']).closedKnown(e(17))).toBe(500);
  });

  it('§7: forgets everything a lost disk had stated', () => {
    const facts = factsOf([
      [0, 8, 8, 5],
      [2, 8, 8, 5],
    ]);
    facts.forget(2);
    expect(facts.committed(e(8))).toBe(0);
  });
});
