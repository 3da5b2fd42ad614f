/**
 * Messages to readers of the whole journal, made once for all that stand at the same place: at the tail
 * a hundred followers want the same bytes. What one more of them costs is a copy into its connection;
 * measured at 1 KiB records, a quarter of what it costs to walk and encode them for it alone.
 *
 * Keeps the last few; a chunk holds whole entries, so every reader that has sent one stands at the
 * beginning of an entry again. Deliberately not for streams, filters and limits: those read for themselves.
 */
import { create, toBinary } from '@bufbuild/protobuf';
import { encodeDeliveries } from '../../libs/frames/delivery.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import { ReadResponseSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { ReadResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { EntryWalker } from './entry-walker.ts';
import type { LaneStore } from './lane-store.ts';
import type { ReleaseIndex } from './release-index.ts';

/** Entries from `from` on and before `to`. */
export interface SharedChunk {
  readonly from: number;
  readonly to: number;
  readonly frames: Uint8Array;
  readonly batches: number;
  /** Place of the last record; null when there is none. */
  readonly end: { readonly timestamp: number; readonly recordOffset: number } | null;
}

interface Kept {
  readonly chunk: SharedChunk;
  /** Nothing more would have fitted. */
  readonly full: boolean;
  /** By the watermark of the progress that goes with it; -1 without. */
  readonly messages: Map<number, ReadResponse>;
}

const KEPT_MAX = 4;
/** Progress differs between readers for a moment only. */
const MESSAGES_MAX = 4;

/** Bytes of messages that go to more than one reader. */
const encoded = new WeakMap<ReadResponse, Buffer>();

/** For the method `read`: a shared message is encoded once. */
export function serializeRead(message: ReadResponse): Buffer {
  return encoded.get(message) ?? bytesOf(message);
}

export class SharedChunks {
  readonly #index: ReleaseIndex;
  readonly #walker: EntryWalker;
  #kept: Kept[] = [];
  /** How often a message was there already. */
  reused = 0;

  constructor(index: ReleaseIndex, store: Pick<LaneStore, 'content'>) {
    this.#index = index;
    this.#walker = new EntryWalker(index, store, null);
  }

  /** What follows at this ordinal, about `bytes` of it; null: nothing that can be shared. */
  at(from: number, bytes: number): SharedChunk | null {
    const { count } = this.#index;
    if (from >= count) return null;
    const known = this.#kept.find(({ chunk }) => chunk.from === from);
    if (known !== undefined && (known.full || known.chunk.to === count)) return known.chunk;
    const made = this.#make(from, bytes);
    if (made === null) return null;
    this.#kept = [made, ...this.#kept.filter(({ chunk }) => chunk.from !== from)];
    this.#kept.length = Math.min(this.#kept.length, KEPT_MAX);
    return made.chunk;
  }

  /** The message with this chunk, and progress behind it where `watermark` is not -1. */
  message(chunk: SharedChunk, watermark: number): ReadResponse {
    const kept = this.#kept.find((each) => each.chunk === chunk);
    const known = kept?.messages.get(watermark);
    if (known !== undefined) {
      this.reused += 1;
      return known;
    }
    const { frames } = chunk;
    const value =
      watermark === -1 ? { frames } : { frames, progress: { watermark: BigInt(watermark) } };
    const message = create(ReadResponseSchema, { message: { case: 'batches', value } });
    encoded.set(message, bytesOf(message));
    if (kept !== undefined && kept.messages.size < MESSAGES_MAX) {
      kept.messages.set(watermark, message);
    }
    return message;
  }

  #make(from: number, bytes: number): Kept | null {
    const walker = this.#walker;
    const items: Delivery[] = [];
    let size = 0;
    let to = from;
    for (; to < this.#index.count && size < bytes; to += 1) {
      walker.enter(to);
      while (walker.advance()) {
        const { batch, timestamp, recordOffset, firstSeqNum } = walker;
        items.push({ timestamp, recordOffset, firstSeqNum, instance: 0, batch });
        size += batch.length;
      }
      // One entry that is far too large is better sent in parts, by each reader for itself.
      if (to === from && size > 2 * bytes) return null;
    }
    const last = items.at(-1);
    const end =
      last === undefined
        ? null
        : { timestamp: last.timestamp, recordOffset: last.recordOffset + walker.recordCount - 1 };
    const frames = encodeDeliveries(items);
    const chunk = { from, to, frames, batches: items.length, end };
    return { chunk, full: size >= bytes, messages: new Map() };
  }
}

function bytesOf(message: ReadResponse): Buffer {
  const bytes = toBinary(ReadResponseSchema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
