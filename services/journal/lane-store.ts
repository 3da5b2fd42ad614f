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

export interface StoredEntry {
  readonly lane: LaneId;
  readonly index: Index;
  readonly location: Location;
}

export interface LogReader {
  read(location: Location): Uint8Array;
}

/** Offsets in a segment are below; a place is segment × stride + offset. */
const SEGMENT_STRIDE = 2 ** 30;
/** Rows in one section of a checkpoint. */
const ROWS_PER_SECTION = 65_536;

/** Locations of one lane's entries, entry `index` at position `index - 1`; and those that are in memory. */
class LaneShelf {
  readonly places = new Column();
  readonly bytes = new Column();
  readonly cached = new Map<number, JournalEntry>();
}

export class LaneStore {
  readonly #shelves = REPLICAS.map(() => new LaneShelf());
  readonly #ring: FrameRing;
  #log: LogReader | null = null;
  /** Told when the bytes of a segment are not what was written; what it returns is thrown. */
  onUnreadable: (segment: number, error: MeridianError) => MeridianError = (_, error) => error;

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
    assert(shelf.places.length === entry.index - 1, 'entries of a lane are contiguous');
    shelf.places.push(location.segment * SEGMENT_STRIDE + location.offset);
    shelf.bytes.push(location.bytes);
    if (entry.content !== null && this.#ring.keep(entry)) shelf.cached.set(entry.index, entry);
  }

  /** Entries of the lane at and above `from` are void. */
  truncate(lane: LaneId, from: Index): void {
    const shelf = at(this.#shelves, lane);
    for (let index = from as number; index <= shelf.places.length; index += 1) {
      shelf.cached.delete(index);
    }
    shelf.places.truncate(from - 1);
    shelf.bytes.truncate(from - 1);
  }

  /** The lane begins behind `base`; what is at or below it is not here any more. */
  trim(lane: LaneId, base: Index): void {
    const { places, bytes } = at(this.#shelves, lane);
    places.dropBefore(base);
    bytes.dropBefore(base);
  }

  /** A lane whose entries up to `base` are not here; only before the first `add`. */
  startAt(lane: LaneId, base: Index): void {
    const { places, bytes } = at(this.#shelves, lane);
    places.startAt(base);
    bytes.startAt(base);
  }

  /** The segment that holds the entry; null when there is none of that index. */
  segmentOf(lane: LaneId, index: number): number | null {
    const { places } = at(this.#shelves, lane);
    if (index <= places.start || index > places.length) return null;
    return Math.floor(places.at(index - 1) / SEGMENT_STRIDE);
  }

  /** The entry was here and has left the log. */
  hasLeft(lane: LaneId, index: number): boolean {
    return index <= at(this.#shelves, lane).places.start;
  }

  /** Last index of the lane. */
  last(lane: LaneId): Index {
    return at(this.#shelves, lane).places.length as Index;
  }

  /** Places of the entries up to `to`, in parts, each with the number of its lane in front. */
  *save(lane: LaneId, to: Index): Generator<Uint8Array> {
    const { places, bytes } = at(this.#shelves, lane);
    for (let from = places.start; from < to; from += ROWS_PER_SECTION) {
      const end = Math.min(to, from + ROWS_PER_SECTION);
      yield Buffer.concat([Buffer.of(lane), places.bytes(from, end), bytes.bytes(from, end)]);
    }
  }

  load(part: Uint8Array): void {
    const { places, bytes } = at(this.#shelves, part[0] ?? 0);
    const half = 1 + (part.length - 1) / 2;
    places.pushBytes(part.subarray(1, half));
    bytes.pushBytes(part.subarray(half));
  }

  /** Every entry that lies in the segment, with its place. */
  inSegment(segment: number): StoredEntry[] {
    const found: StoredEntry[] = [];
    for (const lane of REPLICAS) {
      const { places, bytes } = at(this.#shelves, lane);
      let low = places.start;
      let high = places.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (places.at(middle) < segment * SEGMENT_STRIDE) low = middle + 1;
        else high = middle;
      }
      for (let position = low; position < places.length; position += 1) {
        const offset = places.at(position) - segment * SEGMENT_STRIDE;
        if (offset >= SEGMENT_STRIDE) break;
        const index = (position + 1) as Index;
        found.push({ lane, index, location: { segment, offset, bytes: bytes.at(position) } });
      }
    }
    return found;
  }

  /** The content, if memory holds it. */
  cachedContent(lane: LaneId, index: Index): Frame | null {
    return at(this.#shelves, lane).cached.get(index)?.content ?? null;
  }

  /** Content of an entry the core has handed out, evicted or not. */
  contentOf = (entry: JournalEntry): Frame =>
    entry.content ?? this.content(entry.lane, entry.index);

  /** The entry at this place, with its content: the cached one, or one read back. Throws `CORRUPT`. */
  entry(lane: LaneId, index: Index): JournalEntry {
    const shelf = at(this.#shelves, lane);
    return shelf.cached.get(index) ?? readEntry(this.#readBack(shelf, lane, index));
  }

  /** The same, and null while the disk does not give it back. */
  readableEntry(lane: LaneId, index: Index): JournalEntry | null {
    try {
      return this.entry(lane, index);
    } catch (error) {
      if (error instanceof MeridianError && error.reason === 'UNAVAILABLE') return null;
      throw error;
    }
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
    const place = shelf.places.at(index - 1);
    const segment = Math.floor(place / SEGMENT_STRIDE);
    const offset = place % SEGMENT_STRIDE;
    try {
      const frame = this.#log.read({ segment, offset, bytes: shelf.bytes.at(index - 1) });
      const header = verifyEntry(frame);
      if (header.lane === lane && header.index === index) return frame;
      throw new MeridianError(
        'CORRUPT',
        `segment ${segment} holds entry ${header.lane}/${header.index} at offset ${offset}, expected ${lane}/${index}`,
        { details: { segment, offset } },
      );
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      throw this.onUnreadable(segment, error);
    }
  }
}
