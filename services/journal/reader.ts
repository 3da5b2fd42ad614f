/**
 * One read: pulls what its plan names from the release index and the lane store, as fast as its client
 * takes it, and says how far it has come. A reader holds one entry and its share of the bytes that may
 * wait for clients (`Room`); what comes meanwhile stays where it is, in the cache or on disk. So a slow
 * reader costs itself only, and one that takes nothing for too long is cut off.
 *
 * Batches, gaps and progress are one ordered sequence; progress claims only what was sent before it.
 * What a filter holds back is told as one gap per progress, never per batch.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import { encodeDeliveries } from '../../libs/frames/delivery.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import { ReadGap_Kind } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  ReadProgressSchema,
  ReadResponse,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { StreamState } from '../../libs/order/types.ts';
import type { ServerStream } from '../../libs/rpc/rpc.ts';
import type { Micros, Timestamp } from '../../libs/values/numbers.ts';
import { EntryWalker } from './entry-walker.ts';
import { Outlet, SMALL_BYTES, slowReader } from './reader-outlet.ts';
import { Past } from './reader-past.ts';
import { ReaderProgress } from './reader-progress.ts';
import { OFFSET_END, wantsAll } from './read-plan.ts';
import type { ReadPlan } from './read-plan.ts';
import type { Pumped, ReaderContext, ReaderView } from './reader-context.ts';
import type { ReleaseIndex, StreamRows } from './release-index.ts';

/** Bytes a filtered read looks through in one go before others have their turn. */
const SCAN_BYTES = 512 * 1024;

type Progress = MessageInitShape<typeof ReadProgressSchema>;

export class Reader {
  readonly #context: ReaderContext;
  readonly #stream: ServerStream<ReadResponse>;
  readonly #plan: ReadPlan;
  readonly #walker: EntryWalker;
  readonly #outlet: Outlet;
  #rows: StreamRows | null = null;
  /** Next ordinal, or next row of the stream. */
  #next: number;
  #recordsLeft: number;
  #bytesLeft: number;
  readonly #progress: ReaderProgress;
  /** First position that the filter held back since something was last sent. */
  #skippedFrom: { readonly timestamp: number; readonly recordOffset: number } | null = null;
  #scannedBytes = 0;
  #pastEnd = false;
  /** Records of the stream below are not delivered: not asked for, or trimmed. */
  #fromSeqNum: number;
  #begun = false;
  /** Entries up to here have left the log, as far as the reader was told. */
  #goneTold = 0;
  /** Number behind the last record looked at; null: nothing was, and no number was asked for. */
  #seenTo: number | null;
  /** Number behind the last record delivered. */
  #behindSeqNum: number;
  #done = false;
  /** Everything up to here has been written to the call. */
  #cursor: { readonly timestamp: number; readonly recordOffset: number } | null = null;
  readonly #past: Past;
  /** Entries below are not delivered, and of this one no records up to the offset. */
  #fromTimestamp: number;
  #afterOffset: number;
  /** Told when there is room again. */
  onRoom: () => void = () => undefined;

  constructor(context: ReaderContext, stream: ServerStream<ReadResponse>, plan: ReadPlan) {
    this.#context = context;
    this.#progress = new ReaderProgress(context);
    this.#stream = stream;
    this.#plan = plan;
    this.#outlet = new Outlet(stream, context.room, context.now);
    this.#outlet.onRoom = () => {
      if (!this.done) this.onRoom();
    };
    this.#walker = new EntryWalker(context.index, context.store, plan.stream);
    this.#next = plan.start;
    this.#past = new Past(context.history, plan.stream, plan.archiveFrom);
    this.#fromTimestamp = plan.fromTimestamp;
    this.#afterOffset = plan.afterOffset;
    this.#fromSeqNum = plan.fromSeqNum;
    this.#behindSeqNum = plan.fromSeqNum;
    this.#seenTo = plan.askedSeqNum;
    this.#recordsLeft = plan.limitRecords;
    this.#bytesLeft = plan.limitBytes;
  }

  /** For people: what is read, up to where it was sent, and what waits for the client. */
  get view(): ReaderView {
    const { stream } = this.#plan;
    const position = Math.max(this.#progress.told, this.#cursor?.timestamp ?? 0);
    return { client: this.#stream.peer, stream, position, heldBytes: this.#outlet.heldBytes };
  }

  /** It has progress to tell, which falls due with time alone. */
  get owesProgress(): boolean {
    return this.#progress.owed;
  }

  /** true: ended, well or not; it must not be pumped again. */
  get done(): boolean {
    return this.#done || this.#stream.closed;
  }

  /** Sends what there is to send and the client has room for. */
  pump(now: Micros): Pumped {
    this.#turnBack();
    this.#walker.resume();
    this.#scannedBytes = 0;
    this.#skipGone(now);
    if (!this.#streamStands(now)) return 'done';
    const pumped = this.#sendWhatFits(now);
    if (this.#past.view !== null) this.#letGo();
    return pumped;
  }

  #sendWhatFits(now: Micros): Pumped {
    while (!this.done && this.#outlet.hasRoom) {
      if (this.#past.isHere && !this.#hasView()) return 'idle';
      if (this.#shares && this.#sendShared(now)) continue;
      const items = this.#takeChunk(now);
      if (this.#finished()) {
        this.#finish(items, now);
        return 'done';
      }
      this.#send(items, this.#dueProgress(now, items.length > 0), now);
      if (this.#scannedBytes >= SCAN_BYTES) return 'more';
      if (items.length > 0) continue;
      if (!this.#past.isHere) return 'idle';
      this.#past.standAt({ ordinal: this.#past.view?.end ?? 0 });
      this.#maybeUseLog();
      if (!this.#streamStands(now)) return 'done';
    }
    return this.done ? 'done' : 'idle';
  }

  /** Where the entries come from at the moment. */
  get #index(): ReleaseIndex {
    return this.#past.view?.index ?? this.#context.index;
  }

  /** A read of the log whose next entries have left it goes on in the archive, where there is one. */
  #turnBack(): void {
    const { index, history } = this.#context;
    const walker = this.#walker;
    this.#maybeUseLog();
    if (this.#past.isHere) return;
    const inside = walker.inside && walker.timestamp <= index.goneTo;
    const { stream, fromTimestamp } = this.#plan;
    const first = stream === null ? index.first : (this.#rows?.ordinals.start ?? 0);
    if (!inside && this.#next >= first) return;
    if (inside) this.#stopInside();
    if (history === null) return;
    const behind = walker.ordinal + (inside ? 0 : 1);
    const ordinal = stream === null && !inside ? this.#next : behind;
    this.#past.standAt(ordinal > 0 ? { ordinal } : { timestamp: fromTimestamp });
  }

  /** Leaves the entry; what was sent of it is not sent again. */
  #stopInside(): void {
    const { timestamp, recordOffset, recordCount } = this.#walker;
    this.#fromTimestamp = timestamp;
    this.#afterOffset = recordOffset + recordCount - 1;
    this.#walker.leave();
  }

  /** false: the segment is on its way. */
  #hasView(): boolean {
    const { index } = this.#context;
    if (this.#past.view !== null) return true;
    const view = this.#past.open(this.#fromSeqNum, (error, found) => {
      if (error?.reason === 'CORRUPT') this.#context.onUnreadable(error);
      if (this.done) return;
      this.#done = error !== null;
      if (error !== null) this.#stream.fail(error);
      else if (found === null) this.#useLog(Math.max(this.#past.ordinal, index.first));
      else this.#past.standAt({ ordinal: this.#past.ordinal });
      this.onRoom();
    });
    if (view === null) return false;
    this.#walker.use(view.index, view);
    this.#standAt(this.#past.ordinal);
    return true;
  }

  /** Where the log has begun, the archive is left. */
  #maybeUseLog(): void {
    const { isHere, ordinal } = this.#past;
    if (isHere && ordinal >= this.#context.index.first) this.#useLog(ordinal);
  }

  #useLog(ordinal: number): void {
    this.#past.leave();
    this.#walker.use(this.#context.index, this.#context.store);
    this.#standAt(ordinal);
  }

  /** The place stays, the segment goes: others want its memory. */
  #letGo(): void {
    const inside = this.#walker.inside;
    const next = inside ? this.#walker.ordinal : this.#nextOrdinal();
    if (inside) this.#stopInside();
    this.#past.standAt({ ordinal: next === -1 ? (this.#past.view?.end ?? 0) : next });
    this.#walker.use(this.#context.index, this.#context.store);
  }

  #standAt(ordinal: number): void {
    const { stream } = this.#plan;
    this.#rows = stream === null ? null : this.#index.rows(stream);
    this.#next = stream === null ? ordinal : (this.#rows?.ordinals.lowerBound(ordinal) ?? 0);
  }

  /** By its number the batch tells what of the stream before it is nowhere any more. */
  #tellMissing(items: Delivery[], now: Micros): void {
    const { timestamp, recordOffset, firstSeqNum, recordCount } = this.#walker;
    const asked = this.#seenTo;
    this.#seenTo = firstSeqNum + recordCount;
    this.#begun = true;
    if (!this.#past.isHere || asked === null || firstSeqNum <= asked) return;
    this.#send(items.splice(0), null, now);
    const to = { timestamp: BigInt(timestamp), recordOffset };
    this.#writeTrimmed(to, now, { fromSeqNum: BigInt(asked), toSeqNum: BigInt(firstSeqNum) });
  }

  /** The call is over: nothing waits any more. */
  close(): void {
    this.#done = true;
    this.#outlet.close();
  }

  /** Cuts the reader off when its client has taken nothing for too long; then true. */
  checkPace(now: Micros): boolean {
    const { slowReaderMicros } = this.#context;
    if (this.done || now - this.#outlet.waitingSince <= slowReaderMicros) return false;
    this.#done = true;
    const { timestamp = 0, recordOffset = OFFSET_END } = this.#cursor ?? {};
    this.#stream.fail(slowReader(slowReaderMicros, timestamp, recordOffset));
    return true;
  }

  /** Whether it wants just what others want too: everything from an entry's beginning on, for ever. */
  get #shares(): boolean {
    if (!wantsAll(this.#plan) || this.#walker.inside || this.#past.isHere) return false;
    const { index } = this.#context;
    return this.#next < index.count && index.timestampAt(this.#next) > this.#fromTimestamp;
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
    this.#outlet.writeMessage(chunks.message(chunk, watermark), chunk.frames.length, now);
    if (progress !== null) this.#progressSaid(watermark, now);
    return true;
  }

  /** Tells what was trimmed of the stream since; false when the stream is gone, and with it the read. */
  #streamStands(now: Micros): boolean {
    const { stream } = this.#plan;
    if (stream === null || this.done) return true;
    const state = this.#context.order.stream(stream);
    if (state === null) {
      const message = `the stream ${JSON.stringify(stream)} was deleted`;
      this.#done = true;
      this.#stream.fail(new MeridianError('STREAM_NOT_FOUND', message, { details: { stream } }));
      return false;
    }
    // In the archive the first batch tells by its number what is missing before it.
    if (this.#past.isHere) this.#fromSeqNum = Math.max(this.#fromSeqNum, state.firstSeqNum);
    else if (!this.#walker.inside) this.#skipTrimmed(state, now);
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
    const numbers = { fromSeqNum: BigInt(asked), toSeqNum: BigInt(firstSeqNum) };
    this.#writeTrimmed({ timestamp: BigInt(to), recordOffset: 0 }, now, numbers);
  }

  #writeTrimmed(
    to: { timestamp: bigint; recordOffset: number },
    now: Micros,
    numbers: { fromSeqNum?: bigint; toSeqNum?: bigint } = {},
  ): void {
    const value = { kind: ReadGap_Kind.TRIMMED, from: this.#positionBehind(), to, ...numbers };
    this.#outlet.write({ case: 'gap', value }, SMALL_BYTES, now);
  }

  /** Of a whole journal: tells what has left the log and was not sent before. */
  #skipGone(now: Micros): void {
    const { index, history } = this.#context;
    const { stream, fromTimestamp } = this.#plan;
    const goneTo = history?.goneTo ?? index.goneTo;
    if (stream !== null || this.done || goneTo <= this.#goneTold) return;
    this.#goneTold = goneTo;
    if (!this.#past.isHere) this.#next = Math.max(this.#next, index.first);
    this.#cursor ??= { timestamp: fromTimestamp - 1, recordOffset: OFFSET_END };
    const { timestamp, recordOffset } = this.#cursor;
    const hasAll = timestamp > goneTo || recordOffset === OFFSET_END;
    if (timestamp >= goneTo && hasAll) return;
    this.#writeTrimmed({ timestamp: BigInt(goneTo + 1), recordOffset: 0 }, now);
    this.#cursor = { timestamp: goneTo, recordOffset: OFFSET_END };
  }

  /** The first position after what has been sent. */
  #positionBehind(): { timestamp: bigint; recordOffset: number } {
    const { timestamp, recordOffset } = this.#cursor ?? { timestamp: -1, recordOffset: OFFSET_END };
    if (recordOffset === OFFSET_END) return { timestamp: BigInt(timestamp + 1), recordOffset: 0 };
    return { timestamp: BigInt(timestamp), recordOffset: recordOffset + 1 };
  }

  #takeChunk(now: Micros): Delivery[] {
    const items: Delivery[] = [];
    const chunkBytes = this.#context.room.shareBytes / 2;
    let bytes = 0;
    while (bytes < chunkBytes && !this.#limitReached && this.#toNextBatch()) {
      const { batch, timestamp, recordOffset, firstSeqNum, recordCount } = this.#walker;
      if (this.#plan.stream !== null) this.#tellMissing(items, now);
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
    const { stream, untilSeqNum } = this.#plan;
    const walker = this.#walker;
    for (;;) {
      while (walker.inside && walker.advance()) {
        if (stream !== null) {
          if (walker.firstSeqNum + walker.recordCount <= this.#fromSeqNum) continue;
          this.#pastEnd = walker.firstSeqNum >= untilSeqNum;
          if (this.#pastEnd) return false;
        }
        const last = walker.recordOffset + walker.recordCount - 1;
        if (walker.timestamp === this.#fromTimestamp && last <= this.#afterOffset) continue;
        return true;
      }
      const ordinal = this.#nextOrdinal();
      if (ordinal === -1 || this.#isBeyond(ordinal)) return false;
      this.#next += 1;
      if (this.#index.timestampAt(ordinal) >= this.#fromTimestamp) walker.enter(ordinal);
    }
  }

  /** -1: not released yet. */
  #nextOrdinal(): number {
    const index = this.#index;
    const { stream } = this.#plan;
    if (stream === null) return this.#next < index.count ? this.#next : -1;
    // A stream that is empty has no rows yet.
    this.#rows ??= index.rows(stream);
    if (this.#rows === null) return -1;
    const { ordinals } = this.#rows;
    return this.#next < ordinals.length ? ordinals.at(this.#next) : -1;
  }

  #isBeyond(ordinal: number): boolean {
    const timestamp = this.#index.timestampAt(ordinal);
    return timestamp >= this.#plan.untilTimestamp || timestamp > this.#plan.endWatermark;
  }

  /** Everything up to here has been sent, or held back by the filter. */
  #covered(): Timestamp {
    if (this.#walker.inside) return (this.#walker.timestamp - 1) as Timestamp;
    const ordinal = this.#nextOrdinal();
    const end = this.#past.view?.index.lastTimestamp ?? this.#context.watermark.value;
    const reached = ordinal === -1 ? end : this.#index.timestampAt(ordinal) - 1;
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
    const covered = this.#covered();
    const due = this.#progress.due(now, covered, sent);
    return due === null ? null : this.#progressTo(covered, due === 'stalled');
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
      this.#outlet.write({ case: 'batches', value }, frames.length, now);
    }
    if (gap) {
      const value = {
        kind: ReadGap_Kind.FILTERED,
        from: { timestamp: BigInt(gapFrom.timestamp), recordOffset: gapFrom.recordOffset },
        to: { timestamp: BigInt(covered + 1), recordOffset: 0 },
      };
      this.#skippedFrom = null;
      this.#outlet.write({ case: 'gap', value }, SMALL_BYTES, now);
    }
    if (progress === null) return;
    if (gap || items.length === 0) {
      this.#outlet.write({ case: 'progress', value: progress }, SMALL_BYTES, now);
    }
    this.#progressSaid(covered, now);
  }

  #progressSaid(covered: number, now: Micros): void {
    this.#progress.say(covered, now);
    if (covered >= (this.#cursor?.timestamp ?? 0)) {
      this.#cursor = { timestamp: covered, recordOffset: OFFSET_END };
    }
  }

  /** Number of the stream's next record at the progress of the moment. */
  #tailSeqNum(): number {
    const { stream } = this.#plan;
    if (stream === null) return 0;
    if (this.#walker.inside) return this.#rows?.firstSeqNums.at(this.#next - 1) ?? 0;
    if (this.#nextOrdinal() !== -1) return this.#rows?.firstSeqNums.at(this.#next) ?? 0;
    if (this.#past.isHere) return this.#seenTo ?? this.#behindSeqNum;
    return this.#context.order.stream(stream)?.nextSeqNum ?? 0;
  }
}
