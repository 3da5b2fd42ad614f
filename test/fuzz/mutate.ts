/**
 * Changes that find mistakes in decoders: numbers at their edges where a number may stand, pieces that are
 * missing, doubled or of another input, a byte here and there. What makes an input look right again
 * (lengths, checksums) is the target's, which knows the format.
 */
import { at } from '../../libs/values/assert.ts';
import type { Prng } from '../simulation/prng.ts';

const EDGES = [0, 1, 2, 3, 4, 7, 8, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x10000];
const EDGES_32 = [...EDGES, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
const EDGES_64 = [
  ...EDGES_32.map((it) => BigInt(it)),
  2n ** 52n,
  2n ** 53n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const TEXTS = ['', '\0', '../', '__proto__', 'null', '-1', '1e999', '{"a":', '[[[[', '\ud800', 'ü'];
const BYTES_MAX = 64 * 1024;

/** A new input of one or two known ones. */
export function mutate(seed: Uint8Array, other: Uint8Array, random: Prng): Buffer {
  let bytes: Buffer = Buffer.from(seed);
  const changes = 1 + random.below(4);
  for (let i = 0; i < changes; i += 1) bytes = change(bytes, other, random);
  return bytes.length > BYTES_MAX ? bytes.subarray(0, BYTES_MAX) : bytes;
}

function change(bytes: Buffer, other: Uint8Array, random: Prng): Buffer {
  const place = random.below(bytes.length + 1);
  const size = 1 + random.below(random.below(4) === 0 ? 200 : 12);
  switch (random.below(11)) {
    case 0:
      if (place < bytes.length) bytes[place] = (bytes[place] ?? 0) ^ (1 << random.below(8));
      return bytes;
    case 1:
      if (place < bytes.length) bytes[place] = random.below(256);
      return bytes;
    case 2:
      return bytes.subarray(0, place);
    case 3:
      return Buffer.concat([bytes.subarray(0, place), bytes.subarray(place + size)]);
    case 4:
      return Buffer.concat([
        bytes.subarray(0, place),
        bytes.subarray(place, place + size),
        bytes.subarray(place),
      ]);
    case 5: {
      const from = random.below(other.length + 1);
      const piece = other.subarray(from, from + size);
      return Buffer.concat([
        bytes.subarray(0, place),
        piece,
        bytes.subarray(place + random.below(2) * size),
      ]);
    }
    case 6:
      if (place + 2 <= bytes.length) bytes.writeUInt16LE(pick(EDGES, random) & 0xffff, place);
      return bytes;
    case 7:
      if (place + 4 > bytes.length) return bytes;
      if (random.below(4) === 0) bytes.writeUInt32BE(pick(EDGES_32, random), place);
      else bytes.writeUInt32LE(pick(EDGES_32, random), place);
      return bytes;
    case 8:
      if (place + 8 > bytes.length) return bytes;
      if (random.below(4) === 0) bytes.writeBigUInt64BE(pick(EDGES_64, random), place);
      else bytes.writeBigUInt64LE(pick(EDGES_64, random), place);
      return bytes;
    case 9: {
      const text = Buffer.from(pick(TEXTS, random));
      return Buffer.concat([bytes.subarray(0, place), text, bytes.subarray(place)]);
    }
    default:
      // A count or a length that is one too many or too few.
      if (place < bytes.length)
        bytes[place] = ((bytes[place] ?? 0) + (random.below(2) === 0 ? 1 : 255)) & 0xff;
      return bytes;
  }
}

function pick<T>(items: readonly T[], random: Prng): T {
  return at(items, random.below(items.length));
}
