/** Delivery frames, from a replica or a crossbar, as the items of a feed. */
import { decodeRecords, verifyBatch } from '../../libs/frames/batch.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import type { JournalPosition } from '../../libs/postgres/applied-position.ts';
import type { FeedItem } from './journal-port.ts';

/** Checks every batch's checksum once more: the database is the last place to notice. */
export function itemsOf(
  frames: Uint8Array,
  stream: string,
  after: JournalPosition | null,
  cursor: Uint8Array | null,
): FeedItem[] {
  const items: FeedItem[] = [];
  for (const delivery of decodeDeliveries(frames)) {
    const { timestamp, instance, batch } = delivery;
    const header = verifyBatch(batch, LIMITS);
    if (header.stream !== stream) continue;
    const recordOffset = delivery.recordOffset + header.recordCount - 1;
    const position = { instance, timestamp, recordOffset, cursor };
    if (after !== null && comparePositions(position, after) <= 0) continue;
    const records = decodeRecords(batch).map(({ body }) => body);
    items.push({ kind: 'batch', position, records, bytes: batch.length });
  }
  return items;
}

/** The order of the crossbar: timestamp, instance, record. */
export function comparePositions(a: JournalPosition, b: JournalPosition): number {
  return a.timestamp - b.timestamp || a.instance - b.instance || a.recordOffset - b.recordOffset;
}

/** What a journal may be configured to take; a larger batch than ours is not an error here. */
const LIMITS = { batchBytesMax: 64 * 1024 * 1024, recordsMax: 1_000_000 };
