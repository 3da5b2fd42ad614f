/**
 * What a driver does beside the steps: takes checkpoints at random moments, lets old log go, and takes
 * a peer's checkpoint when its own log ends before the peer's begins. A replica that takes one starts
 * again with it; a process that dies meanwhile has taken none.
 */
import { foundWrong } from '../../libs/order/verdict.ts';
import { REPLICAS, type ReplicaId } from '../../libs/values/numbers.ts';
import type { StoredCheckpoint } from './disk.ts';
import type { Replica } from './replica.ts';
import type { ReplicaParts } from './replica-parts.ts';
import { check } from './violation.ts';

/** A transfer takes at least and at most so long, microseconds. */
const TRANSFER = [20_000, 500_000] as const;
/** Time between the ends of a replica's life before and after a transfer. */
const PAUSE = 1_000;
/** Share of looks that read the place where something is rotten. */
const SCRUB = 0.03;
/** Share of looks with a comparison. */
const COMPARE = 0.1;

export class Housekeeping {
  private readonly replica: Replica;
  private readonly p: ReplicaParts;
  private transferring = false;
  /** Machine of the checkpoint before, for a planted bug. */
  private machineBefore: readonly Uint8Array[] | null = null;
  /** The life in which a checkpoint is being written; one at a time. */
  private writing: number | null = null;

  constructor(replica: Replica, parts: ReplicaParts) {
    this.replica = replica;
    this.p = parts;
  }

  /** Between two steps, when everything released is executed. */
  look(): void {
    const { every } = this.p.options.checkpoints;
    if (every > 0 && this.p.prng.chance(this.p.options.tick / every)) this.takeCheckpoint();
    this.scrub();
    this.maybeTransfer();
    this.maybeBeginAnew();
    this.compare();
  }

  /** What is old is read again and again, and a peer has what cannot be read. */
  private scrub(): void {
    const { replica, p } = this;
    const { rot } = replica.disk;
    for (const entry of replica.disk.rotten) {
      if (!p.prng.chance(SCRUB)) continue;
      const { lane, index, epoch } = entry;
      const source = p.replicas().find((peer) => {
        const copy = peer.disk.lanes[lane]?.entries[index - 1];
        if (peer === replica || copy?.epoch !== epoch || peer.disk.rot.has(copy)) return false;
        return peer.running && !peer.paused && p.network.joined(replica.id, peer.id);
      });
      if (source !== undefined) rot.repair(entry);
    }
  }

  /** What a start reads is damaged (S2): false while the others could not fill a new directory. */
  setAside(): boolean {
    const { replica, p } = this;
    if (p.options.bug === 'rot-cuts') {
      replica.disk.cutAtRot();
      return true;
    }
    if (p.replicas().some(({ disk }) => disk !== replica.disk && disk.lost)) {
      p.scheduler.after(300_000, () => {
        if (!replica.running) replica.start();
      });
      return false;
    }
    replica.setAsideCount++;
    // In production it is the wall clock: above that of any directory before.
    replica.wipe(Math.max(...p.replicas().map(({ disk }) => disk.incarnations[replica.id] ?? 0)));
    return true;
  }

  private takeCheckpoint(): void {
    const { replica, p } = this;
    const { core, life, disk } = replica;
    const count = p.checkers.order.countOf(replica.id);
    if (core === null || count === 0 || this.writing === life) return;
    this.writing = life;
    const { bug } = p.options;
    const machine = replica.snapshot;
    const early = bug === 'checkpoint-early' ? this.machineBefore : null;
    const { watermark, lanes } = core.checkpoint();
    const checkpoint: StoredCheckpoint = { watermark, lanes, machine: early ?? machine, count };
    this.machineBefore = machine;
    p.trace.note('checkpoint', replica.id, count, checkpoint.watermark);
    const trims = p.prng.chance(p.options.checkpoints.trim);
    if (bug === 'checkpoint-unsynced' && trims) disk.trim(checkpoint);
    p.scheduler.after(p.prng.between(1_000, p.options.checkpoints.duration), () => {
      if (this.writing === life) this.writing = null;
      if (life !== replica.life || !replica.running) return;
      disk.keep(checkpoint);
      if (!trims) return;
      // Not always the newest: then some of the log stays on disk only.
      const base = p.prng.chance(0.5) ? checkpoint : disk.checkpoints[0];
      if (base === undefined || replica.side?.mayTrim(base) === false) return;
      p.trace.note('trim', replica.id, base.count);
      replica.side?.trimmed(base);
      disk.trim(base);
      replica.trimmed(base.lanes.map(({ released }) => released));
    });
  }

  /** M4: the directory is set aside, once both others can help to fill a new one. */
  private maybeBeginAnew(): void {
    const known = this.replica.core?.voided ?? null;
    if (known !== null) this.replace(known);
  }

  private replace(known: number): void {
    const { replica } = this;
    check(replica.disk.rolledBack, 'void-without-cause', () => {
      return `r${replica.id} is told that it forgot, and it did not`;
    });
    if (replica.core?.othersVote() === true) this.beginAnew(known);
  }

  private beginAnew(known: number): void {
    const { replica, p } = this;
    replica.crash();
    replica.wipe(known);
    p.scheduler.after(PAUSE, () => {
      if (!replica.running) replica.start();
    });
  }

  /** P2: of three releases two are the same, and this is the other one. */
  private compare(): void {
    const { replica, p } = this;
    if (p.options.bug === 'divergence-ignored' || !p.prng.chance(COMPARE)) return;
    const others = p.replicas().filter((it) => it !== replica);
    const [one, other] = others;
    if (one === undefined || other === undefined) return;
    const answer = others.every(
      (it) => it.running && !it.paused && p.network.joined(replica.id, it.id),
    );
    if (!answer || agreed(replica, one, other)) return;
    const wrong = foundWrong(replica.marks.list(), one.marks.list(), other.marks.list());
    // No two disks are lost at a time: who is found wrong then waits.
    if (wrong === null || others.some(({ disk }) => disk.atRisk)) return;
    if (replica.core?.othersVote() !== true) return;
    p.trace.note('wrong', replica.id, wrong.entries);
    this.beginAnew(0);
  }

  private maybeTransfer(): void {
    const from = this.replica.core?.behind() ?? null;
    if (from !== null && !this.transferring) this.transfer(from);
  }

  private transfer(from: ReplicaId): void {
    const { replica, p } = this;
    const { life } = replica;
    this.transferring = true;
    p.scheduler.after(p.prng.between(...TRANSFER), () => {
      this.transferring = false;
      const donor = p.replicas()[from];
      if (life !== replica.life || !replica.running || replica.paused) return;
      if (donor?.running !== true || donor.paused || !p.network.joined(replica.id, from)) return;
      const { base } = donor.disk;
      if (base === null || !this.isAhead(base)) return;
      p.trace.note('transfer', replica.id, from, base.count);
      replica.crash();
      replica.disk.install(base, donor.disk);
      p.scheduler.after(PAUSE, () => {
        if (!replica.running) replica.start();
      });
    });
  }

  /** It would be a step back for a replica that has got on meanwhile. */
  private isAhead(base: StoredCheckpoint): boolean {
    return REPLICAS.some((lane) => {
      const mark = base.lanes[lane]?.released;
      if (mark === undefined || mark.index <= this.replica.disk.baseOf(lane)) return false;
      return this.replica.disk.lanes[lane]?.entries[mark.index - 1]?.epoch !== mark.epoch;
    });
  }
}

/** All three have executed as much and have the same hash, which runs on: there is nothing to compare. */
function agreed(...replicas: readonly Replica[]): boolean {
  const [first, ...rest] = replicas.map(({ marks }) => marks.newest);
  return rest.every((mark) => mark?.entries === first?.entries && mark?.hash === first?.hash);
}
