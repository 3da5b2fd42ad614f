import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Merge } from './merge.ts';

type Emitted = readonly [timestamp: number, input: number, item: string];

function drained(merge: Merge<string>, limit?: number): Emitted[] {
  const out: Emitted[] = [];
  const count = merge.drain((item, input, timestamp) => out.push([timestamp, input, item]), limit);
  expect(count).toBe(out.length);
  return out;
}

describe('merge', () => {
  it('withholds an item until every input has closed its timestamp', () => {
    const merge = new Merge<string>(2);
    merge.push(0, 10, 'a');
    merge.close(0, 50);
    expect(drained(merge)).toEqual([]);
    merge.close(1, 9);
    expect(drained(merge)).toEqual([]);
    merge.close(1, 10);
    expect(drained(merge)).toEqual([[10, 0, 'a']]);
  });

  it('breaks ties of equal timestamps by the number of the input', () => {
    const merge = new Merge<string>(3);
    merge.push(2, 10, 'c');
    merge.push(0, 10, 'a');
    merge.push(1, 10, 'b');
    merge.push(1, 11, 'd');
    merge.push(0, 11, 'e');
    for (const input of [0, 1, 2]) merge.close(input, 20);
    expect(drained(merge).map(([, , item]) => item)).toEqual(['a', 'b', 'c', 'e', 'd']);
  });

  it('does not take an item for a promise: the watermark moves by closing alone', () => {
    const merge = new Merge<string>(1);
    merge.push(0, 10, 'a');
    merge.push(0, 20, 'b');
    expect(merge.watermark).toBe(0);
    expect(drained(merge)).toEqual([]);
  });

  it('stops at the limit and goes on where it stopped', () => {
    const merge = new Merge<string>(2);
    merge.push(0, 1, 'a');
    merge.push(1, 2, 'b');
    merge.push(0, 3, 'c');
    merge.close(0, 9);
    merge.close(1, 9);
    expect(drained(merge, 0)).toEqual([]);
    expect(drained(merge, 2).map(([, , item]) => item)).toEqual(['a', 'b']);
    expect(merge.size).toBe(1);
    expect(merge.sizeOf(0)).toBe(1);
    expect(drained(merge).map(([, , item]) => item)).toEqual(['c']);
  });

  it('M1: refuses a timestamp that does not increase', () => {
    const merge = new Merge<string>(1);
    merge.push(0, 10, 'a');
    expect(() => {
      merge.push(0, 10, 'b');
    }).toThrow('input 0: 10 not above 10');
    expect(() => {
      merge.push(0, 9, 'b');
    }).toThrow('input 0: 9 not above 10');
    expect(() => {
      merge.push(0, Number.NaN, 'b');
    }).toThrow('not a timestamp');
    expect(() => {
      merge.push(1, 9, 'b');
    }).toThrow('no such input');
  });

  it('M2: refuses an item at or below what its input has closed', () => {
    const merge = new Merge<string>(2);
    merge.close(0, 10);
    expect(() => {
      merge.push(0, 10, 'a');
    }).toThrow('input 0: 10 not above 10');
    merge.push(1, 10, 'b');
    merge.push(0, 11, 'a');
  });

  it('M3: ignores a closed timestamp that is lower than before', () => {
    const merge = new Merge<string>(1);
    merge.close(0, 10);
    merge.close(0, 5);
    expect(merge.closed(0)).toBe(10);
    expect(merge.watermark).toBe(10);
  });

  it('M4: is as slow as its slowest input', () => {
    const merge = new Merge<string>(3);
    merge.close(0, 30);
    merge.close(1, 20);
    expect(merge.watermark).toBe(0);
    merge.close(2, 10);
    expect(merge.watermark).toBe(10);
    merge.close(2, 40);
    expect(merge.watermark).toBe(20);
  });

  it('M6: does not emit an item again whose emission threw, and stays usable', () => {
    const merge = new Merge<string>(1);
    merge.push(0, 1, 'a');
    merge.push(0, 2, 'b');
    merge.close(0, 9);
    expect(() =>
      merge.drain(() => {
        throw new Error('full');
      }),
    ).toThrow('full');
    expect(drained(merge).map(([, , item]) => item)).toEqual(['b']);
  });

  it('refuses to be changed from inside a drain', () => {
    const merge = new Merge<string>(1);
    merge.push(0, 1, 'a');
    merge.close(0, 1);
    expect(() =>
      merge.drain(() => {
        merge.push(0, 2, 'b');
      }),
    ).toThrow('push while draining');
  });

  it('survives a burst far beyond its first capacity, around the ring', () => {
    const merge = new Merge<number>(1);
    let next = 1;
    let expected = 1;
    for (const burst of [10, 60, 5000, 3, 20_000, 100]) {
      for (let i = 0; i < burst; i += 1) {
        merge.push(0, next, next);
        next += 1;
      }
      merge.close(0, next - 1 - Math.floor(burst / 3));
      merge.drain((item, _input, timestamp) => {
        expect(item).toBe(expected);
        expect(timestamp).toBe(expected);
        expected += 1;
      });
    }
    merge.close(0, next);
    merge.drain((item) => {
      expect(item).toBe(expected);
      expected += 1;
    });
    expect(expected).toBe(next);
    expect(merge.size).toBe(0);
  });
});

/** The merge as one sorts it by hand: keep everything, sort, take what the watermark covers. */
class Model {
  waiting: Emitted[] = [];
  readonly closed: number[];
  readonly pushed: number[];

  constructor(inputs: number) {
    this.closed = new Array<number>(inputs).fill(0);
    this.pushed = new Array<number>(inputs).fill(0);
  }

  get watermark(): number {
    return Math.min(...this.closed);
  }

  drain(limit: number): Emitted[] {
    const ready = this.waiting
      .filter(([timestamp]) => timestamp <= this.watermark)
      .sort((a, b) => a[0] - b[0] || a[1] - b[1])
      .slice(0, limit);
    this.waiting = this.waiting.filter((item) => !ready.includes(item));
    return ready;
  }
}

describe('merge against a model', () => {
  const command = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        type: fc.constant('push' as const),
        input: fc.nat(3),
        step: fc.integer({ min: 1, max: 6 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        type: fc.constant('close' as const),
        input: fc.nat(3),
        step: fc.integer({ min: -4, max: 9 }),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant('drain' as const),
        limit: fc.option(fc.nat(5), { nil: Infinity }),
      }),
    },
  );

  it('M4, M5, M6, M7: emits exactly what the model emits, in the order', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(command, { maxLength: 200 }),
        (inputs, commands) => {
          const merge = new Merge<string>(inputs);
          const model = new Model(inputs);
          const all: Emitted[] = [];
          let name = 0;
          for (const step of commands) {
            if (step.type === 'drain') {
              const before = merge.watermark;
              const out = drained(merge, step.limit);
              expect(out).toEqual(model.drain(step.limit));
              expect(merge.watermark).toBe(before);
              all.push(...out);
              continue;
            }
            const input = step.input % inputs;
            if (step.type === 'push') {
              const floor = Math.max(model.pushed[input] ?? 0, model.closed[input] ?? 0);
              const item = `item ${name}`;
              name += 1;
              merge.push(input, floor + step.step, item);
              model.pushed[input] = floor + step.step;
              model.waiting.push([floor + step.step, input, item]);
            } else {
              const wish = (model.closed[input] ?? 0) + step.step;
              merge.close(input, wish);
              model.closed[input] = Math.max(model.closed[input] ?? 0, wish);
            }
            expect(merge.watermark).toBe(model.watermark);
            expect(merge.size).toBe(model.waiting.length);
          }
          const rest = drained(merge);
          expect(rest).toEqual(model.drain(Infinity));
          all.push(...rest);
          for (let i = 1; i < all.length; i += 1) {
            const [before, after] = [all[i - 1], all[i]];
            if (before === undefined || after === undefined) throw new Error('unreachable');
            expect(after[0] - before[0] || after[1] - before[1]).toBeGreaterThan(0);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});
