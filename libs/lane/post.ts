/**
 * What leaves a replica: one packet per peer and step at most, when somebody waits for it, when news
 * has lain for `lazy`, or when the peer would otherwise hear nothing for `beacon` (design §5, §9).
 */
import type { LaneId, Micros, PerReplica, ReplicaId } from '../values/numbers.ts';
import { perReplica } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { claimIn, others, third } from './context.ts';
import { Feeder } from './feeder.ts';
import type { Hearing } from './hearing.ts';
import type { Lane } from './lane.ts';
import type { Announcement, Append, Effects, Feed, Letter, Packet, Status, Tail } from './types.ts';

interface Box<Content, A extends Append> {
  readonly feeders: PerReplica<Feeder<Content, A>>;
  letters: Letter[];
  adoptions: Feed<Content>[];
  woken: boolean;
  nudged: boolean;
  sentAt: number;
}

export class Post<Content, A extends Append> {
  private readonly context: Context<Content, A>;
  private readonly lanes: PerReplica<Lane<Content, A>>;
  private readonly hearing: Hearing<Content, A>;
  private readonly boxes: PerReplica<Box<Content, A>>;
  private version: number;

  constructor(
    context: Context<Content, A>,
    lanes: PerReplica<Lane<Content, A>>,
    hearing: Hearing<Content, A>,
  ) {
    this.context = context;
    this.lanes = lanes;
    this.hearing = hearing;
    this.version = context.clock.reserved;
    this.boxes = perReplica(() => ({
      feeders: perReplica((lane) => new Feeder(lanes[lane], context.settings)),
      letters: [],
      adoptions: [],
      woken: false,
      nudged: false,
      sentAt: -Infinity,
    }));
  }

  /** Of the lane and peer with the most: sent and not confirmed. */
  get unconfirmedBytes(): number {
    const feeders = this.boxes.flatMap((box) => box.feeders);
    return Math.max(...feeders.map(({ unconfirmedBytes }) => unconfirmedBytes));
  }

  /** Lies until it has lain for `lazy`. */
  get hasNews(): boolean {
    return this.boxes.some(({ nudged }) => nudged);
  }

  /** May be under way of the lane to the peer that takes the most. */
  windowBytes(lane: LaneId): number {
    const [one, other] = others(this.context.self);
    const windowTo = (peer: ReplicaId): number => {
      return this.boxes[peer].feeders[lane].windowBytes;
    };
    return Math.max(windowTo(one), windowTo(other));
  }

  letter(letter: Letter, hop: ReplicaId): void {
    this.boxes[hop].letters.push(letter);
  }

  feed(to: ReplicaId, feed: Feed<Content>): void {
    this.boxes[to].adoptions.push(feed);
  }

  wake(peer: ReplicaId): void {
    this.boxes[peer].woken = true;
  }

  nudge(): void {
    for (const peer of others(this.context.self)) this.boxes[peer].nudged = true;
  }

  reconnect(peer: ReplicaId): void {
    const box = this.boxes[peer];
    for (const feeder of box.feeders) feeder.reconnect(this.context.now);
    box.woken = true;
  }

  mismatch(peer: ReplicaId, lane: LaneId, resume: Tail): void {
    this.boxes[peer].feeders[lane].mismatch(resume, this.context.now);
  }

  /** Somebody's news for a peer that does not hear it directly must not lie here. */
  relay(status: Status): void {
    const to = third(this.context.self, status.replica);
    if (this.hearing.statuses[to]?.hears[status.replica] === false) this.wake(to);
  }

  /** `statement`: what this replica says of itself, asked for only when something leaves. */
  packets(
    statement: (version: number) => Status,
    now: Micros,
    wall: number,
  ): Effects<Content, A>['packets'][number][] {
    const { context } = this;
    const out: Effects<Content, A>['packets'][number][] = [];
    let status: Status | null = null;
    for (const to of others(context.self)) {
      const box = this.boxes[to];
      const feeds = this.feeds(to, box);
      const silence = now - box.sentAt;
      const due =
        box.woken ||
        feeds.length > 0 ||
        box.letters.length > 0 ||
        (box.nudged && silence >= context.settings.lazy) ||
        silence >= context.settings.beacon;
      if (!due) continue;
      status ??= statement(this.nextVersion());
      out.push({ to, packet: this.packet(to, box, feeds, status, now, wall) });
      box.letters = [];
      box.adoptions = [];
      box.woken = false;
      box.nudged = false;
      box.sentAt = now;
    }
    return out;
  }

  /** Above every version of an earlier life: the clock is, because it restarts from its reservation. */
  private nextVersion(): number {
    this.version = Math.max(this.version + 1, this.context.clock.ceiling);
    return this.version;
  }

  private packet(
    to: ReplicaId,
    box: Box<Content, A>,
    feeds: readonly Feed<Content>[],
    status: Status,
    now: Micros,
    wall: number,
  ): Packet<Content> {
    const between = third(this.context.self, to);
    const deaf = this.hearing.statuses[to]?.hears[between] === false;
    return {
      status,
      sentAt: now,
      echo: this.hearing.echo(to),
      wall: Math.floor(wall),
      clock: this.context.clock.ceiling,
      heardThird: this.hearing.heardThird(to),
      announcements: this.announcements(to, deaf ? between : null),
      feeds,
      relayed: deaf ? this.hearing.statuses[between] : null,
      letters: box.letters,
    };
  }

  /** Own words; and the third's, for a peer that does not hear the third. */
  private announcements(to: ReplicaId, deafTo: ReplicaId | null): Announcement[] {
    const out: Announcement[] = [];
    for (const lane of this.lanes) {
      const word = lane.announced;
      if (word?.epoch !== lane.promised) continue;
      if (lane.isWriting()) out.push(word);
      else if (deafTo !== null && lane.writer === deafTo && lane.writer !== to) {
        // One by one, as they are made: copied as a whole they would be of another shape.
        const { epoch, closed, index } = word;
        const age = Math.max(0, this.context.now - lane.heardAt);
        out.push({ lane: lane.id, epoch, closed, index, age });
      }
    }
    return out;
  }

  private feeds(to: ReplicaId, box: Box<Content, A>): readonly Feed<Content>[] {
    const theirs = this.hearing.statuses[to];
    if (theirs?.voting !== true) return box.adoptions;
    const feeds = box.adoptions;
    const congested = this.hearing.isCongested(to);
    for (const lane of this.lanes) {
      const feeder = box.feeders[lane.id];
      if (!this.mayFeed(lane, to, theirs)) {
        feeder.rest();
        continue;
      }
      const feed = feeder.feed(claimIn(theirs, lane.id), this.context.now, congested);
      if (feed !== null) feeds.push(feed);
    }
    return feeds;
  }

  /** The writer, unless the peer asked the third; the third, if asked and its log is the writer's. */
  private mayFeed(lane: Lane<Content, A>, to: ReplicaId, theirs: Status): boolean {
    const { self } = this.context;
    const { feeder } = claimIn(theirs, lane.id);
    if (lane.isWriting()) return feeder !== third(self, to);
    return (
      feeder === self &&
      lane.role.name === 'follower' &&
      lane.writer !== to &&
      lane.promised > 0 &&
      lane.log.lastEpoch === lane.promised
    );
  }
}
