/**
 * From checkpoint and log to what a replica starts with: the newest checkpoint that can be read, and on
 * top of it the writes that followed, applied in the order they were made. Also makes a new data
 * directory: `format` for a new instance, whose replicas may vote from the start, and the silent one
 * for a replica that lost its disk, which may not.
 */
import { randomInt } from 'node:crypto';
import { decodeEntryHeader } from '../../libs/frames/entry.ts';
import { ORIGIN } from '../../libs/lane/lane-log.ts';
import type { Recovered, Write } from '../../libs/lane/types.ts';
import { createOrderMachine } from '../../libs/order/machine.ts';
import { formatDirectory, openLog } from '../../libs/storage/log.ts';
import type { Identity, Location, Log, LogFrame } from '../../libs/storage/log.ts';
import { at } from '../../libs/values/assert.ts';
import type { ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import { laneOf, loadSections, newHead } from './checkpoint-sections.ts';
import type { CheckpointHead, Loaded } from './checkpoint-sections.ts';
import type { Frame, JournalEntry } from './content.ts';
import { LaneStore } from './lane-store.ts';
import { FRAME_TYPES, decodeWrite, encodeWrite } from './log-frames.ts';
import type { StateWrite } from './log-frames.ts';
import { LogState } from './log-state.ts';
import { ReleaseIndex } from './release-index.ts';

/** A second, where the wall clock stands at microseconds. */
const LIFE_SPREAD = 1_000_000;

export class Replay {
  readonly state: LogState;
  readonly #self: ReplicaId;
  readonly #cacheBytesMax: number;
  #loaded: Loaded;
  /** Per lane, the entries above what the checkpoint covers. */
  readonly #entries = REPLICAS.map(() => [] as JournalEntry[]);

  constructor(self: ReplicaId, cacheBytesMax: number) {
    this.#self = self;
    this.state = new LogState(self);
    this.#cacheBytesMax = cacheBytesMax;
    this.#loaded = {
      head: emptyHead(this.state),
      order: createOrderMachine(),
      index: new ReleaseIndex(),
      store: new LaneStore(cacheBytesMax),
    };
  }

  /** Begins with a checkpoint; returns the segment where the log goes on. Throws CORRUPT. */
  begin = (sections: Iterable<Uint8Array>): number => {
    this.#loaded = loadSections(sections, this.#cacheBytesMax);
    this.state.load(this.#loaded.head.state);
    return this.#loaded.head.segment;
  };

  take(frame: LogFrame): void {
    if (frame.type === FRAME_TYPES.entry) this.#takeEntry(frame);
    else this.#takeState(decodeWrite(frame.type, frame.body));
  }

  get loaded(): Loaded {
    return this.#loaded;
  }

  /** `life`: the number of the start that this is (libs/lane/SPEC.md, M1). */
  result(life: number): Recovered<Frame> {
    const { state } = this;
    const { head } = this.#loaded;
    return {
      lanes: REPLICAS.map((lane) => {
        const { base, released, epochs } = laneOf(head, lane);
        const promised = at(state.promised, lane);
        return { promised, base, released, epochs, entries: at(this.#entries, lane) };
      }),
      watermark: head.watermark,
      reservation: state.reservation,
      incarnation: state.incarnationOf(this.#self),
      incarnations: [...state.incarnations],
      life: { number: life, previous: at(state.heard, this.#self).life },
      heard: [...state.heard],
      lineages: [...state.lineages],
      voting: state.voting,
    };
  }

  /** Contents stay on disk: they are read back in the order of their release, and only once. */
  #takeEntry({ body, location }: LogFrame): void {
    const { lane, epoch, index, timestamp, kind, bytes } = decodeEntryHeader(body);
    const { released, after } = laneOf(this.#loaded.head, lane);
    const entries = at(this.#entries, lane);
    // Covered by the checkpoint; or the rest of a tail that was cut further on in the log, or left behind.
    if (index <= released.index || index > released.index + entries.length + 1) return;
    if (after !== null && isBefore(location, after)) return;
    // An entry in a place that is taken voids what stands there and after: the frame that said so may
    // have been lost to a repair (log-repair.ts).
    const taken = index - released.index - 1;
    if (taken < entries.length) {
      entries.length = taken;
      this.#loaded.store.truncate(lane, index);
    }
    const entry: JournalEntry = { lane, epoch, index, timestamp, kind, bytes, content: null };
    this.#loaded.store.add(entry, location);
    entries.push(entry);
  }

  #takeState(write: StateWrite): void {
    this.state.take(write);
    if (write.type !== 'truncate') return;
    const { released } = laneOf(this.#loaded.head, write.lane);
    const kept = Math.max(0, write.from - 1 - released.index);
    const entries = at(this.#entries, write.lane);
    if (kept >= entries.length) return;
    entries.length = kept;
    this.#loaded.store.truncate(write.lane, write.from);
  }
}

function isBefore(location: Location, place: { segment: number; offset: number }): boolean {
  const { segment, offset } = location;
  return segment < place.segment || (segment === place.segment && offset < place.offset);
}

/** Of a log without a checkpoint: nothing is covered, segment 1 is the first. */
function emptyHead(state: LogState): CheckpointHead {
  return newHead({
    watermark: 0 as Timestamp,
    count: 0,
    lastTimestamp: 0 as Timestamp,
    segment: 1,
    lanes: REPLICAS.map(() => ({ base: ORIGIN, released: ORIGIN, epochs: [], after: null })),
    state: state.copy(),
  });
}

/**
 * The number of a start: above the one before it, and most likely like none that a copy of this directory
 * was started with, even where the wall clock stands behind.
 */
export function newLife(state: LogState, self: ReplicaId, wall: number): number {
  return Math.max(at(state.heard, self).life, wall) + 1 + randomInt(LIFE_SPREAD);
}

export interface NewLog {
  readonly directory: string;
  readonly identity: Identity;
  readonly self: ReplicaId;
  /** Wall clock in microseconds: the directory's life is younger than any before it. */
  readonly incarnation: number;
  /** true only for a new instance: its replica cannot have promised anything before. */
  readonly voting: boolean;
}

/**
 * Formats an empty or missing directory. Killed in between it leaves a log that does not vote: the
 * safe side, and the next start finishes it.
 */
export async function makeLog(options: NewLog): Promise<void> {
  const { directory, identity, self, incarnation, voting } = options;
  formatDirectory(directory, identity);
  // `close` rejects with what `onFatal` reports.
  const log = openLog({ directory, identity, onFatal: () => undefined }, () => undefined);
  writeState(log, { type: 'incarnation', replica: self, incarnation });
  if (voting) writeState(log, { type: 'recovered' });
  await log.close();
}

export function writeState(log: Log, write: StateWrite): void {
  log.append(FRAME_TYPES[write.type], [encodeWrite(write)]);
}

/** Appends one of the core's writes and tells the store where an entry went. */
export function appendWrite(
  log: Log,
  store: LaneStore,
  state: LogState,
  write: Write<Frame>,
): void {
  if (write.type !== 'entry') {
    writeState(log, write);
    state.take(write);
    if (write.type === 'truncate') store.truncate(write.lane, write.from);
    return;
  }
  const location = log.append(FRAME_TYPES.entry, [store.contentOf(write.entry)]);
  store.add(write.entry, location);
}
