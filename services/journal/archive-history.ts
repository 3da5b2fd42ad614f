/**
 * What has left the log, for readers: segments of the archive as views that look like the log's own index
 * and entries, so that a read goes on through them and into the log without noticing. Fetching, reading
 * ahead and the bound on memory are the cache's (libs/archive); what is deleted there is gone.
 */
import type { Catalog } from '../../libs/archive/catalog.ts';
import type { SegmentRef } from '../../libs/archive/manifest.ts';
import { SegmentCache } from '../../libs/archive/segment-cache.ts';
import type { CacheFigures } from '../../libs/archive/segment-cache.ts';
import { decodeSegment } from '../../libs/archive/segment.ts';
import type { Segment } from '../../libs/archive/segment.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { assert } from '../../libs/values/assert.ts';
import type { Index, LaneId, SeqNum, Timestamp } from '../../libs/values/numbers.ts';
import type { Frame } from './content.ts';
import { ReleaseIndex } from './release-index.ts';

/** One segment, as a reader sees the log. */
export class ArchiveView {
  readonly index = new ReleaseIndex();
  /** Behind its last ordinal. */
  readonly end: number;
  readonly #frames = new Map<number, Frame>();

  constructor(segment: Segment) {
    const { first, end, entries, streams, recordless } = segment;
    this.end = end;
    this.index.startAt(first, 0, 0 as Timestamp);
    for (const { header, frame } of entries) {
      this.index.addEntry(header);
      this.#frames.set(placeOf(header.lane, header.index), frame);
    }
    for (const { name, entries: rows, firstSeqNums } of streams) {
      rows.forEach((entry, row) => {
        this.index.addBatch(name, first + entry, (firstSeqNums[row] ?? 0) as SeqNum);
      });
    }
    for (const [entry, batch] of recordless) this.index.addRecordless(first + entry, batch);
  }

  content = (lane: LaneId, index: Index): Frame => {
    const frame = this.#frames.get(placeOf(lane, index));
    assert(frame !== undefined, 'a view is asked for its own entries');
    return frame;
  };
}

/** Where to look: an entry, or the first one at or above a timestamp. */
export type Place = { readonly ordinal: number } | { readonly timestamp: number };

/** What a reader can have of the past; the archive's, or a test's. */
export interface History {
  /** Everything at or below is in no archive any more. */
  readonly goneTo: number;
  /** Why nothing can be had at the moment; null: it can. */
  problem(): MeridianError | null;
  /** Only if it is in memory. */
  peek(ordinal: number): ArchiveView | null;
  /**
   * The first segment from the place on with records of the stream (null: any) from the number on; null
   * in the answer: there is none before the log begins. Never answers at once.
   */
  find(
    place: Place,
    stream: string | null,
    fromSeqNum: number,
    answer: (error: MeridianError | null, view: ArchiveView | null) => void,
  ): void;
}

export interface ArchiveHistoryOptions {
  readonly catalog: () => Catalog | null;
  /** Of the log. */
  readonly index: Pick<ReleaseIndex, 'first' | 'goneTo'>;
  readonly bytesMax: number;
  readonly fetchesMax: number;
  readonly readAhead: number;
}

export class ArchiveHistory implements History {
  readonly #options: ArchiveHistoryOptions;
  readonly #cache: SegmentCache<ArchiveView>;

  constructor(options: ArchiveHistoryOptions) {
    this.#options = options;
    const { catalog, bytesMax, fetchesMax, readAhead } = options;
    this.#cache = new SegmentCache({
      bytesMax,
      fetchesMax,
      readAhead,
      locate: async (ordinal) => (await catalog()?.segmentAt(ordinal)) ?? null,
      fetch: async (ref) => {
        const open = catalog();
        assert(open !== null, 'a segment was located in it');
        return new ArchiveView(decodeSegment(await open.fetch(ref), ref.key));
      },
    });
  }

  get goneTo(): number {
    const { catalog, index } = this.#options;
    return Math.min(index.goneTo, catalog()?.manifest.goneTo ?? 0);
  }

  get figures(): CacheFigures {
    return this.#cache.figures;
  }

  /** Under way. */
  get fetching(): number {
    return this.#cache.running;
  }

  get cachedBytes(): number {
    return this.#cache.bytes;
  }

  problem(): MeridianError | null {
    const { index } = this.#options;
    const catalog = this.#options.catalog();
    if (catalog === null) {
      return new MeridianError(
        'UNAVAILABLE',
        'what was asked for has left the log, and the archive cannot be reached: another region may serve it',
      );
    }
    const { end } = catalog.manifest;
    if (end >= index.first) return null;
    return new MeridianError(
      'UNAVAILABLE',
      `this replica's archive ends before entry ${end} and its log begins at ${index.first}: another region serves what is between`,
      { details: { end, first: index.first } },
    );
  }

  /** Not what is deleted: readers have been told, or will be, that there is a gap. */
  peek(ordinal: number): ArchiveView | null {
    const first = this.#options.catalog()?.manifest.first ?? 0;
    return ordinal < first ? null : this.#cache.peek(ordinal);
  }

  find(
    place: Place,
    stream: string | null,
    fromSeqNum: number,
    answer: (error: MeridianError | null, view: ArchiveView | null) => void,
  ): void {
    const settle = (error: MeridianError | null, view: ArchiveView | null): void => {
      // Deleted while it was asked for: what is left begins later, and the reader tells the gap.
      if (error?.reason === 'OUT_OF_RANGE') this.find(place, stream, fromSeqNum, answer);
      else answer(error, view);
    };
    this.#locate(place, stream, fromSeqNum).then(
      (ref) => {
        if (ref === null) settle(null, null);
        else this.#cache.ask(ref.first, settle);
      },
      (error: unknown) => {
        if (!(error instanceof MeridianError)) throw error;
        settle(error, null);
      },
    );
  }

  async #locate(
    place: Place,
    stream: string | null,
    fromSeqNum: number,
  ): Promise<SegmentRef | null> {
    const problem = this.problem();
    if (problem !== null) throw problem;
    const { index } = this.#options;
    const catalog = this.#options.catalog();
    if (catalog === null) return null;
    const { first } = catalog.manifest;
    let ref =
      'ordinal' in place
        ? await catalog.segmentAt(Math.max(place.ordinal, first))
        : await catalog.segmentFrom(place.timestamp);
    while (ref !== null && !mayHold(ref, stream, fromSeqNum)) {
      ref = ref.end < index.first ? await catalog.segmentAt(ref.end) : null;
    }
    return ref;
  }
}

function mayHold({ streams }: SegmentRef, stream: string | null, fromSeqNum: number): boolean {
  if (stream === null || streams === null) return true;
  return streams.some((range) => range.stream === stream && range.next > fromSeqNum);
}

const LANES = 4;

function placeOf(lane: number, index: number): number {
  return index * LANES + lane;
}
