/**
 * A crossbar's cursor (SPEC.md): one position per instance, everything at or before which its owner
 * has seen. Opaque to subscribers; it names its cluster and carries a checksum, so that one from
 * elsewhere or a damaged one is refused instead of skipping records.
 */
import { crc32 } from 'node:zlib';
import { MeridianError } from '../errors/errors.ts';
import { assert } from '../values/assert.ts';
import {
  isU16,
  isU32,
  readU16,
  readU32,
  readU64,
  readU8,
  writeU16,
  writeU32,
  writeU64,
} from './ints.ts';

export interface CursorPart {
  /** The instance's number. */
  readonly instance: number;
  readonly timestamp: number;
  readonly recordOffset: number;
}

const CURSOR_VERSION = 1;
const HEADER_BYTES = 6;
const PART_BYTES = 14;
const CHECKSUM_BYTES = 4;
const PARTS_MAX = 255;

/** In any order; each instance once. */
export function encodeCursor(cluster: string, parts: readonly CursorPart[]): Uint8Array {
  assert(parts.length <= PARTS_MAX, `cursor over ${parts.length} instances`);
  const ascending = [...parts].sort((a, b) => a.instance - b.instance);
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + PART_BYTES * parts.length + CHECKSUM_BYTES);
  bytes[0] = CURSOR_VERSION;
  bytes[1] = parts.length;
  writeU32(bytes, 2, crc32(cluster));
  let offset = HEADER_BYTES;
  let last = -1;
  for (const part of ascending) {
    assert(isU16(part.instance) && part.instance > last, 'each instance once');
    assert(isU32(part.recordOffset), `record offset ${part.recordOffset}`);
    writeU16(bytes, offset, part.instance);
    writeU64(bytes, offset + 2, part.timestamp);
    writeU32(bytes, offset + 10, part.recordOffset);
    last = part.instance;
    offset += PART_BYTES;
  }
  writeU32(bytes, offset, crc32(bytes.subarray(0, offset)));
  return bytes;
}

/** Ascending by instance; INVALID when it is damaged or of another cluster. */
export function decodeCursor(cluster: string, bytes: Uint8Array): CursorPart[] {
  if (bytes.length < HEADER_BYTES + CHECKSUM_BYTES) {
    throw new MeridianError('INVALID', `a cursor of ${bytes.length} bytes is cut off`);
  }
  const version = readU8(bytes, 0);
  if (version !== CURSOR_VERSION) {
    throw new MeridianError('INVALID', `the cursor has format version ${version}; 1 is known here`);
  }
  const count = readU8(bytes, 1);
  const end = HEADER_BYTES + PART_BYTES * count;
  if (bytes.length !== end + CHECKSUM_BYTES) {
    throw new MeridianError(
      'INVALID',
      `a cursor over ${count} instances has ${end + CHECKSUM_BYTES} bytes, not ${bytes.length}`,
    );
  }
  if (crc32(bytes.subarray(0, end)) !== readU32(bytes, end)) {
    throw new MeridianError('INVALID', 'the cursor is damaged: its checksum does not match');
  }
  if (crc32(cluster) !== readU32(bytes, 2)) {
    throw new MeridianError('INVALID', `the cursor is not of cluster ${JSON.stringify(cluster)}`);
  }
  const parts: CursorPart[] = [];
  let last = -1;
  for (let offset = HEADER_BYTES; offset < end; offset += PART_BYTES) {
    const instance = readU16(bytes, offset);
    if (instance <= last) throw new MeridianError('INVALID', 'the cursor is out of order');
    parts.push({
      instance,
      timestamp: readU64(bytes, offset + 2),
      recordOffset: readU32(bytes, offset + 10),
    });
    last = instance;
  }
  return parts;
}
