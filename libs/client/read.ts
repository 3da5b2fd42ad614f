/**
 * Reads as async iterators: a chunk at a time, or a record at a time. At most a few chunks wait for a
 * slow consumer; then the replica waits.
 */
import { MeridianError } from '../errors/errors.ts';
import { decodeBatchHeader, decodeRecords } from '../frames/batch.ts';
import { decodeDeliveries } from '../frames/delivery.ts';
import type { Delivery } from '../frames/delivery.ts';
import type { KeyFilter } from '../frames/key-filter.ts';
import type {
  Follow,
  FollowHandler,
  Position,
  ReadBatch,
  ReadGap,
  ReadItem,
  ReadOptions,
  ReadRecord,
  RecordView,
} from './types.ts';

/** Chunks that may wait; at half of it, reading goes on. */
const WAITING_MAX = 8;

type Waiting = { readonly frames: Uint8Array; readonly position: Position } | ReadItem;

export class ReadIterator implements AsyncIterableIterator<ReadItem, undefined> {
  readonly #follow: Follow;
  readonly #waiting: Waiting[] = [];
  #taker: {
    resolve: (result: IteratorResult<ReadItem, undefined>) => void;
    reject: (error: MeridianError) => void;
  } | null = null;
  #end: { readonly error: MeridianError | null } | null = null;

  readonly #filter: KeyFilter | null;

  /** `start` begins the read with the handler it is given. */
  constructor(filter: KeyFilter | null, start: (handler: FollowHandler) => Follow) {
    this.#filter = filter;
    this.#follow = start({
      onBatches: (frames, position) => {
        this.#put({ frames, position });
      },
      onProgress: (progress) => {
        this.#put(progress);
      },
      onGap: (gap) => {
        this.#put(gap);
      },
      onEnd: (error) => {
        this.#end = { error };
        if (this.#taker === null) return;
        if (error === null) this.#taker.resolve({ done: true, value: undefined });
        else this.#taker.reject(error);
        this.#taker = null;
      },
    });
  }

  next(): Promise<IteratorResult<ReadItem, undefined>> {
    const next = this.#waiting.shift();
    if (next !== undefined) {
      if (this.#waiting.length === WAITING_MAX / 2) this.#follow.resume();
      return Promise.resolve({ done: false, value: decoded(next, this.#filter) });
    }
    if (this.#end !== null) {
      const { error } = this.#end;
      this.#end = { error: null };
      if (error !== null) return Promise.reject(error);
      return Promise.resolve({ done: true, value: undefined });
    }
    return new Promise((resolve, reject) => {
      this.#taker = { resolve, reject };
    });
  }

  /** Called when a `for await` loop is left: the read is given up. */
  return(): Promise<IteratorResult<ReadItem, undefined>> {
    this.#follow.cancel();
    this.#waiting.length = 0;
    this.#end ??= { error: null };
    this.#taker?.resolve({ done: true, value: undefined });
    this.#taker = null;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #put(item: Waiting): void {
    if (this.#taker !== null) {
      this.#taker.resolve({ done: false, value: decoded(item, this.#filter) });
      this.#taker = null;
      return;
    }
    // Of consecutive watermarks only the last one says something.
    const last = this.#waiting.at(-1);
    if (isProgress(item) && last !== undefined && isProgress(last)) this.#waiting.pop();
    this.#waiting.push(item);
    if (this.#waiting.length >= WAITING_MAX) this.#follow.pause();
  }
}

/**
 * Exactly the records that were asked for: batches come whole, and may begin before or end after. It may
 * begin behind what was trimmed; a record that is missing between two others, or lost, ends it.
 */
export async function* recordsOf(
  items: AsyncIterable<ReadItem>,
  { from, limit = Infinity, untilSeqNum = Infinity }: ReadOptions,
): AsyncGenerator<ReadRecord, void, undefined> {
  let fromSeqNum = typeof from === 'object' && 'seqNum' in from ? from.seqNum : 0;
  const after = typeof from === 'object' && 'after' in from ? from.after : null;
  let left = limit;
  let begun = false;
  for await (const item of items) {
    if (item.type === 'gap') {
      refuseMissing(item, begun);
      // A batch of which a part was trimmed comes whole.
      fromSeqNum = Math.max(fromSeqNum, item.seqNums?.to ?? 0);
    }
    if (item.type !== 'batches') continue;
    for (const batch of item.batches) {
      const { indexes } = batch;
      let position = -1;
      for (const record of batch.records) {
        position += 1;
        const index = indexes?.[position] ?? position;
        const seqNum = batch.firstSeqNum + index;
        const recordOffset = batch.recordOffset + index;
        const { timestamp, stream } = batch;
        if (seqNum < fromSeqNum) continue;
        if (after?.timestamp === timestamp && recordOffset <= after.recordOffset) continue;
        if (left <= 0 || seqNum >= untilSeqNum) return;
        left -= 1;
        begun = true;
        yield { ...record, stream, seqNum, timestamp, recordOffset };
      }
    }
    if (left <= 0) return;
  }
}

function refuseMissing({ kind, from, to }: ReadGap, begun: boolean): void {
  if (kind === 'filtered' || (kind === 'trimmed' && !begun)) return;
  throw new MeridianError(
    'OUT_OF_RANGE',
    `records from ${from.timestamp} to ${to.timestamp} are ${kind}; \`read\` says so and goes on`,
    { details: { kind, from: from.timestamp, to: to.timestamp } },
  );
}

class DecodedBatch implements ReadBatch {
  readonly timestamp: number;
  readonly recordOffset: number;
  readonly firstSeqNum: number;
  readonly #batch: Uint8Array;
  readonly #filter: KeyFilter | null;

  constructor({ timestamp, recordOffset, firstSeqNum, batch }: Delivery, filter: KeyFilter | null) {
    this.timestamp = timestamp;
    this.recordOffset = recordOffset;
    this.firstSeqNum = firstSeqNum;
    this.#batch = batch;
    this.#filter = filter;
  }

  get stream(): string {
    return decodeBatchHeader(this.#batch).stream;
  }

  get records(): readonly RecordView[] {
    const records = decodeRecords(this.#batch);
    const filter = this.#filter;
    return filter === null ? records : records.filter(({ key }) => filter.matches(key));
  }

  get indexes(): readonly number[] | null {
    const filter = this.#filter;
    if (filter === null) return null;
    return decodeRecords(this.#batch).flatMap(({ key }, i) => (filter.matches(key) ? [i] : []));
  }
}

function decoded(item: Waiting, filter: KeyFilter | null): ReadItem {
  if (!('frames' in item)) return item;
  const batches = decodeDeliveries(item.frames).map((each) => new DecodedBatch(each, filter));
  return { type: 'batches', batches, position: item.position };
}

function isProgress(item: Waiting): boolean {
  return 'type' in item && item.type === 'progress';
}
