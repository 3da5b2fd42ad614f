/**
 * Makes segments of an archive from what was released here: one after the other, cut by the order alone
 * (libs/archive/SPEC.md), in slices between which the replica goes on. Holds one unfinished segment.
 * Whether they get anywhere is the archiver's business.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { endsAt, endsBefore } from '../../libs/archive/cut.ts';
import type { CutRule } from '../../libs/archive/cut.ts';
import { SegmentBuilder } from '../../libs/archive/segment.ts';
import type { BuiltSegment, EntryOutcome } from '../../libs/archive/segment.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { ENTRY_HEADER_BYTES } from '../../libs/frames/entry.ts';
import type { Frame } from './content.ts';
import type { LaneStore } from './lane-store.ts';
import type { ReleaseIndex } from './release-index.ts';
import type { Watermark } from './watermark.ts';

export interface MakerOptions {
  readonly index: ReleaseIndex;
  readonly store: Pick<LaneStore, 'content'>;
  readonly watermark: Pick<Watermark, 'value'>;
  readonly rule: CutRule;
  /** Ordinal of the first entry, and hash of what comes before. */
  readonly first: number;
  readonly chain: string;
}

/** After so much the rest of the replica has its turn. */
const SLICE_BYTES = 128 * 1024;
const SLICE_ENTRIES = 200;

export class SegmentMaker {
  readonly #options: MakerOptions;
  #builder: SegmentBuilder;
  #next: number;

  constructor(options: MakerOptions) {
    this.#options = options;
    this.#next = options.first;
    this.#builder = new SegmentBuilder(options.first, options.chain);
  }

  /** The next segment; null: it is not complete yet. Throws REFUSED when its entries have left the log. */
  async make(): Promise<BuiltSegment | null> {
    const { index, rule, watermark } = this.#options;
    for (;;) {
      let bytes = 0;
      for (let entries = 0; entries < SLICE_ENTRIES && bytes < SLICE_BYTES; entries += 1) {
        if (this.#isComplete(this.#next < index.count ? this.#next : null)) return this.#finish();
        if (this.#next >= index.count) return null;
        bytes += this.#add();
      }
      await nextTurn();
      // What was not released when the slice began may be final now.
      if (this.#next >= index.count && !endsAt(rule, this.#facts(), watermark.value)) return null;
    }
  }

  #facts(): { firstTimestamp: number; bytes: number } {
    return { firstTimestamp: this.#builder.firstTimestamp, bytes: this.#builder.entryBytes };
  }

  #isComplete(next: number | null): boolean {
    const { index, rule, watermark } = this.#options;
    if (this.#builder.isEmpty) return false;
    if (next !== null) return endsBefore(rule, this.#facts(), index.timestampAt(next));
    return endsAt(rule, this.#facts(), watermark.value);
  }

  #finish(): BuiltSegment {
    const built = this.#builder.finish();
    this.#builder = new SegmentBuilder(built.end, built.sha256);
    return built;
  }

  #add(): number {
    const { index, store } = this.#options;
    const ordinal = this.#next;
    if (ordinal < index.first) {
      throw new MeridianError(
        'REFUSED',
        `the archive goes on at entry ${ordinal}, but the log of this replica begins at ${index.first}: configure a copy of another region's archive, which has what is missing`,
        { details: { expected: ordinal, actual: index.first } },
      );
    }
    const frame = store.content(index.laneAt(ordinal), index.indexAt(ordinal));
    this.#builder.add(frame, index.timestampAt(ordinal), outcomeOf(index, ordinal, frame));
    this.#next += 1;
    return frame.length;
  }
}

/** What the order made of the entry, as the index has it. */
export function outcomeOf(index: ReleaseIndex, ordinal: number, frame: Frame): EntryOutcome {
  const recordless = index.recordless(ordinal) ?? [];
  const counts = new Map<string, number>();
  let number = 0;
  for (let offset = ENTRY_HEADER_BYTES; offset < frame.length; number += 1) {
    const { bytes, recordCount, stream } = decodeBatchHeader(frame, offset);
    offset += bytes;
    if (recordCount === 0 || recordless.includes(number)) continue;
    counts.set(stream, (counts.get(stream) ?? 0) + recordCount);
  }
  const streams = [...counts].map(([stream, count]) => {
    const first = index.rows(stream)?.firstSeqNumIn(ordinal) ?? 0;
    return { stream, first, next: first + count };
  });
  return { streams, recordless };
}
