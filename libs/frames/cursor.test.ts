import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';

const part = fc.record({
  instance: fc.nat(65_535),
  timestamp: fc.oneof(fc.nat(1000), fc.constant(Number.MAX_SAFE_INTEGER)),
  recordOffset: fc.integer({ min: 0, max: 0xffff_ffff }),
});
const parts = fc.uniqueArray(part, { selector: (p) => p.instance, maxLength: 6 });

function refusal(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof MeridianError && error.reason === 'INVALID') return error.message;
    throw error;
  }
}

describe('a cursor', () => {
  it('reads back as what was encoded, ascending by instance', () => {
    fc.assert(
      fc.property(parts, (given) => {
        const read = decodeCursor('orders', encodeCursor('orders', given));
        expect(read).toEqual([...given].sort((a, b) => a.instance - b.instance));
      }),
    );
  });

  it('is refused with any bit of any byte changed, and cut off anywhere', () => {
    const cursor = encodeCursor('c', [
      { instance: 1, timestamp: 1_763_000_000_000_001, recordOffset: 3 },
      { instance: 2, timestamp: 1_763_000_000_000_000, recordOffset: 0xffff_ffff },
    ]);
    for (let i = 0; i < cursor.length; i += 1) {
      for (let bit = 0; bit < 8; bit += 1) {
        const bad = Uint8Array.from(cursor);
        bad[i] = (bad[i] ?? 0) ^ (1 << bit);
        expect(
          refusal(() => decodeCursor('c', bad)),
          `byte ${i} bit ${bit}`,
        ).not.toBeNull();
      }
      expect(
        refusal(() => decodeCursor('c', cursor.subarray(0, i))),
        `cut at ${i}`,
      ).not.toBeNull();
    }
  });

  it('says which cluster it is not of', () => {
    const cursor = encodeCursor('production', []);
    expect(refusal(() => decodeCursor('staging', cursor))).toBe(
      'the cursor is not of cluster "staging"',
    );
  });

  it('is never more than a MeridianError, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (garbage) => {
        expect(refusal(() => decodeCursor('c', garbage))).not.toBeNull();
      }),
      { numRuns: 1000 },
    );
  });
});
