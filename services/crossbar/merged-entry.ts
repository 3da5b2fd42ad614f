/**
 * An entry on its way through the crossbar: its delivery frames, re-headed with the instance's number
 * and packed into memory of its own, so that a small entry in the window does not keep alive the
 * large message it came in.
 */
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { DELIVERY_HEADER_BYTES, encodeDeliveries } from '../../libs/frames/delivery.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import type { Position } from './position.ts';

export interface MergedEntry extends Position {
  /** Delivery frames, one after the other. */
  readonly frames: Uint8Array;
  /** The stream of each frame, and where it ends in `frames`. */
  readonly parts: readonly { readonly stream: string; readonly end: number }[];
}

/** The deliveries of one entry, all of them. */
export function mergedEntry(
  timestamp: number,
  instance: number,
  deliveries: readonly Delivery[],
): MergedEntry {
  let end = 0;
  const parts = deliveries.map(({ batch }) => {
    end += DELIVERY_HEADER_BYTES + batch.length;
    return { stream: decodeBatchHeader(batch).stream, end };
  });
  const frames = encodeDeliveries(deliveries.map((delivery) => ({ ...delivery, instance })));
  return { timestamp, instance, frames, parts };
}

/** The frames of these streams, as views; null for all streams. */
export function selectFrames(
  entry: MergedEntry,
  streams: ReadonlySet<string> | null,
): readonly Uint8Array[] {
  if (streams === null) return [entry.frames];
  const selected: Uint8Array[] = [];
  let start = 0;
  for (const { stream, end } of entry.parts) {
    if (streams.has(stream)) selected.push(entry.frames.subarray(start, end));
    start = end;
  }
  return selected;
}
