/**
 * What a read request means at this replica: where to begin, where to end, or why not. A request may
 * know more than a replica that lags: a stream, a number or a position it has not seen yet. Then the
 * answer is `later`: the caller asks for a read point, waits for the watermark and plans again, and
 * only what is unknown then is refused.
 *
 * Batches are atomic: a start or limit inside a batch delivers the whole batch, and the client leaves
 * out the records it did not ask for.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeEntryHeader } from '../../libs/frames/entry.ts';
import { KeyFilter } from '../../libs/frames/key-filter.ts';
import type { Position, ReadRequest } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { OrderMachine } from '../../libs/order/types.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import type { History } from './archive-history.ts';
import type { LaneStore } from './lane-store.ts';
import type { ReleaseIndex } from './release-index.ts';

export interface ReadPlan {
  /** null: the whole journal. */
  readonly stream: string | null;
  /** First ordinal (whole journal) or first row of the stream to look at. */
  readonly start: number;
  /** Records below are not delivered: number in the stream. */
  readonly fromSeqNum: number;
  /** The number the read is to begin at, where it names one; what is trimmed from there on is told. */
  readonly askedSeqNum: number | null;
  /** Entries below are not delivered. */
  readonly fromTimestamp: number;
  /** Records of the entry `fromTimestamp` up to this offset are not delivered; -1 for all. */
  readonly afterOffset: number;
  /** Entries at or above are not delivered; Infinity for none. */
  readonly untilTimestamp: number;
  /** The read of a stream ends before this number; Infinity for none. */
  readonly untilSeqNum: number;
  /** The batch that reaches one of them is the last. */
  readonly limitRecords: number;
  readonly limitBytes: number;
  /** Batches without such a key are not delivered; null for all. */
  readonly filter: KeyFilter | null;
  /** The read ends when it has delivered everything up to here; Infinity when it follows. */
  readonly endWatermark: number;
  /** What is wanted has left the log: timestamp to begin at in the archive; null: it begins in the log. */
  readonly archiveFrom: number | null;
}

/** Everything from its start on, for ever. */
export function wantsAll(plan: ReadPlan): boolean {
  const { stream, filter, limitRecords, limitBytes, untilTimestamp, endWatermark } = plan;
  const bound = Math.min(limitRecords, limitBytes, untilTimestamp, endWatermark);
  return stream === null && filter === null && bound === Infinity;
}

export interface PlanState {
  readonly index: ReleaseIndex;
  readonly store: Pick<LaneStore, 'content'>;
  readonly order: OrderMachine;
  readonly watermark: Timestamp;
  /** Highest timestamp that any replica may have reached by now. */
  readonly futureFrom: number;
  /** null: there is no archive, what has left the log is gone. */
  readonly history: Pick<History, 'problem'> | null;
}

/** Stands for "after every record of this timestamp": a position that names a watermark. */
export const OFFSET_END = 0xffff_ffff;

/** `settled`: everything completed before the request is released here, so there is no `later`. */
export function planRead(
  request: ReadRequest,
  state: PlanState,
  settled: boolean,
): ReadPlan | 'later' {
  const stream = request.stream === '' ? null : request.stream;
  const bounds = {
    untilTimestamp: boundOf(request.untilTimestamp, 'until_timestamp'),
    untilSeqNum: boundOf(request.untilSeqNum, 'until_seq_num'),
    limitRecords: boundOf(request.limitRecords, 'limit_records'),
    limitBytes: boundOf(request.limitBytes, 'limit_bytes'),
    filter: filterOf(request),
  };
  if (stream === null && bounds.untilSeqNum !== Infinity) {
    throw new MeridianError('INVALID', 'a read until a number needs a stream');
  }
  // The tail of the moment is only known when everything completed before is released here.
  if (request.from.case === 'tailOffset' && stream !== null && !settled) return 'later';
  const begin = beginning(request, stream, state);
  if (begin instanceof MeridianError) {
    if (settled) throw begin;
    return 'later';
  }
  const problem = begin.archiveFrom === undefined ? null : state.history?.problem();
  if (problem instanceof MeridianError) throw problem;
  return {
    stream,
    fromSeqNum: 0,
    askedSeqNum: null,
    fromTimestamp: 0,
    afterOffset: -1,
    archiveFrom: null,
    ...begin,
    ...bounds,
    endWatermark: request.follow ? Infinity : state.watermark,
  };
}

type Beginning = Pick<ReadPlan, 'start'> &
  Partial<Pick<ReadPlan, 'fromSeqNum' | 'askedSeqNum' | 'fromTimestamp' | 'afterOffset'>> & {
    readonly archiveFrom?: number;
  };

/** Returns an error for what may become right later, throws for what never will. */
function beginning(
  { from }: ReadRequest,
  stream: string | null,
  state: PlanState,
): Beginning | MeridianError {
  if (stream === null && (from.case === 'seqNum' || from.case === 'tailOffset')) {
    throw new MeridianError('INVALID', 'a read from a number or the tail needs a stream');
  }
  if (stream !== null && state.order.stream(stream) === null) {
    return new MeridianError('STREAM_NOT_FOUND', `there is no stream ${JSON.stringify(stream)}`, {
      details: { stream },
    });
  }
  switch (from.case) {
    case undefined:
      return stream === null ? fromFirst(state) : fromNumber(0, stream, state);
    case 'seqNum':
      return fromNumber(numberOf(from.value, 'seq_num'), stream ?? '', state);
    case 'tailOffset': {
      const next = state.order.stream(stream ?? '')?.nextSeqNum ?? 0;
      const offset = numberOf(from.value, 'tail_offset');
      return fromNumber(Math.max(0, next - offset), stream ?? '', state);
    }
    case 'timestamp':
      return fromTimestamp(numberOf(from.value, 'timestamp'), stream, state);
    case 'after':
      return afterPosition(from.value, stream, state);
  }
}

function fromFirst(state: PlanState): Beginning {
  return hasLeft(0, state) ? { start: 0, archiveFrom: 0 } : { start: 0 };
}

/** It is not in the log any more, and there is an archive. */
function hasLeft(timestamp: number, { index, history }: PlanState): boolean {
  return history !== null && index.goneTo > 0 && timestamp <= index.goneTo;
}

function fromNumber(seqNum: number, stream: string, state: PlanState): Beginning | MeridianError {
  const rows = state.index.rows(stream);
  const known = state.order.stream(stream);
  const next = known?.nextSeqNum ?? 0;
  if (seqNum > next) {
    return new MeridianError(
      'OUT_OF_RANGE',
      `stream ${JSON.stringify(stream)} ends before number ${next}; ${seqNum} was asked for`,
      { details: { seqNum, next } },
    );
  }
  const numbers = { fromSeqNum: seqNum, askedSeqNum: seqNum };
  const here = state.index.firstSeqNumHere(stream, next);
  if (state.history !== null && Math.max(seqNum, known?.firstSeqNum ?? 0) < here) {
    return { start: 0, ...numbers, archiveFrom: known?.createdAt ?? 0 };
  }
  const kept = Math.max(known?.firstSeqNum ?? 0, here);
  const first = Math.max(seqNum, kept);
  if (rows === null || first === next) return { start: rows?.ordinals.length ?? 0, ...numbers };
  return { start: rows.rowOf(first), ...numbers };
}

function fromTimestamp(timestamp: number, stream: string | null, state: PlanState): Beginning {
  if (timestamp > state.futureFrom) throw future(timestamp, state);
  if (hasLeft(timestamp, state)) {
    const createdAt = state.order.stream(stream ?? '')?.createdAt ?? 0;
    const archiveFrom = Math.max(timestamp, stream === null ? 0 : createdAt);
    const begin = { start: 0, fromTimestamp: timestamp, archiveFrom };
    return timestamp === 0 ? { ...begin, askedSeqNum: 0 } : begin;
  }
  const begin = { start: startAt(timestamp, stream, state), fromTimestamp: timestamp };
  // From before all is from the first record, which may be trimmed.
  return timestamp === 0 ? { ...begin, askedSeqNum: 0 } : begin;
}

function afterPosition(
  position: Position,
  stream: string | null,
  state: PlanState,
): Beginning | MeridianError {
  const timestamp = numberOf(position.timestamp, 'timestamp of the position');
  const offset = position.recordOffset;
  if (timestamp === 0) return fromFirst(state);
  if (offset === OFFSET_END) return fromTimestamp(timestamp + 1, stream, state);
  if (timestamp > state.futureFrom) throw future(timestamp, state);
  const ordinal = state.index.firstAtOrAbove(timestamp);
  const unknown = new MeridianError(
    'OUT_OF_RANGE',
    `no entry of this journal has timestamp ${timestamp} and a record ${offset}: the position is from elsewhere`,
    { details: { timestamp, recordOffset: offset } },
  );
  // What stood there has left the log; the reader tells the gap.
  if (timestamp <= state.index.goneTo) {
    const begin = fromTimestamp(timestamp, stream, state);
    return begin.archiveFrom === undefined ? begin : { ...begin, afterOffset: offset };
  }
  if (ordinal === state.index.count) return unknown;
  const { index, store } = state;
  if (index.timestampAt(ordinal) !== timestamp) throw unknown;
  const frame = store.content(index.laneAt(ordinal), index.indexAt(ordinal));
  if (offset >= decodeEntryHeader(frame).recordCount) throw unknown;
  return {
    start: startAt(timestamp, stream, state),
    fromTimestamp: timestamp,
    afterOffset: offset,
  };
}

/** First ordinal, or first row of the stream, with an entry at or above. */
function startAt(timestamp: number, stream: string | null, { index }: PlanState): number {
  const ordinal = index.firstAtOrAbove(timestamp);
  if (stream === null) return ordinal;
  return index.rows(stream)?.ordinals.lowerBound(ordinal) ?? 0;
}

function future(timestamp: number, state: PlanState): MeridianError {
  return new MeridianError(
    'OUT_OF_RANGE',
    `timestamp ${timestamp} lies in the future: the watermark is ${state.watermark}`,
    { details: { timestamp, watermark: state.watermark } },
  );
}

/** 0 stands for none. */
function boundOf(value: bigint, field: string): number {
  const bound = numberOf(value, field);
  return bound === 0 ? Infinity : bound;
}

function filterOf({ keyRanges }: ReadRequest): KeyFilter | null {
  if (keyRanges.length === 0) return null;
  return new KeyFilter(
    keyRanges.map(({ from, to }) => ({ from, to: to.length === 0 ? undefined : to })),
  );
}

function numberOf(value: bigint, field: string): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new MeridianError('INVALID', `${field} is not below 2^53`);
  }
  return Number(value);
}
