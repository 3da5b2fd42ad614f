/**
 * CRC-32 run backwards: which four bytes make a checksum what it is. Four bytes anywhere in a text take
 * each of its 2³² checksums exactly once, so what stood there can be told from the checksum.
 * For the algorithm see "CRC and how to Reverse it" (anarchriz, 1999).
 */
import { crc32 } from 'node:zlib';

const POLYNOMIAL = 0xedb88320;

const FORWARD = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = (value >>> 1) ^ (value & 1 ? POLYNOMIAL : 0);
  return value >>> 0;
});

/** By the highest byte of a state, which no two bytes share. */
const BACKWARD = new Uint32Array(256);
FORWARD.forEach((value, byte) => {
  BACKWARD[value >>> 24] = ((value << 8) ^ byte) >>> 0;
});

/** The u32, little-endian, that belongs at `at` of `text` so that its checksum is `checksum`. */
export function crcBefore(text: Uint8Array, at: number, checksum: number): number {
  let state = ~checksum >>> 0;
  for (let i = text.length - 1; i >= at + 4; i -= 1) state = back(state, text[i] ?? 0);
  for (let i = 0; i < 4; i += 1) state = back(state, 0);
  const before = ~crc32(text.subarray(0, at)) >>> 0;
  return (state ^ before) >>> 0;
}

function back(state: number, byte: number): number {
  return ((state << 8) ^ (BACKWARD[state >>> 24] ?? 0) ^ byte) >>> 0;
}
