/**
 * The network between the replicas. Each direction of each pair is a connection of its own, which
 * keeps its order while it lives. It breaks and comes back; then what was under way is lost, comes
 * late, or comes again. Cuts lose, clogs hold back, slowness and lateness delay, and what does not fit
 * through a narrow link queues before it. Nothing tells a sender that a message was lost; it is told
 * when a new connection stands.
 */
import type { Packet } from '../../libs/lane/types.ts';
import { REPLICAS, type ReplicaId } from '../../libs/values/numbers.ts';
import type { Content } from './operations.ts';
import type { NetworkOptions } from './options.ts';
import type { Prng } from './prng.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';
import { Violation } from './violation.ts';

type Message = Packet<Content>;

export interface NetworkUser {
  readonly running: boolean;
  receive(from: ReplicaId, packet: Message): void;
  connected(peer: ReplicaId): void;
  disconnected(peer: ReplicaId): void;
}

/** All of a message but the clients' own objects inside the entries. */
function freeze(packet: Message): void {
  Object.freeze(packet);
  for (const status of [packet.status, packet.relayed]) {
    if (status === null) continue;
    Object.freeze(status);
    Object.freeze(status.hears);
    for (const lane of Object.freeze(status.lanes)) Object.freeze(Object.freeze(lane).tail);
  }
  for (const announcement of Object.freeze(packet.announcements)) Object.freeze(announcement);
  for (const letter of Object.freeze(packet.letters)) Object.freeze(letter.control);
  for (const feed of Object.freeze(packet.feeds)) {
    Object.freeze(feed);
    for (const entry of Object.freeze(feed.entries)) Object.freeze(entry);
  }
}

/** About what a message without entries takes. */
const HEAD_BYTES = 300;
/** What waits longer before a narrow link does not fit into any buffer. */
const QUEUE_MAX = 10_000_000;

function bytesOf(packet: Message): number {
  let bytes = HEAD_BYTES;
  for (const feed of packet.feeds) for (const entry of feed.entries) bytes += entry.bytes;
  return bytes;
}

class Link {
  readonly from: ReplicaId;
  readonly to: ReplicaId;
  readonly delay: number;
  /** Number of faults that cut, or clog, this direction now. */
  cuts = 0;
  clogs = 0;
  slowness = 1;
  /** Microseconds on top of the delay. */
  lateness = 0;
  bytesPerSecond = Infinity;
  /** When the last message sent will have passed the narrow place. */
  freeAt = 0;
  /** Connections so far; messages remember theirs. */
  generation = 0;
  standing = false;
  connecting = false;
  lastArrival = 0;
  held: Message[] = [];
  /** The last messages sent, to be repeated after a reconnect. */
  recent: Message[] = [];

  constructor(from: ReplicaId, to: ReplicaId, delay: number) {
    this.from = from;
    this.to = to;
    this.delay = delay;
  }
}

const RECENT_MAX = 6;
/** A few for each lane, now and then as many again; whoever answers every answer sends more (I23). */
const LETTERS_MAX = 300;

export class Network {
  sent = 0;
  lost = 0;
  /** Of messages that came twice, and that came late from a connection that had ended. */
  repeated = 0;
  haunted = 0;
  private readonly links: Link[][];
  private readonly options: NetworkOptions;
  private readonly scheduler: Scheduler;
  private readonly prng: Prng;
  private readonly trace: Trace;
  private users: readonly NetworkUser[] = [];
  /** After healing nothing is lost, late or repeated any more. */
  private perfect = false;

  constructor(options: NetworkOptions, scheduler: Scheduler, prng: Prng, trace: Trace) {
    this.options = options;
    this.scheduler = scheduler;
    this.prng = prng;
    this.trace = trace;
    this.links = REPLICAS.map((from) =>
      REPLICAS.map((to) => new Link(from, to, options.delay[Math.max(0, from + to - 1)] ?? 0)),
    );
  }

  attach(users: readonly NetworkUser[]): void {
    this.users = users;
  }

  send(from: ReplicaId, to: ReplicaId, packet: Message): void {
    const link = this.link(from, to);
    this.sent++;
    if (packet.letters.length > LETTERS_MAX) {
      throw new Violation(
        'storm',
        `r${from} sends r${to} ${packet.letters.length} letters at once`,
      );
    }
    if (this.options.frozen) freeze(packet);
    if (!link.standing) return;
    if (link.recent.length === RECENT_MAX) link.recent.shift();
    link.recent.push(packet);
    if (link.cuts > 0) return;
    if (link.clogs > 0) {
      link.held.push(packet);
      return;
    }
    if (!this.perfect) {
      if (this.prng.chance(this.options.loss)) {
        this.lost++;
        // A lost message is a hole in a stream; sometimes the connection notices, sometimes the
        // contract "losing is allowed" is taken by its word.
        if (this.prng.chance(0.2)) this.reset(link);
        return;
      }
      if (this.prng.chance(this.options.duplicate)) this.repeat(link, packet);
    }
    this.transmit(link, packet);
  }

  private repeat(link: Link, packet: Message): void {
    this.repeated++;
    this.scheduler.after(this.delayOf(link) + this.prng.magnitude(100, 1_000_000), () => {
      this.deliver(link, packet);
    });
  }

  /** Both ends notice, after a while, and connect again. */
  break(from: ReplicaId, to: ReplicaId): void {
    this.reset(this.link(from, to));
  }

  cut(from: ReplicaId, to: ReplicaId): void {
    const link = this.link(from, to);
    link.cuts++;
    this.noteLink(link, 1);
    if (this.prng.chance(0.5)) this.reset(link);
  }

  mend(from: ReplicaId, to: ReplicaId): void {
    const link = this.link(from, to);
    if (link.cuts === 0) return;
    link.cuts--;
    if (link.cuts === 0) {
      this.noteLink(link, 0);
      this.reset(link);
    }
  }

  clog(from: ReplicaId, to: ReplicaId): void {
    this.link(from, to).clogs++;
    this.noteLink(this.link(from, to), 2);
  }

  unclog(from: ReplicaId, to: ReplicaId): void {
    const link = this.link(from, to);
    if (link.clogs === 0) return;
    link.clogs--;
    if (link.clogs > 0) return;
    this.noteLink(link, 0);
    const held = link.held;
    link.held = [];
    for (const packet of held) this.transmit(link, packet);
  }

  slow(from: ReplicaId, to: ReplicaId, factor: number): void {
    this.link(from, to).slowness = factor;
    this.noteLink(this.link(from, to), factor === 1 ? 0 : 3);
  }

  /** A link so slow that it might as well be cut: by its delay, or by its width. */
  impair(
    from: ReplicaId,
    to: ReplicaId,
    how: { lateness?: number; bytesPerSecond?: number },
  ): void {
    const link = this.link(from, to);
    link.lateness = how.lateness ?? 0;
    link.bytesPerSecond = how.bytesPerSecond ?? Infinity;
    link.freeAt = 0;
    const well = link.lateness === 0 && link.bytesPerSecond === Infinity;
    this.noteLink(link, well ? 0 : 3);
    // What still queues would keep the link slow long after.
    if (well) this.reset(link);
  }

  /** The process at this end is gone, with all its connections. */
  disconnect(replica: ReplicaId): void {
    for (const peer of REPLICAS) {
      if (peer === replica) continue;
      this.reset(this.link(replica, peer));
      this.reset(this.link(peer, replica));
    }
  }

  /** A process has started: connect. */
  join(replica: ReplicaId): void {
    for (const peer of REPLICAS) {
      if (peer === replica) continue;
      this.reconnect(this.link(replica, peer));
      this.reconnect(this.link(peer, replica));
    }
  }

  heal(): void {
    this.perfect = true;
    for (const row of this.links) {
      for (const link of row) {
        if (link.from === link.to) continue;
        link.cuts = 0;
        link.slowness = 1;
        link.lateness = 0;
        link.bytesPerSecond = Infinity;
        while (link.clogs > 0) this.unclog(link.from, link.to);
        this.reset(link);
      }
    }
  }

  /** Can both directions carry something now? */
  joined(a: ReplicaId, b: ReplicaId): boolean {
    return this.open(this.link(a, b)) && this.open(this.link(b, a));
  }

  private open(link: Link): boolean {
    const slow = link.slowness >= 5 || link.lateness > 0 || link.bytesPerSecond < Infinity;
    return link.cuts === 0 && link.clogs === 0 && !slow;
  }

  private transmit(link: Link, packet: Message): void {
    // Order holds within a connection: nothing overtakes.
    const { now } = this.scheduler;
    let passed = now;
    if (link.bytesPerSecond < Infinity) {
      const micros = Math.ceil((bytesOf(packet) * 1e6) / link.bytesPerSecond);
      passed = Math.max(now, link.freeAt) + micros;
      if (passed - now > QUEUE_MAX) return;
      link.freeAt = passed;
    }
    link.lastArrival = Math.max(passed + this.delayOf(link), link.lastArrival + 1);
    const generation = link.generation;
    this.scheduler.at(link.lastArrival, () => {
      if (generation === link.generation) this.deliver(link, packet);
      else this.maybeHaunt(link, packet);
    });
  }

  /** What a broken connection carried is lost, or arrives late. */
  private maybeHaunt(link: Link, packet: Message): void {
    if (!this.prng.chance(this.options.ghost)) return;
    this.haunted++;
    this.scheduler.after(this.prng.magnitude(100, 2_000_000), () => {
      this.deliver(link, packet);
    });
  }

  private deliver(link: Link, packet: Message): void {
    if (link.cuts > 0) return;
    if (link.clogs > 0) {
      link.held.push(packet);
      return;
    }
    const user = this.users[link.to];
    if (user?.running === true) user.receive(link.from, packet);
  }

  private reset(link: Link): void {
    link.generation++;
    link.standing = false;
    for (const packet of link.held.splice(0)) this.maybeHaunt(link, packet);
    link.lastArrival = 0;
    this.notice(link);
    this.reconnect(link);
  }

  /** The hearing end usually sees that the connection has ended, unless it is cut off from that too. */
  private notice(link: Link): void {
    if (link.cuts > 0 || this.prng.chance(0.2)) return;
    this.scheduler.after(link.delay + this.prng.magnitude(100, 20_000), () => {
      const user = this.users[link.to];
      if (user?.running === true && !link.standing) user.disconnected(link.from);
    });
  }

  private reconnect(link: Link): void {
    if (link.connecting) return;
    link.connecting = true;
    const wait = this.perfect ? 10_000 : this.prng.magnitude(500, 300_000);
    this.scheduler.after(wait + 2 * link.delay, () => {
      link.connecting = false;
      const from = this.users[link.from];
      const to = this.users[link.to];
      // The end that is missing will call when it is there; a cut link when it is mended.
      if (from?.running !== true || to?.running !== true || link.cuts > 0 || link.standing) return;
      link.standing = true;
      link.generation++;
      this.trace.note('connected', link.from, link.to);
      this.replay(link);
      from.connected(link.to);
    });
  }

  private replay(link: Link): void {
    const old = link.recent;
    link.recent = [];
    if (this.perfect) return;
    for (const packet of old) {
      if (!this.prng.chance(this.options.duplicate)) continue;
      this.scheduler.after(this.prng.magnitude(100, 3_000_000), () => {
        this.deliver(link, packet);
      });
    }
  }

  private delayOf(link: Link): number {
    const delay = (link.delay + this.prng.below(this.options.jitter + 1)) * link.slowness;
    return Math.floor(delay) + link.lateness;
  }

  private noteLink(link: Link, state: number): void {
    this.trace.note('link', link.from, link.to, state, link.slowness);
  }

  private link(from: ReplicaId, to: ReplicaId): Link {
    const link = this.links[from]?.[to];
    if (link === undefined || from === to) throw new RangeError(`no link ${from} to ${to}`);
    return link;
  }
}
