/**
 * From the frames of a log to what the lane core starts with: the same writes, applied in the order
 * they were made. Also makes a new data directory: `format` for a new instance, whose replicas may
 * vote from the start, and the silent one for a replica that lost its disk, which may not.
 */
import { decodeEntryHeader } from '../../libs/frames/entry.ts';
import { wholeLog } from '../../libs/lane/lane-log.ts';
import type { Recovered, Write } from '../../libs/lane/types.ts';
import { formatDirectory, openLog } from '../../libs/storage/log.ts';
import type { Identity, Log, LogFrame } from '../../libs/storage/log.ts';
import { at } from '../../libs/values/assert.ts';
import type { Epoch, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Frame, JournalEntry } from './content.ts';
import type { LaneStore } from './lane-store.ts';
import { FRAME_TYPES, decodeWrite, encodeWrite } from './log-frames.ts';
import type { StateWrite } from './log-frames.ts';

export class Replay {
  readonly #self: ReplicaId;
  readonly #store: LaneStore;
  readonly #lanes = REPLICAS.map(() => ({ promised: 0 as Epoch, entries: [] as JournalEntry[] }));
  readonly #incarnations = REPLICAS.map(() => 0);
  #reservation = 0 as Timestamp;
  #voting = false;

  constructor(self: ReplicaId, store: LaneStore) {
    this.#self = self;
    this.#store = store;
  }

  take(frame: LogFrame): void {
    if (frame.type === FRAME_TYPES.entry) this.#takeEntry(frame);
    else this.#takeState(decodeWrite(frame.type, frame.body));
  }

  result(): Recovered<Frame> {
    return {
      lanes: this.#lanes.map(({ promised, entries }) => ({ promised, ...wholeLog(entries) })),
      watermark: 0 as Timestamp,
      reservation: this.#reservation,
      incarnation: at(this.#incarnations, this.#self),
      incarnations: this.#incarnations,
      voting: this.#voting,
    };
  }

  /** Contents stay on disk: they are read back in the order of their release, and only once. */
  #takeEntry({ body, location }: LogFrame): void {
    const { lane, epoch, index, timestamp, kind, bytes } = decodeEntryHeader(body);
    const entry: JournalEntry = { lane, epoch, index, timestamp, kind, bytes, content: null };
    this.#store.add(entry, location);
    at(this.#lanes, lane).entries.push(entry);
  }

  #takeState(write: StateWrite): void {
    switch (write.type) {
      case 'truncate':
        this.#store.truncate(write.lane, write.from);
        at(this.#lanes, write.lane).entries.length = write.from - 1;
        break;
      case 'promise':
        at(this.#lanes, write.lane).promised = write.epoch;
        break;
      case 'reserve':
        this.#reservation = Math.max(this.#reservation, write.timestamp) as Timestamp;
        break;
      case 'incarnation':
        this.#incarnations[write.replica] = Math.max(
          at(this.#incarnations, write.replica),
          write.incarnation,
        );
        break;
      case 'recovered':
        this.#voting = true;
        break;
    }
  }
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
export function appendWrite(log: Log, store: LaneStore, write: Write<Frame>): void {
  if (write.type !== 'entry') {
    writeState(log, write);
    if (write.type === 'truncate') store.truncate(write.lane, write.from);
    return;
  }
  const location = log.append(FRAME_TYPES.entry, [store.contentOf(write.entry)]);
  store.add(write.entry, location);
}
