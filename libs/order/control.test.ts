import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ControlAction } from '../frames/control.ts';
import { seqNum, timestamp } from '../values/numbers.ts';
import { RETIRED_STREAM } from '../frames/member-record.ts';
import { RETIREMENT_GRACE_MICROS, createOrderMachine, restoreOrderMachine } from './machine.ts';
import type { HashedOrderMachine, OrderSettings } from './machine.ts';
import type { BatchHeader, Outcome } from './types.ts';

const none = { writer: null, matchSeqNum: null, fencingToken: null };

/** A machine and a clock of its own. */
class Bench {
  machine: HashedOrderMachine;
  now = 1000;

  constructor(settings: Partial<OrderSettings> = {}) {
    this.machine = createOrderMachine(settings);
  }

  act(
    action: ControlAction,
    wish: { id?: string; stream?: string; token?: number; notAfter?: number } = {},
  ): unknown {
    const { id = '', stream = 's', token = null, notAfter = 0 } = wish;
    const control = { requestId: id, notAfter, action };
    const header = { ...none, stream, recordCount: 0, fencingToken: token, control };
    return plain(this.machine.apply(header, timestamp((this.now += 1))));
  }

  append(wish: Partial<BatchHeader> = {}): unknown {
    const header = { ...none, stream: 's', recordCount: 1, ...wish };
    return plain(this.machine.apply(header, timestamp((this.now += 1))));
  }

  get stream() {
    return this.machine.stream('s');
  }
}

/** The result of an action, the number of an append, or the failure. */
function plain(outcome: Outcome): unknown {
  if (outcome.kind === 'duplicate') return { again: plain(outcome.first) };
  if (outcome.kind === 'failed') return outcome.failure;
  if (outcome.kind === 'appended') return outcome.firstSeqNum;
  const entries = Object.entries(outcome.result);
  return Object.fromEntries(entries.filter(([name]) => name !== 'kind'));
}

const CREATE: ControlAction = { kind: 'create', config: { fencing: null } };
const GUARDED: ControlAction = { kind: 'create', config: { fencing: 'required' } };
const DELETE: ControlAction = { kind: 'delete' };
const fence = (token: number | null = null, expected: number | null = null): ControlAction => ({
  kind: 'fence',
  token,
  expected,
});
const trim = (before: number): ControlAction => ({ kind: 'trim', before });
const acquire = (holder: string, ttlMicros = 100): ControlAction => ({
  kind: 'acquire',
  holder,
  ttlMicros,
});
const renew = (holder: string, token: number, ttlMicros = 100): ControlAction => ({
  kind: 'renew',
  holder,
  token,
  ttlMicros,
});
const release = (holder: string, token: number): ControlAction => ({
  kind: 'release',
  holder,
  token,
});
const lost = (expected: number, actual: number) => ({ reason: 'LEASE_LOST', expected, actual });
const missing = { reason: 'STREAM_NOT_FOUND', stream: 's' };

describe('streams', () => {
  it('E1: a retired instance appends up to the end of its grace and nothing after it, until that is undone', () => {
    for (const how of ['created', 'appended to'] as const) {
      const bench = new Bench();
      expect(bench.append()).toBe(0);
      if (how === 'created') bench.act(CREATE, { stream: RETIRED_STREAM });
      else bench.append({ stream: RETIRED_STREAM });
      const retiredFrom = bench.now + RETIREMENT_GRACE_MICROS;
      expect(bench.machine.retiredFrom).toBe(retiredFrom);
      bench.now = retiredFrom - 1;
      expect(bench.append()).toBe(1);
      const refused = { reason: 'REFUSED', retiredFrom };
      expect(bench.append({ matchSeqNum: seqNum(9) })).toEqual(refused);
      bench.machine = restoreOrderMachine(bench.machine.snapshot());
      expect(bench.append()).toEqual(refused);
      const writer = { id: 'w', epoch: 1, seq: 1, previous: 0 };
      expect(bench.append({ writer })).toEqual(refused);
      expect(bench.act(fence())).toEqual({ token: 1 });
      bench.act(DELETE, { stream: RETIRED_STREAM });
      expect(bench.append({ writer })).toEqual({ again: refused });
      expect(bench.append()).toBe(2);
      expect(bench.machine.retiredFrom).toBe(Infinity);
    }
  });

  it('C1: are created empty, once, and configured, without using a number', () => {
    const bench = new Bench();
    expect(bench.act(GUARDED)).toEqual({ created: true, config: { fencing: 'required' } });
    expect(bench.stream).toMatchObject({ nextSeqNum: 0, firstSeqNum: 0, createdAt: 1001 });
    expect(bench.act(CREATE)).toEqual({ created: false, config: { fencing: 'required' } });
    const configure = (fencing: 'none' | null): ControlAction => ({
      kind: 'configure',
      config: { fencing },
    });
    expect(bench.act(configure(null))).toEqual({ config: { fencing: 'required' } });
    expect(bench.machine.demandsToken('s')).toBe(true);
    expect(bench.act(configure('none'))).toEqual({ config: { fencing: 'none' } });
    expect(bench.append()).toBe(0);
    expect(bench.act(configure(null), { stream: 'other' })).toMatchObject({
      reason: 'STREAM_NOT_FOUND',
    });
  });

  it('C1: that do not exist cannot be acted upon, and deleting and releasing find nothing to do', () => {
    const bench = new Bench();
    for (const action of [fence(), trim(0), acquire('a'), renew('a', 1)]) {
      expect(bench.act(action)).toEqual(missing);
    }
    expect(bench.act(DELETE)).toEqual({ deleted: false });
    expect(bench.act(release('a', 1))).toEqual({ released: false });
    expect(bench.machine.streamCount).toBe(0);
  });

  it('C1: are not created by an append that says they must exist', () => {
    const bench = new Bench();
    const writer = { id: 'w', epoch: 1, seq: 1, previous: 0 };
    expect(bench.append({ mustExist: true, writer })).toEqual(missing);
    expect(bench.stream).toBeNull();
    bench.act(CREATE);
    expect(bench.append({ mustExist: true, writer })).toEqual({ again: missing });
    expect(bench.append({ mustExist: true })).toBe(0);
  });

  it('D1, D2: go on with numbers and tokens in a later life, and start it without config and lease', () => {
    const bench = new Bench();
    bench.act(GUARDED);
    const lease = { holder: 'a', token: 1, expiresAt: 1102 };
    expect(bench.act(acquire('a'))).toEqual({ lease });
    bench.append({ fencingToken: 1, recordCount: 7 });
    expect(bench.act(DELETE)).toEqual({ deleted: true });
    expect(bench.stream).toBeNull();
    expect(bench.machine.streamCount).toBe(0);
    expect(bench.machine.demandsToken('s')).toBe(false);
    // The old holder does not bring it back to life.
    expect(bench.append({ fencingToken: 1 })).toEqual({
      reason: 'FENCED',
      expected: 1,
      actual: 2,
    });
    expect(bench.append({ matchSeqNum: seqNum(0) })).toMatchObject({ actual: 7 });
    expect(bench.stream).toBeNull();
    expect(bench.append()).toBe(7);
    expect(bench.stream).toEqual({
      name: 's',
      createdAt: bench.now,
      nextSeqNum: 8,
      firstSeqNum: 7,
      lastTimestamp: bench.now,
      fencingToken: 2,
      config: { fencing: 'none' },
      lease: null,
    });
    expect(bench.act(renew('a', 1))).toEqual(lost(1, 2));
    expect(bench.act(acquire('b'))).toMatchObject({ lease: { token: 3 } });
  });

  it('D3: have a bound that counts deleted names; a name that is known always fits', () => {
    const bench = new Bench({ streamNamesMax: 2 });
    bench.act(CREATE, { stream: 'a' });
    bench.append({ stream: 'b' });
    bench.act(DELETE, { stream: 'a' });
    const full = { reason: 'OVERLOADED', what: 'streams', limit: 2 };
    expect(bench.append({ stream: 'c' })).toEqual(full);
    expect(bench.act(CREATE, { stream: 'c' })).toEqual(full);
    expect(bench.machine.streamCount).toBe(1);
    expect(bench.append({ stream: 'a' })).toBe(0);
  });

  it('are listed by name, by prefix, a page at a time, deleted ones not', () => {
    const bench = new Bench();
    for (const stream of ['b/2', 'a', 'b/1', 'c', 'b', 'b/3', 'ä']) bench.act(CREATE, { stream });
    bench.act(DELETE, { stream: 'b/2' });
    const list = (prefix: string, after: string | null, limit: number) => {
      const { streams, more } = bench.machine.streams({ prefix, after, limit });
      return [streams.map(({ name }) => name).join(' '), more];
    };
    expect(list('', null, 9)).toEqual(['a b b/1 b/3 c ä', false]);
    expect(list('b', null, 2)).toEqual(['b b/1', true]);
    expect(list('b', 'b/1', 2)).toEqual(['b/3', false]);
    expect(list('b', 'b/3', 2)).toEqual(['', false]);
    expect(list('b/', 'a', 9)).toEqual(['b/1 b/3', false]);
    expect(list('b/', 'c', 9)).toEqual(['', false]);
    expect(list('x', null, 9)).toEqual(['', false]);
    bench.act(CREATE, { stream: 'aa' });
    bench.act(CREATE, { stream: 'b/2' });
    expect(list('', 'a', 4)).toEqual(['aa b b/1 b/2', true]);
  });
});

describe('fencing', () => {
  it('F1: sets or mints tokens that never fall, and compares the expected one', () => {
    const bench = new Bench();
    bench.act(CREATE);
    expect(bench.act(fence())).toEqual({ token: 1 });
    expect(bench.act(fence(9))).toEqual({ token: 9 });
    expect(bench.act(fence(9))).toEqual({ token: 9 });
    expect(bench.act(fence(8))).toEqual({ reason: 'FENCED', expected: 8, actual: 9 });
    const mismatch = { reason: 'CONDITION_FAILED', condition: 'fencingToken' };
    expect(bench.act(fence(null, 8))).toEqual({ ...mismatch, expected: 8, actual: 9 });
    expect(bench.act(fence(null, 9))).toEqual({ token: 10 });
    expect(bench.stream?.fencingToken).toBe(10);
  });

  it('F2: refuses every append and trim without the current token where it is required', () => {
    const bench = new Bench();
    bench.act(GUARDED);
    const refused = (expected: number | null, actual: number) => ({
      reason: 'FENCED',
      expected,
      actual,
    });
    expect(bench.append()).toEqual(refused(null, 0));
    expect(bench.append({ fencingToken: 0 })).toBe(0);
    bench.act(fence(5));
    expect(bench.append()).toEqual(refused(null, 5));
    expect(bench.append({ fencingToken: 0 })).toEqual(refused(0, 5));
    expect(bench.append({ matchSeqNum: seqNum(1) })).toEqual(refused(null, 5));
    expect(bench.append({ fencingToken: 5, matchSeqNum: seqNum(1) })).toBe(1);
    expect(bench.act(trim(1))).toEqual(refused(null, 5));
    expect(bench.act(trim(1), { token: 4 })).toEqual(refused(4, 5));
    expect(bench.act(trim(1), { token: 5 })).toEqual({ firstSeqNum: 1 });
    expect(bench.stream).toMatchObject({ nextSeqNum: 2, firstSeqNum: 1 });
  });

  it('F3: trims only forward and never beyond the tail', () => {
    const bench = new Bench();
    bench.append({ recordCount: 5 });
    expect(bench.act(trim(3))).toEqual({ firstSeqNum: 3 });
    expect(bench.act(trim(2))).toEqual({ firstSeqNum: 3 });
    expect(bench.act(trim(6))).toEqual({ reason: 'OUT_OF_RANGE', before: 6, nextSeqNum: 5 });
    expect(bench.act(trim(5))).toEqual({ firstSeqNum: 5 });
    expect(bench.append()).toBe(5);
  });
});

describe('a lease', () => {
  it('G1, G2: belongs to one holder until it expires in log time; each grant has a higher token', () => {
    const bench = new Bench();
    bench.act(CREATE);
    expect(bench.act(acquire('a'))).toEqual({ lease: { holder: 'a', token: 1, expiresAt: 1102 } });
    const held = { reason: 'LEASE_HELD', holder: 'a', token: 1, expiresAt: 1102 };
    expect(bench.act(acquire('b'))).toEqual(held);
    expect(bench.append({ fencingToken: 1 })).toBe(0);
    bench.now = 1100;
    expect(bench.act(acquire('b'))).toEqual(held);
    expect(bench.act(acquire('b'))).toMatchObject({ lease: { holder: 'b', token: 2 } });
    expect(bench.append({ fencingToken: 1 })).toMatchObject({ reason: 'FENCED', actual: 2 });
    // The holder itself, as after a restart: its former self is fenced.
    expect(bench.act(acquire('b'))).toMatchObject({ lease: { holder: 'b', token: 3 } });
  });

  it('G3: is renewed by its holder with its token, never shorter, also late while nobody has taken it', () => {
    const bench = new Bench();
    bench.act(CREATE);
    bench.act(acquire('a', 100));
    expect(bench.act(renew('a', 1, 500))).toEqual({
      lease: { holder: 'a', token: 1, expiresAt: 1503 },
    });
    expect(bench.act(renew('a', 1, 10))).toMatchObject({ lease: { expiresAt: 1503 } });
    expect(bench.act(renew('b', 1))).toEqual(lost(1, 1));
    expect(bench.act(renew('a', 2))).toEqual(lost(2, 1));
    bench.now = 2000;
    expect(bench.act(renew('a', 1))).toMatchObject({ lease: { token: 1, expiresAt: 2101 } });
    bench.now = 3000;
    bench.act(acquire('b'));
    expect(bench.act(renew('a', 1))).toEqual(lost(1, 2));
    expect(bench.stream?.lease).toMatchObject({ holder: 'b', token: 2 });
  });

  it('G4: ends with a release by its holder, or a higher token; the token stays', () => {
    const bench = new Bench();
    bench.act(CREATE);
    bench.act(acquire('a'));
    expect(bench.act(release('b', 1))).toEqual({ released: false });
    expect(bench.act(release('a', 1))).toEqual({ released: true });
    expect(bench.act(release('a', 1))).toEqual({ released: false });
    expect(bench.act(renew('a', 1))).toEqual(lost(1, 1));
    expect(bench.append({ fencingToken: 1 })).toBe(0);
    bench.act(acquire('b'));
    expect(bench.act(fence(2))).toEqual({ token: 2 });
    expect(bench.stream?.lease).toMatchObject({ holder: 'b' });
    expect(bench.act(fence())).toEqual({ token: 3 });
    expect(bench.stream?.lease).toBeNull();
    expect(bench.act(renew('b', 2))).toEqual(lost(2, 3));
    expect(bench.act(acquire('c'))).toMatchObject({ lease: { token: 4 } });
  });
});

describe('an action', () => {
  it('C2: has its first outcome again under the same id, whatever has happened since', () => {
    const bench = new Bench();
    bench.act(CREATE, { id: '1' });
    expect(bench.act(CREATE, { id: '1' })).toMatchObject({ again: { created: true } });
    expect(bench.act(fence(), { id: '2' })).toEqual({ token: 1 });
    bench.act(fence(50));
    expect(bench.act(fence(), { id: '2' })).toEqual({ again: { token: 1 } });
    expect(bench.act(fence(7), { id: '3' })).toMatchObject({ reason: 'FENCED', actual: 50 });
    expect(bench.act(DELETE, { id: '4' })).toEqual({ deleted: true });
    bench.act(CREATE);
    expect(bench.act(DELETE, { id: '4' })).toEqual({ again: { deleted: true } });
    expect(bench.act(fence(7), { id: '3' })).toMatchObject({ again: { reason: 'FENCED' } });
    expect(bench.stream).not.toBeNull();
  });

  it('C2: cannot use the id of another one', () => {
    const bench = new Bench();
    bench.act(CREATE, { id: '1' });
    const misused = { reason: 'INVALID', requestId: '1' };
    expect(bench.act(DELETE, { id: '1' })).toEqual(misused);
    expect(bench.act(CREATE, { id: '1', stream: 'other' })).toEqual(misused);
    expect(bench.machine.streamCount).toBe(1);
  });

  it('C3: has no effect in an entry after its last moment, and is not remembered', () => {
    const bench = new Bench();
    bench.act(CREATE);
    expect(bench.act(DELETE, { id: '1', notAfter: 1001 })).toEqual({
      reason: 'UNAVAILABLE',
      notAfter: 1001,
    });
    expect(bench.stream).not.toBeNull();
    expect(bench.machine.actionCount).toBe(0);
    expect(bench.act(DELETE, { id: '1', notAfter: 1003 })).toEqual({ deleted: true });
    // A copy that another region brings later finds what the first one did.
    expect(bench.act(DELETE, { id: '1', notAfter: 1003 })).toEqual({ again: { deleted: true } });
  });

  it('C4: is remembered for its time, and refused when there is no room to remember it', () => {
    const bench = new Bench({ actionsMax: 2, actionAgeMaxMicros: 50 });
    bench.act(CREATE, { id: '1' });
    bench.now = 1020;
    bench.act(fence(), { id: '2' });
    const full = { reason: 'OVERLOADED', what: 'actions', limit: 2 };
    expect(bench.act(fence(), { id: '3' })).toEqual(full);
    expect(bench.act(fence(), { id: '2' })).toEqual({ again: { token: 1 } });
    expect(bench.act(fence())).toEqual({ token: 2 });
    bench.now = 1051;
    expect(bench.act(fence(), { id: '3' })).toEqual({ token: 3 });
    expect(bench.machine.actionCount).toBe(2);
    expect(bench.act(fence(), { id: '2' })).toEqual({ again: { token: 1 } });
    expect(bench.act(fence(), { id: '4' })).toEqual(full);
  });
});

const anyName = fc.constantFrom('s', 't');
const anyHolder = fc.constantFrom('a', 'b', 'c');
const small = fc.nat(12);
const anyAction: fc.Arbitrary<ControlAction> = fc.oneof(
  fc.constantFrom(CREATE, CREATE, GUARDED, DELETE),
  fc
    .tuple(fc.option(small, { freq: 1 }), fc.option(small, { freq: 1 }))
    .map(([t, e]) => fence(t, e)),
  small.map(trim),
  anyHolder.map((holder) => acquire(holder, 40)),
  anyHolder.map((holder) => acquire(holder, 80)),
  fc.tuple(anyHolder, small).map(([holder, token]) => renew(holder, token, 40)),
  fc.tuple(anyHolder, small).map(([holder, token]) => release(holder, token)),
);
interface Step {
  readonly stream: string;
  /** null: an append. */
  readonly action: ControlAction | null;
  readonly token: number | null;
  readonly wait: number;
}
const anyStep: fc.Arbitrary<Step> = fc.record({
  stream: anyName,
  action: fc.option(anyAction, { freq: 4 }),
  token: fc.option(small, { freq: 1 }),
  wait: fc.integer({ min: 1, max: 20 }),
});
const anySteps = fc.array(anyStep, { minLength: 30, maxLength: 120 });

function headerOf({ stream, action, token }: Step, requestId: string): BatchHeader {
  return {
    ...none,
    stream,
    fencingToken: token,
    recordCount: action === null ? 1 : 0,
    control: action === null ? null : { requestId, notAfter: 0, action },
  };
}

describe('under any mix of actions', () => {
  it('F1, F3, G1, G2, D1: tokens and numbers only grow, and one holder at a time', () => {
    let grants = 0;
    let refusals = 0;
    fc.assert(
      fc.property(anySteps, (steps) => {
        const machine = createOrderMachine();
        const tokens = new Map<string, number>();
        const nexts = new Map<string, number>();
        const firsts = new Map<string, number>();
        let now = 1000;
        for (const step of steps) {
          const { stream: name } = step;
          const before = machine.stream(name);
          now += step.wait;
          const outcome = machine.apply(headerOf(step, ''), timestamp(now));
          const after = machine.stream(name);
          const next = nexts.get(name) ?? 0;
          if (outcome.kind === 'failed') expect(after).toEqual(before);
          if (outcome.kind === 'appended') {
            expect(outcome.firstSeqNum).toBe(next);
            nexts.set(name, next + 1);
          }
          if (outcome.kind === 'controlled' && outcome.result.kind === 'acquire') {
            const { holder, token } = outcome.result.lease;
            expect(token).toBeGreaterThan(tokens.get(name) ?? 0);
            const held = before?.lease ?? null;
            if (held !== null && held.expiresAt > now) expect(held.holder).toBe(holder);
            grants += 1;
          }
          if (outcome.kind === 'failed' && outcome.failure.reason === 'LEASE_HELD') {
            expect(outcome.failure.expiresAt).toBeGreaterThan(now);
            refusals += 1;
          }
          if (after === null) continue;
          expect(after.fencingToken).toBeGreaterThanOrEqual(tokens.get(name) ?? 0);
          expect(after.firstSeqNum).toBeGreaterThanOrEqual(firsts.get(name) ?? 0);
          expect(after.firstSeqNum).toBeLessThanOrEqual(after.nextSeqNum);
          expect(after.nextSeqNum).toBe(nexts.get(name) ?? 0);
          if (after.lease !== null) expect(after.lease.token).toBe(after.fencingToken);
          tokens.set(name, after.fencingToken);
          firsts.set(name, after.firstSeqNum);
        }
      }),
    );
    expect(grants).toBeGreaterThan(100);
    expect(refusals).toBeGreaterThan(20);
  });

  it('C2: repeating any of them later, also after a snapshot, changes nothing and hears the same', () => {
    fc.assert(
      fc.property(
        anySteps,
        fc.array(fc.tuple(fc.nat(), fc.nat()), { maxLength: 30 }),
        (all, rs) => {
          const once = createOrderMachine();
          let often = createOrderMachine();
          let now = 1000;
          const firsts: unknown[] = [];
          all.forEach((step, i) => {
            now += step.wait;
            const first = plain(once.apply(headerOf(step, `${i}`), timestamp(now)));
            expect(plain(often.apply(headerOf(step, `${i}`), timestamp(now)))).toEqual(first);
            firsts.push(first);
            if (i % 40 === 20) often = restoreOrderMachine(often.snapshot());
            for (const [when, which] of rs) {
              const earlier = which % (i + 1);
              const repeated = all[earlier];
              if (when % all.length !== i || repeated?.action == null) continue;
              const again = often.apply(headerOf(repeated, `${earlier}`), timestamp(now));
              expect(plain(again)).toEqual({ again: firsts[earlier] });
            }
            for (const name of ['s', 't']) expect(often.stream(name)).toEqual(once.stream(name));
          });
        },
      ),
    );
  });
});
