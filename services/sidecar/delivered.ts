/** Delivery frames, from a replica or a crossbar, as the items of a feed. */
import { bodiesOf, verifyBatch } from '../../libs/frames/batch.ts';
import type { BatchHeaderView } from '../../libs/frames/batch.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import type { JournalPosition } from '../../libs/postgres/applied-position.ts';

/**
 * A batch as it has come. Its records are made when they are asked for: what waits in a backlog is bytes, and the
 * objects made of them are gone before the collector has to move them.
 */
export class DeliveredBatch {
  readonly kind = 'batch';
  readonly position: JournalPosition;
  readonly #frame: Uint8Array;
  readonly #recordsOffset: number;
  readonly #count: number;

  constructor(
    frame: Uint8Array,
    { recordsOffset, recordCount }: Pick<BatchHeaderView, 'recordsOffset' | 'recordCount'>,
    position: JournalPosition,
  ) {
    this.position = position;
    this.#frame = frame;
    this.#recordsOffset = recordsOffset;
    this.#count = recordCount;
  }

  get bytes(): number {
    return this.#frame.length;
  }

  /** Bodies, as views; made anew by each question. */
  get records(): readonly Uint8Array[] {
    return bodiesOf(this.#frame, this.#recordsOffset, this.#count);
  }

  withCursor(cursor: Uint8Array): DeliveredBatch {
    const [recordsOffset, recordCount] = [this.#recordsOffset, this.#count];
    const position = { ...this.position, cursor };
    return new DeliveredBatch(this.#frame, { recordsOffset, recordCount }, position);
  }
}

/** Checks every batch's checksum once more: the database is the last place to notice. */
export function itemsOf(
  frames: Uint8Array,
  stream: string,
  after: JournalPosition | null,
  cursor: Uint8Array | null,
): DeliveredBatch[] {
  const items: DeliveredBatch[] = [];
  // A view of a Buffer is one, and is read without another around it.
  const bytes = Buffer.from(frames.buffer, frames.byteOffset, frames.byteLength);
  for (const { timestamp, instance, recordOffset, batch } of decodeDeliveries(bytes)) {
    const header = verifyBatch(batch, LIMITS);
    if (header.stream !== stream) continue;
    const last = recordOffset + header.recordCount - 1;
    const position = { instance, timestamp, recordOffset: last, cursor };
    if (after !== null && comparePositions(position, after) <= 0) continue;
    items.push(new DeliveredBatch(batch, header, position));
  }
  return items;
}

/** The order of the crossbar: timestamp, instance, record. */
export function comparePositions(a: JournalPosition, b: JournalPosition): number {
  return a.timestamp - b.timestamp || a.instance - b.instance || a.recordOffset - b.recordOffset;
}

/** What a journal may be configured to take; a larger batch than ours is not an error here. */
const LIMITS = { batchBytesMax: 64 * 1024 * 1024, recordsMax: 1_000_000 };
