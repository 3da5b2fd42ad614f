import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BATCH_BYTES_MIN,
  decodeBatchHeader,
  encodeBatch,
  encodeControlBatch,
  verifyBatch,
} from './batch.ts';
import type { ControlBatchInput } from './batch.ts';
import { CONTROL_BYTES_MIN, TOKEN_MAX, TTL_MICROS_MAX, TTL_MICROS_MIN } from './control.ts';
import type { Control, ControlAction } from './control.ts';
import { writeU32 } from './ints.ts';
import { reasonOf, sealed } from './testing.ts';

const name = fc.string({
  unit: fc.constantFrom('a', 'B', '/', 'é', '🜁'),
  minLength: 1,
  maxLength: 12,
});
const u64 = fc.oneof(fc.nat(1000), fc.constant(Number.MAX_SAFE_INTEGER));
const token = fc.oneof(fc.nat(1000), fc.constant(TOKEN_MAX));
const ttlMicros = fc.integer({ min: TTL_MICROS_MIN, max: TTL_MICROS_MAX });
const config = fc.record({ fencing: fc.constantFrom('none' as const, 'required' as const, null) });
const action: fc.Arbitrary<ControlAction> = fc.oneof(
  fc.record({ kind: fc.constant('create' as const), config }),
  fc.record({ kind: fc.constant('configure' as const), config }),
  fc.record({ kind: fc.constant('delete' as const) }),
  fc.record({
    kind: fc.constant('fence' as const),
    token: fc.option(token),
    expected: fc.option(u64),
  }),
  fc.record({ kind: fc.constant('trim' as const), before: u64 }),
  fc.record({ kind: fc.constant('acquire' as const), holder: name, ttlMicros }),
  fc.record({ kind: fc.constant('renew' as const), holder: name, token, ttlMicros }),
  fc.record({ kind: fc.constant('release' as const), holder: name, token }),
);
const control: fc.Arbitrary<Control> = fc.record({
  requestId: fc.oneof(fc.constant(''), name),
  notAfter: u64,
  action,
});
const batch: fc.Arbitrary<ControlBatchInput> = fc.record({
  stream: name,
  control,
  fencingToken: fc.option(u64, { nil: undefined }),
});
const PLAIN: ControlBatchInput = {
  stream: 's',
  control: { requestId: 'r', notAfter: 9, action: { kind: 'trim', before: 3 } },
};

const acting = (wish: ControlAction): ControlBatchInput => ({
  stream: 's',
  control: { requestId: '', notAfter: 0, action: wish },
});

describe('a control batch', () => {
  it('reads back as what was encoded, with no records, alone and among other bytes', () => {
    fc.assert(
      fc.property(batch, fc.nat(9), (input, before) => {
        const frame = encodeControlBatch(input);
        const header = verifyBatch(frame);
        expect(header).toMatchObject({
          stream: input.stream,
          recordCount: 0,
          writer: null,
          matchSeqNum: null,
          fencingToken: input.fencingToken ?? null,
          control: input.control,
          bytes: frame.length,
          recordsOffset: frame.length,
        });
        expect(frame.length).toBeGreaterThanOrEqual(BATCH_BYTES_MIN);
        const among = Buffer.concat([Buffer.alloc(before, 7), frame, Buffer.alloc(5, 7)]);
        expect(decodeBatchHeader(among, before)).toEqual(header);
      }),
    );
  });

  it('has the layout of SPEC.md', () => {
    const frame = Buffer.from(encodeControlBatch({ ...PLAIN, fencingToken: 5 }));
    expect(frame.readUInt8(9)).toBe(8 | 4);
    expect(frame.readUInt32LE(12)).toBe(0);
    expect(frame.readUInt32LE(16)).toBe(frame.length);
    expect(frame.readBigUInt64LE(21)).toBe(5n);
    const region = frame.subarray(29);
    expect(region.readUInt8(0)).toBe(1);
    expect(region.readUInt8(1)).toBe(5);
    expect(region.readUInt16LE(2)).toBe(1);
    expect(region.readUInt32LE(4)).toBe(CONTROL_BYTES_MIN + 1 + 8);
    expect(region.readBigUInt64LE(8)).toBe(9n);
    expect(region.toString('utf8', 24, 25)).toBe('r');
    expect(region.readBigUInt64LE(25)).toBe(3n);
  });

  it('is never more than a MeridianError, whatever is changed, even with the right checksum', () => {
    fc.assert(
      fc.property(batch, fc.nat(), fc.nat(255), (input, where, value) => {
        const frame = encodeControlBatch(input);
        const place = 8 + (where % (frame.length - 8));
        const unchanged = frame[place] === value;
        frame[place] = value;
        expect(reasonOf(() => verifyBatch(frame))).toBe(unchanged ? null : 'INVALID');
        expect([null, 'INVALID']).toContain(reasonOf(() => verifyBatch(sealed(frame))));
      }),
    );
    fc.assert(
      fc.property(batch, fc.nat(), (input, where) => {
        const frame = encodeControlBatch(input);
        const cut = frame.subarray(0, where % frame.length);
        expect(reasonOf(() => verifyBatch(cut))).toBe('INVALID');
      }),
    );
  });

  it('is not an append as well: no records, no writer, no condition on the tail', () => {
    for (const flag of [1, 2, 16]) {
      const frame = encodeControlBatch(PLAIN);
      frame[9] = (frame[9] ?? 0) | flag;
      expect(reasonOf(() => verifyBatch(sealed(frame)))).toBe('INVALID');
    }
    const counted = encodeControlBatch(PLAIN);
    writeU32(counted, 12, 1);
    expect(reasonOf(() => verifyBatch(sealed(counted)))).toBe('INVALID');
    const append = encodeBatch({ stream: 's', records: [{ body: Buffer.alloc(64) }] });
    append[9] = 8;
    expect(reasonOf(() => verifyBatch(sealed(append)))).toBe('INVALID');
  });

  it('of another version or kind is refused, not ignored', () => {
    for (const [offset, value] of [
      [21, 2],
      [22, 0],
      [22, 99],
    ] as const) {
      const frame = encodeControlBatch(PLAIN);
      frame[offset] = value;
      expect(reasonOf(() => verifyBatch(sealed(frame)))).toBe('INVALID');
    }
  });

  it.each([
    ['a token above all', acting({ kind: 'fence', token: TOKEN_MAX + 1, expected: null })],
    ['a token that is no number', acting({ kind: 'fence', token: NaN, expected: null })],
    ['a fraction', acting({ kind: 'trim', before: 1.5 })],
    ['no holder', acting({ kind: 'acquire', holder: '', ttlMicros: TTL_MICROS_MIN })],
    ['a long holder', acting({ kind: 'release', holder: 'x'.repeat(256), token: 1 })],
    ['no time', acting({ kind: 'acquire', holder: 'x', ttlMicros: 0 })],
    ['an age', acting({ kind: 'renew', holder: 'x', token: 1, ttlMicros: TTL_MICROS_MAX + 1 })],
    ['a long id', { ...PLAIN, control: { ...PLAIN.control, requestId: 'x'.repeat(65) } }],
    ['no stream', { ...PLAIN, stream: '' }],
    ['a negative token', { ...PLAIN, fencingToken: -1 }],
  ])('cannot ask with %s', (_what, input: ControlBatchInput) => {
    expect(reasonOf(() => encodeControlBatch(input))).toBe('INVALID');
  });
});

describe('an append', () => {
  it('that must not create its stream says so', () => {
    const input = { stream: 's', records: [{ body: Buffer.alloc(1) }] };
    expect(verifyBatch(encodeBatch(input))).toMatchObject({ mustExist: false, control: null });
    expect(verifyBatch(encodeBatch({ ...input, mustExist: true })).mustExist).toBe(true);
  });
});
