/**
 * Executes what the lane core released, in order: every batch goes through the ordered state machine,
 * its outcome to whoever waits for it, its place into the release index; then the watermark moves.
 *
 * After a start the core releases the whole log again, from which this state is rebuilt. That may be
 * millions of entries, so the work is done in slices: between two of them the replica goes on hearing
 * and answering its peers, and the published watermark covers exactly what has been executed.
 */
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { ENTRY_HEADER_BYTES, decodeEntryHeader } from '../../libs/frames/entry.ts';
import type { Effects } from '../../libs/lane/types.ts';
import type { OrderMachine, Outcome } from '../../libs/order/types.ts';
import { assert, at } from '../../libs/values/assert.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import type { Clocks } from './clocks.ts';
import type { Frame, JournalEntry, PendingAppend } from './content.ts';
import type { LaneStore } from './lane-store.ts';
import type { ReleaseIndex } from './release-index.ts';
import type { Watermark } from './watermark.ts';

type Released = Effects<Frame, PendingAppend>['released'];

/** Longest slice of execution in one turn, microseconds. */
const SLICE_MICROS = 10_000;
/** After an entry that could not be read back from the disk: it is being repaired. */
const UNREADABLE_MICROS = 200_000;

export interface ReleaserOptions {
  readonly order: OrderMachine;
  readonly index: ReleaseIndex;
  readonly store: LaneStore;
  readonly watermark: Watermark;
  readonly clocks: Clocks;
  /** After each entry with batches: how many there have been, and its timestamp. */
  readonly onExecuted?: (entries: number, timestamp: Timestamp) => void;
}

export class Releaser {
  readonly #options: ReleaserOptions;
  /** Released by the core and not yet executed, from `#next` on. */
  #backlog: Released = [];
  #next = 0;
  #coreWatermark = 0 as Timestamp;
  #blockedUntil = -Infinity;
  /** Nothing is executed: the machine's state is being saved. */
  paused = false;

  constructor(options: ReleaserOptions) {
    this.#options = options;
  }

  get backlogCount(): number {
    return this.#backlog.length - this.#next;
  }

  add(released: Released, watermark: Timestamp): void {
    this.#coreWatermark = watermark;
    if (released.length === 0) return;
    if (this.backlogCount === 0) {
      this.#backlog = released;
      this.#next = 0;
    } else {
      this.#backlog = [...this.#backlog.slice(this.#next), ...released];
      this.#next = 0;
    }
  }

  /** Executes for one slice; true when there is more to do. */
  run(): boolean {
    const { clocks, watermark, index, onExecuted } = this.#options;
    const startedAt = clocks.monotonic();
    const until = startedAt + SLICE_MICROS;
    while (this.backlogCount > 0 && !this.paused && startedAt >= this.#blockedUntil) {
      const { entry, appends } = at(this.#backlog, this.#next);
      if (!this.#execute(entry, appends)) {
        this.#blockedUntil = startedAt + UNREADABLE_MICROS;
        break;
      }
      this.#next += 1;
      if (entry.kind !== 'marker') onExecuted?.(index.count, entry.timestamp);
      if (clocks.monotonic() >= until) break;
    }
    const more = this.backlogCount > 0;
    if (!more) {
      this.#backlog = [];
      this.#next = 0;
    }
    // With nothing executed (paused, or markers alone) what has been published still holds: it may
    // be ahead of the last entry executed.
    const executed = Math.max(index.lastTimestamp, watermark.value) as Timestamp;
    watermark.publish(more ? executed : this.#coreWatermark, clocks.monotonic());
    return more && !this.paused && startedAt >= this.#blockedUntil;
  }

  /** false: the disk does not give it back at the moment, and nothing was done. */
  #execute(entry: JournalEntry, appends: readonly PendingAppend[] | null): boolean {
    if (entry.kind === 'marker') return true;
    const frame = appends === null ? this.#readable(entry) : null;
    if (appends === null && frame === null) return false;
    const { order, index } = this.#options;
    const { timestamp } = entry;
    const ordinal = index.addEntry(entry);
    if (appends !== null) {
      for (let number = 0; number < appends.length; number += 1) {
        const append = at(appends, number);
        const outcome = order.apply(append.header, timestamp);
        this.#index(append.header.stream, ordinal, number, outcome);
        append.owner.decided(append, outcome);
      }
      return true;
    }
    assert(frame !== null, 'it was read above');
    const { batchCount } = decodeEntryHeader(frame);
    let offset = ENTRY_HEADER_BYTES;
    for (let number = 0; number < batchCount; number += 1) {
      const header = decodeBatchHeader(frame, offset);
      this.#index(header.stream, ordinal, number, order.apply(header, timestamp));
      offset += header.bytes;
    }
    assert(offset === frame.length, 'the batches fill their entry');
    return true;
  }

  #readable(entry: JournalEntry): Frame | null {
    try {
      return this.#options.store.contentOf(entry);
    } catch (error) {
      if (error instanceof MeridianError && error.reason === 'UNAVAILABLE') return null;
      throw error;
    }
  }

  #index(stream: string, ordinal: number, number: number, outcome: Outcome): void {
    const { index } = this.#options;
    if (outcome.kind === 'appended') index.addBatch(stream, ordinal, outcome.firstSeqNum);
    else index.addRecordless(ordinal, number);
  }
}
