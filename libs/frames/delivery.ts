/**
 * Deliveries (SPEC.md): a batch on its way to a reader, behind a header that says where it stands in
 * the order. No checksum of its own: the batch has one, and the place is only as good as the connection.
 */
import { MeridianError } from '../errors/errors.ts';
import type { SeqNum, Timestamp } from '../values/numbers.ts';
import { BATCH_BYTES_MIN, frameSize } from './batch.ts';
import { readU16, readU32, readU64, writeU16, writeU32, writeU64 } from './ints.ts';

export interface Delivery {
  readonly timestamp: Timestamp;
  /** Number of the batch's first record in its entry. */
  readonly recordOffset: number;
  /** Sequence number of the batch's first record in its stream. */
  readonly firstSeqNum: SeqNum;
  /** 0 from a replica; the instance's number from a crossbar. */
  readonly instance: number;
  /** The batch frame; decoded ones are views. */
  readonly batch: Uint8Array;
}

export interface DeliveryPlace {
  readonly batchBytes: number;
  readonly recordOffset: number;
  readonly timestamp: number;
  readonly firstSeqNum: number;
  readonly instance: number;
}

export const DELIVERY_HEADER_BYTES = 28;

/** Writes the 28 bytes that go before a batch frame. */
export function encodeDeliveryHeader(
  target: Uint8Array,
  offset: number,
  place: DeliveryPlace,
): void {
  writeU32(target, offset, DELIVERY_HEADER_BYTES + place.batchBytes);
  writeU32(target, offset + 4, place.recordOffset);
  writeU64(target, offset + 8, place.timestamp);
  writeU64(target, offset + 16, place.firstSeqNum);
  writeU16(target, offset + 24, place.instance);
  writeU16(target, offset + 26, 0);
}

/** Frames one after the other; one allocation. */
export function encodeDeliveries(items: readonly Delivery[]): Uint8Array {
  let bytes = 0;
  for (const { batch } of items) bytes += DELIVERY_HEADER_BYTES + batch.length;
  const frames = Buffer.allocUnsafe(bytes);
  let offset = 0;
  for (const item of items) {
    encodeDeliveryHeader(frames, offset, {
      batchBytes: item.batch.length,
      recordOffset: item.recordOffset,
      timestamp: item.timestamp,
      firstSeqNum: item.firstSeqNum,
      instance: item.instance,
    });
    frames.set(item.batch, offset + DELIVERY_HEADER_BYTES);
    offset += DELIVERY_HEADER_BYTES + item.batch.length;
  }
  return frames;
}

export function decodeDeliveries(bytes: Uint8Array): Delivery[] {
  const items: Delivery[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const size = frameSize(bytes, offset, DELIVERY_HEADER_BYTES + BATCH_BYTES_MIN, 'delivery');
    const batch = bytes.subarray(offset + DELIVERY_HEADER_BYTES, offset + size);
    if (readU32(batch, 0) !== batch.length) {
      throw new MeridianError('INVALID', `delivery at byte ${offset} does not hold one batch`);
    }
    items.push({
      timestamp: readU64(bytes, offset + 8) as Timestamp,
      recordOffset: readU32(bytes, offset + 4),
      firstSeqNum: readU64(bytes, offset + 16) as SeqNum,
      instance: readU16(bytes, offset + 24),
      batch,
    });
    offset += size;
  }
  return items;
}
