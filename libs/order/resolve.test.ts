import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { timestamp } from '../values/numbers.ts';
import { createOrderMachine, restoreOrderMachine } from './machine.ts';
import type { HashedOrderMachine, OrderSettings } from './machine.ts';
import type { AppendName, BatchHeader, Outcome, Resolution } from './types.ts';

class Bench {
  readonly machine: HashedOrderMachine;
  now = 1000;

  constructor(settings: Partial<OrderSettings> = {}) {
    this.machine = createOrderMachine(settings);
  }

  /** An append of a writer; `fails`: its condition does not hold. */
  append(epoch: number, seq: number, previous: number, fails = false, id = 'w'): Outcome {
    return this.machine.apply(header({ id, epoch, seq }, previous, fails), this.tick());
  }

  state(epoch: number, seq: number, id = 'w'): string {
    return this.machine.resolve({ id, epoch, seq }).state;
  }

  resolve(epoch: number, seq: number): Resolution {
    return this.machine.resolve({ id: 'w', epoch, seq });
  }

  tick() {
    return timestamp((this.now += 1));
  }
}

function header(name: AppendName, previous: number, fails: boolean): BatchHeader {
  return {
    stream: 's',
    recordCount: 1,
    writer: { ...name, previous },
    matchSeqNum: null,
    fencingToken: fails ? 77 : null,
  };
}

describe('what became of an append', () => {
  it('R1: is its first outcome, as long as that is remembered', () => {
    const bench = new Bench();
    bench.append(1, 5, 0);
    bench.append(1, 9, 5, true);
    expect(bench.resolve(1, 5)).toEqual({ state: 'appended', timestamp: 1001, firstSeqNum: 0 });
    expect(bench.resolve(1, 9)).toEqual({
      state: 'failed',
      failure: { reason: 'FENCED', expected: 77, actual: 0 },
    });
    // A higher epoch that repeats it would hear the same.
    bench.append(2, 10, 9);
    expect(bench.resolve(1, 5)).toMatchObject({ state: 'appended' });
    expect(bench.resolve(2, 5)).toMatchObject({ state: 'appended' });
  });

  it('R2: is never, when the chain has gone on without it', () => {
    const bench = new Bench();
    bench.append(1, 5, 0);
    expect(bench.state(1, 6)).toBe('pending');
    bench.append(1, 9, 5);
    expect(bench.state(1, 6)).toBe('never');
    expect(bench.state(1, 10)).toBe('pending');
    bench.append(2, 10, 9);
    expect(bench.state(1, 10)).toBe('never');
    expect(bench.state(1, 11)).toBe('never');
    expect(bench.state(2, 10)).toBe('appended');
    expect(bench.state(2, 11)).toBe('pending');
    expect(bench.state(3, 10)).toBe('pending');
  });

  it('R3: is forgotten with the outcome, and says how old it then is', () => {
    const bench = new Bench({ outcomesPerWriter: 4 });
    for (let seq = 1; seq <= 6; seq += 1) bench.append(1, seq, seq - 1);
    expect(bench.resolve(1, 2)).toEqual({ state: 'forgotten', before: 1003 });
    expect(bench.state(1, 3)).toBe('appended');
  });

  it('R3: is forgotten for the epochs before one that has started afresh', () => {
    const bench = new Bench();
    for (let seq = 1; seq <= 6; seq += 1) bench.append(1, seq, seq - 1);
    bench.append(2, 1, 0);
    for (const seq of [1, 3, 9]) expect(bench.state(1, seq)).toBe('forgotten');
    expect(bench.state(2, 1)).toBe('appended');
  });

  it('R4: of an unknown writer is pending, unless it may have been known and forgotten', () => {
    const bench = new Bench({ writersMax: 2 });
    expect(bench.state(1, 1)).toBe('pending');
    for (const id of ['a', 'b', 'c']) bench.append(1, 1, 0, false, id);
    expect(bench.machine.resolve({ id: 'a', epoch: 1, seq: 1 })).toEqual({
      state: 'forgotten',
      before: 1001,
    });
    expect(bench.state(1, 1, 'z')).toBe('forgotten');
  });

  it('R1, R2, R3, R4: is true under any history, also after a snapshot', () => {
    const seen = new Map<string, number>();
    const step = fc.record({
      mode: fc.constantFrom('next', 'next', 'epoch', 'afresh', 'any', 'fails', 'fails'),
      jump: fc.integer({ min: 1, max: 3 }),
      epoch: fc.integer({ min: 1, max: 4 }),
      previous: fc.nat(9),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 4, maxLength: 24 }), (steps) => {
        const bench = new Bench({ outcomesPerWriter: 6, outcomesMax: 500_000 });
        // Every append that took effect or failed by a condition, under the name it was first decided.
        const decided = new Map<string, Outcome>();
        for (const { mode, jump, epoch, previous } of steps) {
          const known = bench.machine.writer('w') ?? { epoch: 1, lastSeq: 0 };
          const isNew = mode === 'epoch' || mode === 'afresh';
          const from = mode === 'any' ? previous : mode === 'afresh' ? 0 : known.lastSeq;
          const by = mode === 'any' ? epoch : known.epoch + (isNew ? 1 : 0);
          const outcome = bench.append(by, from + jump, from, mode === 'fails');
          const counts =
            outcome.kind === 'appended' ||
            (outcome.kind === 'failed' && outcome.failure.reason === 'FENCED');
          if (counts) decided.set(`${by}/${from + jump}`, outcome);
        }
        const { machine } = bench;
        const chunks = [...machine.snapshot()];
        const copy = (): HashedOrderMachine => restoreOrderMachine(chunks);
        for (let epoch = 1; epoch <= 4; epoch += 1) {
          for (let seq = 1; seq <= 12; seq += 1) {
            const append = { id: 'w', epoch, seq };
            const resolution = machine.resolve(append);
            const truth = decided.get(`${epoch}/${seq}`);
            seen.set(resolution.state, (seen.get(resolution.state) ?? 0) + 1);
            if (resolution.state === 'appended' || resolution.state === 'failed') {
              // What a repetition hears now, or what was decided under this name.
              if (truth !== undefined) expect(resolution.state).toBe(stateOf(truth));
              else expect(decidedBelow(decided, epoch, seq)).toContain(resolution.state);
              continue;
            }
            // The others all deny that it is known to have taken effect; two of them for good.
            if (resolution.state !== 'forgotten') expect(truth).toBeUndefined();
            if (resolution.state !== 'never') continue;
            for (let previous = 0; previous < seq; previous += 1) {
              const late = copy().apply(header(append, previous, false), timestamp(9999));
              expect(late.kind, `${epoch}/${seq} after ${previous}`).toBe('failed');
            }
          }
        }
      }),
      { numRuns: 150 },
    );
    for (const state of ['appended', 'failed', 'never', 'pending', 'forgotten']) {
      expect(seen.get(state) ?? 0, state).toBeGreaterThan(10);
    }
  });
});

function stateOf(outcome: Outcome): string {
  return outcome.kind === 'appended' ? 'appended' : 'failed';
}

/** The states of this seq under lower epochs: a higher one that continues the chain shares them. */
function decidedBelow(decided: ReadonlyMap<string, Outcome>, epoch: number, seq: number): string[] {
  const states: string[] = [];
  for (let lower = 1; lower < epoch; lower += 1) {
    const outcome = decided.get(`${lower}/${seq}`);
    if (outcome !== undefined) states.push(stateOf(outcome));
  }
  return states;
}
