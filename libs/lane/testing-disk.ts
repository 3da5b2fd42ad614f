/**
 * The disk of a replica in tests: writes lie in a buffer until their sync, a crash keeps what was
 * synced and as many of the first buffered writes as the test says.
 */
import { assert, at } from '../values/assert.ts';
import type { Epoch, Index, LaneId, ReplicaId, Timestamp } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
import { wholeLog } from './lane-log.ts';
import { born, named } from './lineage.ts';
import type { Entry, Lineage, Recovered, Write } from './types.ts';

const nothingHeard = (): { life: number; clock: number }[] =>
  REPLICAS.map(() => ({ life: 0, clock: 0 }));

interface Group<Content> {
  readonly writes: readonly Write<Content>[];
  readonly seq: number;
  readonly doneAt: number;
}

export class TestDisk<Content = readonly string[]> {
  incarnation: number;
  /** No sync comes to its end. */
  held = false;
  voting: boolean;
  private readonly lanes = REPLICAS.map(() => ({
    promised: 0 as Epoch,
    entries: [] as Entry<Content>[],
  }));
  private reservation = 0 as Timestamp;
  private incarnations = REPLICAS.map(() => 0);
  private heard = nothingHeard();
  private lineages: Lineage[] = [[], [], []];
  /** Starts of this directory and of the copies of it: each life has a number of its own. */
  private starts = 0;
  private readonly self: ReplicaId;
  private buffered: Group<Content>[] = [];

  constructor(self: ReplicaId, voting: boolean, incarnation: number) {
    this.self = self;
    this.voting = voting;
    this.incarnation = incarnation;
  }

  recovered(): Recovered<Content> {
    this.starts += 1;
    return {
      lanes: this.lanes.map(({ promised, entries }) => ({ promised, ...wholeLog([...entries]) })),
      watermark: 0 as Timestamp,
      reservation: this.reservation,
      incarnation: this.incarnation,
      incarnations: [...this.incarnations],
      life: { number: this.starts, previous: at(this.heard, this.self).life },
      heard: [...this.heard],
      lineages: [...this.lineages],
      voting: this.voting,
    };
  }

  write(writes: readonly Write<Content>[], seq: number, doneAt: number): void {
    if (writes.length > 0) this.buffered.push({ writes, seq, doneAt });
  }

  /** Number of the last group that is on disk now; 0 when nothing was added. */
  sync(now: number): number {
    let done = 0;
    while (!this.held && this.buffered[0] !== undefined && this.buffered[0].doneAt <= now) {
      for (const write of this.buffered[0].writes) this.apply(write);
      done = this.buffered[0].seq;
      this.buffered.shift();
    }
    return done;
  }

  crash(kept: number): void {
    const writes = this.buffered.flatMap((group) => group.writes);
    for (const write of writes.slice(0, kept)) this.apply(write);
    this.buffered = [];
    this.held = false;
  }

  /** Entries can be read; everything else is gone. */
  damage(): void {
    this.voting = false;
    this.incarnation += 1;
    this.reservation = 0 as Timestamp;
    this.incarnations = REPLICAS.map(() => 0);
    this.heard = nothingHeard();
    this.lineages = [[], [], []];
    for (const lane of this.lanes) lane.promised = lane.entries.at(-1)?.epoch ?? lane.promised;
  }

  /** What was on disk at this moment, to be put back later. */
  copy(): () => void {
    const lanes = this.lanes.map(({ promised, entries }) => ({ promised, entries: [...entries] }));
    const { voting, incarnation, reservation } = this;
    const [incarnations, heard] = [[...this.incarnations], [...this.heard]];
    const lineages = [...this.lineages];
    return () => {
      Object.assign(this, { voting, incarnation, reservation, incarnations, heard, lineages });
      this.lanes.forEach((lane, id) => Object.assign(lane, at(lanes, id)));
    };
  }

  /** An entry that the core no longer keeps in memory. */
  readBack = (lane: LaneId, index: Index): Entry<Content> => {
    const entry = this.lanes[lane]?.entries[index - 1];
    assert(entry !== undefined, 'only what is on disk is read back');
    return entry;
  };

  /** The writes that a crash would lose. */
  get unsynced(): readonly Write<Content>[] {
    return this.buffered.flatMap((group) => group.writes);
  }

  private bear(life: number, reservation: Timestamp): void {
    const previous = at(this.heard, this.self).life;
    this.lineages = this.lineages.map((lineage, peer) =>
      peer === this.self ? lineage : born(lineage, { life, reservation }, previous),
    );
  }

  private apply(write: Write<Content>): void {
    switch (write.type) {
      case 'entry':
        this.lanes[write.entry.lane]?.entries.push(write.entry);
        break;
      case 'truncate':
        this.lanes[write.lane]?.entries.splice(write.from - 1);
        break;
      case 'promise': {
        const lane = this.lanes[write.lane];
        if (lane !== undefined) lane.promised = write.epoch;
        break;
      }
      case 'reserve':
        this.reservation = write.timestamp;
        break;
      case 'incarnation':
        this.incarnations[write.replica] = write.incarnation;
        this.heard[write.replica] = { life: 0, clock: 0 };
        break;
      case 'life':
        if (write.replica === this.self) this.bear(write.life, write.clock as Timestamp);
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
}
