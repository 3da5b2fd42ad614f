/**
 * The disk of one replica: writes are staged, a sync takes them down in groups, one at a time, and
 * a crash keeps what was synced and any prefix of the rest. What is durable here is what the
 * checkers call "on disk". It owns what a start recovers and nothing else of the replica.
 */
import { wholeLog } from '../../libs/lane/lane-log.ts';
import { born, named } from '../../libs/lane/lineage.ts';
import { at } from '../../libs/values/assert.ts';
import type {
  CoreCheckpoint,
  Entry,
  EpochRun,
  Lineage,
  Mark,
  Recovered,
  Write,
} from '../../libs/lane/types.ts';
import type { Epoch, Index, LaneId, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Content } from './operations.ts';
import type { DiskOptions } from './options.ts';
import type { HarnessBug } from './planted-bugs.ts';
import type { Prng } from './prng.ts';
import { Rot } from './rot.ts';
import type { Scheduler } from './scheduler.ts';
import { check } from './violation.ts';

/** No sync takes longer, microseconds: a disk that never answers is a dead process. */
const SYNC_MAX = 6_000_000;

export interface DurableLane {
  promised: Epoch;
  entries: Entry<Content>[];
}

/** A checkpoint as it lies on a disk, or travels. */
export interface StoredCheckpoint extends CoreCheckpoint {
  /** Snapshot of the ordered state machine. */
  readonly machine: readonly Uint8Array[];
  /** Entries it has executed. */
  readonly count: number;
}

/** What was on a disk at some moment, to be put back later. */
export interface DiskCopy {
  readonly lanes: readonly DurableLane[];
  readonly checkpoints: readonly StoredCheckpoint[];
  readonly base: StoredCheckpoint | null;
  readonly reservation: Timestamp;
  readonly voting: boolean;
  readonly incarnation: number;
  readonly incarnations: readonly number[];
  readonly heard: readonly Heard[];
  readonly lineages: readonly Lineage[];
}

interface Heard {
  readonly life: number;
  readonly clock: number;
}

export interface DiskObserver {
  /** Before a write becomes durable. */
  durable(replica: ReplicaId, write: Write<Content>): void;
  /** Entries of the lane above `kept` are given up for a checkpoint. */
  dropped(replica: ReplicaId, lane: LaneId, kept: number): void;
}

export class Disk {
  /** All entries ever, for the checkers: those at or below the base can be read by nobody else. */
  lanes: DurableLane[] = emptyLanes();
  /** Ascending; a start takes the last one. */
  checkpoints: StoredCheckpoint[] = [];
  /** The log begins behind this one, and a peer is given it; null: the log is whole. */
  base: StoredCheckpoint | null = null;
  reservation = 0 as Timestamp;
  /** false between a wipe and the end of the recovery from both others. */
  voting = true;
  /** Of this data directory; a wipe makes a new one. */
  incarnation = 1;
  incarnations = [0, 0, 0];
  /** The newest life of each replica that was written, the own one too. */
  heard: Heard[] = nothingHeard();
  /** Own lives since the newest one that each replica has named. */
  private lineages: readonly Lineage[] = NO_LINEAGES;
  /** It is what it was some time ago, and nothing on it says so. */
  rolledBack = false;
  /** Starts with this disk, whatever is on it: each life has a number of its own. */
  private starts = 0;
  /** Crashes after which a part of what was under way was there. */
  torn = 0;
  stalls = 0;
  readonly rot = new Rot();
  /** The next sync fails; the process ends by that (S1). */
  failing = false;
  onFatal: () => void = () => undefined;
  /** Multiplies the duration of syncs while a fault lasts. */
  slowness = 1;
  private readonly replica: ReplicaId;
  private readonly options: DiskOptions;
  private readonly prng: Prng;
  private readonly scheduler: Scheduler;
  private readonly observer: DiskObserver;
  private readonly bug: HarnessBug | null;
  private staged: Write<Content>[] = [];
  private stagedSeq = 0;
  private syncing = false;
  /** Syncs of an earlier life of the process end without effect. */
  private generation = 0;
  private onSynced: (seq: number) => void = () => undefined;

  constructor(
    replica: ReplicaId,
    options: DiskOptions,
    scheduler: Scheduler,
    prng: Prng,
    observer: DiskObserver,
    bug: HarnessBug | null,
  ) {
    this.replica = replica;
    this.options = options;
    this.scheduler = scheduler;
    this.prng = prng;
    this.observer = observer;
    this.bug = bug;
  }

  open(onSynced: (seq: number) => void): Recovered<Content> {
    this.onSynced = onSynced;
    this.starts++;
    const forgetful = this.bug === 'lives-not-written';
    const checkpoint = this.checkpoints.at(-1) ?? null;
    return {
      lanes: this.lanes.map(({ promised, entries }, lane) => {
        const covered = checkpoint?.lanes[lane];
        if (covered === undefined) return { promised, ...wholeLog(entries.slice()) };
        const base = this.base?.lanes[lane]?.released ?? covered.base;
        const epochs = epochsBehind(covered, base);
        return {
          promised,
          base,
          released: covered.released,
          epochs,
          entries: entries.slice(covered.released.index),
        };
      }),
      watermark: checkpoint?.watermark ?? (0 as Timestamp),
      reservation: this.reservation,
      incarnation: this.incarnation,
      incarnations: this.incarnations.slice(),
      life: { number: this.starts, previous: this.life },
      heard: forgetful ? nothingHeard() : this.heard.slice(),
      lineages: this.lineages,
      voting: this.voting || this.bug === 'wiped-replica-votes',
    };
  }

  /** What the core no longer keeps in memory. */
  readBack(lane: LaneId, index: Index): Entry<Content> | null {
    const entry = this.lane(lane).entries[index - 1];
    check(index > this.baseOf(lane), 'read-gone', () => {
      return `r${this.replica} reads lane ${lane} index ${index}, which has left its log`;
    });
    if (entry === undefined) throw new RangeError(`r${this.replica} holds no ${lane}/${index}`);
    const decay = this.rot.meet(entry);
    if (decay === null) return entry;
    if (decay === 'rot') return this.bug === 'rot-believed' ? { ...entry, content: [] } : null;
    if (this.bug !== 'misdirected-believed') return null;
    const other = this.lane(lane).entries.find(({ content }) => content?.length !== 0);
    return { ...entry, content: other?.content ?? [] };
  }

  /** Entries of the log that do not read as they were written. */
  get rotten(): readonly Entry<Content>[] {
    for (const entry of this.rot.all) {
      const { lane, index } = entry;
      const isThere = index > this.baseOf(lane) && this.lane(lane).entries[index - 1] === entry;
      if (!isThere) this.rot.forget(entry);
    }
    return this.rot.all;
  }

  /** What a start would read cannot be read: the directory is to be set aside (S2). */
  get startIsRotten(): boolean {
    const covered = this.checkpoints.at(-1)?.lanes ?? null;
    const coveredTo = (lane: LaneId): number =>
      covered === null ? 0 : at(covered, lane).released.index;
    return this.rotten.some(({ lane, index }) => index > coveredTo(lane));
  }

  /** The log ends before the first block that cannot be read: a planted bug. */
  cutAtRot(): void {
    for (const { lane, index } of this.rotten) {
      const { entries } = this.lane(lane);
      entries.length = Math.min(entries.length, index - 1);
    }
    this.rot.clear();
  }

  stage(write: Write<Content>): void {
    this.staged.push(write);
  }

  /** The writes staged so far are complete up to `seq`; their persistence will be reported. */
  commit(seq: number): void {
    this.stagedSeq = seq;
    if (this.bug === 'ack-before-sync') {
      this.scheduler.after(0, this.reporter(seq, this.generation));
    }
    if (!this.syncing) this.beginSync();
  }

  /** The process is gone. Any prefix of what was under way may have reached the disk. */
  crash(): number {
    this.generation++;
    this.syncing = false;
    const survive = this.prng.chance(0.3) ? this.prng.below(this.staged.length + 1) : 0;
    for (let i = 0; i < survive; i++) this.apply(this.staged[i]);
    if (survive > 0 && survive < this.staged.length) this.torn++;
    this.staged = [];
    this.stagedSeq = 0;
    return survive;
  }

  /** The checkpoint is on disk under its name. */
  keep(checkpoint: StoredCheckpoint): void {
    this.checkpoints.push(checkpoint);
    const needed = this.checkpoints.slice(-3);
    this.checkpoints = this.checkpoints.filter((c) => c === this.base || needed.includes(c));
  }

  /** Everything at or below the marks of a checkpoint is trimmed and goes. */
  trim(base: StoredCheckpoint): void {
    this.base = base;
    this.checkpoints = this.checkpoints.slice(this.checkpoints.indexOf(base));
  }

  /**
   * C3: takes a peer's checkpoint. The entries it stands for count as being here; what follows them in
   * the own log stays if the log holds the mark, the promises stay in any case.
   */
  install(checkpoint: StoredCheckpoint, donor: Disk): void {
    const { bug } = this;
    for (const lane of REPLICAS) {
      const mark = checkpoint.lanes[lane]?.released;
      if (mark === undefined) continue;
      const own = this.lane(lane);
      const holds = own.entries[mark.index - 1]?.epoch === mark.epoch || mark.index === 0;
      const covered = donor.lane(lane).entries.slice(0, mark.index);
      const rest = holds ? own.entries.slice(mark.index) : [];
      this.observer.dropped(this.replica, lane, holds ? Infinity : mark.index);
      own.entries = [...covered, ...rest];
      own.promised =
        bug === 'install-forgets-promises'
          ? mark.epoch
          : (Math.max(own.promised, mark.epoch) as Epoch);
    }
    const lanes = checkpoint.lanes.map(({ released }) => {
      return { base: released, released, epochs: [] };
    });
    this.base = { ...checkpoint, lanes };
    this.checkpoints = [this.base];
  }

  baseOf(lane: LaneId): number {
    return this.base === null ? 0 : at(this.base.lanes, lane).released.index;
  }

  /** `known`: the highest incarnation that anybody is known to have had. */
  wipe(known: number): void {
    this.rot.clear();
    this.checkpoints = [];
    this.base = null;
    this.lanes = emptyLanes();
    this.reservation = 0 as Timestamp;
    this.voting = false;
    this.incarnation = Math.max(this.incarnation, known) + 1;
    this.incarnations = [0, 0, 0];
    this.heard = nothingHeard();
    this.lineages = NO_LINEAGES;
    this.rolledBack = false;
  }

  copy(): DiskCopy {
    const { base, reservation, voting, incarnation, lineages } = this;
    return {
      lanes: copied(this.lanes),
      checkpoints: [...this.checkpoints],
      base,
      reservation,
      voting,
      incarnation,
      incarnations: [...this.incarnations],
      heard: [...this.heard],
      lineages,
    };
  }

  /** The process is gone; its directory is what it was. */
  putBack(copy: DiskCopy): void {
    const { base, reservation, voting, incarnation, incarnations, heard, lineages } = copy;
    Object.assign(this, { base, reservation, voting, incarnation, lineages });
    this.rot.clear();
    this.lanes = copied(copy.lanes);
    this.checkpoints = [...copy.checkpoints];
    this.incarnations = [...incarnations];
    this.heard = [...heard];
    this.rolledBack = true;
  }

  /** This disk has it in writing that the replica got further than the copy. */
  knowsMore(replica: ReplicaId, copy: DiskCopy): boolean {
    const incarnation = at(this.incarnations, replica);
    if (incarnation !== copy.incarnation) return incarnation > copy.incarnation;
    const { life, clock } = at(this.heard, replica);
    return life > at(copy.heard, replica).life || clock > copy.reservation;
  }

  /** What it promised and took is forgotten: no other disk may be lost meanwhile. */
  get lost(): boolean {
    return !this.voting || this.rolledBack;
  }

  /** It is lost, or would be by a start: none of the others may be lost as well. */
  get atRisk(): boolean {
    return this.lost || this.startIsRotten;
  }

  /** The life that the disk knows of. */
  private get life(): number {
    return at(this.heard, this.replica).life;
  }

  get quiet(): boolean {
    return !this.syncing && this.staged.length === 0;
  }

  private beginSync(): void {
    this.syncing = true;
    const { sync, jitter, stall, stallMax } = this.options;
    let duration = sync + this.prng.below(jitter + 1);
    if (this.prng.chance(stall)) {
      duration += this.prng.below(stallMax);
      this.stalls++;
    }
    const count = this.staged.length;
    const seq = this.stagedSeq;
    const generation = this.generation;
    this.scheduler.after(Math.min(Math.floor(duration * this.slowness), SYNC_MAX), () => {
      if (generation !== this.generation) return;
      if (this.failing) {
        this.failing = false;
        if (this.bug !== 'sync-retried') {
          this.onFatal();
          return;
        }
        // The kernel has dropped what it could not write, and the second sync knows nothing of it.
        this.staged.splice(0, count);
        this.syncing = false;
        this.onSynced(seq);
        return;
      }
      for (let i = 0; i < count; i++) this.apply(this.staged[i]);
      this.staged.splice(0, count);
      this.syncing = false;
      if (this.staged.length > 0) this.beginSync();
      if (this.bug !== 'ack-before-sync') this.onSynced(seq);
    });
  }

  private reporter(seq: number, generation: number): () => void {
    return () => {
      if (generation === this.generation) this.onSynced(seq);
    };
  }

  private apply(write: Write<Content> | undefined): void {
    if (write === undefined) return;
    this.observer.durable(this.replica, write);
    switch (write.type) {
      case 'entry': {
        const { entries } = this.lane(write.entry.lane);
        check(write.entry.index === entries.length + 1, 'log-hole', () => {
          const { lane, index } = write.entry;
          return `r${this.replica} writes lane ${lane} index ${index} after ${entries.length}`;
        });
        entries.push(write.entry);
        break;
      }
      case 'truncate':
        this.lane(write.lane).entries.length = Math.min(
          this.lane(write.lane).entries.length,
          write.from - 1,
        );
        break;
      case 'promise':
        if (this.bug !== 'promise-not-written') this.lane(write.lane).promised = write.epoch;
        break;
      case 'reserve':
        if (this.bug !== 'reservation-not-written') this.reservation = write.timestamp;
        break;
      case 'incarnation':
        this.incarnations[write.replica] = write.incarnation;
        this.heard[write.replica] = { life: 0, clock: 0 };
        break;
      case 'life':
        if (write.replica === this.replica) this.bear(write.life, write.clock as Timestamp);
        this.heard[write.replica] = { life: write.life, clock: write.clock };
        break;
      case 'named':
        this.lineages = this.lineages.map((lineage, peer) =>
          peer === write.replica ? named(lineage, write.life) : lineage,
        );
        break;
      case 'recovered':
        this.voting = true;
        break;
    }
  }

  private bear(life: number, reservation: Timestamp): void {
    const { life: previous } = this;
    this.lineages = this.lineages.map((lineage, peer) => {
      if (peer === this.replica) return lineage;
      const kept = this.bug === 'unnamed-lives-dropped' ? lineage.slice(0, 1) : lineage;
      return born(kept, { life, reservation }, previous);
    });
  }

  private lane(lane: ReplicaId): DurableLane {
    const durable = this.lanes[lane];
    if (durable === undefined) throw new RangeError(`no lane ${lane}`);
    return durable;
  }
}

/** The log may have lost more since the checkpoint was taken. */
function epochsBehind(
  { released, epochs }: StoredCheckpoint['lanes'][number],
  base: Mark,
): EpochRun[] {
  if (base.index >= released.index) return [];
  const later = epochs.filter(({ from }) => from > base.index + 1);
  const first = epochs.findLast(({ from }) => from <= base.index + 1);
  const from = (base.index + 1) as Index;
  return first === undefined ? later : [{ epoch: first.epoch, from }, ...later];
}

const NO_LINEAGES: readonly Lineage[] = REPLICAS.map(() => []);

function nothingHeard(): Heard[] {
  return REPLICAS.map(() => ({ life: 0, clock: 0 }));
}

function copied(lanes: readonly DurableLane[]): DurableLane[] {
  return lanes.map(({ promised, entries }) => ({ promised, entries: entries.slice() }));
}

function emptyLanes(): DurableLane[] {
  return REPLICAS.map(() => ({ promised: 0 as Epoch, entries: [] }));
}
