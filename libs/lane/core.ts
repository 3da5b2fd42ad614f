/**
 * The lane core: the protocol of one replica of one instance, without I/O (SPEC.md). `step` takes
 * what happened and returns what to do; types.ts is the contract with the driver. This file owns the
 * order of things inside a step; each part's rules stand in the part.
 */
import { assert, at } from '../values/assert.ts';
import type { Epoch, Index, LaneId, Micros, PerReplica } from '../values/numbers.ts';
import type { ReplicaId, Timestamp } from '../values/numbers.ts';
import { perReplica } from '../values/numbers.ts';
import { checkpointOf, peerAhead, persistedTimestamp, trimLanes } from './checkpoints.ts';
import { Clock } from './clock.ts';
import { claimIn, others, type Context } from './context.ts';
import { Hearing } from './hearing.ts';
import { Heartbeats } from './heartbeat.ts';
import { Home } from './home.ts';
import { inspectLane, inspectPeer, type Inspection, type LaneView } from './inspect.ts';
import { Lane } from './lane.ts';
import { Lives } from './lives.ts';
import { Post } from './post.ts';
import { Recovery } from './recovery.ts';
import { Release } from './release.ts';
import { Standing } from './standing.ts';
import type {
  Append,
  Control,
  CoreCheckpoint,
  Effects,
  Entry,
  Input,
  LaneOptions,
  Letter,
  Mark,
  Packet,
  Status,
  Write,
} from './types.ts';
import {
  adopt,
  answerFetch,
  answerPrepare,
  becomePreparing,
  handleFetchMismatch,
  handlePromise,
  pursue,
} from './writer.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly (infer E)[] ? E[] : T[K] };

export class LaneCore<Content, A extends Append = Append> {
  private readonly context: Context<Content, A>;
  private readonly clock: Clock;
  private readonly lanes: PerReplica<Lane<Content, A>>;
  private readonly home: Home<Content, A>;
  private readonly lives: Lives<Content, A>;
  private readonly standing: Standing<Content, A>;
  private readonly hearing: Hearing<Content, A>;
  private readonly heartbeats: Heartbeats<Content, A>;
  private readonly recovery: Recovery<Content, A>;
  private readonly post: Post<Content, A>;
  private readonly order: Release<Content, A>;
  /** Was this replica the lane's writer at the end of the last step? */
  private readonly wrote = perReplica<boolean>(() => false);
  private readonly unanswered: { lane: Lane<Content, A>; epoch: Epoch }[] = [];
  private writes: Write<Content>[] = [];
  private issued = 0;
  private persistedTo = 0;
  private steppedAt: number | null = null;
  private preparedAt = -Infinity;

  constructor(options: LaneOptions<Content, A>) {
    const { self, recovered, settings } = options;
    const broken = options.broken ?? new Set();
    const { reservation } = recovered;
    const unreserved = broken.has('T1-no-reservation');
    this.clock = new Clock({ clockErrorMeasured: false, ...settings, reservation, unreserved });
    this.context = {
      self,
      settings,
      clock: this.clock,
      broken,
      assemble: options.assemble,
      now: 0 as Micros,
      space: 'ample',
      write: (write) => {
        this.writes.push(write);
        return this.issued + 1;
      },
      letter: (to, control) => {
        this.post.letter({ from: self, to, control }, this.hearing.hop(to));
      },
      wake: (peer) => {
        this.post.wake(peer);
      },
      nudge: () => {
        this.post.nudge();
      },
    };
    this.lanes = perReplica((id) => {
      const start = at(recovered.lanes, id);
      const readBack = (index: Index): Entry<Content> | null => options.readBack(id, index);
      return new Lane<Content, A>(this.context, id, start.promised, start, readBack);
    });
    this.clock.raise(recovered.watermark);
    for (const lane of this.lanes) {
      this.clock.raise(lane.log.timestampAt(lane.log.last));
      lane.onRemoved = (entries) => {
        this.home.removed(lane, entries);
      };
    }
    this.home = new Home(this.context);
    this.order = new Release(this.context, this.lanes, this.home, recovered.watermark);
    this.lives = new Lives(this.context, recovered);
    this.hearing = new Hearing(this.context, this.lives);
    this.heartbeats = new Heartbeats(this.context);
    const { incarnation, voting } = recovered;
    this.recovery = new Recovery(this.context, this.lanes, incarnation, voting);
    this.standing = new Standing(self, recovered, this.lives, this.recovery, broken);
    this.post = new Post(this.context, this.lanes, this.hearing);
  }

  /** `now`: monotonic clock, never less than before; `wall`: microseconds since 1970, anything. */
  step(inputs: readonly Input<Content, A>[], now: Micros, wall: number): Effects<Content, A> {
    assert(this.steppedAt === null || now >= this.steppedAt, 'the monotonic clock went back');
    const effects: Mutable<Effects<Content, A>> = {
      writes: [],
      seq: this.issued,
      packets: [],
      acknowledged: [],
      released: [],
      watermark: 0 as Timestamp,
      readPoints: [],
      refused: [],
    };
    this.context.now = now;
    this.clock.advance(now, wall);
    this.standing.begin();
    this.forgiveOwnStall(now);
    // What has left the log is read by nothing that follows, whatever came first.
    for (const input of inputs) if (input.type === 'trimmed') trimLanes(this.lanes, input.bases);
    for (const input of inputs) this.handle(input, effects);
    this.hearing.judge();
    this.pursueRoles(effects);
    this.stamp(effects);
    this.reserve();
    this.order.run(effects);
    if (this.writes.length > 0) {
      this.issued += 1;
      effects.writes = this.writes;
      this.writes = [];
    }
    effects.seq = this.issued;
    const speaks = this.standing.speaks(this.persistedTo);
    effects.packets = speaks ? this.post.packets(this.statement, now, wall) : [];
    return effects;
  }

  /** M4: peers know more of this replica than its disk does; see `Standing.voided`. */
  get voided(): number | null {
    return this.standing.voided;
  }

  /** Something is due with time alone, and soon; all else has at least half of `beacon`. */
  get hurries(): boolean {
    return this.post.hasNews || this.home.waitsForClock;
  }

  /** The replica through which this one exchanges something with the third; null: nothing. */
  forwardedVia(): ReplicaId | null {
    return this.hearing.forwardedVia();
  }

  /** What a checkpoint of everything released so far says of the lanes (C1). */
  checkpoint(): CoreCheckpoint {
    return checkpointOf(this.lanes, this.order.watermark);
  }

  /** A peer whose checkpoint this replica needs, because its log begins behind the end of ours (C3). */
  behind(): ReplicaId | null {
    return peerAhead(this.context, this.lanes, this.hearing);
  }

  /** Both others were heard of as voters, and are heard: a recovery from them would come to its end. */
  othersVote(): boolean {
    return others(this.context.self).every((peer) => {
      return this.hearing.statuses[peer]?.voting === true && this.hearing.hears(peer);
    });
  }

  /** The log of the lane holds this position, on disk (C3). */
  holds(lane: LaneId, mark: Mark): boolean {
    const { log } = this.lanes[lane];
    return mark.index <= log.synced && log.has(mark);
  }

  inspect(): Inspection {
    return {
      watermark: this.order.watermark,
      clock: this.clock.last as Timestamp,
      reservation: this.clock.reserved as Timestamp,
      clockSafe: this.clock.safe,
      voting: this.recovery.voting,
      hears: this.hearing.hearsMask(),
      peers: others(this.context.self).map((replica) =>
        inspectPeer(this.context.self, replica, this.hearing, this.clock),
      ),
      lanes: this.lanes.map(inspectLane),
      queued: this.home.waitingToBeStamped,
      inflightBytes: this.home.stampedBytes,
      fedBytes: this.post.unconfirmedBytes,
    };
  }

  /** Of `inspect`, what may be asked for after every step: nothing is made for it. */
  view(lane: LaneId): LaneView {
    return this.lanes[lane];
  }

  private handle(input: Input<Content, A>, effects: Mutable<Effects<Content, A>>): void {
    switch (input.type) {
      case 'append':
        if (!this.recovery.voting) {
          for (const append of input.appends) {
            effects.refused.push({ append, reason: 'RECOVERING' });
          }
        } else this.home.enqueue(input.appends, effects.refused);
        return;
      case 'packet':
        this.handlePacket(input.from, input.packet, effects);
        return;
      case 'persisted':
        this.handlePersisted(input.seq);
        return;
      case 'connected':
        this.post.reconnect(input.peer);
        return;
      case 'clockError':
        this.clock.measured(input.micros);
        return;
      case 'space':
        this.context.space = input.space;
        return;
      case 'disconnected':
        this.hearing.disconnected(input.peer);
        return;
      case 'heartbeat':
        this.heartbeats.ask(input.id);
        return;
      case 'trimmed':
      case 'tick':
        return;
    }
  }

  private handlePersisted(seq: number): void {
    assert(seq <= this.issued, 'persisted what was never written');
    this.persistedTo = Math.max(this.persistedTo, seq);
    this.clock.persisted(seq);
    for (const lane of this.lanes) lane.persisted(seq);
    if (this.recovery.persisted(seq)) this.forgiveAll();
    this.answerPrepares();
  }

  private handlePacket(
    from: ReplicaId,
    packet: Packet<Content>,
    effects: Mutable<Effects<Content, A>>,
  ): void {
    this.noteStatus(packet.status);
    if (!this.lives.believes(packet.status)) {
      this.lives.refuse(packet.status);
      return;
    }
    this.lives.heard(from, packet.clock);
    this.hearing.arrived(from, packet);
    if (packet.relayed !== null) {
      this.noteStatus(packet.relayed);
      // What is merely of an earlier life has been passed on late.
      if (this.lives.isVoid(packet.relayed.replica)) this.lives.refuse(packet.relayed);
    }
    this.clock.hear(from, packet.clock);
    for (const feed of packet.feeds) {
      const lane = this.lanes[feed.lane];
      if (!this.recovery.voting) this.recovery.handleFeed(feed);
      else if (!this.standing.acts) continue;
      else if (feed.adoption) adopt(this.context, lane, from, feed);
      else lane.follow(feed, from);
    }
    if (this.standing.acts) {
      for (const announcement of packet.announcements) {
        this.lanes[announcement.lane].hear(announcement);
      }
    }
    for (const letter of packet.letters) {
      if (letter.to === this.context.self) this.handleLetter(letter, effects);
      else if (letter.from === from) this.post.letter(letter, letter.to);
    }
  }

  /** A replica's word about itself: facts (L1, O3), and whether somebody promised a higher epoch. */
  private noteStatus(status: Status): void {
    const { replica } = status;
    const before = this.lives.incarnationOf(replica);
    const isNews = this.hearing.note(status);
    if (!isNews) return;
    if (this.lives.incarnationOf(replica) !== before) this.forgetFacts(replica);
    this.post.relay(status);
    if (!status.voting) return;
    this.standing.confirm(status);
    for (const lane of this.lanes) {
      const theirs = claimIn(status, lane.id);
      lane.facts.learn(replica, theirs);
      if (theirs.promised > lane.seen) lane.seen = theirs.promised;
    }
  }

  private forgetFacts(replica: ReplicaId): void {
    if (this.context.broken.has('recover-old-facts')) return;
    for (const lane of this.lanes) lane.facts.forget(replica);
  }

  private handleLetter(letter: Letter, effects: Mutable<Effects<Content, A>>): void {
    const { from, control } = letter;
    if (this.lives.isVoid(from)) return;
    if (control.type === 'void') this.handleVoid(control, effects);
    else if (control.type === 'recoverAnswer') this.recovery.handleAnswer(from, control);
    else if (control.type === 'mismatch') this.handleMismatch(from, control);
    else if (this.standing.acts) this.handleVotersLetter(from, control, effects);
  }

  private handleVoid(
    control: Extract<Control, { type: 'void' }>,
    effects: Mutable<Effects<Content, A>>,
  ): void {
    if (!this.standing.handleVoid(control)) return;
    this.unanswered.length = 0;
    for (const lane of this.lanes) lane.role = { name: 'follower' };
    this.home.refuseQueue('RECOVERING', effects.refused);
  }

  private handleMismatch(from: ReplicaId, control: Extract<Control, { type: 'mismatch' }>): void {
    const lane = this.lanes[control.lane];
    if (!this.recovery.voting) this.recovery.handleMismatch(from, lane.id, control.resume);
    else if (!this.standing.acts || control.epoch !== lane.promised) return;
    else if (lane.role.name === 'adopting') {
      handleFetchMismatch(this.context, lane, from, control.resume);
    } else this.post.mismatch(from, lane.id, control.resume);
  }

  private handleVotersLetter(
    from: ReplicaId,
    control: Exclude<Control, { type: 'recoverAnswer' | 'mismatch' | 'void' }>,
    effects: Mutable<Effects<Content, A>>,
  ): void {
    const { context } = this;
    switch (control.type) {
      case 'prepare': {
        const lane = this.lanes[control.lane];
        lane.seen = Math.max(lane.seen, control.epoch) as Epoch;
        if (control.epoch > lane.promised) lane.promise(control.epoch);
        else if (control.epoch === lane.promised) lane.heardAt = context.now;
        this.unanswered.push({ lane, epoch: control.epoch });
        this.answerPrepares();
        return;
      }
      case 'promise': {
        const lane = this.lanes[control.lane];
        handlePromise(context, lane, from, control, this.hearing.hears(from));
        return;
      }
      case 'ask': {
        const { lane, epoch, nonce } = control;
        const hears = this.hearing.answer(this.lanes[lane], epoch);
        context.letter(from, { type: 'answer', lane, epoch, nonce, hears });
        return;
      }
      case 'answer': {
        const lane = this.lanes[control.lane];
        if (this.hearing.handleAnswer(lane, control.nonce, control.hears)) this.seal(lane);
        return;
      }
      case 'fetch': {
        const lane = this.lanes[control.lane];
        const feed = answerFetch(context, lane, from, control.epoch, control.after);
        if (feed !== null) this.post.feed(from, feed);
        return;
      }
      case 'heartbeat':
        this.heartbeats.answer(from, control.round, persistedTimestamp(this.lanes));
        return;
      case 'heartbeatAnswer':
        this.heartbeats.handleAnswer(
          control.round,
          control.persisted,
          persistedTimestamp(this.lanes),
          effects.readPoints,
        );
        return;
      case 'recover': {
        if (this.lives.noteIncarnation(from, control.incarnation)) {
          this.hearing.forget(from);
          this.forgetFacts(from);
        }
        // The question comes again; it is answered once the old incarnation is void on disk.
        const settled = this.lives.incarnationsWritten <= this.persistedTo;
        if (settled) this.recovery.answer(from, control.nonce);
        return;
      }
    }
  }

  private answerPrepares(): void {
    if (this.unanswered.length === 0) return;
    const waiting = this.unanswered.splice(0);
    for (const { lane, epoch } of waiting) {
      if (!answerPrepare(this.context, lane, epoch)) this.unanswered.push({ lane, epoch });
    }
  }

  /** Opens the own lane, seals silent ones, steps down where somebody went higher. */
  private pursueRoles(effects: Mutable<Effects<Content, A>>): void {
    this.recovery.pursue();
    if (!this.standing.acts) return;
    for (const lane of this.lanes) {
      if (lane.seen > lane.promised) this.stepDown(lane);
      if (lane.role.name === 'follower') {
        if (lane.id === this.context.self) this.open(lane);
        // Without room for the tail it would have to adopt, it leaves the seal to the other one (§10).
        else if (this.context.space !== 'none' && this.hearing.maySeal(lane)) this.seal(lane);
      }
      pursue(this.context, lane);
      const opened = lane.id === this.context.self && !this.wrote[lane.id] && lane.isWriting();
      if (opened && this.context.broken.has('L6-append-again')) this.home.appendAgain(lane);
      this.wrote[lane.id] = lane.isWriting();
    }
    if (this.context.broken.has('heartbeat-alone')) {
      this.heartbeats.answerAlone(persistedTimestamp(this.lanes), effects.readPoints);
    }
    this.heartbeats.pursue();
  }

  private stepDown(lane: Lane<Content, A>): void {
    if (lane.role.name === 'follower') return;
    lane.role = { name: 'follower' };
    lane.heardAt = this.context.now;
  }

  private open(lane: Lane<Content, A>): void {
    const { now, settings } = this.context;
    // A home that returns learns of its seal after its first try: it need not wait long for the next.
    if (now < this.preparedAt + settings.resend / 4) return;
    this.preparedAt = now;
    becomePreparing(this.context, lane);
  }

  private seal(lane: Lane<Content, A>): void {
    if (lane.role.name === 'follower') becomePreparing(this.context, lane);
  }

  private stamp(effects: Mutable<Effects<Content, A>>): void {
    const own = this.lanes[this.context.self];
    if (!this.clock.safe) this.home.refuseQueue('CLOCK_UNSAFE', effects.refused);
    this.home.refuseForSpace(effects.refused);
    if (own.role.name === 'writing') {
      if (this.home.waitingToBeStamped > 0) this.home.stamp(own, this.post.windowBytes(own.id));
    } else if (this.context.broken.has('L6-refuse-on-seal')) {
      this.home.refuseInflight(effects.refused);
    }
    if (this.context.broken.has('L5-sealer-appends')) {
      for (const lane of this.lanes) {
        if (lane !== own && lane.isWriting()) this.home.stamp(lane, Infinity);
      }
    }
  }

  private reserve(): void {
    const timestamp = this.clock.reservation(this.issued + 1);
    if (timestamp === null) return;
    this.context.write({ type: 'reserve', timestamp });
    this.lives.writeClocks();
  }

  private readonly statement = (version: number): Status => {
    const { hearing, lanes } = this;
    const claims = perReplica((id) => lanes[id].status(hearing.feederFor(lanes[id].writer)));
    return this.standing.statement(version, hearing.hearsMask(), claims);
  };

  /** A replica that was itself paused knows nothing of the others' silence (L7). */
  private forgiveOwnStall(now: Micros): void {
    const stalled =
      this.steppedAt === null || now - this.steppedAt > this.context.settings.sealTimeout / 2;
    this.steppedAt = now;
    if (stalled) this.forgiveAll();
  }

  private forgiveAll(): void {
    for (const lane of this.lanes) lane.heardAt = this.context.now;
    this.hearing.forgive();
  }
}
