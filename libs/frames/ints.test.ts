import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from './ints.ts';

const safe = fc.oneof(
  fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }),
  fc.constantFrom(0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1),
);

describe('integers in byte arrays', () => {
  it('are the ones a Buffer reads and writes', () => {
    fc.assert(
      fc.property(safe, fc.nat(7), (value, offset) => {
        const ours = Buffer.alloc(16);
        const theirs = Buffer.alloc(16);
        writeU64(ours, offset, value);
        theirs.writeBigUInt64LE(BigInt(value), offset);
        expect(ours).toEqual(theirs);
        expect(readU64(theirs, offset)).toBe(value);
        expect(readU32(theirs, offset)).toBe(theirs.readUInt32LE(offset));
        expect(readU16(theirs, offset + 1)).toBe(theirs.readUInt16LE(offset + 1));
        writeU32(ours, 0, value % 2 ** 32);
        expect(ours.readUInt32LE(0)).toBe(value % 2 ** 32);
        writeU16(ours, 0, value % 2 ** 16);
        expect(ours.readUInt16LE(0)).toBe(value % 2 ** 16);
      }),
    );
  });

  it('are refused at 2^53 and above when read, and asserted when written', () => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(2n ** 53n);
    expect(() => readU64(bytes, 0)).toThrow('number at byte 0 is not below 2^53');
    for (const value of [2 ** 53, -1, 0.5, Number.NaN]) {
      expect(() => {
        writeU64(bytes, 0, value);
      }).toThrow('does not fit');
    }
  });
});
