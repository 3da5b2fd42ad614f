/**
 * Where the bytes of every entry are: on disk always, in memory as long as they fit. Owns the index
 * (lane, index) → location in the log, and the cache of the newest entries, which is bounded in
 * bytes: what was written first is evicted first, and read back from the log when somebody asks.
 *
 * Deliberately not here: which entries are released, and in what order (release-index.ts).
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { verifyEntry } from '../../libs/frames/entry.ts';
import type { Location } from '../../libs/storage/log.ts';
import { assert, at } from '../../libs/values/assert.ts';
import type { Index, LaneId } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import { Column } from './columns.ts';
import { readEntry } from './entry-codec.ts';
import { FrameRing } from './frame-ring.ts';
import type { Frame, JournalEntry } from './content.ts';

export interface LogReader {
  read(location: Location): Uint8Array;
}

/** Locations of one lane's entries by index, from 1; and those entries that are in memory. */
class LaneShelf {
  readonly segments = new Column();
  readonly offsets = new Column();
  readonly bytes = new Column();
  readonly cached = new Map<number, JournalEntry>();
}

export class LaneStore {
  readonly #shelves = REPLICAS.map(() => new LaneShelf());
  readonly #ring: FrameRing;
  #log: LogReader | null = null;

  constructor(cacheBytesMax: number) {
    this.#ring = new FrameRing(cacheBytesMax, (entry) => {
      const { cached } = at(this.#shelves, entry.lane);
      // Another one may have taken its place since (truncate).
      if (cached.get(entry.index) === entry) cached.delete(entry.index);
    });
  }

  /** The log is opened by replaying it into this store, so it comes second. */
  readFrom(log: LogReader): void {
    this.#log = log;
  }

  get cachedBytes(): number {
    return this.#ring.bytes;
  }

  /** The entry was written at this place. Its content, if any, is cached from here on. */
  add(entry: JournalEntry, location: Location): void {
    const shelf = at(this.#shelves, entry.lane);
    assert(shelf.segments.length === entry.index - 1, 'entries of a lane are contiguous');
    shelf.segments.push(location.segment);
    shelf.offsets.push(location.offset);
    shelf.bytes.push(location.bytes);
    if (entry.content !== null && this.#ring.keep(entry)) shelf.cached.set(entry.index, entry);
  }

  /** Entries of the lane at and above `from` are void. */
  truncate(lane: LaneId, from: Index): void {
    const shelf = at(this.#shelves, lane);
    for (let index = from as number; index <= shelf.segments.length; index += 1) {
      shelf.cached.delete(index);
    }
    shelf.segments.truncate(from - 1);
    shelf.offsets.truncate(from - 1);
    shelf.bytes.truncate(from - 1);
  }

  /** Content of an entry the core has handed out, evicted or not. */
  contentOf = (entry: JournalEntry): Frame =>
    entry.content ?? this.content(entry.lane, entry.index);

  /** The entry at this place, with its content: the cached one, or one read back. Throws `CORRUPT`. */
  entry(lane: LaneId, index: Index): JournalEntry {
    const shelf = at(this.#shelves, lane);
    return shelf.cached.get(index) ?? readEntry(this.#readBack(shelf, lane, index));
  }

  /**
   * The entry frame at this place, good until the next `add`. Throws `CORRUPT` when the disk returns
   * something else.
   */
  content(lane: LaneId, index: Index): Frame {
    const shelf = at(this.#shelves, lane);
    return shelf.cached.get(index)?.content ?? this.#readBack(shelf, lane, index);
  }

  #readBack(shelf: LaneShelf, lane: LaneId, index: Index): Frame {
    assert(this.#log !== null, 'the log is open before anything is read');
    const segment = shelf.segments.at(index - 1);
    const offset = shelf.offsets.at(index - 1);
    const frame = this.#log.read({ segment, offset, bytes: shelf.bytes.at(index - 1) });
    const header = verifyEntry(frame);
    if (header.lane === lane && header.index === index) return frame;
    throw new MeridianError(
      'CORRUPT',
      `segment ${segment} holds entry ${header.lane}/${header.index} at offset ${offset}, expected ${lane}/${index}`,
      { details: { segment, offset } },
    );
  }
}
