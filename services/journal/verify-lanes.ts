/**
 * Whether the frames of a log make sense together, for `verify.ts`: entries are whole, each in the lane
 * that its timestamp names, without a hole, with growing timestamps and epochs that never fall; what a
 * truncation voids may come again. Keeps a few numbers a lane, whatever the size of the log.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { verifyBatch } from '../../libs/frames/batch.ts';
import { entryBatches, verifyEntry } from '../../libs/frames/entry.ts';
import { TIMESTAMP_STRIDE } from '../../libs/values/numbers.ts';
import { FRAME_TYPES, decodeWrite } from './log-frames.ts';

export interface LaneSummary {
  readonly lane: number;
  /** 0 when there is no entry. */
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly lastEpoch: number;
  readonly lastTimestamp: number;
  /** The highest epoch promised. */
  readonly promised: number;
}

interface LaneState {
  first: number;
  last: number;
  epoch: number;
  timestamp: number;
  promised: number;
  /** Where the log was cut last: what is known of the entry before is only its place. */
  cut: boolean;
}

/** Batches were admitted under the limits of their time. */
const NO_LIMITS = { batchBytesMax: 64 * 1024 * 1024, recordsMax: 0xffff_ffff };

export class LaneCheck {
  entries = 0;
  batches = 0;
  records = 0;
  /** The replica has recovered, or never lost anything. */
  voting = false;
  readonly #lanes: LaneState[] = [0, 1, 2].map(() => ({
    first: 0,
    last: 0,
    epoch: 0,
    timestamp: 0,
    promised: 0,
    cut: true,
  }));

  /** What is wrong with the frame; null for nothing. */
  take(type: number, body: Uint8Array): string | null {
    try {
      return type === FRAME_TYPES.entry ? this.#entry(body) : this.#state(type, body);
    } catch (error) {
      if (error instanceof MeridianError) return error.message;
      throw error;
    }
  }

  summaries(): LaneSummary[] {
    return this.#lanes.map(({ first, last, epoch, timestamp, promised }, lane) => ({
      lane,
      firstIndex: first,
      lastIndex: last,
      lastEpoch: epoch,
      lastTimestamp: timestamp,
      promised,
    }));
  }

  #entry(body: Uint8Array): string | null {
    const { lane, epoch, index, timestamp, kind, batchCount, recordCount } = verifyEntry(body);
    if (kind === 'batches') for (const batch of entryBatches(body)) verifyBatch(batch, NO_LIMITS);
    const state = this.#lanes[lane];
    if (state === undefined) return `an entry of lane ${lane}`;
    this.entries += 1;
    this.batches += batchCount;
    this.records += recordCount;
    const problem = this.#misplaced(state, { lane, epoch, index, timestamp });
    if (state.first === 0) state.first = index;
    state.last = index;
    state.epoch = epoch;
    state.timestamp = timestamp;
    state.cut = false;
    return problem;
  }

  #misplaced(
    { last, first, epoch, timestamp, cut }: LaneState,
    entry: {
      readonly lane: number;
      readonly epoch: number;
      readonly index: number;
      readonly timestamp: number;
    },
  ): string | null {
    const name = `entry ${entry.lane}/${entry.index}`;
    if (entry.timestamp % TIMESTAMP_STRIDE !== entry.lane) {
      return `${name} has timestamp ${entry.timestamp}, which is not of its lane`;
    }
    if (first > 0 && entry.index !== last + 1) return `${name} follows entry ${last} of its lane`;
    if (cut) return null;
    if (entry.timestamp <= timestamp) return `${name} is not later than the one before it`;
    return entry.epoch < epoch ? `${name} has epoch ${entry.epoch}, after epoch ${epoch}` : null;
  }

  #state(type: number, body: Uint8Array): string | null {
    const write = decodeWrite(type, body);
    switch (write.type) {
      case 'truncate': {
        const state = this.#lanes[write.lane];
        if (state === undefined) break;
        if (state.first > 0 && write.from > state.last + 1) {
          return `lane ${write.lane} is cut at ${write.from} and ends at ${state.last}`;
        }
        if (state.first > 0) state.last = write.from - 1;
        if (write.from <= state.first) state.first = 0;
        state.cut = true;
        break;
      }
      case 'promise': {
        const state = this.#lanes[write.lane];
        if (state === undefined) break;
        if (write.epoch < state.promised) {
          return `lane ${write.lane}: promised epoch ${write.epoch} after ${state.promised}`;
        }
        state.promised = write.epoch;
        break;
      }
      case 'recovered':
        this.voting = true;
        break;
      case 'reserve':
      case 'incarnation':
      case 'life':
      case 'named':
        break;
    }
    return null;
  }
}
