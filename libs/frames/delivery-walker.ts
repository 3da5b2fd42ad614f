/**
 * Deliveries one after the other, by their places alone: for services that pass frames on and need
 * no object per batch. Reads headers and checks sizes; does not look into batches, which were
 * verified when they came in and carry a checksum for whoever opens them.
 */
import { MeridianError } from '../errors/errors.ts';
import { BATCH_BYTES_MIN, frameSize, isOfStream, recordCountAt } from './batch.ts';
import { DELIVERY_HEADER_BYTES } from './delivery.ts';
import { readU16, readU32, readU64, writeU16 } from './ints.ts';

const INSTANCE_OFFSET = 24;

export class DeliveryWalker {
  readonly #bytes: Uint8Array;
  /** Where the frame begins and ends in the bytes. */
  start = 0;
  end = 0;
  timestamp = 0;
  recordOffset = 0;
  recordCount = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Stands on the next delivery; false: there is none. Throws INVALID for what is no delivery. */
  next(): boolean {
    const bytes = this.#bytes;
    const start = this.end;
    if (start >= bytes.length) return false;
    const size = frameSize(bytes, start, DELIVERY_HEADER_BYTES + BATCH_BYTES_MIN, 'delivery');
    const batch = start + DELIVERY_HEADER_BYTES;
    if (readU32(bytes, batch) !== size - DELIVERY_HEADER_BYTES) {
      throw new MeridianError('INVALID', `delivery at byte ${start} does not hold one batch`);
    }
    this.start = start;
    this.end = start + size;
    this.timestamp = readU64(bytes, start + 8);
    this.recordOffset = readU32(bytes, start + 4);
    this.recordCount = recordCountAt(bytes, batch);
    return true;
  }

  /** 0 from a replica; the instance's number from a crossbar. */
  get instance(): number {
    return readU16(this.#bytes, this.start + INSTANCE_OFFSET);
  }

  get batch(): Uint8Array {
    return this.#bytes.subarray(this.start + DELIVERY_HEADER_BYTES, this.end);
  }

  /** Whether the batch is of the stream with this name, without making anything of it. */
  isOf(name: Uint8Array): boolean {
    return isOfStream(this.#bytes, this.start + DELIVERY_HEADER_BYTES, name);
  }

  /** Says in the frame which instance it came from. */
  stamp(instance: number): void {
    writeU16(this.#bytes, this.start + INSTANCE_OFFSET, instance);
  }
}
