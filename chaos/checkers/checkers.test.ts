/**
 * A checker that never objects proves nothing: every illegal history here must be rejected by the checker
 * it was made for, and no legal one by any.
 */
import { describe, expect, it } from 'vitest';
import { isLegal } from '../model/verdict.ts';
import { judgeStreams } from './stream-judges.ts';
import { Story } from './testing-story.ts';

/** Names of the checkers that object. */
function objections(story: Story): string[] {
  return judgeStreams(story.history())
    .filter((verdict) => !isLegal(verdict))
    .map(({ checker }) => checker);
}

const ORDER = 'linearizable streams, in the known order';
const SEARCH = 'linearizable streams, by search';
const SETS = 'nothing lost, doubled or made up';
const REAL_TIME = 'real time across streams and journals';
const PREFIX = 'one order for all observers';
const WATERMARK = 'watermarks are promises';
const RESUME = 'exactly what follows, without a hole';
const WRITERS = 'writers take effect once, in order';
const BATCHES = 'batches are whole';
const FENCING = 'fencing and leases';

const writer = (seq: number, epoch = 1) => ({ writer: { id: 'w', epoch, seq } });
const mismatch = (expected: number, actual: number) =>
  ['CONDITION_FAILED', { expected: String(expected), actual: String(actual) }] as const;
const fenced = (actual: number) => ['FENCED', { actual: String(actual) }] as const;

/** a at 0, b at 1, in that order. */
const two = (): Story =>
  new Story()
    .append('a', [0, 10], { at: 0, ts: 8 })
    .append('b', [20, 30], { at: 1, ts: 16 })
    .stands('a', 8, 0)
    .stands('b', 16, 1);

describe('a legal history is accepted', () => {
  it.each<[string, Story]>([
    ['one after the other, read and watched', two().read('a b', 2, [40, 50]).tail(2, [60, 70])],
    [
      'either answer while an append is under way',
      two().tail(1, [22, 24]).read('a b', 2, [25, 28]),
    ],
    [
      'appends at once, in any order',
      new Story()
        .append('a', [0, 90], { at: 1, ts: 16 })
        .append('b', [0, 90], { at: 0, ts: 8 })
        .stands('b', 8, 0)
        .stands('a', 16, 1),
    ],
    [
      'an append without an answer that takes effect late',
      two().append('c', [0, Infinity]).tail(2, [40, 50]).tail(3, [60, 70]).stands('c', 24, 2),
    ],
    ['an append without an answer that never takes effect', two().append('c', [0, Infinity])],
    [
      'a conditional append without an answer that won after all',
      two()
        .append('c', [30, Infinity], { matchSeqNum: 2 })
        .append('d', [40, 50], { matchSeqNum: 2, failed: mismatch(2, 3) })
        .stands('c', 24, 2),
    ],
    [
      'of two conditional appends one',
      new Story()
        .append('a', [0, 10], { at: 0, ts: 8, matchSeqNum: 0 })
        .append('b', [0, 10], { matchSeqNum: 0, failed: mismatch(0, 1) })
        .stands('a', 8, 0),
    ],
    [
      'an append that failed and is not there',
      two().append('c', [0, 9], { failed: ['TOO_LARGE'] }),
    ],
    [
      'QUORUM appends whose order is not that of their answers, as long as reads see them',
      new Story()
        .append('a', [0, 10], { ack: 'QUORUM', ts: 16 })
        .append('b', [20, 30], { ack: 'QUORUM', ts: 8 })
        .stands('b', 8, 0)
        .stands('a', 16, 1)
        .read('b a', 2, [40, 50]),
    ],
    [
      'two observers, one of which has seen less and began again',
      two()
        .begins('o')
        .given('o', 'a', 8, 0)
        .shown('o', 8)
        .begins('o', 8)
        .given('o', 'b', 16, 1)
        .shown('o', 24)
        .begins('p')
        .given('p', 'a', 8, 0),
    ],
    [
      'a writer that begins again in a higher epoch after an append that never took effect',
      new Story()
        .append('a', [0, 10], { at: 0, ts: 8, ...writer(1) })
        .append('b', [20, Infinity], writer(2))
        .append('c', [50, 60], { at: 1, ts: 16, ...writer(2, 2) })
        .stands('a', 8, 0)
        .stands('c', 16, 1),
    ],
    [
      'batches, read from the middle of one',
      new Story()
        .append('a b c', [0, 10], { at: 0, ts: 8 })
        .stands('a b c', 8, 0)
        .read('c', 3, [20, 30], 2),
    ],
    [
      'a fence, a refusal, and a lease that follows an expired one',
      new Story()
        .fence(1, [0, 10])
        .append('a', [20, 30], { at: 0, ts: 8, fencingToken: 1 })
        .lease('acquire', 'x', 2, 5_000, [40, 50])
        .append('b', [60, 70], { fencingToken: 1, failed: fenced(2) })
        .lease('renew', 'x', 2, 6_000, [80, 90])
        .lease('acquire', 'y', 3, 7_000, [100, 110])
        .stands('a', 8, 0),
    ],
    [
      'a lease that was released before its end',
      new Story()
        .lease('acquire', 'x', 2, 5_000, [0, 10])
        .lease('release', 'x', 2, 0, [20, 30])
        .lease('acquire', 'y', 3, 4_000, [40, 50]),
    ],
    [
      'an append under a fence that was asked for at the same time',
      new Story()
        .fence(1, [0, 10])
        .append('a', [20, 60], { at: 0, ts: 8, fencingToken: 1 })
        .fence(2, [20, 60])
        .stands('a', 8, 0),
    ],
  ])('%s', (_what, story) => {
    expect(objections(story)).toEqual([]);
  });
});

describe('an illegal history is rejected', () => {
  it.each<[string, readonly string[], Story]>([
    ['a stale tail', [ORDER, SEARCH], two().tail(1, [40, 50])],
    ['a stale read', [ORDER, SEARCH], two().read('a', 1, [40, 50])],
    ['a tail beyond everything', [ORDER, SEARCH], two().tail(3, [40, 50])],
    ['a tail from the future', [ORDER, SEARCH], two().tail(2, [11, 15])],
    ['reads that go back', [ORDER, SEARCH], two().tail(2, [21, 22]).tail(1, [23, 24])],
    ['a read of a value that does not stand there', [ORDER], two().read('a z', 2, [40, 50])],
    ['a read that leaves out the beginning', [ORDER], two().read('b', 2, [40, 50])],
    [
      'appends that stand in the wrong order',
      [ORDER, SEARCH, REAL_TIME],
      new Story()
        .append('a', [0, 10], { at: 1, ts: 16 })
        .append('b', [20, 30], { at: 0, ts: 8 })
        .stands('b', 8, 0)
        .stands('a', 16, 1),
    ],
    [
      'two appends that were told the same number',
      [ORDER, SEARCH, SETS],
      two().append('c', [40, 50], { at: 1, ts: 24 }).stands('c', 24, 2),
    ],
    [
      'a read that misses what a QUORUM append was promised',
      [ORDER],
      new Story()
        .append('a', [0, 10], { ack: 'QUORUM', ts: 8 })
        .tail(0, [20, 30])
        .stands('a', 8, 0),
    ],
    [
      'two conditional appends that both win',
      [ORDER, SEARCH],
      new Story()
        .append('a', [0, 10], { at: 0, ts: 8, matchSeqNum: 0 })
        .append('b', [0, 10], { at: 1, ts: 16, matchSeqNum: 0 })
        .stands('a', 8, 0)
        .stands('b', 16, 1),
    ],
    [
      'a condition that fails although it holds',
      [ORDER, SEARCH],
      two().append('c', [40, 50], { matchSeqNum: 1, failed: mismatch(1, 1) }),
    ],
    [
      'a condition that fails on a stale tail',
      [ORDER, SEARCH],
      two().append('c', [40, 50], { matchSeqNum: 2, failed: mismatch(2, 1) }),
    ],
    [
      'an append without an answer that is seen and then gone',
      [ORDER, SEARCH],
      two().append('c', [30, Infinity]).tail(3, [40, 50]).tail(2, [60, 70]).stands('c', 24, 2),
    ],
    ['an acknowledged append that is lost', [SETS], two().append('c', [40, 50], { at: 2, ts: 24 })],
    [
      'an acknowledged append that stands elsewhere in time',
      [SETS],
      two().append('c', [40, 50], { at: 2, ts: 32 }).stands('c', 24, 2),
    ],
    [
      'an acknowledged append that has another number',
      [SETS, ORDER],
      two()
        .append('d', [35, Infinity])
        .append('c', [40, 50], { at: 2, ts: 32 })
        .stands('d', 24, 2)
        .stands('c', 32, 3),
    ],
    ['a value that stands there twice', [SETS], two().stands('a', 24, 2)],
    [
      'an append that certainly failed and stands there',
      [SETS],
      two()
        .append('c', [40, 50], { failed: ['OVERLOADED'] })
        .stands('c', 24, 2),
    ],
    ['a value that nobody has sent', [SETS], two().stands('z', 24, 2)],
    ['a hole in the numbers', [SETS], two().append('c', [40, Infinity]).stands('c', 24, 3)],
    [
      'a value shown to an observer and then gone',
      [SETS],
      two().append('c', [40, Infinity]).given('o', 'c', 24, 2),
    ],
    [
      'a failed append shown to an observer',
      [SETS],
      two()
        .append('c', [40, 50], { failed: ['TOO_LARGE'] })
        .given('o', 'c', 24, 2),
    ],
    ['a made-up value shown to an observer', [SETS], two().given('o', 'z', 24, 2)],
    ['a value shown at another place', [SETS], two().given('o', 'a', 9, 0)],
    [
      'streams of one instance against real time',
      [REAL_TIME],
      new Story()
        .append('a', [0, 10], { at: 0, ts: 16 })
        .append('b', [20, 30], { at: 0, ts: 8, stream: 't' })
        .stands('a', 16, 0)
        .stands('b', 8, 0, { stream: 't' }),
    ],
    [
      'causality across instances',
      [REAL_TIME],
      new Story()
        .append('a', [0, 10], { at: 0, ts: 16 })
        .append('b', [20, 30], { at: 0, ts: 8, instance: 2, minTimestamp: 16 })
        .stands('a', 16, 0)
        .stands('b', 8, 0, { instance: 2 }),
    ],
    [
      'an append behind a watermark that was shown before it began',
      [REAL_TIME],
      two().shown('o', 24, 32).append('c', [40, 50], { at: 2, ts: 24 }).stands('c', 24, 2),
    ],
    [
      'two observers with different orders',
      [PREFIX],
      two().begins('o').given('o', 'a', 8, 0).begins('p').given('p', 'b', 16, 1),
    ],
    [
      'two observers with different values at one place',
      [PREFIX],
      two().begins('o').given('o', 'a', 8, 0).begins('p').given('p', 'b', 8, 0),
    ],
    [
      'two observers that give one record different numbers',
      [PREFIX, RESUME],
      two().begins('o').given('o', 'a', 8, 0).begins('p').given('p', 'a', 8, 1),
    ],
    ['a watermark that goes back', [WATERMARK], two().shown('o', 24, 35).shown('o', 16, 36)],
    [
      'a record behind the watermark',
      [WATERMARK],
      two().begins('o').given('o', 'a', 8, 0).shown('o', 16).given('o', 'b', 16, 1),
    ],
    ['a record left out', [RESUME], two().begins('o').given('o', 'b', 16, 1)],
    [
      'a record given again after a resumption',
      [RESUME],
      two().begins('o').given('o', 'a', 8, 0).begins('o', 8).given('o', 'a', 8, 0),
    ],
    [
      'a record left out by a resumption',
      [RESUME],
      two()
        .append('c', [40, 50], { at: 2, ts: 24 })
        .stands('c', 24, 2)
        .begins('o', 8)
        .given('o', 'c', 24, 2),
    ],
    ['a watermark over a record that never came', [RESUME], two().begins('o').shown('o', 8)],
    [
      'a writer whose append stands there twice',
      [WRITERS, SETS],
      new Story()
        .append('a', [0, 10], { at: 0, ts: 8, ...writer(1) })
        .stands('a', 8, 0)
        .stands('a', 16, 1),
    ],
    [
      'a writer’s appends out of order',
      [WRITERS],
      new Story()
        .append('a', [0, 30], { at: 1, ts: 16, ...writer(1) })
        .append('b', [0, 30], { at: 0, ts: 8, ...writer(2) })
        .stands('b', 8, 0)
        .stands('a', 16, 1),
    ],
    [
      'a fenced epoch of a writer behind its successor',
      [WRITERS],
      new Story()
        .append('a', [0, 30], { at: 0, ts: 8, ...writer(1, 2) })
        .append('b', [0, 30], { at: 1, ts: 16, ...writer(5, 1) })
        .stands('a', 8, 0)
        .stands('b', 16, 1),
    ],
    [
      'a writer’s append that was jumped over',
      [WRITERS],
      new Story()
        .append('a', [0, Infinity], writer(1))
        .append('b', [0, 30], { at: 0, ts: 8, ...writer(2) })
        .stands('b', 8, 0),
    ],
    [
      'half a batch in the journal',
      [BATCHES],
      new Story().append('a b', [0, 10], { at: 0, ts: 8 }).stands('a', 8, 0),
    ],
    [
      'a batch with something in between',
      [BATCHES],
      new Story()
        .append('a b', [0, 10], { at: 0, ts: 8 })
        .append('c', [0, 10], { at: 1, ts: 8 })
        .stands('a c b', 8, 0),
    ],
    [
      'half a batch shown to an observer',
      [BATCHES],
      new Story()
        .append('a b', [0, 10], { at: 0, ts: 8 })
        .stands('a b', 8, 0)
        .begins('o')
        .given('o', 'a', 8, 0),
    ],
    [
      'half a batch in a read',
      [BATCHES, SEARCH, ORDER],
      new Story()
        .append('a b', [0, 10], { at: 0, ts: 8 })
        .stands('a b', 8, 0)
        .read('a', 1, [20, 30]),
    ],
    [
      'an append with a token that a fence has ended',
      [FENCING],
      new Story()
        .fence(1, [0, 10])
        .fence(2, [20, 30])
        .append('a', [40, 50], { at: 0, ts: 8, fencingToken: 1 })
        .stands('a', 8, 0),
    ],
    [
      'an append with an old token behind one with a new token',
      [FENCING],
      new Story()
        .append('a', [0, 50], { at: 0, ts: 8, fencingToken: 2 })
        .append('b', [0, 50], { at: 1, ts: 16, fencingToken: 1 })
        .stands('a', 8, 0)
        .stands('b', 16, 1),
    ],
    [
      'a token that is used before it was granted',
      [FENCING],
      new Story()
        .append('a', [0, 10], { at: 0, ts: 8, fencingToken: 1 })
        .fence(1, [20, 30])
        .stands('a', 8, 0),
    ],
    ['one token granted to two', [FENCING], new Story().fence(1, [0, 10]).fence(1, [20, 30])],
    ['tokens that fall', [FENCING], new Story().fence(2, [0, 10]).fence(1, [20, 30])],
    [
      'a refusal that names the token that was given',
      [FENCING],
      new Story().fence(1, [0, 10]).append('a', [20, 30], { fencingToken: 1, failed: fenced(1) }),
    ],
    [
      'a refusal that names a token of the past',
      [FENCING],
      new Story()
        .fence(1, [0, 10])
        .fence(2, [20, 30])
        .append('a', [40, 50], { fencingToken: 2, failed: fenced(1) }),
    ],
    [
      'a lease granted before the other’s ended',
      [FENCING],
      new Story()
        .lease('acquire', 'x', 1, 5_000, [0, 10])
        .lease('acquire', 'y', 2, 5_500, [20, 30]),
    ],
    [
      'a lease granted although the other’s was renewed',
      [FENCING],
      new Story()
        .lease('acquire', 'x', 1, 5_000, [0, 10])
        .lease('renew', 'x', 1, 8_000, [12, 14])
        .lease('acquire', 'y', 2, 8_500, [20, 30]),
    ],
    [
      'a lease renewed after another was granted',
      [FENCING],
      new Story()
        .lease('acquire', 'x', 1, 5_000, [0, 10])
        .lease('acquire', 'y', 2, 6_000, [20, 30])
        .lease('renew', 'x', 1, 5_000, [40, 50]),
    ],
  ])('%s', (_what, checkers, story) => {
    expect(objections(story)).toEqual(expect.arrayContaining([...checkers]));
  });
});
