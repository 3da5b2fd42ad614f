/**
 * When a replica takes a checkpoint, and what goes once it has it. A checkpoint is taken after so many
 * bytes of log, at a moment when everything released is executed; the machine stands still only while
 * its own state is written, the log and the protocol never.
 *
 * Four checkpoints are worth keeping: the newest, the one before it (should the newest be damaged), the
 * base, behind which the log begins and which a peer that lacks more is sent, and the next base. A
 * checkpoint may become the base when every record it covers is trimmed (retention.ts). Log is deleted
 * only behind the oldest one kept.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { LaneCore } from '../../libs/lane/core.ts';
import type { Mark } from '../../libs/lane/types.ts';
import type { Log } from '../../libs/storage/log.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { at } from '../../libs/values/assert.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Micros } from '../../libs/values/numbers.ts';
import { laneOf, newHead, readHead, saveSections } from './checkpoint-sections.ts';
import type { CheckpointHead, CheckpointSource } from './checkpoint-sections.ts';
import type { Frame, PendingAppend } from './content.ts';
import type { LogState } from './log-state.ts';
import type { Releaser } from './releaser.ts';
import type { SpaceWatch } from './space-watch.ts';

export interface CheckpointerOptions extends CheckpointSource {
  readonly core: Pick<LaneCore<Frame, PendingAppend>, 'checkpoint'>;
  readonly log: Log;
  readonly state: LogState;
  readonly releaser: Releaser;
  /** Of log between two checkpoints. */
  readonly everyBytes: number;
  readonly segmentBytes: number;
  /** Room on the disk: none is taken that would not fit, and sooner when there is little. */
  readonly space: Pick<SpaceWatch, 'space' | 'hasRoom'>;
  /** Of the checkpoint that the log was opened with, or of none. */
  readonly head: CheckpointHead;
  /** First ordinal that must stay, all records before it being trimmed; looks in small steps. */
  readonly frontier: (done: (ordinal: number) => void) => void;
  /** Entries at or below these marks have left the log. */
  readonly onTrimmed: (bases: readonly Mark[]) => void;
  /** The machine may go on. */
  readonly onResumed: () => void;
  readonly logger: Logger;
}

interface Kept {
  readonly number: number;
  readonly head: CheckpointHead;
}

const LOOK_MICROS = 100_000;
/** Between two checkpoints on a disk that is nearly full: what was trimmed goes only with one. */
const SCARCE_MICROS = 10_000_000;

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  /** On disk, ascending. */
  #kept: Kept[];
  /** Number of the base; null: the log begins at its first entry. */
  #base: number | null = null;
  #busy = false;
  #stopped = false;
  #idle: (() => void)[] = [];
  #lookedAt = -Infinity;
  #bytesBefore = 0;
  #takenAt = 0;
  /** Duration and time of the last one, for status and metrics. */
  last: { readonly number: number; readonly seconds: number; readonly bytes: number } | null = null;
  failures = 0;

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    const { log, head } = options;
    // What was replayed counts: a replica that is killed again and again gets its checkpoint too.
    this.#bytesBefore = (head.segment - log.position.segment) * options.segmentBytes;
    this.#kept = log.checkpoints.flatMap((number) => {
      const kept = this.#headOf(number);
      return kept === null ? [] : [{ number, head: kept }];
    });
    // When the log last began later than this checkpoint knows, it began at the oldest one kept.
    if (this.#beginsLater()) this.#becomeBase(at(this.#kept, 0));
    else this.#base = this.#kept.find((kept) => isBaseOf(kept.head, head))?.number ?? null;
  }

  /** Takes a checkpoint if one is due and this is a good moment; call it after every step. */
  look(now: Micros): void {
    if (now - this.#lookedAt < LOOK_MICROS) return;
    this.#lookedAt = now;
    const { log, everyBytes, index } = this.#options;
    if (index.count === 0) return;
    // A large index is written again each time: the larger it is, the rarer.
    const { space } = this.#options;
    const size = this.last?.bytes ?? 0;
    const isScarce = space.space !== 'ample' && now - this.#takenAt >= SCARCE_MICROS;
    const due = isScarce ? 1 : Math.max(everyBytes, 4 * size);
    if (log.appendedBytes - this.#bytesBefore < due || !space.hasRoom(2 * size)) return;
    if (this.take()) this.#takenAt = now;
  }

  /** Takes one now; false when one is under way or something released is not executed yet. */
  take(): boolean {
    const { log, releaser, core, state, store, index } = this.#options;
    if (this.#busy || this.#stopped || releaser.backlogCount > 0) return false;
    this.#busy = true;
    const startedAt = performance.now();
    this.#bytesBefore = log.appendedBytes;
    const { watermark, lanes } = core.checkpoint();
    const { lastTimestamp, count } = index;
    const head = newHead({
      watermark,
      count,
      lastTimestamp,
      segment: Math.min(
        log.position.segment,
        ...REPLICAS.map((lane) => {
          return store.segmentOf(lane, at(lanes, lane).released.index + 1) ?? Infinity;
        }),
      ),
      lanes: lanes.map((lane) => ({ ...lane, after: null })),
      state: state.copy(),
    });
    releaser.paused = true;
    const counter = { bytes: 0 };
    const sections = this.#counted(
      saveSections(head, this.#options, () => {
        releaser.paused = false;
        this.#options.onResumed();
      }),
      counter,
    );
    // What the head says of the protocol is on disk before the head is.
    log.sync(() => {
      log.saveCheckpoint(sections, (error, number) => {
        sections.return(undefined);
        releaser.paused = false;
        if (error !== null) this.#failed(error);
        else {
          const seconds = (performance.now() - startedAt) / 1000;
          this.last = { number, seconds, bytes: counter.bytes };
          this.#taken({ number, head });
        }
      });
    });
    return true;
  }

  /**
   * A checkpoint is damaged: it is set aside, and a new one is taken in its place. Rejects with CORRUPT when it
   * is the base: nobody else has what stands in it.
   */
  async replaceDamaged(number: number): Promise<void> {
    if (number === this.#base) {
      throw new MeridianError('CORRUPT', `checkpoint ${number} is the one the log begins with`);
    }
    await this.#whenIdle();
    this.#kept = this.#kept.filter((kept) => kept.number !== number);
    this.#options.log.care.setCheckpointAside(number);
    if (!this.take()) {
      throw new MeridianError('UNAVAILABLE', 'no checkpoint can be taken at the moment');
    }
    await this.#whenIdle();
  }

  /** Takes no more; returns when none is under way, after a last one if that can be taken. */
  async stop(): Promise<void> {
    await this.#whenIdle();
    const { log, space } = this.#options;
    const isWorthIt = log.appendedBytes > this.#bytesBefore && !log.isFull;
    if (!this.#stopped && isWorthIt && space.hasRoom(2 * (this.last?.bytes ?? 0))) this.take();
    await this.#whenIdle();
    this.#stopped = true;
  }

  /** The checkpoint behind which the log begins; null when the log is whole. */
  get base(): Kept | null {
    return this.#kept.find(({ number }) => number === this.#base) ?? null;
  }

  /** Of log. */
  get bytesSinceLast(): number {
    return this.#options.log.appendedBytes - this.#bytesBefore;
  }

  /** None is being taken, and nothing is being deleted. */
  get isIdle(): boolean {
    return !this.#busy;
  }

  /** Takes no more, not even a last one: another checkpoint has come in its place. */
  abandon(): void {
    this.#stopped = true;
  }

  #whenIdle(): Promise<void> {
    if (!this.#busy) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  *#counted(
    sections: Generator<Uint8Array, void, undefined>,
    counter: { bytes: number },
  ): Generator<Uint8Array, void, undefined> {
    for (const section of sections) {
      counter.bytes += section.length;
      yield section;
    }
  }

  #failed(error: Error): void {
    this.failures += 1;
    this.#options.logger.warn(
      { error },
      'no checkpoint could be taken; the next one will be tried',
    );
    this.#done();
  }

  #taken(kept: Kept): void {
    this.#kept.push(kept);
    this.#options.frontier((ordinal) => {
      this.#drop(ordinal);
      this.#done();
    });
  }

  #done(): void {
    this.#busy = false;
    const waiting = this.#idle;
    this.#idle = [];
    for (const resolve of waiting) resolve();
  }

  /** First the checkpoints that nobody needs, then the index, then the log behind the oldest kept. */
  #drop(frontier: number): void {
    const { log } = this.#options;
    const base = this.#kept.findLast(({ head }) => head.count <= frontier) ?? this.base;
    const position = base === null ? -1 : this.#kept.indexOf(base);
    const keep = new Set([base, this.#kept[position + 1], ...this.#kept.slice(-2)]);
    if (base !== null && base.number !== this.#base) this.#becomeBase(base);
    for (const { number } of this.#kept.filter((kept) => !keep.has(kept)))
      log.dropCheckpoint(number);
    this.#kept = this.#kept.filter((kept) => keep.has(kept));
    if (base === null) return;
    const first = Math.min(...this.#kept.map(({ head }) => head.segment));
    const before = log.stats.firstSegment;
    log.dropBefore(first);
    if (log.stats.firstSegment === before) return;
    this.#options.logger.info({ before, first: log.stats.firstSegment }, 'old log deleted');
  }

  #becomeBase(base: Kept): void {
    const { index, store, onTrimmed } = this.#options;
    this.#base = base.number;
    const marks = REPLICAS.map((lane) => laneOf(base.head, lane).released);
    index.dropBefore(base.head.count);
    for (const lane of REPLICAS) store.trim(lane, at(marks, lane).index);
    onTrimmed(marks);
  }

  /** Entries are indexed whose segment is gone. */
  #beginsLater(): boolean {
    const { log, store, head } = this.#options;
    return REPLICAS.some((lane) => {
      const segment = store.segmentOf(lane, laneOf(head, lane).base.index + 1);
      return segment !== null && segment < log.stats.firstSegment;
    });
  }

  #headOf(number: number): CheckpointHead | null {
    const sections = this.#options.log.readCheckpoint(number);
    try {
      const first = sections.next();
      return readHead(first.done === true ? undefined : first.value);
    } catch (error) {
      this.#options.logger.error({ number, error }, 'a checkpoint cannot be read');
      return null;
    } finally {
      sections.return(undefined);
    }
  }
}

/** The log of `later` begins at the marks of `base`. */
function isBaseOf(base: CheckpointHead, later: CheckpointHead): boolean {
  return REPLICAS.every((lane) => {
    const { index } = laneOf(later, lane).base;
    return index > 0 && laneOf(base, lane).released.index === index;
  });
}
