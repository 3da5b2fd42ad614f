/**
 * Where one record or entry lives in this replica's log, and how far it has come here: on disk,
 * committed, released. For people who ask what became of an append; each replica answers for itself
 * and asks nobody. Reads one entry back from the log a call.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { decodeEntryHeader } from '../../libs/frames/entry.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type {
  LocateRequest,
  LocateResponseSchema,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { Inspection } from '../../libs/lane/inspect.ts';
import type { OrderMachine } from '../../libs/order/types.ts';
import type { Index, LaneId } from '../../libs/values/numbers.ts';
import { isReplicaId } from '../../libs/values/numbers.ts';
import { EntryWalker } from './entry-walker.ts';
import type { LaneStore } from './lane-store.ts';
import type { PathHistory } from './path-history.ts';
import type { ReleaseIndex } from './release-index.ts';

export interface LocateSource {
  readonly inspect: () => Inspection;
  readonly index: ReleaseIndex;
  readonly order: OrderMachine;
  readonly store: Pick<LaneStore, 'content'>;
  /** The lane that this replica is home of, and by which path its entries were committed. */
  readonly self: LaneId;
  readonly paths: PathHistory;
}

type Answer = MessageInitShape<typeof LocateResponseSchema>;

const NOT_HERE: Answer = { found: false };

/** Throws STREAM_NOT_FOUND for a stream this replica does not know, INVALID for no question. */
export function locate(source: LocateSource, { what }: LocateRequest): Answer {
  switch (what.case) {
    case 'record':
      return locateRecord(source, what.value.stream, Number(what.value.seqNum));
    case 'timestamp': {
      const { index } = source;
      const timestamp = Number(what.value);
      const ordinal = index.firstAtOrAbove(timestamp);
      if (ordinal >= index.count || index.timestampAt(ordinal) !== timestamp) return NOT_HERE;
      return locateSlot(source, index.laneAt(ordinal), index.indexAt(ordinal));
    }
    case 'slot': {
      const { lane, index } = what.value;
      if (!isReplicaId(lane)) {
        throw new MeridianError('INVALID', `there is no lane ${lane}; expected 0, 1 or 2`);
      }
      return locateSlot(source, lane, Number(index) as Index);
    }
    case undefined:
      throw new MeridianError('INVALID', 'locate what? Expected a record, a timestamp or a slot');
  }
}

function locateRecord(source: LocateSource, stream: string, seqNum: number): Answer {
  const { index, order, store } = source;
  const known = order.stream(stream);
  const rows = index.rows(stream);
  if (known === null) {
    throw new MeridianError('STREAM_NOT_FOUND', `there is no stream ${JSON.stringify(stream)}`, {
      details: { stream },
    });
  }
  if (rows === null || seqNum >= known.nextSeqNum) return NOT_HERE;
  if (seqNum < index.firstSeqNumHere(stream, known.nextSeqNum)) return NOT_HERE;
  const ordinal = rows.ordinals.at(rows.rowOf(seqNum));
  const walker = new EntryWalker(index, store, stream);
  walker.enter(ordinal);
  while (walker.advance()) {
    const { firstSeqNum, recordCount, recordOffset, batch } = walker;
    if (seqNum >= firstSeqNum + recordCount) continue;
    const { writer } = decodeBatchHeader(batch);
    return {
      ...locateSlot(source, index.laneAt(ordinal), index.indexAt(ordinal)),
      firstSeqNum: BigInt(firstSeqNum),
      recordOffset: recordOffset + seqNum - firstSeqNum,
      writerId: writer?.id ?? '',
      writerEpoch: writer?.epoch ?? 0,
      writerSeq: BigInt(writer?.seq ?? 0),
    };
  }
  return NOT_HERE;
}

function locateSlot(source: LocateSource, lane: LaneId, index: Index): Answer {
  const inspection = source.inspect();
  const state = inspection.lanes.find(({ id }) => id === lane);
  if (state === undefined || index <= state.base || index > state.last) return NOT_HERE;
  const header = decodeEntryHeader(source.store.content(lane, index));
  const committed = index <= state.committed;
  const path = lane === source.self && committed ? source.paths.at(header.timestamp) : null;
  return {
    found: true,
    timestamp: BigInt(header.timestamp),
    lane,
    epoch: BigInt(header.epoch),
    index: BigInt(index),
    bytes: header.bytes,
    batches: header.batchCount,
    records: header.recordCount,
    synced: index <= state.synced,
    committed,
    released: committed && header.timestamp <= source.index.lastTimestamp,
    pathKnown: path !== null,
    forwardedVia: path ?? '',
  };
}
