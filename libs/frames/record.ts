/**
 * Records inside a batch (SPEC.md): sizes, writing into a frame, reading views out of one. A record
 * has no checksum of its own, the batch's covers it.
 */
import { MeridianError } from '../errors/errors.ts';
import { isU16, readU16, readU32, readU8, writeU16, writeU32 } from './ints.ts';
import { decodeName, encodeName } from './names.ts';

export interface RecordInput {
  readonly body: Uint8Array;
  readonly key?: Uint8Array;
  readonly headers?: readonly (readonly [name: string, value: Uint8Array])[];
}

/** Views into the batch: whoever keeps one keeps the whole frame. */
export interface RecordView {
  readonly body: Uint8Array;
  readonly key: Uint8Array | null;
  readonly headers: readonly (readonly [name: string, value: Uint8Array])[];
}

/** The smallest record: no key, no headers, no body. */
export const RECORD_BYTES_MIN = 8;

const HAS_KEY = 1;
const NO_HEADERS: RecordView['headers'] = Object.freeze([]);

/** Bytes of the record in a frame, its length field included. */
export function recordBytes(record: RecordInput): number {
  let bytes = RECORD_BYTES_MIN + record.body.length;
  if (record.key !== undefined) bytes += 4 + record.key.length;
  if (record.headers !== undefined) {
    if (!isU16(record.headers.length)) {
      throw new MeridianError('INVALID', `${record.headers.length} headers; at most 65535`);
    }
    for (const [name, value] of record.headers) {
      const nameBytes = encodeName(name).length;
      if (!isU16(nameBytes)) {
        throw new MeridianError('INVALID', `header name of ${nameBytes} bytes; at most 65535`);
      }
      bytes += 6 + nameBytes + value.length;
    }
  }
  return bytes;
}

/** Writes the record and returns the offset after it; the caller has made room for `recordBytes`. */
export function writeRecord(frame: Uint8Array, start: number, record: RecordInput): number {
  const { key, headers, body } = record;
  let offset = start + RECORD_BYTES_MIN;
  if (key !== undefined) {
    writeU32(frame, offset, key.length);
    frame.set(key, offset + 4);
    offset += 4 + key.length;
  }
  if (headers !== undefined) {
    for (const [name, value] of headers) {
      const nameBytes = encodeName(name);
      writeU16(frame, offset, nameBytes.length);
      writeU32(frame, offset + 2, value.length);
      frame.set(nameBytes, offset + 6);
      frame.set(value, offset + 6 + nameBytes.length);
      offset += 6 + nameBytes.length + value.length;
    }
  }
  frame.set(body, offset);
  offset += body.length;
  writeU32(frame, start, offset - start - 4);
  writeU16(frame, start + 4, headers?.length ?? 0);
  frame[start + 6] = key === undefined ? 0 : HAS_KEY;
  frame[start + 7] = 0;
  return offset;
}

/** Checks that a whole record lies at `start` and returns the offset after it. */
export function skipRecord(frame: Uint8Array, start: number): number {
  const end = recordEnd(frame, start);
  const headerCount = readU16(frame, start + 4);
  let offset = start + RECORD_BYTES_MIN;
  if (hasKey(frame, start)) offset = keyEnd(frame, offset, end);
  for (let i = 0; i < headerCount; i += 1) {
    const next = headerEnd(frame, offset, end);
    decodeName(frame, offset + 6, readU16(frame, offset));
    offset = next;
  }
  return end;
}

/** The record at `start` as views; everything `skipRecord` refuses is refused here too. */
export function readRecord(frame: Uint8Array, start: number): RecordView {
  const end = recordEnd(frame, start);
  const headerCount = readU16(frame, start + 4);
  let offset = start + RECORD_BYTES_MIN;
  let key: Uint8Array | null = null;
  if (hasKey(frame, start)) {
    const next = keyEnd(frame, offset, end);
    key = frame.subarray(offset + 4, next);
    offset = next;
  }
  let headers = NO_HEADERS;
  if (headerCount > 0) {
    const read: [string, Uint8Array][] = [];
    for (let i = 0; i < headerCount; i += 1) {
      const next = headerEnd(frame, offset, end);
      const nameBytes = readU16(frame, offset);
      const name = decodeName(frame, offset + 6, nameBytes);
      read.push([name, frame.subarray(offset + 6 + nameBytes, next)]);
      offset = next;
    }
    headers = read;
  }
  return { body: frame.subarray(offset, end), key, headers };
}

/** Where the body of the record from `start` to `end` begins. */
export function bodyOffset(frame: Uint8Array, start: number, end: number): number {
  const headerCount = readU16(frame, start + 4);
  let offset = start + RECORD_BYTES_MIN;
  if (hasKey(frame, start)) offset = keyEnd(frame, offset, end);
  for (let i = 0; i < headerCount; i += 1) offset = headerEnd(frame, offset, end);
  return offset;
}

/** Offset after the record at `start`; it lies inside the frame and holds the fixed part. */
export function recordEnd(frame: Uint8Array, start: number): number {
  const end = start + 4 + readU32(frame, start);
  if (end < start + RECORD_BYTES_MIN || end > frame.length) {
    throw new MeridianError('INVALID', `record at byte ${start} does not fit its batch`);
  }
  return end;
}

/** Where the key of the record at `start` begins (its length stands in the u32 before); -1 without one. */
export function keyOffset(frame: Uint8Array, start: number): number {
  const end = recordEnd(frame, start);
  if (!hasKey(frame, start)) return -1;
  keyEnd(frame, start + RECORD_BYTES_MIN, end);
  return start + RECORD_BYTES_MIN + 4;
}

function hasKey(frame: Uint8Array, start: number): boolean {
  const flags = readU8(frame, start + 6);
  if ((flags & ~HAS_KEY) !== 0 || readU8(frame, start + 7) !== 0) {
    throw new MeridianError('INVALID', `record at byte ${start} has unknown flags`);
  }
  return flags === HAS_KEY;
}

function keyEnd(frame: Uint8Array, offset: number, end: number): number {
  const next = offset + 4 + readU32(frame, offset);
  if (next > end) throw new MeridianError('INVALID', `key at byte ${offset} exceeds its record`);
  return next;
}

function headerEnd(frame: Uint8Array, offset: number, end: number): number {
  const next = offset + 6 + readU16(frame, offset) + readU32(frame, offset + 2);
  if (offset + 6 > end || next > end) {
    throw new MeridianError('INVALID', `header at byte ${offset} exceeds its record`);
  }
  return next;
}
