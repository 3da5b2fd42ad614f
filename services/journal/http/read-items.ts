/**
 * The messages of a read as JSON items, the lines of `meridian read -o json`: records, gaps, progress. Cuts
 * what batches bring beyond what was asked for, and says progress at most once a second: the watermark
 * moves a hundred times as often, and nobody reads that.
 */
import { decodeBatchHeader, decodeRecords } from '../../../libs/frames/batch.ts';
import { decodeDeliveries } from '../../../libs/frames/delivery.ts';
import { recordJson } from '../../../libs/frames/record-json.ts';
import type { Encoding } from '../../../libs/frames/text-encoding.ts';
import { ReadGap_Kind } from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  ReadGap,
  ReadProgress,
  ReadResponse,
} from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { OFFSET_END } from '../read-plan.ts';
import { timeOrNull } from './parameters.ts';
import type { Place } from './parameters.ts';

export interface ReadShape {
  readonly encoding: Encoding;
  readonly fromSeqNum: number;
  readonly after: Place | null;
  readonly untilSeqNum: number;
  readonly limit: number;
  readonly progress: boolean;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
}

export interface Item {
  readonly type: 'record' | 'gap' | 'progress';
  /** A read that begins after it continues behind the item. */
  readonly place: Place;
  readonly json: object;
}

const PROGRESS_EVERY_MS = 1_000;

export class ReadItems {
  readonly #shape: ReadShape;
  #fromSeqNum: number;
  #left: number;
  #progressAt = -Infinity;
  #stalled = false;
  /** Of the last progress, said or not. */
  watermark: number | null = null;
  tailSeqNum: number | null = null;

  constructor(shape: ReadShape) {
    this.#shape = shape;
    this.#fromSeqNum = shape.fromSeqNum;
    this.#left = shape.limit;
  }

  /** All that was asked for has been returned. */
  isComplete(): boolean {
    return this.#left <= 0;
  }

  from({ message }: ReadResponse): Item[] {
    if (this.isComplete()) return [];
    switch (message.case) {
      case 'batches': {
        const items = this.#records(message.value.frames);
        const { progress } = message.value;
        if (progress !== undefined && !this.isComplete()) items.push(...this.#progress(progress));
        return items;
      }
      case 'progress':
        return this.#progress(message.value);
      case 'gap':
        return [this.#gap(message.value)];
      case undefined:
        return [];
    }
  }

  #records(frames: Uint8Array): Item[] {
    const { encoding, after, untilSeqNum } = this.#shape;
    const items: Item[] = [];
    for (const { batch, timestamp, recordOffset, firstSeqNum } of decodeDeliveries(frames)) {
      const { stream } = decodeBatchHeader(batch);
      const time = timeOrNull(timestamp);
      for (const [i, record] of decodeRecords(batch).entries()) {
        const place = { timestamp, recordOffset: recordOffset + i };
        const seqNum = firstSeqNum + i;
        if (seqNum < this.#fromSeqNum) continue;
        if (after?.timestamp === timestamp && place.recordOffset <= after.recordOffset) continue;
        if (seqNum >= untilSeqNum) this.#left = 0;
        if (this.isComplete()) return items;
        this.#left -= 1;
        const json = recordJson({ stream, seqNum, ...place }, time, record, encoding);
        items.push({ type: 'record', place, json });
      }
    }
    return items;
  }

  #gap({ kind, from, to, fromSeqNum, toSeqNum }: ReadGap): Item {
    const [begin, end] = [from, to].map((position) => ({
      timestamp: Number(position?.timestamp ?? 0n),
      recordOffset: position?.recordOffset ?? 0,
    })) as [Place, Place];
    // A batch of which a part was trimmed comes whole.
    this.#fromSeqNum = Math.max(this.#fromSeqNum, Number(toSeqNum));
    const seqNums = toSeqNum === 0n ? null : { from: Number(fromSeqNum), to: Number(toSeqNum) };
    const gap = { kind: nameOf(kind), from: begin, to: end, seqNums };
    const place = { timestamp: end.timestamp - 1, recordOffset: OFFSET_END };
    return { type: 'gap', place, json: { type: 'gap', gap } };
  }

  #progress({ watermark, tailSeqNum, stalled }: ReadProgress): Item[] {
    const said = { watermark: Number(watermark), tailSeqNum: Number(tailSeqNum), stalled };
    this.watermark = said.watermark;
    this.tailSeqNum = said.tailSeqNum;
    const now = this.#shape.now();
    const isDue = now - this.#progressAt >= PROGRESS_EVERY_MS || stalled !== this.#stalled;
    if (!this.#shape.progress || !isDue) return [];
    this.#progressAt = now;
    this.#stalled = stalled;
    const place = { timestamp: said.watermark, recordOffset: OFFSET_END };
    return [{ type: 'progress', place, json: { type: 'progress', ...said } }];
  }
}

function nameOf(kind: ReadGap_Kind): string {
  if (kind === ReadGap_Kind.TRIMMED) return 'trimmed';
  return kind === ReadGap_Kind.FILTERED ? 'filtered' : 'lost';
}
