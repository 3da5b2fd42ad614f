/**
 * One read: pulls what its plan names from the release index and the lane store, as fast as its client
 * takes it, and says how far it has come. A reader queues nothing: it holds one entry and about a
 * chunk of messages that wait to be sent; what comes meanwhile stays where it is, in the cache or on
 * disk. So a slow reader costs itself only.
 *
 * Batches and progress are one ordered sequence; progress claims only what was sent before it.
 */
import { create } from '@bufbuild/protobuf';
import { encodeDeliveries } from '../../libs/frames/delivery.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import { ReadResponseSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { ReadResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { OrderMachine } from '../../libs/order/types.ts';
import type { ServerStream } from '../../libs/rpc/rpc.ts';
import type { Micros, Timestamp } from '../../libs/values/numbers.ts';
import { EntryWalker } from './entry-walker.ts';
import type { LaneStore } from './lane-store.ts';
import type { ReadPlan } from './read-plan.ts';
import type { ReleaseIndex, StreamRows } from './release-index.ts';
import type { Watermark } from './watermark.ts';

export interface ReaderContext {
  readonly index: ReleaseIndex;
  readonly store: Pick<LaneStore, 'content'>;
  readonly order: OrderMachine;
  readonly watermark: Watermark;
  /** Bytes of batches after which a message is sent. */
  readonly chunkBytes: number;
  /** Longest time without progress while the watermark moves. */
  readonly progressMicros: number;
  /** Time without a move of the watermark after which the view counts as stalled. */
  readonly stalledMicros: number;
}

/** Messages that may wait to be sent; beyond, the reader stops pulling. */
const QUEUED_MAX = 3;

export class Reader {
  readonly #context: ReaderContext;
  readonly #stream: ServerStream<ReadResponse>;
  readonly #plan: ReadPlan;
  readonly #walker: EntryWalker;
  readonly #rows: StreamRows | null;
  /** Next ordinal, or next row of the stream. */
  #next: number;
  #recordsLeft: number;
  #progress = -1;
  #progressAt = -Infinity;
  #done = false;

  constructor(context: ReaderContext, stream: ServerStream<ReadResponse>, plan: ReadPlan) {
    this.#context = context;
    this.#stream = stream;
    this.#plan = plan;
    this.#walker = new EntryWalker(context.index, context.store, plan.stream);
    this.#rows = plan.stream === null ? null : context.index.rows(plan.stream);
    this.#next = plan.start;
    this.#recordsLeft = plan.limitRecords;
  }

  /** true: ended, well or not; it must not be pumped again. */
  get done(): boolean {
    return this.#done || this.#stream.closed;
  }

  /** Sends what there is to send and the client has room for. */
  pump(now: Micros): void {
    this.#walker.resume();
    while (!this.done && this.#stream.queued < QUEUED_MAX) {
      const sent = this.#sendChunk();
      if (this.#finished()) {
        this.#finish(now);
        return;
      }
      this.#maybeProgress(now, sent);
      if (!sent) return;
    }
  }

  #sendChunk(): boolean {
    const items: Delivery[] = [];
    let bytes = 0;
    while (bytes < this.#context.chunkBytes && this.#recordsLeft > 0 && this.#toNextBatch()) {
      const { batch, timestamp, recordOffset, firstSeqNum, recordCount } = this.#walker;
      items.push({ timestamp, recordOffset, firstSeqNum, instance: 0, batch });
      bytes += batch.length;
      this.#recordsLeft -= recordCount;
    }
    if (items.length === 0) return false;
    const value = { frames: encodeDeliveries(items) };
    this.#stream.write(create(ReadResponseSchema, { message: { case: 'batches', value } }));
    return true;
  }

  /** Stands on the next batch to deliver; false when there is none for now. */
  #toNextBatch(): boolean {
    const { fromSeqNum, fromTimestamp, afterOffset } = this.#plan;
    const walker = this.#walker;
    for (;;) {
      while (walker.inside && walker.advance()) {
        if (walker.firstSeqNum + walker.recordCount <= fromSeqNum && this.#rows !== null) continue;
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
    if (this.#rows !== null) {
      const { ordinals } = this.#rows;
      return this.#next < ordinals.length ? ordinals.at(this.#next) : -1;
    }
    return this.#next < this.#context.index.count ? this.#next : -1;
  }

  #isBeyond(ordinal: number): boolean {
    const timestamp = this.#context.index.timestampAt(ordinal);
    return timestamp >= this.#plan.untilTimestamp || timestamp > this.#plan.endWatermark;
  }

  /** Everything up to here has been sent. */
  #covered(): Timestamp {
    const { index, watermark } = this.#context;
    if (this.#walker.inside) return (this.#walker.timestamp - 1) as Timestamp;
    const ordinal = this.#nextOrdinal();
    const reached = ordinal === -1 ? watermark.value : index.timestampAt(ordinal) - 1;
    const { untilTimestamp, endWatermark } = this.#plan;
    return Math.min(reached, untilTimestamp - 1, endWatermark) as Timestamp;
  }

  #finished(): boolean {
    if (this.#recordsLeft <= 0) return true;
    if (this.#walker.inside) return false;
    const { untilTimestamp, endWatermark } = this.#plan;
    const end = Math.min(untilTimestamp - 1, endWatermark);
    return end !== Infinity && this.#covered() >= end;
  }

  /** After a limit there is nothing to promise: more records may lie at the same timestamp. */
  #finish(now: Micros): void {
    this.#done = true;
    if (this.#recordsLeft > 0) this.#sendProgress(now, this.#covered(), false);
    this.#stream.end();
  }

  #maybeProgress(now: Micros, sent: boolean): void {
    const { progressMicros, stalledMicros, watermark } = this.#context;
    const waited = now - this.#progressAt;
    const covered = this.#covered();
    const caughtUp = covered === watermark.value;
    if (covered > this.#progress) {
      if ((sent && caughtUp) || waited >= progressMicros) this.#sendProgress(now, covered, false);
    } else if (waited >= stalledMicros && now - watermark.movedAt >= stalledMicros) {
      this.#sendProgress(now, covered, true);
    }
  }

  #sendProgress(now: Micros, covered: Timestamp, stalled: boolean): void {
    this.#progress = covered;
    this.#progressAt = now;
    const value = {
      watermark: BigInt(covered),
      tailSeqNum: BigInt(this.#tailSeqNum()),
      stalled,
    };
    this.#stream.write(create(ReadResponseSchema, { message: { case: 'progress', value } }));
  }

  /** Number of the stream's next record at the progress of the moment. */
  #tailSeqNum(): number {
    const { stream } = this.#plan;
    if (stream === null || this.#rows === null) return 0;
    const { firstSeqNums } = this.#rows;
    if (this.#walker.inside) return firstSeqNums.at(this.#next - 1);
    if (this.#next < firstSeqNums.length) return firstSeqNums.at(this.#next);
    return this.#context.order.stream(stream)?.nextSeqNum ?? 0;
  }
}
