import { describe, expect, it } from 'vitest';
import { violations } from './linearizability.ts';
import type { Action, Operation } from './linearizability.ts';

/** `[began, ended, action]` on one key. */
function history(...operations: [number, number, Action][]): Operation[] {
  return operations.map(([began, ended, action]) => ({ key: 'k', began, ended, action }));
}

const put = (value: string): Action => ({ kind: 'put', value });
const get = (result: string | null): Action => ({ kind: 'get', result });
const swap = (expected: string | null, value: string, changed: boolean | null): Action => ({
  kind: 'swap',
  expected,
  value,
  changed,
});

describe('the checker accepts', () => {
  it.each<[string, Operation[]]>([
    ['what happens one after the other', history([0, 1, put('a')], [2, 3, get('a')])],
    [
      'either answer during a write',
      history([0, 9, put('a')], [1, 2, get(null)], [3, 4, get('a')]),
    ],
    [
      'writes at once that are read in any one order',
      history([0, 9, put('a')], [0, 9, put('b')], [10, 11, get('a')], [12, 13, get('a')]),
    ],
    [
      'a swap that succeeds and one that does not',
      history([0, 1, swap(null, 'a', true)], [2, 3, swap(null, 'b', false)], [4, 5, get('a')]),
    ],
    [
      'a write without an answer that takes effect late',
      history([0, Infinity, put('a')], [1, 2, get(null)], [8, 9, get('a')]),
    ],
    [
      'a write without an answer that never takes effect',
      history([0, Infinity, put('a')], [1, 2, put('b')], [8, 9, get('b')]),
    ],
    [
      'a swap without an answer that did not hold',
      history([0, 1, put('a')], [2, Infinity, swap('x', 'b', null)], [4, 5, get('a')]),
    ],
    [
      'different keys apart',
      [...history([0, 1, put('a')]), { key: 'l', began: 2, ended: 3, action: get(null) }],
    ],
  ])('%s', (_what, operations) => {
    expect(violations(operations)).toEqual([]);
  });
});

describe('the checker objects to', () => {
  it.each<[string, Operation[]]>([
    ['a stale read', history([0, 1, put('a')], [2, 3, put('b')], [4, 5, get('a')])],
    ['a lost write', history([0, 1, put('a')], [2, 3, get(null)])],
    ['a read of what was never written', history([0, 1, put('a')], [2, 3, get('z')])],
    ['a read from the future', history([0, 1, get('a')], [2, 3, put('a')])],
    [
      'reads that go back',
      history([0, 9, put('a')], [1, 2, get('a')], [3, 4, get(null)], [10, 11, get('a')]),
    ],
    [
      'readers that see two writes in different orders',
      history(
        [0, 9, put('a')],
        [0, 9, put('b')],
        [10, 11, get('a')],
        [12, 13, get('b')],
        [14, 15, get('a')],
      ),
    ],
    [
      'two swaps that both succeed',
      history([0, 9, swap(null, 'a', true)], [0, 9, swap(null, 'b', true)]),
    ],
    [
      'a swap that fails although nothing else happened',
      history([0, 1, put('a')], [2, 3, swap('a', 'b', false)]),
    ],
    [
      'a swap that succeeds on a stale value',
      history([0, 1, put('a')], [2, 3, put('b')], [4, 5, swap('a', 'c', true)]),
    ],
    [
      'a write without an answer that is seen and then gone',
      history([0, Infinity, put('a')], [1, 2, get('a')], [3, 4, get(null)]),
    ],
    [
      'a write that takes effect twice',
      history([0, 1, put('a')], [2, 3, put('b')], [4, 5, get('a')], [6, 7, get('b')]),
    ],
  ])('%s', (_what, operations) => {
    expect(violations(operations)).toEqual(['k']);
  });
});
