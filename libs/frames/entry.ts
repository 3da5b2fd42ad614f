/**
 * Entries (SPEC.md): one slot of a lane with the batches it holds, as it is in the log and between
 * replicas. The batches inside are the clients' frames, unchanged.
 */
import { crc32 } from 'node:zlib';
import { MeridianError } from '../errors/errors.ts';
import { assert, unreachable } from '../values/assert.ts';
import { isReplicaId } from '../values/numbers.ts';
import type { Epoch, Index, LaneId, Timestamp } from '../values/numbers.ts';
import { BATCH_BYTES_MIN, checkCrc, decodeBatchHeader, frameSize } from './batch.ts';
import { isU32, readU32, readU64, readU8, writeU32, writeU64 } from './ints.ts';

export type EntryKind = 'batches' | 'marker';

export interface EntryIdentity {
  readonly lane: LaneId;
  readonly epoch: Epoch;
  readonly index: Index;
  readonly timestamp: Timestamp;
  readonly kind: EntryKind;
}

export interface EntryHeaderView extends EntryIdentity {
  readonly batchCount: number;
  /** Over all batches. */
  readonly recordCount: number;
  /** Of the whole frame. */
  readonly bytes: number;
}

export const ENTRY_VERSION = 1;
export const ENTRY_HEADER_BYTES = 48;

/** One allocation. The batches are verified ones: their sizes and counts are taken as they stand. */
export function encodeEntry(header: EntryIdentity, batches: readonly Uint8Array[]): Uint8Array {
  assert((header.kind === 'marker') === (batches.length === 0), 'a marker has no batches');
  let bytes = ENTRY_HEADER_BYTES;
  let recordCount = 0;
  for (const batch of batches) {
    assert(readU32(batch, 0) === batch.length, 'a batch frame alone in its bytes');
    bytes += batch.length;
    recordCount += readU32(batch, 12);
  }
  assert(isU32(bytes) && isU32(recordCount), `entry of ${bytes} bytes, ${recordCount} records`);

  const frame = Buffer.allocUnsafe(bytes);
  writeU32(frame, 0, bytes);
  frame[8] = ENTRY_VERSION;
  frame[9] = kindNumber(header.kind);
  frame[10] = header.lane;
  frame[11] = 0;
  writeU32(frame, 12, batches.length);
  writeU64(frame, 16, header.epoch);
  writeU64(frame, 24, header.index);
  writeU64(frame, 32, header.timestamp);
  writeU32(frame, 40, recordCount);
  writeU32(frame, 44, 0);
  let offset = ENTRY_HEADER_BYTES;
  for (const batch of batches) {
    frame.set(batch, offset);
    offset += batch.length;
  }
  writeU32(frame, 4, crc32(frame.subarray(8)));
  return frame;
}

/** The header of the entry that starts at `offset` and lies inside `bytes`; not the checksum, not the batches. */
export function decodeEntryHeader(bytes: Uint8Array, offset = 0): EntryHeaderView {
  const size = frameSize(bytes, offset, ENTRY_HEADER_BYTES, 'entry');
  const version = readU8(bytes, offset + 8);
  const kindByte = readU8(bytes, offset + 9);
  const lane = readU8(bytes, offset + 10);
  if (version !== ENTRY_VERSION) {
    throw new MeridianError('INVALID', `entry at byte ${offset} has format version ${version}`);
  }
  if (kindByte !== 1 && kindByte !== 2) {
    throw new MeridianError('INVALID', `entry at byte ${offset} has unknown kind ${kindByte}`);
  }
  if (!isReplicaId(lane)) {
    throw new MeridianError('INVALID', `entry at byte ${offset} names lane ${lane}`);
  }
  const kind = kindByte === 1 ? 'batches' : 'marker';
  const batchCount = readU32(bytes, offset + 12);
  const room = size - ENTRY_HEADER_BYTES;
  const fits = kind === 'marker' ? batchCount === 0 && room === 0 : batchCount >= 1;
  if (!fits || batchCount > room / BATCH_BYTES_MIN) {
    throw new MeridianError(
      'INVALID',
      `entry at byte ${offset}: ${kind} with ${batchCount} batches in ${room} bytes`,
    );
  }
  return {
    lane,
    epoch: readU64(bytes, offset + 16) as Epoch,
    index: readU64(bytes, offset + 24) as Index,
    timestamp: readU64(bytes, offset + 32) as Timestamp,
    kind,
    batchCount,
    recordCount: readU32(bytes, offset + 40),
    bytes: size,
  };
}

/** For an entry from a disk or a peer, alone in `frame`: checksum, and that its batches fill it exactly. */
export function verifyEntry(frame: Uint8Array): EntryHeaderView {
  const size = frameSize(frame, 0, ENTRY_HEADER_BYTES, 'entry');
  if (size !== frame.length) {
    throw new MeridianError('INVALID', `entry says ${size} bytes and has ${frame.length}`);
  }
  checkCrc(frame, 'entry');
  const header = decodeEntryHeader(frame);
  let offset = ENTRY_HEADER_BYTES;
  let recordCount = 0;
  for (let i = 0; i < header.batchCount; i += 1) {
    const batch = decodeBatchHeader(frame, offset);
    offset += batch.bytes;
    recordCount += batch.recordCount;
  }
  if (offset !== size || recordCount !== header.recordCount) {
    throw new MeridianError(
      'INVALID',
      `entry says ${header.recordCount} records and ${size} bytes; its batches hold ${recordCount} and end at ${offset}`,
    );
  }
  return header;
}

/** The entry's batches as views into it. */
export function entryBatches(frame: Uint8Array): Uint8Array[] {
  const { batchCount } = decodeEntryHeader(frame);
  const batches: Uint8Array[] = [];
  let offset = ENTRY_HEADER_BYTES;
  for (let i = 0; i < batchCount; i += 1) {
    const size = frameSize(frame, offset, BATCH_BYTES_MIN, 'batch');
    batches.push(frame.subarray(offset, offset + size));
    offset += size;
  }
  return batches;
}

function kindNumber(kind: EntryKind): number {
  switch (kind) {
    case 'batches':
      return 1;
    case 'marker':
      return 2;
    default:
      return unreachable(kind);
  }
}
