/**
 * Little-endian integers in byte arrays. 64-bit values are safe integers in two halves: BigInt costs
 * tens of nanoseconds an operation and a DataView an object per frame, this costs one or two.
 *
 * Reads outside the array give zeros: every decoder has compared the sizes before it reads.
 */
import { MeridianError } from '../errors/errors.ts';
import { AssertionError } from '../values/assert.ts';

export const U32_MAX = 0xffff_ffff;
const TWO_32 = 0x1_0000_0000;
/** The upper half of the largest safe integer. */
const HIGH_MAX = 0x1f_ffff;

export function readU8(bytes: Uint8Array, offset: number): number {
  return bytes[offset] ?? 0;
}

export function readU16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) | ((bytes[offset + 1] ?? 0) << 8);
}

export function readU32(bytes: Uint8Array, offset: number): number {
  return (
    ((bytes[offset] ?? 0) |
      ((bytes[offset + 1] ?? 0) << 8) |
      ((bytes[offset + 2] ?? 0) << 16) |
      ((bytes[offset + 3] ?? 0) << 24)) >>>
    0
  );
}

/** Refuses what is not a safe integer: nothing of ours ever writes such a number. */
export function readU64(bytes: Uint8Array, offset: number): number {
  const high = readU32(bytes, offset + 4);
  if (high > HIGH_MAX) {
    throw new MeridianError('INVALID', `number at byte ${offset} is not below 2^53`);
  }
  return high * TWO_32 + readU32(bytes, offset);
}

export function writeU16(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
}

export function writeU32(bytes: Uint8Array, offset: number, value: number): void {
  bytes[offset] = value;
  bytes[offset + 1] = value >>> 8;
  bytes[offset + 2] = value >>> 16;
  bytes[offset + 3] = value >>> 24;
}

export function writeU64(bytes: Uint8Array, offset: number, value: number): void {
  // Only a failure is worth the making of its message: this runs for every field.
  if (!isU64(value)) throw new AssertionError(`${value} does not fit into a u64 field`);
  const high = Math.floor(value / TWO_32);
  writeU32(bytes, offset, value - high * TWO_32);
  writeU32(bytes, offset + 4, high);
}

export function isU16(value: number): boolean {
  return value >= 0 && value <= 0xffff && Number.isInteger(value);
}

export function isU32(value: number): boolean {
  return value >= 0 && value <= U32_MAX && Number.isInteger(value);
}

/** A safe integer that is not negative: what a u64 field may hold. */
export function isU64(value: number): boolean {
  return value >= 0 && Number.isSafeInteger(value);
}
