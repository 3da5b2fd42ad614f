/**
 * The two checkers of linearizability share no idea, so a history on which they disagree shows a mistake in
 * one of them. Histories of a perfect stream are accepted by both; with one answer made wrong, both give
 * the same verdict. And both are quick enough for a run of many minutes.
 */
import { describe, expect, it } from 'vitest';
import { at } from '../../libs/values/assert.ts';
import type { History } from '../model/history.ts';
import type { Action, Answer, FinalBatch, Operation, Outcome } from '../model/operation.ts';
import { isLegal } from '../model/verdict.ts';
import { checkKnownOrder } from './known-order.ts';
import { checkRecordSets } from './record-sets.ts';
import { searchStreams } from './stream-search.ts';
import { Story } from './testing-story.ts';

/** mulberry32 */
function prng(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Clients on one perfect stream; every operation takes effect at one moment between its ends. */
function perfect(seed: number, count: number, clients: number): History {
  const random = prng(seed);
  const free = Array.from({ length: clients }, () => 0);
  const asked: { id: number; began: number; moment: number; ended: number; dice: number }[] = [];
  for (let id = 0; id < count; id += 1) {
    const client = free.indexOf(Math.min(...free));
    const began = at(free, client) + 1 + Math.floor(random() * 5);
    const ended = began + 1 + Math.floor(random() * 40);
    asked.push({ id, began, ended, moment: began + random() * (ended - began), dice: random() });
    free[client] = ended;
  }
  const operations: Operation[] = [];
  const final: FinalBatch[] = [];
  let tail = 0;
  for (const { id, began, ended, moment, dice } of asked.sort((a, b) => a.moment - b.moment)) {
    const value = `v${id}`;
    const place = { timestamp: Math.floor(moment * 1000) * 8, instance: 1, recordOffset: 0 };
    const stream = { instance: 1, stream: 's' };
    let action: Action = { kind: 'tail', ...stream };
    let outcome: Outcome = { kind: 'ok', answer: { tail } };
    if (dice > 0.4) {
      const guess = tail - (dice > 0.8 ? 1 : 0);
      const isConditional = dice > 0.7;
      const condition = isConditional ? { matchSeqNum: guess } : {};
      action = { kind: 'append', ...stream, values: [value], ack: 'ORDERED', ...condition };
      if (isConditional && guess !== tail) {
        const details = { expected: String(guess), actual: String(tail) };
        outcome = { kind: 'failed', reason: 'CONDITION_FAILED', details };
      } else {
        const answer: Answer = { firstSeqNum: tail, timestamp: place.timestamp };
        outcome =
          dice > 0.69 && dice < 0.7 ? { kind: 'unknown', reason: 'x' } : { kind: 'ok', answer };
        final.push({ place, stream: 's', firstSeqNum: tail, values: [value] });
        tail += 1;
      }
    }
    const who = { workload: 'w', client: 'c', region: 'r0' };
    operations.push({ id, ...who, action, invokedUs: began, completedUs: ended, outcome });
  }
  operations.sort((a, b) => a.id - b.id);
  return { ...new Story().history(), operations, final };
}

/** One look at the tail shows a little more or less. */
function spoiled(history: History, seed: number): History {
  const random = prng(seed);
  const looks = history.operations.filter(({ action }) => action.kind === 'tail');
  const victim = at(looks, Math.floor(random() * looks.length));
  const operations = history.operations.map((operation) => {
    if (operation !== victim || operation.outcome.kind !== 'ok') return operation;
    const tail = (operation.outcome.answer.tail ?? 0) + (random() < 0.5 ? -1 : 1);
    return { ...operation, outcome: { kind: 'ok' as const, answer: { tail } } };
  });
  return { ...history, operations };
}

describe('the search and the known order', () => {
  it('accept every history of a perfect stream', () => {
    for (let seed = 1; seed <= 200; seed += 1) {
      const history = perfect(seed, 100, 6);
      expect(checkKnownOrder(history).anomalies, `seed ${seed}`).toEqual([]);
      expect(searchStreams(history).anomalies, `seed ${seed}`).toEqual([]);
      expect(checkRecordSets(history).anomalies, `seed ${seed}`).toEqual([]);
    }
  });

  it('agree on histories with one wrong answer', () => {
    let rejected = 0;
    for (let seed = 1; seed <= 500; seed += 1) {
      const history = spoiled(perfect(seed, 60, 4), seed);
      const verdict = isLegal(checkKnownOrder(history));
      expect(isLegal(searchStreams(history)), `seed ${seed}`).toBe(verdict);
      if (!verdict) rejected += 1;
    }
    expect(rejected).toBeGreaterThan(100);
    expect(rejected).toBeLessThan(500);
  });

  it('judge a hundred thousand operations, and see one wrong answer among them', () => {
    const history = perfect(7, 100_000, 50);
    const verdicts = [checkKnownOrder(history), searchStreams(history), checkRecordSets(history)];
    for (const verdict of verdicts) expect(verdict.anomalies).toEqual([]);
    expect(at(verdicts, 0).checked).toBeGreaterThan(99_000);
    const look = history.operations.findLast(({ action }) => action.kind === 'tail');
    const operations = history.operations.map((it) =>
      it === look ? { ...it, outcome: { kind: 'ok' as const, answer: { tail: 7 } } } : it,
    );
    expect(isLegal(checkKnownOrder({ ...history, operations }))).toBe(false);
  }, 60_000);
});
