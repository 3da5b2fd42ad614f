/**
 * The driver of one replica in the simulation: it does what the contract of libs/lane/types.ts asks
 * of a driver — writes, packets, answers, releases, in this order — and can die or stall between
 * any two of these. It owns the process (lives, clocks, sessions' answers); disk and network are
 * given to it. It executes what is released on the real ordered state machine.
 */
import type { Inspection } from '../../libs/lane/inspect.ts';
import type { Effects, Input, Mark, Packet, RefusalReason, Space } from '../../libs/lane/types.ts';
import type { HashedOrderMachine } from '../../libs/order/machine.ts';
import { ReleaseMarks } from '../../libs/order/release-marks.ts';
import type { Outcome } from '../../libs/order/types.ts';
import type { ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import type { Clocks } from './clocks.ts';
import type { Core } from './core.ts';
import type { Disk, DiskCopy } from './disk.ts';
import { Housekeeping } from './housekeeping.ts';
import type { NetworkUser } from './network.ts';
import type { Attempt, Content, Read, Session } from './operations.ts';
import { startMachine } from './machine.ts';
import { describePacket } from './packet-lines.ts';
import { isOfSide, QUESTIONS_FROM } from './replica-parts.ts';
import type { ReplicaParts, ReplicaSide, WaitingRead } from './replica-parts.ts';
import { Room } from './room.ts';
import { Stretch } from './stretch.ts';
import { check } from './violation.ts';
import { noteWrite } from './write-lines.ts';

export class Replica implements NetworkUser {
  readonly id: ReplicaId;
  readonly disk: Disk;
  readonly clocks: Clocks;
  running = false;
  paused = false;
  life = 0;
  core: Core | null = null;
  watermark = 0;
  steps = 0;
  /** Steps that a crash or a stall broke off. */
  abandoned = 0;
  private steppedAt = 0;
  private readonly p: ReplicaParts;
  private machine: HashedOrderMachine;
  private inbox: Input<Content, Attempt>[] = [];
  private turnPlanned = false;
  /** The life in which it was planned. */
  private turnLife = 0;
  /** Instructions of a step that a stall left for later. */
  private left: { effects: Effects<Content, Attempt>; from: number } | null = null;
  /** Set by a fault: die or stall in the middle of the next step. */
  private armed: 'crash' | 'pause' | null = null;
  /** Hashes of what it has released, a mark an entry, to compare with the others. */
  marks = new ReleaseMarks(1);
  /** Its state, or a checkpoint of it, is not to be trusted. */
  drifted = false;
  /** Without it nothing but promises, markers and reservations is written. */
  readonly room = new Room();
  /** Starts that found the log damaged. */
  setAsideCount = 0;
  private executed = 0;
  private lastExecuted = 0 as Timestamp;
  private readonly house: Housekeeping;
  private readonly reads = new Map<number, WaitingRead>();
  private lastReadPoint = 0;
  readonly side: ReplicaSide | null;
  /** Who wants a read point and nothing else. */
  private readonly questions = new Map<number, (readPoint: number) => void>();
  private questionCount = 0;

  constructor(id: ReplicaId, given: ReplicaParts) {
    this.id = id;
    this.p = given;
    this.disk = given.disk;
    this.clocks = given.clocks;
    this.machine = startMachine(given.parts, null, null);
    this.house = new Housekeeping(this, given);
    this.side = given.side?.(this) ?? null;
  }

  start(): void {
    const { p } = this;
    if (this.disk.startIsRotten && !this.house.setAside()) return;
    this.running = true;
    this.paused = false;
    this.life++;
    this.p.trace.note('start', this.id, this.life, this.disk.voting ? 1 : 0);
    this.clocks.boot(p.scheduler.now, p.prng.below(1_000_000_000));
    const checkpoint = this.disk.checkpoints.at(-1);
    p.checkers.restarted(this.id, checkpoint?.count ?? 0);
    this.machine = startMachine(p.parts, p.options.bug, checkpoint?.machine ?? null);
    this.watermark = 0;
    if (checkpoint === undefined) this.drifted = false;
    this.marks = new ReleaseMarks(1);
    this.executed = checkpoint?.count ?? 0;
    this.lastExecuted = 0 as Timestamp;
    this.side?.started();
    this.core = p.parts.createCore({
      self: this.id,
      recovered: this.disk.open((seq) => {
        p.trace.note('synced', this.id, seq);
        this.deliver({ type: 'persisted', seq });
      }),
      assemble: (_header, appends) => ({
        content: appends.slice(),
        bytes: 48 + appends.reduce((sum, append) => sum + append.bytes, 0),
      }),
      readBack: (lane, index) => this.disk.readBack(lane, index),
      settings: p.settings,
      broken: p.options.broken,
    });
    this.room.started();
    const { space } = this.room;
    if (space !== 'ample') this.deliver({ type: 'space', space });
    const { life } = this;
    const tick = (): void => {
      if (!this.running || life !== this.life) return;
      this.tick();
      p.scheduler.after(p.options.tick, tick);
    };
    tick();
    p.network.join(this.id);
  }

  crash(): void {
    if (!this.running) return;
    const { p } = this;
    this.running = false;
    this.paused = false;
    this.core = null;
    this.inbox = [];
    this.left = null;
    this.armed = null;
    this.reads.clear();
    this.questions.clear();
    this.side?.crashed();
    const survived = this.disk.crash();
    p.trace.note('crash', this.id, this.life, survived);
    p.network.disconnect(this.id);
    p.answers.crashed(this.id);
    p.checkers.crashed(this.id);
  }

  wipe(known = 0): void {
    this.p.trace.note('wipe', this.id);
    this.p.checkers.wiped(this.id);
    this.disk.wipe(known);
    this.drifted = false;
  }

  putBack(copy: DiskCopy): void {
    this.p.trace.note('putBack', this.id, copy.incarnation, copy.reservation);
    this.p.checkers.wiped(this.id);
    this.disk.putBack(copy);
  }

  pause(): void {
    if (!this.running || this.paused) return;
    this.p.trace.note('pause', this.id);
    this.paused = true;
  }

  resume(): void {
    // A stall that has not struck yet does not any more.
    if (this.armed === 'pause') this.armed = null;
    if (!this.running || !this.paused) return;
    this.p.trace.note('resume', this.id, this.inbox.length);
    this.paused = false;
    const { left } = this;
    this.left = null;
    if (left !== null) this.perform(left.effects, left.from);
    this.side?.resumed();
    this.planTurn();
  }

  /** The next step will not come to its end. */
  arm(end: 'crash' | 'pause'): void {
    if (this.running && !this.paused) this.armed = end;
  }

  /** The hybrid clock; null while there is no process. */
  get clock(): number | null {
    return this.core?.inspect().clock ?? null;
  }

  /** What the core says of itself; throws while there is no process. */
  get inspection(): Inspection {
    if (this.core === null) throw new Error(`r${this.id} does not run`);
    return this.core.inspect();
  }

  get order(): HashedOrderMachine {
    return this.machine;
  }

  /** A read point, and nothing is looked at. Returns how to give up. */
  askReadPoint(answer: (readPoint: number) => void): () => void {
    const id = QUESTIONS_FROM + ++this.questionCount;
    this.questions.set(id, answer);
    this.deliver({ type: 'heartbeat', id });
    return () => {
      this.questions.delete(id);
    };
  }

  /** Everything released so far, for a checkpoint. */
  get snapshot(): readonly Uint8Array[] {
    return [...this.machine.snapshot()];
  }

  /** Entries at or below these marks have left the log. */
  trimmed(bases: readonly Mark[]): void {
    this.deliver({ type: 'trimmed', bases });
  }

  /** Its memory is damaged: the state of the order is not what was released, where no client looks. */
  drift(): void {
    if (!this.running || this.lastExecuted === 0) return;
    this.drifted = true;
    this.p.trace.note('drift', this.id, this.executed);
    const nobody = { writer: null, matchSeqNum: null, fencingToken: null };
    this.machine.apply({ stream: 'nobody', recordCount: 1, ...nobody }, this.lastExecuted);
  }

  /** Of everything executed in this life. */
  get machineHash(): string {
    return this.machine.hash();
  }

  /** Of the disk, by what is left on it (S3). */
  tellSpace(space: Space): void {
    if (space === this.room.space) return;
    this.p.trace.note('space', this.id, ['none', 'low', 'ample'].indexOf(space));
    this.room.space = space;
    if (this.p.options.bug !== 'space-untold') this.deliver({ type: 'space', space });
  }

  disarm(): void {
    this.armed = null;
  }

  receive(from: ReplicaId, packet: Packet<Content>): void {
    this.p.trace.note('receive', this.id, from, packet.status.version);
    this.deliver({ type: 'packet', from, packet });
  }

  disconnected(peer: ReplicaId): void {
    this.deliver({ type: 'disconnected', peer });
  }

  connected(peer: ReplicaId): void {
    this.deliver({ type: 'connected', peer });
  }

  submit(attempt: Attempt): void {
    this.p.checkers.submitted(this.id, attempt);
    this.deliver({ type: 'append', appends: [attempt] });
  }

  /** What sessions of its own process have taken goes with the next step. */
  wake(): void {
    this.deliver({ type: 'append', appends: [] });
  }

  read(session: Session, read: Read): void {
    this.p.checkers.session.readInvoked(read);
    this.reads.set(read.id, { read, session, readPoint: null });
    const { bug } = this.p.options;
    if (bug === 'read-point-own') this.answerReads([{ id: read.id, readPoint: this.watermark }]);
    else if (bug === 'read-point-reused' && this.lastReadPoint > 0) {
      this.answerReads([{ id: read.id, readPoint: this.lastReadPoint }]);
    } else this.deliver({ type: 'heartbeat', id: read.id });
  }

  private tick(): void {
    // Any step sees to everything that is due: a tick is for who has had none for so long.
    const idle = this.p.scheduler.now - this.steppedAt >= this.p.options.tick / 2;
    // A process that stands still does not collect ticks.
    if (idle && !this.paused) this.deliver({ type: 'tick' });
    if (!this.paused && this.left === null) this.house.look();
  }

  private deliver(input: Input<Content, Attempt>): void {
    if (!this.running) return;
    if (this.p.options.turn === 0 && !this.paused && this.inbox.length === 0) {
      this.step([input]);
      return;
    }
    this.inbox.push(input);
    this.planTurn();
  }

  private planTurn(): void {
    if (this.turnPlanned || this.paused || this.inbox.length === 0) return;
    const { turn } = this.p.options;
    if (turn === 0) {
      this.turn();
      return;
    }
    this.turnPlanned = true;
    this.turnLife = this.life;
    this.p.scheduler.after(this.p.prng.below(turn), this.plannedTurn);
  }

  /** Made once: there are some hundred a second. */
  private readonly plannedTurn = (): void => {
    this.turnPlanned = false;
    if (this.turnLife === this.life && !this.paused) this.turn();
    else this.planTurn();
  };

  private turn(): void {
    if (!this.running || this.inbox.length === 0) return;
    const inputs = this.inbox;
    this.inbox = [];
    this.step(inputs);
  }

  private step(inputs: readonly Input<Content, Attempt>[]): void {
    const { core } = this;
    if (core === null) return;
    this.steps++;
    const now = this.p.scheduler.now;
    this.steppedAt = now;
    const appends = this.side?.taken() ?? [];
    const all = appends.length === 0 ? inputs : [...inputs, { type: 'append', appends } as const];
    const effects = core.step(all, this.clocks.monotonic(now), this.clocks.wall(now));
    this.p.trace.note(
      'step',
      this.id,
      inputs.length,
      effects.writes.length,
      effects.packets.length,
      effects.watermark,
    );
    this.p.checkers.stepped(this.id, effects, core);
    this.room.stepped();
    this.perform(effects, 0);
  }

  /** The instructions of a step, in order; may end in the middle. */
  private perform(effects: Effects<Content, Attempt>, from: number): void {
    const { armed } = this;
    const total =
      effects.writes.length +
      effects.packets.length +
      effects.acknowledged.length +
      effects.refused.length +
      effects.readPoints.length +
      effects.released.length +
      2;
    if (total === 2 && from === 0) {
      this.showWatermark(effects.watermark);
      return;
    }
    // A step without consequences is no place to die: wait for one that has some.
    let stop = Infinity;
    if (armed !== null) {
      this.armed = null;
      stop = from + this.p.prng.below(total - from + 1);
    }
    this.performSome(effects, from, stop);
    if (stop === Infinity) return;
    this.abandoned++;
    if (armed === 'crash') this.crash();
    else {
      this.left = { effects, from: stop };
      this.pause();
    }
  }

  private performSome(effects: Effects<Content, Attempt>, from: number, stop: number): void {
    const { writes, packets, acknowledged, refused, readPoints, released } = effects;
    const stretch = new Stretch(from, stop);
    for (const write of writes) if (stretch.due()) this.stage(write);
    if (stretch.due() && writes.length > 0) this.disk.commit(effects.seq);
    for (const { to, packet } of packets) {
      if (!stretch.due()) continue;
      this.p.trace.note(
        'send',
        this.id,
        to,
        packet.feeds.length,
        packet.letters.length,
        packet.status.version,
      );
      if (this.p.trace.print !== null) describePacket(this.p.trace, this.id, to, packet);
      this.p.network.send(this.id, to, packet);
    }
    for (const { entry, appends } of acknowledged) {
      if (!stretch.due()) continue;
      this.p.trace.note('ack', this.id, entry.lane, entry.index, entry.timestamp, appends.length);
      for (const attempt of appends) {
        if (isOfSide(attempt)) this.side?.committed(entry, attempt);
        const early = this.p.options.bug === 'ordered-early';
        if (attempt.operation.ack !== 'QUORUM' && !early) continue;
        if (attempt.session.closed || isOfSide(attempt)) continue;
        this.p.checkers.quorumAnswer(this.id, entry, attempt);
        this.p.answers.appended(attempt, entry.timestamp, null);
      }
    }
    for (const { append, reason } of refused) {
      if (!stretch.due()) continue;
      this.p.trace.note('refuse', this.id, append.operation.id, reason.length);
      this.refuse(append, reason);
    }
    for (const point of readPoints) if (stretch.due()) this.answerReads([point]);
    const reversed = this.p.options.bug === 'release-reordered';
    if (this.p.options.bug === 'watermark-early') this.showWatermark(effects.watermark);
    for (const release of reversed ? [...released].reverse() : released) {
      if (stretch.due()) this.release(release);
    }
    if (stretch.due()) this.showWatermark(effects.watermark);
  }

  private stage(write: Effects<Content, Attempt>['writes'][number]): void {
    noteWrite(this.p.trace, this.id, write);
    this.room.staged(this.id, write);
    // M5, M7: faults.ts puts nothing back that nobody remembers.
    const acts = write.type === 'entry' || write.type === 'promise' || write.type === 'truncate';
    check(!acts || !this.disk.rolledBack, 'forgotten-acts', () => {
      return `r${this.id} stages ${write.type}, and its directory was put back`;
    });
    this.p.checkers.staged(this.id, write);
    this.disk.stage(write);
  }

  /** A refusal ends the session: later answers on it are not heard any more. */
  private refuse(attempt: Attempt, reason: RefusalReason): void {
    this.p.checkers.session.refused(this.id, attempt);
    if (isOfSide(attempt)) this.side?.refused(attempt, reason);
    else if (!attempt.session.closed) this.p.answers.refused(attempt);
  }

  private release(release: Effects<Content, Attempt>['released'][number]): void {
    const { entry, appends } = release;
    const { bug } = this.p.options;
    const content = entry.content ?? [];
    if (bug === 'restart-skips' && this.life > 1 && entry.index === 2) return;
    const count = bug === 'batch-torn' ? Math.min(1, content.length) : content.length;
    const outcomes: Outcome[] = [];
    for (let i = 0; i < count; i++) {
      const attempt = content[i];
      if (attempt === undefined) continue;
      outcomes.push(this.machine.apply(attempt.operation.batch, entry.timestamp));
    }
    this.executed++;
    this.lastExecuted = entry.timestamp;
    this.marks.released(this.executed, entry.timestamp, () => this.machine.hash());
    const number = this.p.checkers.released(this.id, entry, outcomes);
    this.p.trace.note('release', this.id, entry.lane, entry.index, entry.timestamp, number);
    this.side?.released(entry, outcomes);
    if (appends === null) return;
    content.forEach((attempt, i) => {
      const outcome = outcomes[i];
      if (outcome === undefined) return;
      if (isOfSide(attempt)) this.side?.decided(entry, attempt, outcome);
      else if (attempt.operation.ack !== 'ORDERED') return;
      else if (!attempt.session.closed && attempt.acknowledged === 0) {
        this.p.checkers.orderedAnswer(this.id, entry, attempt, outcome);
        this.p.answers.appended(attempt, entry.timestamp, outcome);
      }
    });
  }

  private showWatermark(watermark: Timestamp): void {
    this.watermark = watermark;
    this.p.checkers.session.watermarkShown(this.id, watermark);
    this.side?.watermarkShown(watermark);
    if (this.reads.size === 0) return;
    for (const waiting of this.reads.values()) {
      if (waiting.readPoint !== null && waiting.readPoint <= watermark) this.look(waiting);
    }
  }

  private answerReads(
    points: readonly { readonly id: number; readonly readPoint: number }[],
  ): void {
    for (const { id, readPoint } of points) {
      this.p.trace.note('readPoint', this.id, id, readPoint);
      this.lastReadPoint = readPoint;
      this.questions.get(id)?.(readPoint);
      this.questions.delete(id);
      const waiting = this.reads.get(id);
      if (waiting === undefined) continue;
      waiting.readPoint = readPoint;
      const now = readPoint <= this.watermark || this.p.options.bug === 'read-without-wait';
      if (now) this.look(waiting);
    }
  }

  private look(waiting: WaitingRead): void {
    const { read, session } = waiting;
    this.reads.delete(read.id);
    const stream = this.machine.stream(read.stream);
    const tail = stream === null ? 0 : stream.nextSeqNum;
    const seen = this.p.checkers.readDone(this.id, read, tail);
    this.p.trace.note('read', this.id, read.id, seen, tail);
    if (!session.closed) this.p.answers.read(read, session, this.watermark as Timestamp, tail);
  }
}
