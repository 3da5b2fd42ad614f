/**
 * What replicas write, say and claim, held against what is on the three disks: commitment needs two
 * copies (L1) and lasts for ever, claims are on disk before they leave (L4), epochs and clocks never
 * go back (T1, T2, I18), only the home adds records (L5), and what is acknowledged stays on as many
 * disks as it takes. All incremental; only a wiped disk is searched as a whole.
 */
import type { Entry, LaneStatus, Packet, Status, Write } from '../../libs/lane/types.ts';
import type { LaneId, ReplicaId } from '../../libs/values/numbers.ts';
import { laneOf, REPLICAS, writerOf } from '../../libs/values/numbers.ts';
import type { Disk, DurableLane } from './disk.ts';
import type { Content } from './operations.ts';
import { check, Violation } from './violation.ts';

interface Grave {
  readonly incarnation: number;
  readonly lanes: readonly DurableLane[];
}

interface Committed {
  readonly epoch: number;
  readonly timestamp: number;
  readonly content: Content | null;
}

/** What a replica has told others about itself, over all its lives. */
interface Told {
  clock: number;
  version: number;
  readonly promised: [number, number, number];
}

export class LogChecker {
  /** Per lane, by index from 1: what has been claimed committed by anybody; may have holes. */
  readonly committed: [
    (Committed | undefined)[],
    (Committed | undefined)[],
    (Committed | undefined)[],
  ] = [[], [], []];
  /**
   * The truth about commitment (L1): per lane and epoch, how far each replica has written entries of
   * that epoch while it was the one it had promised; what two have reached is chosen, for ever.
   */
  private readonly accepted = REPLICAS.map(() => new Map<number, [number, number, number]>());
  private readonly chosen: [number, number, number] = [0, 0, 0];
  private disks: readonly Disk[] = [];
  /**
   * Per replica, the logs that a wipe destroyed: an entry may have been committed with that copy. They
   * count for nobody who knows of the wipe, and for nobody at all once the replica votes again: by
   * then it holds everything they were needed for.
   */
  private readonly graves: Grave[][] = [[], [], []];
  /** Per replica, the highest incarnations of the others it knows of in this life. */
  private readonly known = REPLICAS.map(() => [0, 0, 0]);
  private readonly told: Told[] = REPLICAS.map(() => ({
    clock: 0,
    version: 0,
    promised: [0, 0, 0],
  }));

  attach(disks: readonly Disk[]): void {
    this.disks = disks;
  }

  /** Versions of statements grow within a life; across lives nothing depends on it. */
  restarted(replica: ReplicaId): void {
    this.of(replica).version = 0;
    this.known[replica] = this.disk(replica).incarnations.slice();
  }

  /** Somebody treats the entry as committed: acknowledges, releases or reports it. */
  commit(replica: ReplicaId, entry: Entry<Content>): void {
    const ledger = this.committed[entry.lane];
    const name = (): string =>
      `r${replica} takes lane ${entry.lane} index ${entry.index} epoch ${entry.epoch} ts ` +
      `${entry.timestamp} for committed`;
    const known = ledger[entry.index - 1];
    if (known !== undefined) {
      check(
        known.epoch === entry.epoch &&
          known.timestamp === entry.timestamp &&
          known.content === entry.content,
        'commit-agreement',
        () => `${name()}; there stands epoch ${known.epoch} ts ${known.timestamp}`,
      );
      return;
    }
    const copies = this.copies(replica, entry);
    check(copies >= 2, 'commit-without-quorum', () => `${name()}, on ${copies} disks`);
    check(entry.index <= this.chosen[entry.lane], 'commit-before-chosen', () => {
      return `${name()}, chosen up to ${this.chosen[entry.lane]}`;
    });
    const before = entry.index < 2 ? undefined : ledger[entry.index - 2];
    check(before === undefined || before.timestamp < entry.timestamp, 'timestamps-increase', name);
    const { epoch, timestamp, content } = entry;
    ledger[entry.index - 1] = { epoch, timestamp, content };
  }

  /** A replica says that the lane is committed up to here. */
  commitUpTo(replica: ReplicaId, lane: LaneId, after: number, index: number): void {
    const entries = this.disk(replica).lanes[lane]?.entries ?? [];
    for (let i = after; i < index; i++) {
      const entry = entries[i];
      if (entry !== undefined) this.commit(replica, entry);
    }
  }

  /** L3: what a replica shows it holds on its own disk. */
  holds(replica: ReplicaId, entry: Entry<Content>): void {
    const own = this.disk(replica).lanes[entry.lane]?.entries[entry.index - 1];
    check(own?.epoch === entry.epoch, 'release-unsynced', () => {
      return `r${replica} releases lane ${entry.lane} index ${entry.index}, not on its disk`;
    });
  }

  durable(replica: ReplicaId, write: Write<Content>): void {
    if (write.type === 'entry') this.entryWritten(replica, write.entry);
    else if (write.type === 'truncate') this.truncated(replica, write.lane, write.from);
    else if (write.type === 'recovered') this.recovered(replica);
    else if (write.type === 'promise') {
      const promised = this.disk(replica).lanes[write.lane]?.promised ?? 0;
      check(write.epoch > promised, 'epoch-monotone', () => {
        return `r${replica} promises lane ${write.lane} epoch ${write.epoch} after ${promised}`;
      });
    }
  }

  /** The replica knows that a peer has lost its disk. */
  learned(replica: ReplicaId, writes: readonly Write<Content>[]): void {
    for (const write of writes) {
      const known = this.known[replica];
      if (write.type === 'incarnation' && known !== undefined) {
        known[write.replica] = write.incarnation;
      }
    }
  }

  /** L4: what a packet claims about its sender is on the sender's disk. */
  sent(replica: ReplicaId, packet: Packet<Content>): void {
    const disk = this.disk(replica);
    const told = this.of(replica);
    // One step states the same to both peers.
    if (packet.status.version !== told.version) this.stated(replica, packet.status);
    for (const { from, control } of packet.letters) {
      if (from !== replica || control.type !== 'promise') continue;
      const durable = disk.lanes[control.lane];
      check(durable !== undefined && durable.promised >= control.epoch, 'promise-unsynced', () => {
        return `r${replica} promises lane ${control.lane} epoch ${control.epoch}, not on its disk`;
      });
    }
    check(packet.clock >= told.clock, 'clock-monotone', () => {
      return `r${replica} tells clock ${packet.clock} after ${told.clock}`;
    });
    told.clock = packet.clock;
  }

  private stated(replica: ReplicaId, status: Status): void {
    const disk = this.disk(replica);
    const told = this.of(replica);
    check(status.version >= told.version, 'version-monotone', () => {
      return `r${replica} tells version ${status.version} after ${told.version}`;
    });
    told.version = status.version;
    for (const lane of REPLICAS) {
      const claim = status.lanes[lane];
      const durable = disk.lanes[lane];
      if (claim === undefined || durable === undefined) continue;
      const wrong = wrongIn(claim, durable, told.promised[lane]);
      if (wrong !== null) {
        const { promised, tail } = claim;
        throw new Violation(
          wrong,
          `r${replica} says lane ${lane} promised ${promised} tail ${tail.epoch}/${tail.index}; ` +
            `on disk: promised ${durable.promised}, ${durable.entries.length} entries`,
        );
      }
      told.promised[lane] = claim.promised;
    }
  }

  /** C3: what is given up for a checkpoint was never committed. */
  dropped(replica: ReplicaId, lane: LaneId, kept: number): void {
    const durable = this.disk(replica).lanes[lane]?.entries ?? [];
    for (let i = kept; i < durable.length; i++) {
      const committed = this.committed[lane][i];
      check(
        committed === undefined || committed.epoch !== durable[i]?.epoch,
        'committed-dropped',
        () => {
          return `r${replica} gives up lane ${lane} index ${i + 1}, which is committed`;
        },
      );
    }
  }

  /** The disk is about to lose everything. */
  wiped(replica: ReplicaId): void {
    const disk = this.disk(replica);
    this.graves[replica]?.push({ incarnation: disk.incarnation, lanes: disk.lanes });
    const told = this.of(replica);
    // It does not know what it said, and does not vote before it knows enough again.
    told.clock = 0;
    told.version = 0;
    told.promised.fill(0);
  }

  /** Nothing committed is gone: on two disks, or on one while another is recovering. */
  survey(): void {
    const enough = this.disks.some((disk) => disk.lost) ? 1 : 2;
    for (const lane of REPLICAS) {
      const logs = this.disks.map((disk) => disk.lanes[lane]?.entries ?? []);
      const ledger = this.committed[lane];
      for (let i = 0; i < ledger.length; i++) {
        const committed = ledger[i];
        if (committed === undefined) continue;
        let copies = 0;
        for (const log of logs) if (log[i]?.epoch === committed.epoch) copies++;
        if (copies >= enough) continue;
        const place = `lane ${lane} index ${i + 1} ts ${committed.timestamp}`;
        check(false, 'committed-lost', () => `${place} is on ${copies} disks`);
      }
    }
  }

  private entryWritten(replica: ReplicaId, entry: Entry<Content>): void {
    const durable = this.disk(replica).lanes[entry.lane];
    const name = (): string =>
      `r${replica} writes lane ${entry.lane} index ${entry.index} epoch ${entry.epoch} ts ` +
      `${entry.timestamp} ${entry.kind}`;
    check(laneOf(entry.timestamp) === entry.lane, 'timestamp-lane', name);
    check(entry.kind === 'marker' || writerOf(entry.epoch) === entry.lane, 'sealer-appends', name);
    if (durable?.promised === entry.epoch) this.accept(replica, entry);
    const entries = durable?.entries ?? [];
    const before = entries.length === 0 ? undefined : entries[entries.length - 1];
    if (before === undefined) return;
    check(before.timestamp < entry.timestamp, 'timestamps-increase', () => {
      return `${name()} after ts ${before.timestamp}`;
    });
    check(before.epoch <= entry.epoch, 'epoch-monotone', () => {
      return `${name()} after epoch ${before.epoch}`;
    });
  }

  private accept(replica: ReplicaId, { lane, epoch, index }: Entry<Content>): void {
    const epochs = this.accepted[lane];
    if (epochs === undefined) return;
    let reached = epochs.get(epoch);
    if (reached === undefined) epochs.set(epoch, (reached = [0, 0, 0]));
    reached[replica] = Math.max(reached[replica], index);
    const [a, b, c] = reached;
    const second = Math.max(Math.min(a, b), Math.min(a, c), Math.min(b, c));
    this.chosen[lane] = Math.max(this.chosen[lane], second);
  }

  private recovered(replica: ReplicaId): void {
    this.graves[replica] = [];
    for (const lane of REPLICAS) {
      for (const reached of this.accepted[lane]?.values() ?? []) reached[replica] = 0;
      const durable = this.disk(replica).lanes[lane];
      const last = durable?.entries.at(-1);
      if (last !== undefined && last.epoch === durable?.promised) this.accept(replica, last);
    }
  }

  private truncated(replica: ReplicaId, lane: LaneId, from: number): void {
    const durable = this.disk(replica).lanes[lane]?.entries ?? [];
    const ledger = this.committed[lane];
    for (let i = from - 1; i < Math.min(ledger.length, durable.length); i++) {
      const committed = ledger[i];
      if (committed === undefined) continue;
      check(durable[i]?.epoch !== committed.epoch, 'committed-truncated', () => {
        return `r${replica} truncates lane ${lane} from ${from}; index ${i + 1} is committed`;
      });
    }
  }

  /** Replicas that have it or had it: one that lost its disk twice counts once. */
  private copies(claimer: ReplicaId, entry: Entry<Content>): number {
    let copies = 0;
    const isIn = (lanes: readonly DurableLane[]): boolean =>
      lanes[entry.lane]?.entries[entry.index - 1]?.epoch === entry.epoch;
    this.disks.forEach((disk, owner) => {
      const known = this.known[claimer]?.[owner] ?? 0;
      const graves = this.graves[owner] ?? [];
      const buried = graves.some((grave) => grave.incarnation >= known && isIn(grave.lanes));
      if (isIn(disk.lanes) || buried) copies++;
    });
    return copies;
  }

  private disk(replica: ReplicaId): Disk {
    const disk = this.disks[replica];
    if (disk === undefined) throw new RangeError(`no replica ${replica}`);
    return disk;
  }

  private of(replica: ReplicaId): Told {
    const told = this.told[replica];
    if (told === undefined) throw new RangeError(`no replica ${replica}`);
    return told;
  }
}

/** The rule that a claim breaks, beside what is on the claimer's disk and what it has promised before. */
function wrongIn(
  { tail, promised }: LaneStatus,
  durable: DurableLane,
  before: number,
): string | null {
  if (tail.index > 0 && durable.entries[tail.index - 1]?.epoch !== tail.epoch) {
    return 'claim-unsynced';
  }
  if (promised > durable.promised) return 'promise-unsynced';
  return promised < before ? 'epoch-monotone' : null;
}
