/**
 * Who hears whom (design §9, L7). A peer is heard when something arrived from it directly a moment
 * ago, and not much later than through the third; a lane's writer is heard when its word advanced, by
 * whatever path. Nobody is declared dead here: silence only chooses paths and starts questions.
 */
import type { Micros, PerReplica, ReplicaId } from '../values/numbers.ts';
import { perReplica } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { others, third } from './context.ts';
import { Freshness } from './freshness.ts';
import type { Lane } from './lane.ts';
import type { Lives } from './lives.ts';
import type { Append, Control, Packet, Status } from './types.ts';

interface PeerEars {
  heardAt: number;
  /** Since when it has been heard without a pause. */
  since: number;
  lastSentAt: number | null;
  lastArrivedAt: number;
  roundTrip: number | null;
  /** Least round trip ever: what is above it, packets waited behind others. */
  roundTripMin: number;
  readonly freshness: Freshness;
  /** Its connection has ended, and nothing has come since. */
  ended: boolean;
}

interface Question {
  readonly nonce: number;
  readonly epoch: number;
  readonly askedAt: number;
  /** Somebody hears the writer; further answers to this question do not count. */
  answered: boolean;
}

export class Hearing<Content, A extends Append> {
  /** Newest statement of each replica. */
  readonly statuses = perReplica<Status | null>(() => null);
  private readonly context: Context<Content, A>;
  private readonly ears: PerReplica<PeerEars>;
  private readonly questions = perReplica<Question | null>(() => null);
  /** Writers whose lanes come through the third replica at present. */
  private readonly detours = perReplica<boolean>(() => false);
  /** When the first packet of this life left. */
  private spokeAt = Infinity;
  private nonce: number;
  private readonly lives: Lives<Content, A>;

  constructor(context: Context<Content, A>, lives: Lives<Content, A>) {
    this.context = context;
    this.lives = lives;
    this.nonce = context.clock.reserved;
    this.ears = perReplica(() => ({
      heardAt: -Infinity,
      since: -Infinity,
      lastSentAt: null,
      lastArrivedAt: 0,
      roundTrip: null,
      roundTripMin: Infinity,
      freshness: new Freshness(context.settings),
      ended: false,
    }));
  }

  arrived(from: ReplicaId, packet: Packet<Content>): void {
    const { now, settings, clock } = this.context;
    const ears = this.ears[from];
    if (now - ears.heardAt > settings.detour) ears.since = now;
    ears.heardAt = now;
    ears.lastSentAt = packet.sentAt;
    ears.lastArrivedAt = now;
    ears.ended = false;
    const { incarnation, version } = packet.status;
    ears.freshness.arrived(incarnation, version);
    const far = third(this.context.self, from);
    this.ears[far].freshness.compare(packet.heardThird, now);
    // An echo of an earlier life measures nothing: its clock began elsewhere.
    if (packet.echo !== null && packet.echo.sentAt >= this.spokeAt) {
      const roundTrip = now - packet.echo.sentAt - packet.echo.heldMicros;
      if (roundTrip >= 0) {
        ears.roundTrip = roundTrip;
        ears.roundTripMin = Math.min(ears.roundTripMin, roundTrip);
        clock.sample(from, packet.wall, roundTrip);
      }
    }
  }

  /** A killed process is known by its broken connections long before its silence is. */
  disconnected(peer: ReplicaId): void {
    this.ears[peer].ended = true;
  }

  /** Directly, and soon enough to be of use. */
  hears(peer: ReplicaId): boolean {
    const slow = this.isSlow(peer) && !this.context.broken.has('slow-is-heard');
    return !this.isSilent(peer) && !slow;
  }

  isSlow(peer: ReplicaId): boolean {
    return this.ears[peer].freshness.slow;
  }

  private isSilent(peer: ReplicaId): boolean {
    return this.context.now - this.ears[peer].heardAt > this.context.settings.detour;
  }

  /** Once a step, when everything that has arrived was taken. */
  judge(): void {
    const { self, now } = this.context;
    for (const peer of others(self)) {
      const { freshness } = this.ears[peer];
      const before = freshness.slow;
      freshness.judge(now, !this.isSilent(peer), !this.isSilent(third(self, peer)));
      if (before === freshness.slow) continue;
      // Both others must hear of it soon: one to forward, the other to stop sending.
      this.ears[peer].since = now;
      for (const other of others(self)) this.context.wake(other);
    }
  }

  /** Newest statement of the third replica that came directly, for `to`; 0 while it is not heard. */
  heardThird(to: ReplicaId): number {
    const far = third(this.context.self, to);
    return this.hears(far) ? this.ears[far].freshness.heard : 0;
  }

  /** Packets to or from the peer wait behind others: more of them at once helps nobody. */
  isCongested(peer: ReplicaId): boolean {
    const { roundTrip, roundTripMin } = this.ears[peer];
    return roundTrip !== null && roundTrip > roundTripMin + this.context.settings.detour / 2;
  }

  /** This replica was paused: how late anything came, it cannot tell. */
  forgive(): void {
    for (const { freshness } of this.ears) freshness.forgive(this.context.now);
  }

  hearsMask(): boolean[] {
    const { self } = this.context;
    const mask = [false, false, false];
    for (const peer of others(self)) mask[peer] = this.hears(peer);
    return mask;
  }

  echo(to: ReplicaId): Packet<Content>['echo'] {
    const ears = this.ears[to];
    this.spokeAt = Math.min(this.spokeAt, this.context.now);
    if (ears.lastSentAt === null) return null;
    return { sentAt: ears.lastSentAt as Micros, heldMicros: this.context.now - ears.lastArrivedAt };
  }

  roundTripOf(peer: ReplicaId): number | null {
    return this.ears[peer].roundTrip;
  }

  /** Keeps the newest statement; false for an old one, one of a lost disk, or of one put back (§7). */
  note(status: Status): boolean {
    const { replica, incarnation } = status;
    if (replica === this.context.self) return false;
    const old = this.statuses[replica];
    this.lives.note(status, old);
    if (!this.lives.believes(status)) return false;
    const isOld = old?.incarnation === incarnation && old.version >= status.version;
    if (isOld) return false;
    this.statuses[replica] = status;
    return true;
  }

  /** Its disk is another one: what it said last is void. */
  forget(replica: ReplicaId): void {
    this.statuses[replica] = null;
  }

  /**
   * From whom this replica wants a lane: the writer, or the third when the direct link is silent.
   * Only silence starts a detour, only a steady link ends it. (A link that is merely young must not
   * start one: when a writer returns, both others would name each other, and nobody would feed.)
   */
  feederFor(writer: ReplicaId | null): ReplicaId {
    const { self, now, settings } = this.context;
    if (writer === null || writer === self) return self;
    const steady = this.hears(writer) && now - this.ears[writer].since >= settings.detour;
    const detour = third(self, writer);
    const passes = this.hears(detour) && this.statuses[detour]?.hears[writer] === true;
    if (steady || !passes) this.detours[writer] = false;
    else if (!this.hears(writer)) this.detours[writer] = true;
    return this.detours[writer] ? detour : writer;
  }

  /** The neighbour through which a letter goes: the addressee itself unless it says it is deaf to us. */
  hop(to: ReplicaId): ReplicaId {
    const { self } = this.context;
    const between = third(self, to);
    const theirs = this.statuses[to];
    const deaf = theirs !== null && theirs.hears[self] !== true;
    const detour = this.statuses[between];
    const passes = theirs?.hears[between] === true && detour?.hears[self] === true;
    return deaf && passes ? between : to;
  }

  /**
   * The neighbour that forwards between this replica and the other one, in one direction at least;
   * null when both are reached directly, and when one of them is away altogether.
   */
  forwardedVia(): ReplicaId | null {
    const { self } = this.context;
    for (const far of others(self)) {
      const near = third(self, far);
      const nearHears = this.statuses[near]?.hears;
      const farHears = this.statuses[far]?.hears;
      if (!this.hears(near) || nearHears === undefined || farHears === undefined) continue;
      const direct = this.hears(far);
      const inbound = !direct && nearHears[far] === true;
      const outbound = farHears[self] !== true && farHears[near] === true;
      if (inbound || (outbound && (direct || nearHears[far] === true))) return near;
    }
    return null;
  }

  /** L7: asks the others before sealing. True once a majority, this replica included, hears nothing. */
  maySeal(lane: Lane<Content, A>): boolean {
    const { context } = this;
    const { settings, now } = context;
    if (now - lane.heardAt <= this.patience(lane)) {
      this.questions[lane.id] = null;
      return false;
    }
    if (context.broken.has('L7-no-asking')) return true;
    const question = this.questions[lane.id];
    const open = question !== null && question.epoch === lane.promised;
    const patience = question?.answered === true ? settings.resend / 4 : settings.resend;
    if (open && now - question.askedAt < patience) return false;
    this.nonce += 1;
    this.questions[lane.id] = {
      nonce: this.nonce,
      epoch: lane.promised,
      askedAt: now,
      answered: false,
    };
    for (const peer of others(context.self)) {
      const control: Control = {
        type: 'ask',
        lane: lane.id,
        epoch: lane.promised,
        nonce: this.nonce,
      };
      context.letter(peer, control);
    }
    return false;
  }

  /**
   * Does this replica hear the writer of the epoch, or a later one? Within `detour`, not only within
   * `sealTimeout`: a writer that lives is heard every beacon, and a question that comes when the dead
   * one's last word is not quite old enough would cost another round.
   */
  answer(lane: Lane<Content, A>, epoch: number): boolean {
    const { context } = this;
    if (lane.promised > epoch || lane.role.name === 'writing') return true;
    return context.now - lane.heardAt <= context.settings.detour;
  }

  /** True when the answer completes a majority that hears nothing. */
  handleAnswer(lane: Lane<Content, A>, nonce: number, hears: boolean): boolean {
    const question = this.questions[lane.id];
    if (question?.nonce !== nonce || question.epoch !== lane.promised) return false;
    if (question.answered) return false;
    if (hears) {
      // It is a link, not a death; ask again soon. This is hearsay and no word of the writer: if it
      // counted as one, two replicas could assure each other for ever that the dead one lives.
      question.answered = true;
      return false;
    }
    this.questions[lane.id] = null;
    return true;
  }

  /**
   * How long the writer may be silent: less when its connection has broken, which is what a killed
   * process looks like; if it was only the connection, the other still hears the writer. The replica
   * after the home goes first, so that two replicas do not duel over one lane.
   */
  private patience(lane: Lane<Content, A>): number {
    const { settings, self } = this.context;
    const { writer } = lane;
    const ended = writer !== null && writer !== self && this.ears[writer].ended;
    const patience = ended ? settings.detour : settings.sealTimeout;
    const first = (lane.id + 1) % 3 === self;
    return first ? patience : patience * 1.5;
  }
}
