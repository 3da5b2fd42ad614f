import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seqNum, timestamp } from '../values/numbers.ts';
import { createOrderMachine } from './machine.ts';
import type { BatchHeader, FirstOutcome, OrderFailure, Outcome, WriterSeq } from './types.ts';

interface Wish {
  readonly stream?: string;
  readonly recordCount?: number;
  readonly writer?: WriterSeq | null;
  readonly matchSeqNum?: number | null;
  readonly fencingToken?: number | null;
  readonly checksum?: number;
}

function batch(wish: Wish = {}): BatchHeader {
  const { matchSeqNum = null } = wish;
  return {
    stream: wish.stream ?? 's',
    recordCount: wish.recordCount ?? 1,
    writer: wish.writer ?? null,
    matchSeqNum: matchSeqNum === null ? null : seqNum(matchSeqNum),
    fencingToken: wish.fencingToken ?? null,
    ...(wish.checksum === undefined ? {} : { checksum: wish.checksum }),
  };
}

function by(seq: number, previous: number, epoch = 1, id = 'w'): { writer: WriterSeq } {
  return { writer: { id, epoch, seq, previous } };
}

const appended = (at: number, first: number): FirstOutcome => ({
  kind: 'appended',
  timestamp: timestamp(at),
  firstSeqNum: seqNum(first),
});
const duplicate = (first: FirstOutcome): Outcome => ({ kind: 'duplicate', first });
const failed = (failure: OrderFailure): FirstOutcome => ({ kind: 'failed', failure });
const mismatch = (expected: number, actual: number): FirstOutcome =>
  failed({ reason: 'CONDITION_FAILED', condition: 'matchSeqNum', expected, actual });

/** Applies one after the other at timestamps 1, 2, 3 …. */
function run(machine: ReturnType<typeof createOrderMachine>) {
  let at = 0;
  return (wish: Wish): Outcome => {
    at += 1;
    return machine.apply(batch(wish), timestamp(at));
  };
}

describe('streams', () => {
  it('number their records densely from 0, each for itself', () => {
    const machine = createOrderMachine();
    const apply = run(machine);
    expect(apply({ recordCount: 3 })).toEqual(appended(1, 0));
    expect(apply({ stream: 'other' })).toEqual(appended(2, 0));
    expect(apply({ recordCount: 2 })).toEqual(appended(3, 3));
    expect(machine.stream('s')).toEqual({
      name: 's',
      createdAt: 1,
      nextSeqNum: 5,
      firstSeqNum: 0,
      lastTimestamp: 3,
      fencingToken: 0,
      config: { fencing: 'none' },
      lease: null,
    });
    expect(machine.stream('nobody')).toBeNull();
    expect(machine.streamCount).toBe(2);
  });

  it('S2: do not come into being by a failed append', () => {
    const machine = createOrderMachine();
    const apply = run(machine);
    expect(apply({ matchSeqNum: 1 })).toEqual(mismatch(1, 0));
    expect(apply({ fencingToken: 7 })).toEqual(
      failed({ reason: 'FENCED', expected: 7, actual: 0 }),
    );
    expect(machine.stream('s')).toBeNull();
    expect(apply({ matchSeqNum: 0, fencingToken: 0 })).toEqual(appended(3, 0));
  });

  it('check the token before the tail: who was fenced hears that', () => {
    const apply = run(createOrderMachine());
    apply({});
    expect(apply({ matchSeqNum: 9, fencingToken: 7 })).toEqual(
      failed({ reason: 'FENCED', expected: 7, actual: 0 }),
    );
    expect(apply({ matchSeqNum: 9, fencingToken: 0 })).toEqual(mismatch(9, 1));
  });

  it('are never applied against the order', () => {
    const machine = createOrderMachine();
    machine.apply(batch(), timestamp(5));
    machine.apply(batch(), timestamp(5));
    expect(() => machine.apply(batch(), timestamp(4))).toThrow('applied 4 after 5');
  });
});

describe('writers', () => {
  it('W1: get the first outcome again, even when the condition would not hold any more', () => {
    const apply = run(createOrderMachine());
    const first = apply({ ...by(1, 0), matchSeqNum: 0 });
    expect(first).toEqual(appended(1, 0));
    apply({});
    expect(apply({ ...by(1, 0), matchSeqNum: 0 })).toEqual(duplicate(appended(1, 0)));
  });

  it('W3: hear the failure again even when the condition would hold by now, and go on after it', () => {
    const apply = run(createOrderMachine());
    expect(apply({ ...by(5, 0), matchSeqNum: 1 })).toEqual(mismatch(1, 0));
    apply({});
    expect(apply({ ...by(5, 0), matchSeqNum: 1 })).toEqual(duplicate(mismatch(1, 0)));
    expect(apply(by(9, 5))).toEqual(appended(4, 1));
    expect(apply(by(7, 5))).toEqual(failed({ reason: 'WRITER_GAP', previous: 5, last: 9 }));
  });

  it('W4: change nothing by a gap, a fenced epoch or a forgotten seq', () => {
    const machine = createOrderMachine();
    const apply = run(machine);
    expect(apply(by(4, 3))).toEqual(
      failed({ reason: 'WRITER_FORGOTTEN', seq: 4, oldestRemembered: 0 }),
    );
    expect(machine.writer('w')).toBeNull();
    apply(by(3, 0, 2));
    const before = machine.writer('w');
    expect(before).toEqual({ epoch: 2, lastSeq: 3, timestamp: 2 });
    expect(apply(by(5, 4, 2))).toEqual(failed({ reason: 'WRITER_GAP', previous: 4, last: 3 }));
    expect(apply(by(9, 3, 1))).toEqual(failed({ reason: 'WRITER_FENCED', epoch: 1, current: 2 }));
    expect(apply(by(2, 1, 2))).toEqual(
      failed({ reason: 'WRITER_FORGOTTEN', seq: 2, oldestRemembered: 3 }),
    );
    expect(apply(by(9, 8, 3))).toEqual(failed({ reason: 'WRITER_GAP', previous: 8, last: 3 }));
    expect(machine.writer('w')).toEqual(before);
    expect(apply(by(4, 3, 2))).toEqual(appended(7, 1));
  });

  it('W5: fence a lower epoch with their first decided append, even one whose condition failed', () => {
    const apply = run(createOrderMachine());
    apply(by(1, 0, 1));
    expect(apply({ ...by(2, 1, 2), matchSeqNum: 9 })).toEqual(mismatch(9, 1));
    expect(apply(by(2, 1, 1))).toEqual(failed({ reason: 'WRITER_FENCED', epoch: 1, current: 2 }));
  });

  it('keep the old outcomes when a higher epoch continues, and lose them when it starts afresh', () => {
    const apply = run(createOrderMachine());
    apply(by(10, 0, 1));
    apply(by(20, 10, 2));
    expect(apply(by(10, 0, 2))).toEqual(duplicate(appended(1, 0)));
    expect(apply(by(5, 0, 3))).toEqual(appended(4, 2));
    expect(apply(by(5, 0, 3))).toEqual(duplicate(appended(4, 2)));
    expect(apply(by(4, 3, 3))).toEqual(
      failed({ reason: 'WRITER_FORGOTTEN', seq: 4, oldestRemembered: 5 }),
    );
  });

  it('W6: are forgotten beyond the bound, the one silent longest first', () => {
    const machine = createOrderMachine({ writersMax: 2 });
    const apply = run(machine);
    apply(by(1, 0, 1, 'a'));
    apply(by(1, 0, 1, 'b'));
    apply(by(2, 1, 1, 'a'));
    apply(by(1, 0, 1, 'c'));
    expect(machine.writerCount).toBe(2);
    expect(machine.writer('b')).toBeNull();
    expect(apply(by(2, 1, 1, 'b'))).toEqual(
      failed({ reason: 'WRITER_FORGOTTEN', seq: 2, oldestRemembered: 0 }),
    );
    expect(apply(by(1, 0, 1, 'a'))).toEqual(duplicate(appended(1, 0)));
  });

  it('W7: are forgotten when their last append is too long ago in the log', () => {
    const machine = createOrderMachine({ writerAgeMaxMicros: 100 });
    machine.apply(batch(by(1, 0, 1, 'a')), timestamp(1000));
    machine.apply(batch(by(1, 0, 1, 'b')), timestamp(1050));
    expect(machine.apply(batch(by(1, 0, 1, 'a')), timestamp(1100)).kind).toBe('duplicate');
    expect(machine.apply(batch(by(2, 1, 1, 'a')), timestamp(1101))).toEqual(
      failed({ reason: 'WRITER_FORGOTTEN', seq: 2, oldestRemembered: 0 }),
    );
    expect(machine.apply(batch(by(2, 1, 1, 'b')), timestamp(1102)).kind).toBe('appended');
  });

  it('W8: keep as many outcomes as the window says, failures among them', () => {
    const machine = createOrderMachine({ outcomesPerWriter: 6 });
    const apply = run(machine);
    for (let seq = 1; seq <= 20; seq += 1) {
      apply({ ...by(seq, seq - 1), ...(seq % 3 === 0 ? { matchSeqNum: 999 } : {}) });
    }
    expect(apply(by(14, 13))).toEqual(
      failed({ reason: 'WRITER_FORGOTTEN', seq: 14, oldestRemembered: 15 }),
    );
    expect(apply(by(15, 14))).toEqual(duplicate(mismatch(999, 10)));
    expect(apply(by(20, 19))).toEqual(duplicate(appended(20, 13)));
    expect(machine.outcomeSlots).toBe(6);
  });

  it('W8: give up the outcomes of silent writers when all together need too much, but not their place', () => {
    const machine = createOrderMachine({ writersMax: 10, outcomesPerWriter: 64, outcomesMax: 104 });
    const apply = run(machine);
    const last = new Map<string, number>();
    const next = (id: string): Outcome => {
      const previous = last.get(id) ?? 0;
      last.set(id, previous + 1);
      return apply(by(previous + 1, previous, 1, id));
    };
    for (let i = 0; i < 40; i += 1) next('old');
    expect(apply(by(1, 0, 1, 'old')).kind).toBe('duplicate');
    for (let i = 0; i < 40; i += 1) next('new');
    expect(machine.outcomeSlots).toBeLessThanOrEqual(104);
    expect(apply(by(1, 0, 1, 'new')).kind).toBe('duplicate');
    expect(apply(by(39, 38, 1, 'old'))).toEqual(
      failed({ reason: 'WRITER_FORGOTTEN', seq: 39, oldestRemembered: 40 }),
    );
    expect(apply(by(40, 39, 1, 'old')).kind).toBe('duplicate');
    expect(next('old').kind).toBe('appended');
  });

  it('W8: stay inside all bounds under any mix of writers, fresh starts included', () => {
    const settings = {
      writersMax: 8,
      outcomesPerWriter: 32,
      outcomesMax: 64,
      writerAgeMaxMicros: 300,
    };
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.nat(11),
            fc.integer({ min: 1, max: 20 }),
            fc.integer({ min: 1, max: 60 }),
            fc.boolean(),
          ),
          { maxLength: 60 },
        ),
        (bursts) => {
          const machine = createOrderMachine(settings);
          let now = 0;
          for (const [who, count, step, fresh] of bursts) {
            for (let i = 0; i < count; i += 1) {
              const id = `w${who}`;
              const known = machine.writer(id);
              const restart = fresh && i === 0 && known !== null;
              const previous = restart ? 0 : (known?.lastSeq ?? 0);
              const epoch = (known?.epoch ?? 1) + (restart ? 1 : 0);
              now += i === 0 ? step : 1;
              const outcome = machine.apply(
                batch(by(previous + 1, previous, epoch, id)),
                timestamp(now),
              );
              // The writer may have been aged out by this very entry.
              expect(['appended', 'failed']).toContain(outcome.kind);
              if (outcome.kind === 'failed')
                expect(outcome.failure.reason).toBe('WRITER_FORGOTTEN');
              expect(machine.writerCount).toBeLessThanOrEqual(settings.writersMax);
              expect(machine.outcomeSlots).toBeLessThanOrEqual(settings.outcomesMax);
            }
          }
        },
      ),
    );
  });
});

/** The table of SPEC.md with everything kept and nothing packed; bounds are not modelled. */
class Model {
  readonly streams = new Map<string, number>();
  readonly writers = new Map<
    string,
    { epoch: number; last: number; outcomes: Map<number, FirstOutcome> }
  >();

  apply(header: BatchHeader, at: number): Outcome {
    if (header.writer === null) return this.decide(header, at);
    const { id, epoch, seq, previous } = header.writer;
    const writer = this.writers.get(id);
    if (writer === undefined) {
      if (previous !== 0) return failed({ reason: 'WRITER_FORGOTTEN', seq, oldestRemembered: 0 });
      this.writers.set(id, { epoch, last: 0, outcomes: new Map() });
      return this.first(header, at);
    }
    if (epoch < writer.epoch)
      return failed({ reason: 'WRITER_FENCED', epoch, current: writer.epoch });
    const gap = failed({ reason: 'WRITER_GAP', previous, last: writer.last });
    if (epoch === writer.epoch && seq <= writer.last) {
      const outcome = writer.outcomes.get(seq);
      if (outcome !== undefined) return duplicate(outcome);
      const oldest = Math.min(...writer.outcomes.keys());
      return seq < oldest
        ? failed({ reason: 'WRITER_FORGOTTEN', seq, oldestRemembered: oldest })
        : gap;
    }
    if (previous !== writer.last) {
      if (epoch === writer.epoch || previous !== 0) return gap;
      writer.outcomes.clear();
    }
    writer.epoch = epoch;
    return this.first(header, at);
  }

  /** A writer in the state it is in, about to do what is wanted. */
  writerFor(wanted: {
    id: string;
    mode: string;
    pick: number;
    step: number;
    any: WriterSeq;
  }): WriterSeq {
    const { id, mode, pick, step } = wanted;
    const writer = this.writers.get(id);
    if (mode === 'any') return wanted.any;
    if (writer === undefined) return { id, epoch: 1, seq: step, previous: 0 };
    const { epoch, last } = writer;
    if (mode === 'retry') {
      const seqs = [...writer.outcomes.keys()];
      const seq = seqs[pick % seqs.length] ?? 1;
      return { id, epoch, seq, previous: seq - 1 };
    }
    if (mode === 'afresh') return { id, epoch: epoch + 1, seq: step, previous: 0 };
    return { id, epoch: mode === 'newEpoch' ? epoch + 1 : epoch, seq: last + step, previous: last };
  }

  private first(header: BatchHeader, at: number): FirstOutcome {
    const outcome = this.decide(header, at);
    const writer = this.writers.get(header.writer?.id ?? '');
    if (writer === undefined || header.writer === null) throw new Error('no writer');
    writer.last = header.writer.seq;
    writer.outcomes.set(header.writer.seq, outcome);
    return outcome;
  }

  private decide(header: BatchHeader, at: number): FirstOutcome {
    const tail = this.streams.get(header.stream) ?? 0;
    if (header.fencingToken !== null && header.fencingToken !== 0) {
      return failed({ reason: 'FENCED', expected: header.fencingToken, actual: 0 });
    }
    if (header.matchSeqNum !== null && header.matchSeqNum !== tail)
      return mismatch(header.matchSeqNum, tail);
    this.streams.set(header.stream, tail + header.recordCount);
    return appended(at, tail);
  }
}

const anyWriter = fc
  .record({
    id: fc.constantFrom('a', 'b'),
    epoch: fc.integer({ min: 1, max: 3 }),
    previous: fc.nat(6),
    step: fc.integer({ min: 1, max: 3 }),
  })
  .map(({ id, epoch, previous, step }) => ({ id, epoch, seq: previous + step, previous }));
const anyBatch: fc.Arbitrary<BatchHeader> = fc
  .record({
    stream: fc.constantFrom('s', 't'),
    recordCount: fc.integer({ min: 1, max: 3 }),
    writer: fc.option(anyWriter, { freq: 4 }),
    matchSeqNum: fc.option(fc.nat(8), { freq: 3 }),
    fencingToken: fc.option(fc.constantFrom(0, 0, 0, 5), { freq: 3 }),
    checksum: fc.nat(),
  })
  .map((wish) => batch(wish));
const log = fc.array(fc.tuple(anyBatch, fc.integer({ min: 0, max: 3 })), { maxLength: 80 });

describe('the machine against a model', () => {
  it('S1, S2, S3, W2, W4, W5, H2: answers what the model answers', () => {
    const seen = new Map<string, number>();
    const intent = fc.record({
      id: fc.constantFrom('a', 'b'),
      mode: fc.constantFrom('next', 'next', 'next', 'retry', 'retry', 'newEpoch', 'afresh', 'any'),
      pick: fc.nat(),
      step: fc.integer({ min: 1, max: 3 }),
      any: anyWriter,
    });
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyBatch, fc.option(intent, { freq: 8 }), fc.nat(3)), { maxLength: 60 }),
        (steps) => {
          const machine = createOrderMachine();
          const model = new Model();
          let at = 1;
          for (const [wish, wanted, step] of steps) {
            at += step;
            const header = {
              ...wish,
              writer: wanted === null ? wish.writer : model.writerFor(wanted),
            };
            const outcome = machine.apply(header, timestamp(at));
            expect(outcome).toEqual(model.apply(header, at));
            const kind = outcome.kind === 'failed' ? outcome.failure.reason : outcome.kind;
            seen.set(kind, (seen.get(kind) ?? 0) + 1);
            expect(machine.stream(header.stream)?.nextSeqNum).toBe(
              model.streams.get(header.stream),
            );
            const writer = model.writers.get(header.writer?.id ?? '');
            expect(machine.writer(header.writer?.id ?? '')?.lastSeq).toBe(writer?.last);
            expect(machine.writer(header.writer?.id ?? '')?.epoch).toBe(writer?.epoch);
          }
          expect(machine.applied).toBe(steps.length);
        },
      ),
      { numRuns: 500 },
    );
    // A test that never gets there would prove nothing.
    for (const kind of [
      'appended',
      'duplicate',
      'CONDITION_FAILED',
      'FENCED',
      'WRITER_FENCED',
      'WRITER_GAP',
      'WRITER_FORGOTTEN',
    ]) {
      expect(seen.get(kind) ?? 0, kind).toBeGreaterThan(20);
    }
  });

  it('H1: has the same hash after the same log, and another after any other', () => {
    const hashOf = (steps: readonly (readonly [BatchHeader, number])[]): string => {
      const machine = createOrderMachine();
      let at = 1;
      for (const [header, step] of steps) machine.apply(header, timestamp((at += step)));
      return machine.hash();
    };
    fc.assert(
      fc.property(log, fc.nat(), fc.nat(3), (steps, where, how) => {
        const hash = hashOf(steps);
        expect(hash).toMatch(/^[0-9a-f]{16}$/);
        expect(hashOf(steps)).toBe(hash);
        const i = steps.length === 0 ? 0 : where % steps.length;
        const step = steps[i];
        if (step === undefined) return;
        const [header, by_] = step;
        const changed: [BatchHeader, number] =
          how === 0
            ? [{ ...header, checksum: (header.checksum ?? 0) ^ 1 }, by_]
            : how === 1
              ? [{ ...header, recordCount: header.recordCount + 1 }, by_]
              : how === 2
                ? [{ ...header, stream: `${header.stream}2` }, by_]
                : [header, by_ + 1];
        expect(hashOf(steps.with(i, changed))).not.toBe(hash);
        expect(hashOf(steps.toSpliced(i, 1))).not.toBe(hash);
      }),
      { numRuns: 500 },
    );
  });

  it('H1: tells a different order of the same batches apart', () => {
    const one = createOrderMachine();
    const two = createOrderMachine();
    one.apply(batch({ stream: 'a' }), timestamp(1));
    one.apply(batch({ stream: 'b' }), timestamp(1));
    two.apply(batch({ stream: 'b' }), timestamp(1));
    two.apply(batch({ stream: 'a' }), timestamp(1));
    expect(one.hash()).not.toBe(two.hash());
  });
});
