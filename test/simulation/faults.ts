/**
 * The adversary of a run: for each kind of fault the run has, draws when it strikes, whom, and for
 * how long. Kinds overlap freely, with two exceptions: a disk is wiped, put back or damaged only while no other is, and
 * a run under rule P5 has one cut link at a time and nothing else.
 */
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import { EPOCH_MICROS } from './clocks.ts';
import { decaySomewhere } from './decay.ts';
import type { DiskCopy } from './disk.ts';
import { type LatencyChecker, RECOVERY } from './latency-checker.ts';
import type { Network } from './network.ts';
import type { Fault, SimulationOptions } from './options.ts';
import { FAULTS, MAX_CLOCK_OFFSET } from './options.ts';
import { Prng } from './prng.ts';
import type { Replica } from './replica.ts';
import type { Scheduler } from './scheduler.ts';
import type { StrikeNumbers } from './strike-numbers.ts';
import type { Trace } from './trace.ts';
import { check } from './violation.ts';

/** So often a copy is tried to be put back. */
const PATIENCE = 20;

export class Faults {
  private active = true;
  /** With one fault at a time: until when the present one lasts, recovery included. */
  private busyUntil = 0;
  private readonly options: SimulationOptions;
  private readonly scheduler: Scheduler;
  /** Of the strike under way, so that one that is left out changes no other. */
  private prng: Prng;
  private readonly network: Network;
  private readonly replicas: readonly Replica[];
  private readonly trace: Trace;
  private readonly latency: LatencyChecker;
  private readonly numbers: StrikeNumbers;
  /** Times each kind has struck. */
  readonly counts = new Map<Fault, number>();
  /** Starts that ended before most of the others could hear of them. */
  unheard = 0;

  constructor(
    options: SimulationOptions,
    parts: {
      scheduler: Scheduler;
      prng: Prng;
      network: Network;
      replicas: readonly Replica[];
      trace: Trace;
      latency: LatencyChecker;
      numbers: StrikeNumbers;
    },
  ) {
    this.options = options;
    this.scheduler = parts.scheduler;
    this.prng = parts.prng;
    this.network = parts.network;
    this.replicas = parts.replicas;
    this.trace = parts.trace;
    this.latency = parts.latency;
    this.numbers = parts.numbers;
  }

  /** Sets the clocks of the run; before the replicas start. */
  setClocks(): void {
    const { offset, driftPpm, coarse = false } = this.options.clocks;
    for (const replica of this.replicas) {
      replica.clocks.coarse = coarse;
      replica.clocks.set(0, this.prng.between(-offset, offset));
      replica.clocks.setDrift(0, this.prng.between(-driftPpm, driftPpm));
      this.noteClock(replica);
    }
  }

  start(): void {
    for (const fault of FAULTS) {
      const mean = this.options.faults[fault];
      if (mean !== undefined) this.plan(fault, mean);
    }
  }

  /**
   * Everything works from now on, and clocks are right. Hybrid clocks that faulty ones have carried
   * ahead cannot go back (T1): as much time has passed as the farthest of them is ahead.
   */
  heal(): void {
    this.active = false;
    this.trace.note('heal', -1);
    this.network.heal();
    for (const replica of this.replicas) {
      replica.disarm();
      replica.disk.slowness = 1;
      replica.disk.failing = false;
      replica.tellSpace('ample');
      if (!replica.running) replica.start();
    }
    const { now } = this.scheduler;
    const ahead = this.replicas.map((replica) => (replica.clock ?? 0) - EPOCH_MICROS - now);
    if (this.options.oddClock !== null) this.checkNotCarriedAway(ahead);
    for (const replica of this.replicas) {
      replica.clocks.set(now, Math.max(0, ...ahead));
      replica.clocks.setDrift(now, 0);
      this.noteClock(replica);
      replica.resume();
    }
  }

  /** T4: one wrong clock moves no hybrid clock by more than crash loops and the bound allow. */
  private checkNotCarriedAway(ahead: readonly number[]): void {
    const { reserve } = this.options.settings;
    const bound = 2 * MAX_CLOCK_OFFSET + 4 * reserve + 10_000_000;
    ahead.forEach((micros, replica) => {
      check(micros <= bound, 'carried-away', () => {
        return `r${replica} is ${micros} µs ahead; only r${this.options.oddClock} had a wrong clock`;
      });
    });
  }

  private plan(fault: Fault, mean: number): void {
    this.scheduler.after(this.prng.exponential(mean), () => {
      if (!this.active) return;
      this.maybeStrike(fault);
      this.plan(fault, mean);
    });
  }

  private maybeStrike(fault: Fault): void {
    const number = this.numbers.next();
    const { seed, strikes } = this.options;
    if (strikes !== null && !strikes.has(number)) return;
    this.trace.text(-1, `strike ${number}: ${fault}`);
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    this.withPrng(new Prng(seed, `strike ${number}`), () => {
      this.strike(fault);
    });
  }

  private withPrng(prng: Prng, action: () => void): void {
    const before = this.prng;
    this.prng = prng;
    action();
    this.prng = before;
  }

  private strike(fault: Fault): void {
    const victim = this.victim();
    const [a, b] = this.pair();
    if (this.options.single === 'replica') {
      this.strikeAlone(fault, victim);
      return;
    }
    switch (fault) {
      case 'crash':
        this.crash(victim, this.prng.magnitude(10_000, 5_000_000));
        return;
      case 'crashAll':
        for (const replica of this.replicas) {
          this.crash(replica, this.prng.magnitude(10_000, 3_000_000));
        }
        return;
      case 'wipe':
        this.wipe(victim);
        return;
      case 'amnesia':
        this.amnesia(a, b);
        return;
      case 'drift':
        this.drift(victim);
        return;
      case 'rollback':
        this.rollback(victim);
        return;
      case 'pause':
        this.pause(victim);
        return;
      case 'isolate':
        this.isolate(victim, this.duration());
        return;
      case 'cut':
        if (this.options.single === 'link') this.cutAlone(a, b);
        else this.cutBoth([[a, b]], this.duration());
        return;
      case 'cutOneWay':
        this.cutOneWay(a, b, this.duration());
        return;
      case 'flap':
        this.flap(a, b, this.prng.between(3, 15));
        return;
      case 'clog':
        this.network.clog(a, b);
        this.later(this.duration(), () => {
          this.network.unclog(a, b);
        });
        return;
      case 'slowLink':
        this.slowLink(a, b);
        return;
      case 'reset':
        this.network.break(a, b);
        return;
      case 'slowDisk':
        this.slowDisk(victim);
        return;
      case 'syncError':
        this.syncError(victim);
        return;
      case 'diskFull':
        victim.tellSpace(this.prng.chance(0.5) ? 'low' : 'none');
        this.later(this.duration(), () => {
          victim.tellSpace('ample');
        });
        return;
      case 'rot':
      case 'misdirected':
        decaySomewhere(victim, this.replicas, this.prng, fault);
        return;
      case 'clockJump':
        this.clockJump(this.replicas[this.options.oddClock ?? victim.id] ?? victim);
        return;
    }
  }

  /** P4: no second fault before the replica is well again. */
  private strikeAlone(fault: Fault, victim: Replica): void {
    if (this.scheduler.now < Math.max(this.busyUntil, RECOVERY)) return;
    const duration = this.prng.magnitude(50_000, 6_000_000);
    this.busyUntil = this.scheduler.now + duration + 2 * RECOVERY;
    this.latency.struck(victim.id);
    if (fault === 'crash') {
      victim.crash();
      this.restartLater(victim, duration);
    } else if (fault === 'pause') {
      victim.pause();
      this.later(duration, () => {
        victim.resume();
      });
    } else this.isolate(victim, duration);
    this.later(duration, () => {
      this.latency.over(victim.id);
    });
  }

  private isolate(victim: Replica, duration: number): void {
    for (const peer of REPLICAS) {
      if (peer !== victim.id) this.cutBoth([[victim.id, peer]], duration);
    }
  }

  private crash(replica: Replica, down: number): void {
    if (!replica.running) return;
    // Half of the crashes strike in the middle of a step.
    if (this.prng.chance(0.5) && !replica.paused) {
      replica.arm('crash');
      this.awaitCrash(replica, down, 20);
    } else {
      replica.crash();
      this.restartLater(replica, down);
    }
  }

  private awaitCrash(replica: Replica, down: number, patience: number): void {
    this.later(10_000, () => {
      if (replica.running && patience > 0) this.awaitCrash(replica, down, patience - 1);
      else {
        replica.crash();
        this.restartLater(replica, down);
      }
    });
  }

  private restartLater(replica: Replica, down: number, unheard = this.unheardStarts()): void {
    this.later(down, () => {
      if (replica.running) return;
      replica.start();
      if (unheard > 0) this.dieUnheard(replica, unheard);
    });
  }

  private unheardStarts(): number {
    const { unheard } = this.options;
    return unheard > 0 && this.prng.chance(unheard) ? this.prng.between(1, 4) : 0;
  }

  /** Before anybody has heard it, though it may hear them: the next start follows a life that nobody knows. */
  private dieUnheard(replica: Replica, times: number): void {
    this.unheard++;
    const { life } = replica;
    const alive = this.prng.magnitude(1_000, 400_000);
    const heardAtTimes = this.prng.chance(0.3);
    for (const peer of REPLICAS) {
      if (peer === replica.id || (heardAtTimes && this.prng.chance(0.5))) continue;
      this.cutOneWay(replica.id, peer, alive + 1_000);
    }
    this.later(alive, () => {
      if (replica.life !== life) return;
      replica.crash();
      this.restartLater(replica, this.prng.magnitude(1_000, 300_000), times - 1);
    });
  }

  /** Only one disk at a time may be lost, and only while the others remember. */
  private wipe(replica: Replica): void {
    if (this.replicas.some(({ disk }) => disk.atRisk)) return;
    replica.crash();
    replica.wipe();
    this.restartLater(replica, this.prng.magnitude(1_000, 3_000_000));
  }

  /**
   * A writer whose disk is slow has told one peer more than it has written itself, and that peer loses
   * its disk. The writer dies too, or goes on; what it has told the other one arrives afterwards.
   */
  private amnesia(writer: ReplicaId, peer: ReplicaId): void {
    const other = REPLICAS.find((id) => id !== writer && id !== peer);
    const [first, second] = [this.replicas[writer], this.replicas[peer]];
    if (other === undefined || first === undefined || second === undefined) return;
    first.disk.slowness = 500;
    this.network.clog(writer, other);
    this.later(this.prng.between(200_000, 800_000), () => {
      first.disk.slowness = 1;
      if (this.prng.chance(0.3)) {
        first.crash();
        this.restartLater(first, this.prng.between(1_000, 50_000));
      }
      this.wipe(second);
      this.later(this.prng.between(100_000, 2_000_000), () => {
        this.network.unclog(writer, other);
      });
    });
  }

  /** One at a time, and not where log goes: a peer could take the wrong state as a checkpoint, and two of three were wrong. */
  private drift(replica: Replica): void {
    if (this.options.checkpoints.trim > 0 || this.replicas.some((it) => it.drifted)) return;
    replica.drift();
  }

  /** What is on the disk now is put back later, as from a snapshot. */
  private rollback(replica: Replica): void {
    if (replica.disk.lost) return;
    const copy = replica.disk.copy();
    this.later(this.prng.magnitude(10_000, 20_000_000), () => {
      this.putBack(replica, copy, PATIENCE);
    });
  }

  /** As far as is promised (libs/lane/SPEC.md, M7): both others have it in writing that there was more. */
  private putBack(replica: Replica, copy: DiskCopy, patience: number): void {
    if (patience === 0) return;
    const others = this.replicas.filter((other) => other !== replica);
    const remembered = others.every(({ disk }) => disk.knowsMore(replica.id, copy));
    if (!remembered || this.replicas.some(({ disk }) => disk.atRisk)) {
      this.later(300_000, () => {
        this.putBack(replica, copy, patience - 1);
      });
      return;
    }
    replica.crash();
    replica.putBack(copy);
    this.restartLater(replica, this.prng.magnitude(1_000, 3_000_000));
  }

  private pause(replica: Replica): void {
    if (!replica.running || replica.paused) return;
    const { life } = replica;
    if (this.prng.chance(0.5)) replica.arm('pause');
    else replica.pause();
    const duration = this.prng.magnitude(20_000, 6_000_000);
    this.later(duration, () => {
      if (replica.life === life) replica.resume();
    });
  }

  private cutBoth(pairs: readonly (readonly [ReplicaId, ReplicaId])[], duration: number): void {
    for (const [a, b] of pairs) {
      this.cutOneWay(a, b, duration);
      this.cutOneWay(b, a, duration);
    }
  }

  /** P5: no second link before the first is back, connections included. */
  private cutAlone(a: ReplicaId, b: ReplicaId): void {
    if (this.scheduler.now < this.busyUntil) return;
    const duration = this.prng.magnitude(50_000, 8_000_000);
    this.busyUntil = this.scheduler.now + duration + 1_000_000;
    const kind = this.prng.unit();
    if (kind < 0.2) this.cutOneWay(a, b, duration);
    else if (kind < 0.5) this.cutBoth([[a, b]], duration);
    else {
      this.impair(a, b, duration);
      if (kind < 0.8) this.impair(b, a, duration);
    }
  }

  private slowLink(a: ReplicaId, b: ReplicaId): void {
    const duration = this.duration();
    if (this.prng.chance(0.5)) this.impair(a, b, duration);
    else {
      this.network.slow(a, b, this.prng.between(2, 60));
      this.later(duration, () => {
        this.network.slow(a, b, 1);
      });
    }
  }

  /** So slow that it might as well be cut: seconds late, or too narrow for the load. */
  private impair(a: ReplicaId, b: ReplicaId, duration: number): void {
    const late = this.prng.chance(0.5);
    this.network.impair(
      a,
      b,
      late
        ? { lateness: this.prng.between(500_000, 4_000_000) }
        : { bytesPerSecond: this.prng.magnitude(2_000, 50_000) },
    );
    this.later(duration, () => {
      this.network.impair(a, b, {});
    });
  }

  private cutOneWay(a: ReplicaId, b: ReplicaId, duration: number): void {
    this.network.cut(a, b);
    this.later(duration, () => {
      this.network.mend(a, b);
    });
  }

  private flap(a: ReplicaId, b: ReplicaId, times: number): void {
    if (times === 0) return;
    const down = this.prng.between(50_000, 500_000);
    this.cutBoth([[a, b]], down);
    this.later(down + this.prng.between(50_000, 500_000), () => {
      this.flap(a, b, times - 1);
    });
  }

  private slowDisk(replica: Replica): void {
    replica.disk.slowness = this.prng.magnitude(5, 500);
    this.trace.note('disk', replica.id, replica.disk.slowness);
    this.later(this.duration(), () => {
      replica.disk.slowness = 1;
      this.trace.note('disk', replica.id, 1);
    });
  }

  /** The next sync fails, and the process ends by it (S1). */
  private syncError(replica: Replica): void {
    const { prng } = this;
    replica.disk.failing = true;
    replica.disk.onFatal = () => {
      replica.crash();
      this.withPrng(prng, () => {
        this.restartLater(replica, this.prng.magnitude(10_000, 3_000_000));
      });
    };
  }

  private clockJump(replica: Replica): void {
    const { jump, driftPpm } = this.options.clocks;
    const { now } = this.scheduler;
    // As often as not the clock comes back to the truth: that is a jump too.
    const right = this.prng.chance(0.4);
    const by = this.prng.chance(0.5) ? this.prng.magnitude(1_000, jump) : jump;
    const offset = right ? 0 : this.prng.chance(0.5) ? by : -by;
    replica.clocks.set(now, offset);
    replica.clocks.setDrift(now, this.prng.between(-driftPpm, driftPpm));
    this.noteClock(replica);
  }

  private noteClock(replica: Replica): void {
    this.trace.note('clock', replica.id, replica.clocks.offsetAt(this.scheduler.now));
  }

  private duration(): number {
    return this.prng.magnitude(50_000, 6_000_000);
  }

  private later(delay: number, action: () => void): void {
    const { prng } = this;
    this.scheduler.after(delay, () => {
      if (this.active) this.withPrng(prng, action);
    });
  }

  private victim(): Replica {
    return this.prng.pick(this.replicas);
  }

  private pair(): readonly [ReplicaId, ReplicaId] {
    const a = this.prng.pick(REPLICAS);
    const b = this.prng.pick(REPLICAS.filter((replica) => replica !== a));
    return [a, b];
  }
}
