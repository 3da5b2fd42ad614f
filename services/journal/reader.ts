/**
 * One read: pulls what its plan names from the release index and the lane store, as fast as its client
 * takes it, and says how far it has come. A reader holds one entry and its share of the bytes that may
 * wait for clients (`Room`); what comes meanwhile stays where it is, in the cache or on disk. So a slow
 * reader costs itself only, and one that takes nothing for too long is cut off.
 *
 * Batches, gaps and progress are one ordered sequence; progress claims only what was sent before it.
 * What a filter holds back is told as one gap per progress, never per batch.
 */
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import { encodeDeliveries } from '../../libs/frames/delivery.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import { ReadGap_Kind, ReadResponseSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  ReadProgressSchema,
  ReadResponse,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { OrderMachine, StreamState } from '../../libs/order/types.ts';
import type { ServerStream } from '../../libs/rpc/rpc.ts';
import type { Micros, Timestamp } from '../../libs/values/numbers.ts';
import { EntryWalker } from './entry-walker.ts';
import type { LaneStore } from './lane-store.ts';
import { OFFSET_END } from './read-plan.ts';
import type { ReadPlan } from './read-plan.ts';
import type { ReleaseIndex, StreamRows } from './release-index.ts';
import type { SharedChunks } from './shared-chunks.ts';
import type { Watermark } from './watermark.ts';

export interface ReaderContext {
  readonly index: ReleaseIndex;
  readonly store: Pick<LaneStore, 'content'>;
  readonly order: OrderMachine;
  readonly watermark: Watermark;
  /** Bytes that may wait for this reader at the moment, and those that do, of all readers. */
  readonly room: Room;
  /** Longest time without progress while the watermark moves. */
  readonly progressMicros: number;
  /** Time without a move of the watermark after which the view counts as stalled. */
  readonly stalledMicros: number;
  /** Longest time that a client may leave what waits for it untouched. */
  readonly slowReaderMicros: number;
  readonly now: () => Micros;
  readonly figures: { bytes: number; batches: number };
  readonly chunks: SharedChunks;
}

/** The bound on what waits for slow clients; owned by whoever owns all readers. */
export interface Room {
  /** What one reader may have waiting; at least one batch always may. */
  readonly shareBytes: number;
  heldBytes: number;
}

export interface ReaderView {
  readonly client: string;
  /** null: the whole journal. */
  readonly stream: string | null;
  readonly position: number;
  readonly heldBytes: number;
}

/** What a pump leaves behind: nothing to do, more to look through at once, or the end. */
export type Pumped = 'idle' | 'more' | 'done';

/** Bytes a filtered read looks through in one go before others have their turn. */
const SCAN_BYTES = 512 * 1024;

type Progress = MessageInitShape<typeof ReadProgressSchema>;

export class Reader {
  readonly #context: ReaderContext;
  readonly #stream: ServerStream<ReadResponse>;
  readonly #plan: ReadPlan;
  readonly #walker: EntryWalker;
  #rows: StreamRows | null = null;
  /** Next ordinal, or next row of the stream. */
  #next: number;
  #recordsLeft: number;
  #bytesLeft: number;
  #progress = -1;
  #progressAt = -Infinity;
  /** First position that the filter held back since something was last sent. */
  #skippedFrom: { readonly timestamp: number; readonly recordOffset: number } | null = null;
  #scannedBytes = 0;
  #pastEnd = false;
  /** Records of the stream below are not delivered: not asked for, or trimmed. */
  #fromSeqNum: number;
  #begun = false;
  /** Entries up to here have left the log, as far as the reader was told. */
  #goneTold = 0;
  /** Number behind the last record delivered. */
  #behindSeqNum: number;
  #done = false;
  #closed = false;
  #heldBytes = 0;
  /** Since when nothing of what waits has been taken. */
  #waitingSince = Infinity;
  /** Everything up to here has been written to the call. */
  #cursor: { readonly timestamp: number; readonly recordOffset: number } | null = null;
  /** Told when there is room again. */
  onRoom: () => void = () => undefined;

  constructor(context: ReaderContext, stream: ServerStream<ReadResponse>, plan: ReadPlan) {
    this.#context = context;
    this.#stream = stream;
    this.#plan = plan;
    this.#walker = new EntryWalker(context.index, context.store, plan.stream);
    this.#next = plan.start;
    this.#fromSeqNum = plan.fromSeqNum;
    this.#behindSeqNum = plan.fromSeqNum;
    this.#recordsLeft = plan.limitRecords;
    this.#bytesLeft = plan.limitBytes;
  }

  /** For people: what is read, up to where it was sent, and what waits for the client. */
  get view(): ReaderView {
    const { stream } = this.#plan;
    const position = Math.max(this.#progress, this.#cursor?.timestamp ?? 0);
    return { client: this.#stream.peer, stream, position, heldBytes: this.#heldBytes };
  }

  /** true: ended, well or not; it must not be pumped again. */
  get done(): boolean {
    return this.#done || this.#stream.closed;
  }

  /** Sends what there is to send and the client has room for. */
  pump(now: Micros): Pumped {
    if (this.#walker.timestamp <= this.#context.index.goneTo) this.#walker.leave();
    this.#walker.resume();
    this.#scannedBytes = 0;
    this.#skipGone(now);
    if (!this.#streamStands(now)) return 'done';
    while (!this.done && this.#heldBytes < this.#context.room.shareBytes) {
      if (this.#shares && this.#sendShared(now)) continue;
      const items = this.#takeChunk();
      if (this.#finished()) {
        this.#finish(items, now);
        return 'done';
      }
      this.#send(items, this.#dueProgress(now, items.length > 0), now);
      if (this.#scannedBytes >= SCAN_BYTES) return 'more';
      if (items.length === 0) return 'idle';
    }
    return this.done ? 'done' : 'idle';
  }

  /** The call is over: nothing waits any more. */
  close(): void {
    this.#done = true;
    this.#context.room.heldBytes -= this.#heldBytes;
    this.#heldBytes = 0;
    this.#closed = true;
  }

  /** Cuts the reader off when its client has taken nothing for too long; then true. */
  checkPace(now: Micros): boolean {
    const { slowReaderMicros } = this.#context;
    if (this.done || now - this.#waitingSince <= slowReaderMicros) return false;
    this.#done = true;
    const { timestamp, recordOffset } = this.#cursor ?? { timestamp: 0, recordOffset: OFFSET_END };
    this.#stream.fail(
      new MeridianError(
        'SLOW_READER',
        `nothing was taken for ${Math.round(slowReaderMicros / 1000)} ms; resume after ${timestamp}/${recordOffset}`,
        { details: { timestamp, recordOffset } },
      ),
    );
    return true;
  }

  /** Whether it wants just what others want too: everything from an entry's beginning on, for ever. */
  get #shares(): boolean {
    const { stream, filter, limitRecords, limitBytes, untilTimestamp } = this.#plan;
    const { endWatermark, fromTimestamp } = this.#plan;
    if (stream !== null || filter !== null || this.#walker.inside) return false;
    if (Math.min(limitRecords, limitBytes, untilTimestamp, endWatermark) !== Infinity) return false;
    const { index } = this.#context;
    return this.#next < index.count && index.timestampAt(this.#next) > fromTimestamp;
  }

  /** false: there is nothing to share here. */
  #sendShared(now: Micros): boolean {
    const { chunks, room, figures } = this.#context;
    const chunk = chunks.at(this.#next, room.shareBytes / 2);
    if (chunk === null) return false;
    this.#next = chunk.to;
    this.#cursor = chunk.end ?? this.#cursor;
    const progress = this.#dueProgress(now, chunk.end !== null);
    if (chunk.end === null || progress?.stalled === true) {
      this.#send([], progress, now);
      return true;
    }
    figures.bytes += chunk.frames.length;
    figures.batches += chunk.batches;
    const watermark = Number(progress?.watermark ?? -1);
    this.#writeMessage(chunks.message(chunk, watermark), chunk.frames.length, now);
    if (progress !== null) this.#progressSaid(watermark, now);
    return true;
  }

  /** Tells what was trimmed of the stream since; false when the stream is gone, and with it the read. */
  #streamStands(now: Micros): boolean {
    const { stream } = this.#plan;
    if (stream === null || this.done) return true;
    const state = this.#context.order.stream(stream);
    if (state === null) {
      this.#done = true;
      const message = `the stream ${JSON.stringify(stream)} was deleted`;
      this.#stream.fail(new MeridianError('STREAM_NOT_FOUND', message, { details: { stream } }));
      return false;
    }
    if (!this.#walker.inside) this.#skipTrimmed(state, now);
    return true;
  }

  #skipTrimmed({ name, nextSeqNum, lastTimestamp, ...state }: StreamState, now: Micros): void {
    const here = this.#context.index.firstSeqNumHere(name, nextSeqNum);
    const firstSeqNum = Math.max(state.firstSeqNum, here);
    const gone = this.#rows !== null && this.#next < this.#rows.ordinals.start;
    if (gone) this.#next = this.#rows?.ordinals.start ?? 0;
    const next = gone ? this.#behindSeqNum : this.#tailSeqNum();
    const asked = this.#begun ? Math.max(next, this.#fromSeqNum) : (this.#plan.askedSeqNum ?? next);
    this.#begun = true;
    if (asked >= firstSeqNum) return;
    const rows = this.#rows;
    const none = rows === null || firstSeqNum === nextSeqNum;
    if (rows !== null) this.#next = none ? rows.ordinals.length : rows.rowOf(firstSeqNum);
    this.#fromSeqNum = firstSeqNum;
    const to = none
      ? lastTimestamp + 1
      : this.#context.index.timestampAt(rows.ordinals.at(this.#next));
    const value = {
      kind: ReadGap_Kind.TRIMMED,
      from: this.#positionBehind(),
      to: { timestamp: BigInt(to), recordOffset: 0 },
      fromSeqNum: BigInt(asked),
      toSeqNum: BigInt(firstSeqNum),
    };
    this.#write({ case: 'gap', value }, SMALL_BYTES, now);
  }

  /** Of a whole journal: tells what has left the log and was not sent before. */
  #skipGone(now: Micros): void {
    const { index } = this.#context;
    const { stream, fromTimestamp } = this.#plan;
    if (stream !== null || this.done || index.goneTo <= this.#goneTold) return;
    this.#goneTold = index.goneTo;
    this.#next = Math.max(this.#next, index.first);
    this.#cursor ??= { timestamp: fromTimestamp - 1, recordOffset: OFFSET_END };
    const { timestamp, recordOffset } = this.#cursor;
    const hasAll = timestamp > index.goneTo || recordOffset === OFFSET_END;
    if (timestamp >= index.goneTo && hasAll) return;
    const value = {
      kind: ReadGap_Kind.TRIMMED,
      from: this.#positionBehind(),
      to: { timestamp: BigInt(index.goneTo + 1), recordOffset: 0 },
    };
    this.#cursor = { timestamp: index.goneTo, recordOffset: OFFSET_END };
    this.#write({ case: 'gap', value }, SMALL_BYTES, now);
  }

  /** The first position after what has been sent. */
  #positionBehind(): { timestamp: bigint; recordOffset: number } {
    const { timestamp, recordOffset } = this.#cursor ?? { timestamp: -1, recordOffset: OFFSET_END };
    if (recordOffset === OFFSET_END) return { timestamp: BigInt(timestamp + 1), recordOffset: 0 };
    return { timestamp: BigInt(timestamp), recordOffset: recordOffset + 1 };
  }

  #takeChunk(): Delivery[] {
    const items: Delivery[] = [];
    const chunkBytes = this.#context.room.shareBytes / 2;
    let bytes = 0;
    while (bytes < chunkBytes && !this.#limitReached && this.#toNextBatch()) {
      const { batch, timestamp, recordOffset, firstSeqNum, recordCount } = this.#walker;
      const wanted = this.#wantedRecords();
      if (wanted === 0) {
        this.#skippedFrom ??= { timestamp, recordOffset };
        if (this.#scannedBytes >= SCAN_BYTES) break;
        continue;
      }
      this.#skippedFrom = null;
      items.push({ timestamp, recordOffset, firstSeqNum, instance: 0, batch });
      bytes += batch.length;
      this.#recordsLeft -= wanted;
      this.#behindSeqNum = firstSeqNum + recordCount;
      this.#bytesLeft -= batch.length;
      this.#cursor = { timestamp, recordOffset: recordOffset + recordCount - 1 };
    }
    return items;
  }

  get #limitReached(): boolean {
    return this.#recordsLeft <= 0 || this.#bytesLeft <= 0;
  }

  #wantedRecords(): number {
    const { batch, recordsOffset, recordCount } = this.#walker;
    const { filter } = this.#plan;
    if (filter === null) return recordCount;
    this.#scannedBytes += batch.length;
    return filter.countIn(batch, recordsOffset, recordCount);
  }

  /** Stands on the next batch of the plan, whatever is in it; false when there is none for now. */
  #toNextBatch(): boolean {
    const { stream, fromTimestamp, afterOffset, untilSeqNum } = this.#plan;
    const walker = this.#walker;
    for (;;) {
      while (walker.inside && walker.advance()) {
        if (stream !== null) {
          if (walker.firstSeqNum + walker.recordCount <= this.#fromSeqNum) continue;
          this.#pastEnd = walker.firstSeqNum >= untilSeqNum;
          if (this.#pastEnd) return false;
        }
        const last = walker.recordOffset + walker.recordCount - 1;
        if (walker.timestamp === fromTimestamp && last <= afterOffset) continue;
        return true;
      }
      const ordinal = this.#nextOrdinal();
      if (ordinal === -1 || this.#isBeyond(ordinal)) return false;
      this.#next += 1;
      if (this.#context.index.timestampAt(ordinal) >= fromTimestamp) walker.enter(ordinal);
    }
  }

  /** -1: not released yet. */
  #nextOrdinal(): number {
    const { index } = this.#context;
    const { stream } = this.#plan;
    if (stream === null) return this.#next < index.count ? this.#next : -1;
    // A stream that is empty has no rows yet.
    this.#rows ??= index.rows(stream);
    if (this.#rows === null) return -1;
    const { ordinals } = this.#rows;
    return this.#next < ordinals.length ? ordinals.at(this.#next) : -1;
  }

  #isBeyond(ordinal: number): boolean {
    const timestamp = this.#context.index.timestampAt(ordinal);
    return timestamp >= this.#plan.untilTimestamp || timestamp > this.#plan.endWatermark;
  }

  /** Everything up to here has been sent, or held back by the filter. */
  #covered(): Timestamp {
    const { index, watermark } = this.#context;
    if (this.#walker.inside) return (this.#walker.timestamp - 1) as Timestamp;
    const ordinal = this.#nextOrdinal();
    const reached = ordinal === -1 ? watermark.value : index.timestampAt(ordinal) - 1;
    const { untilTimestamp, endWatermark } = this.#plan;
    return Math.min(reached, untilTimestamp - 1, endWatermark) as Timestamp;
  }

  #finished(): boolean {
    if (this.#limitReached || this.#pastEnd) return true;
    if (this.#walker.inside) return false;
    const { untilTimestamp, untilSeqNum, endWatermark } = this.#plan;
    if (this.#tailSeqNum() >= untilSeqNum) return true;
    const end = Math.min(untilTimestamp - 1, endWatermark);
    return end !== Infinity && this.#covered() >= end;
  }

  /** After a limit there is nothing to promise: more records may lie at the same timestamp. */
  #finish(items: readonly Delivery[], now: Micros): void {
    this.#send(items, this.#limitReached ? null : this.#progressTo(this.#covered(), false), now);
    this.#done = true;
    this.#stream.end();
  }

  #dueProgress(now: Micros, sent: boolean): Progress | null {
    const { progressMicros, stalledMicros, watermark } = this.#context;
    const waited = now - this.#progressAt;
    const covered = this.#covered();
    if (covered > this.#progress) {
      const caughtUp = covered === watermark.value;
      const due = (sent && caughtUp) || waited >= progressMicros;
      return due ? this.#progressTo(covered, false) : null;
    }
    const stalled = waited >= stalledMicros && now - watermark.movedAt >= stalledMicros;
    return stalled ? this.#progressTo(covered, true) : null;
  }

  #progressTo(covered: Timestamp, stalled: boolean): Progress {
    return { watermark: BigInt(covered), tailSeqNum: BigInt(this.#tailSeqNum()), stalled };
  }

  /** Batches, then the gap behind them, then progress: each only where there is one. */
  #send(items: readonly Delivery[], progress: Progress | null, now: Micros): void {
    const covered = Number(progress?.watermark ?? 0);
    const gapFrom = this.#skippedFrom;
    const gap = progress !== null && gapFrom !== null && gapFrom.timestamp <= covered;
    if (items.length > 0) {
      const { figures } = this.#context;
      const frames = encodeDeliveries(items);
      figures.bytes += frames.length;
      figures.batches += items.length;
      const value = gap || progress === null ? { frames } : { frames, progress };
      this.#write({ case: 'batches', value }, frames.length, now);
    }
    if (gap) {
      const value = {
        kind: ReadGap_Kind.FILTERED,
        from: { timestamp: BigInt(gapFrom.timestamp), recordOffset: gapFrom.recordOffset },
        to: { timestamp: BigInt(covered + 1), recordOffset: 0 },
      };
      this.#skippedFrom = null;
      this.#write({ case: 'gap', value }, SMALL_BYTES, now);
    }
    if (progress === null) return;
    if (gap || items.length === 0) {
      this.#write({ case: 'progress', value: progress }, SMALL_BYTES, now);
    }
    this.#progressSaid(covered, now);
  }

  #progressSaid(covered: number, now: Micros): void {
    this.#progress = covered;
    this.#progressAt = now;
    if (covered >= (this.#cursor?.timestamp ?? 0)) {
      this.#cursor = { timestamp: covered, recordOffset: OFFSET_END };
    }
  }

  #write(
    message: MessageInitShape<typeof ReadResponseSchema>['message'] & object,
    bytes: number,
    now: Micros,
  ): void {
    this.#writeMessage(create(ReadResponseSchema, { message }), bytes, now);
  }

  #writeMessage(message: ReadResponse, bytes: number, now: Micros): void {
    const { room } = this.#context;
    if (this.#heldBytes === 0) this.#waitingSince = now;
    this.#heldBytes += bytes;
    room.heldBytes += bytes;
    this.#stream.write(message, () => {
      this.#taken(bytes);
    });
  }

  #taken(bytes: number): void {
    if (this.#closed) return;
    const { room, now } = this.#context;
    const wasFull = this.#heldBytes >= room.shareBytes;
    this.#heldBytes -= bytes;
    room.heldBytes -= bytes;
    this.#waitingSince = this.#heldBytes === 0 ? Infinity : now();
    if (wasFull && !this.done && this.#heldBytes < room.shareBytes) this.onRoom();
  }

  /** Number of the stream's next record at the progress of the moment. */
  #tailSeqNum(): number {
    const { stream } = this.#plan;
    if (stream === null) return 0;
    if (this.#walker.inside) return this.#rows?.firstSeqNums.at(this.#next - 1) ?? 0;
    if (this.#nextOrdinal() !== -1) return this.#rows?.firstSeqNums.at(this.#next) ?? 0;
    return this.#context.order.stream(stream)?.nextSeqNum ?? 0;
  }
}

/** What a message of mere words counts in the bound. */
const SMALL_BYTES = 64;
