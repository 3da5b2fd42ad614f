/**
 * Bytes of the log (SPEC.md "Format"): segment header and frame header, encoded and checked. Pure
 * functions over buffers; which damage means what is decided in recovery.ts.
 */
import { crc32 } from 'node:zlib';
import { createHash } from 'node:crypto';
import { assert } from '../values/assert.ts';

export const FORMAT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 64;
export const FRAME_HEADER_BYTES = 32;
/** Header and body together. */
export const FRAME_BYTES_MAX = 64 * 1024 * 1024;
/** Written by `close`, never shown to the user of the log: everything before it was on disk. */
export const CLOSE_FRAME = 0;

const MAGIC = Buffer.from('MERIDIAN', 'latin1');
const DIGEST_BYTES = 16;
const CHECKPOINT_NAME = /^checkpoint-(\d{10})$/;
const UNFINISHED = '.new';

export interface SegmentHeader {
  readonly segment: number;
  /** Checksum of the last frame of the segment before; 0 in the first. */
  readonly previous: number;
  readonly firstFrame: number;
}

export interface FrameHeader {
  readonly bodyBytes: number;
  readonly checksum: number;
  /** Checksum of the frame before this one. */
  readonly previous: number;
  readonly offset: number;
  /** When this frame was staged, frames up to `number - unsynced` were known to be on disk. */
  readonly unsynced: number;
  readonly number: number;
  readonly type: number;
}

export type SegmentHeaderFinding =
  | { readonly kind: 'valid'; readonly header: SegmentHeader }
  | { readonly kind: 'damaged' }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'foreign' };

/** Stands for one life of one log: of the whole identity file, its random log id included. */
export function digestOf(identityFile: Uint8Array): Buffer {
  return createHash('sha256').update(identityFile).digest().subarray(0, DIGEST_BYTES);
}

/** In every frame: which log, which segment. Not to be guessed by whoever chooses bodies. */
export function tagOf(digest: Uint8Array, segment: number): number {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(segment);
  return crc32(number, crc32(digest));
}

export function segmentName(segment: number): string {
  return `${String(segment).padStart(10, '0')}.log`;
}

/** Number of the segment in that file; undefined when the name is not one of a segment. */
export function segmentOfName(name: string): number | undefined {
  const segment = /^\d{10}\.log$/.test(name) ? Number.parseInt(name, 10) : 0;
  return segment >= 1 && segment <= 0xffff_ffff ? segment : undefined;
}

export function checkpointName(number: number): string {
  return `checkpoint-${String(number).padStart(10, '0')}`;
}

/** The name of a checkpoint while it is being written. */
export function unfinishedName(number: number): string {
  return checkpointName(number) + UNFINISHED;
}

/** The name of a repaired segment until it takes the place of the damaged one. */
export function repairName(segment: number): string {
  return segmentName(segment) + UNFINISHED;
}

/** Number of a checkpoint's name; undefined for any other name, unfinished ones included. */
export function checkpointOfName(name: string): number | undefined {
  const digits = CHECKPOINT_NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits, 10);
}

export function isUnfinished(name: string): boolean {
  if (!name.endsWith(UNFINISHED)) return false;
  const finished = name.slice(0, -UNFINISHED.length);
  return CHECKPOINT_NAME.test(finished) || segmentOfName(finished) !== undefined;
}

export function writeSegmentHeader(
  target: Buffer,
  at: number,
  digest: Uint8Array,
  header: SegmentHeader,
): void {
  target.fill(0, at, at + SEGMENT_HEADER_BYTES);
  target.set(MAGIC, at);
  target.writeUInt32LE(FORMAT_VERSION, at + 12);
  target.set(digest, at + 16);
  target.writeUInt32LE(header.segment, at + 32);
  target.writeUInt32LE(header.previous, at + 36);
  writeUInt48(target, at + 40, header.firstFrame);
  target.writeUInt32LE(crc32(target.subarray(at + 12, at + SEGMENT_HEADER_BYTES)), at + 8);
}

export function readSegmentHeader(file: Buffer, digest: Uint8Array): SegmentHeaderFinding {
  if (file.length < SEGMENT_HEADER_BYTES || !MAGIC.equals(file.subarray(0, MAGIC.length))) {
    return { kind: 'damaged' };
  }
  if (crc32(file.subarray(12, SEGMENT_HEADER_BYTES)) !== file.readUInt32LE(8)) {
    return { kind: 'damaged' };
  }
  const version = file.readUInt32LE(12);
  if (version !== FORMAT_VERSION) return { kind: 'version', version };
  if (!file.subarray(16, 16 + DIGEST_BYTES).equals(digest)) return { kind: 'foreign' };
  return {
    kind: 'valid',
    header: {
      segment: file.readUInt32LE(32),
      previous: file.readUInt32LE(36),
      firstFrame: readUInt48(file, 40),
    },
  };
}

/** Writes the header in front of a body already in place; returns the checksum of the frame. */
export function writeFrameHeader(
  target: Buffer,
  at: number,
  tag: number,
  header: Omit<FrameHeader, 'checksum'>,
): number {
  target.writeUInt32LE(header.bodyBytes, at);
  target.writeUInt32LE(tag, at + 8);
  target.writeUInt32LE(header.previous, at + 12);
  target.writeUInt32LE(header.offset, at + 16);
  target.writeUInt32LE(header.unsynced, at + 20);
  writeUInt48(target, at + 24, header.number);
  target.writeUInt16LE(header.type, at + 30);
  const checksum = crc32(target.subarray(at + 8, at + FRAME_HEADER_BYTES + header.bodyBytes));
  target.writeUInt32LE(checksum, at + 4);
  return checksum;
}

/** The frame at `at` if it is whole and of this log and segment, wherever it was meant to be. */
export function readFrameHeader(file: Buffer, at: number, tag: number): FrameHeader | undefined {
  if (at + FRAME_HEADER_BYTES > file.length || file.readUInt32LE(at + 8) !== tag) return undefined;
  const bodyBytes = file.readUInt32LE(at);
  const end = at + FRAME_HEADER_BYTES + bodyBytes;
  if (bodyBytes > FRAME_BYTES_MAX - FRAME_HEADER_BYTES || end > file.length) return undefined;
  const checksum = file.readUInt32LE(at + 4);
  if (crc32(file.subarray(at + 8, end)) !== checksum) return undefined;
  return {
    bodyBytes,
    checksum,
    previous: file.readUInt32LE(at + 12),
    offset: file.readUInt32LE(at + 16),
    unsynced: file.readUInt32LE(at + 20),
    number: readUInt48(file, at + 24),
    type: file.readUInt16LE(at + 30),
  };
}

/** Where the next whole frame of this log and segment lies, from `from` on; -1 if nowhere. */
export function findFrame(file: Buffer, from: number, tag: number): number {
  const pattern = Buffer.alloc(4);
  pattern.writeUInt32LE(tag);
  for (let hit = file.indexOf(pattern, from + 8); hit >= 0; hit = file.indexOf(pattern, hit + 1)) {
    if (readFrameHeader(file, hit - 8, tag) !== undefined) return hit - 8;
  }
  return -1;
}

function writeUInt48(target: Buffer, at: number, value: number): void {
  assert(value >= 0 && value < 2 ** 48, `${value} does not fit 48 bits`);
  target.writeUIntLE(value, at, 6);
}

function readUInt48(source: Buffer, at: number): number {
  return source.readUIntLE(at, 6);
}
