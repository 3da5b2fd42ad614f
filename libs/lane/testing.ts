/**
 * Three lane cores wired back to back on virtual time, for tests: every link, disk and clock is under
 * the test's control, and nothing is random. One turn is a millisecond: what has arrived and what was
 * synced goes into one step per replica. It checks after every step what must never break (one
 * order, no stale read point), and in `settle` what was promised. Searching is the business of the
 * randomized simulation; this replays the one story a test tells.
 */
import { assert, at } from '../values/assert.ts';
import type { Micros, ReplicaId, Timestamp } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
import { LaneCore } from './core.ts';
import { TestDisk } from './testing-disk.ts';
import type { RuleId } from './rules.ts';
import { defaultSettings } from './settings.ts';
import type {
  Append,
  Effects,
  Entry,
  Input,
  LaneSettings,
  Packet,
  RefusalReason,
  Write,
} from './types.ts';

export type Names = readonly string[];

export interface NamedAppend extends Append {
  readonly name: string;
}

/** True time at which every test begins: 2027-01-15 08:00 UTC. */
export const START = 1_800_000_000_000_000;
const TURN = 1_000;

/** Fixed here, so that tuning the defaults does not change what the tests tell. */
const testSettings: LaneSettings = {
  ...defaultSettings,
  beacon: 10_000,
  lazy: 2_000,
  detour: 100_000,
  sealTimeout: 300_000,
  resend: 200_000,
};

export type TrioEvent =
  | { readonly type: 'write'; readonly replica: ReplicaId; readonly write: Write<Names> }
  | {
      readonly type: 'send';
      readonly from: ReplicaId;
      readonly to: ReplicaId;
      readonly packet: Packet<Names>;
    }
  | { readonly type: 'acknowledged'; readonly replica: ReplicaId; readonly entry: Entry<Names> }
  | { readonly type: 'released'; readonly replica: ReplicaId; readonly entry: Entry<Names> }
  | {
      readonly type: 'refused';
      readonly replica: ReplicaId;
      readonly name: string;
      readonly reason: RefusalReason;
    }
  | {
      readonly type: 'readPoint';
      readonly replica: ReplicaId;
      readonly id: number;
      readonly readPoint: Timestamp;
    };

interface Link {
  delayMicros: number;
  cut: boolean;
  /** Messages stay in `onTheWay` until released, however long that takes. */
  held: boolean;
  onTheWay: { readonly arrivesAt: number; readonly packet: Packet<Names> }[];
}

export interface TestReplica {
  readonly id: ReplicaId;
  core: LaneCore<Names, NamedAppend> | null;
  disk: TestDisk;
  inputs: Input<Names, NamedAppend>[];
  /** Microseconds its wall clock is ahead of true time. */
  wallOffset: number;
  /** Stands still: takes nothing, does nothing; what arrives waits. */
  paused: boolean;
  acknowledged: string[];
  refused: { readonly name: string; readonly reason: RefusalReason }[];
  /** In this life of the process. */
  released: string[];
  watermark: number;
}

export class Violation extends Error {
  override readonly name = 'Violation';
}

export class Trio {
  now = 0;
  readonly replicas: readonly TestReplica[];
  /** The one order, as far as any replica has released it. */
  readonly order: { readonly name: string; readonly timestamp: number }[] = [];
  readonly readPoints = new Map<number, number>();
  observe: (event: TrioEvent) => void = () => undefined;
  settings: LaneSettings;
  private readonly broken: ReadonlySet<RuleId>;
  private readonly links: Link[][];
  private readonly acknowledgedAt = new Map<string, number>();
  private highestAcknowledged = 0;
  private readonly asked = new Map<number, number>();
  private lastHeartbeat = 0;

  constructor(options: { settings?: Partial<LaneSettings>; broken?: readonly RuleId[] } = {}) {
    this.settings = { ...testSettings, ...options.settings };
    this.broken = new Set(options.broken);
    this.links = REPLICAS.map(() =>
      REPLICAS.map(() => ({ delayMicros: 5_000, cut: false, held: false, onTheWay: [] })),
    );
    this.replicas = REPLICAS.map((id) => ({
      id,
      core: null,
      disk: new TestDisk(id, true, 1),
      inputs: [],
      wallOffset: 0,
      paused: false,
      acknowledged: [],
      refused: [],
      released: [],
      watermark: 0,
    }));
  }

  /** Three running replicas whose homes have opened their lanes, with a moving watermark. */
  static open(options: ConstructorParameters<typeof Trio>[0] = {}): Trio {
    const trio = new Trio(options);
    for (const id of REPLICAS) trio.start(id);
    trio.until(() => trio.replicas.every(({ watermark }) => watermark > START));
    return trio;
  }

  // ---- processes and disks ----------------------------------------------------------------------

  start(id: ReplicaId): void {
    const replica = this.replica(id);
    assert(replica.core === null, 'runs already');
    replica.core = new LaneCore<Names, NamedAppend>({
      self: id,
      recovered: replica.disk.recovered(),
      assemble: (_header, appends) => ({
        content: appends.map(({ name }) => name),
        bytes: appends.reduce((sum, { bytes }) => sum + bytes, 48),
      }),
      readBack: replica.disk.readBack,
      settings: this.settings,
      broken: this.broken,
    });
    Object.assign(replica, { inputs: [], released: [], watermark: 0, paused: false });
    for (const peer of REPLICAS) {
      if (peer === id) continue;
      replica.inputs.push({ type: 'connected', peer });
      this.replica(peer).inputs.push({ type: 'connected', peer: id });
    }
  }

  /** The process ends; what is not synced is gone but for the first `kept` writes. */
  crash(id: ReplicaId, kept = 0): void {
    const replica = this.replica(id);
    replica.core = null;
    replica.disk.crash(kept);
    for (const from of REPLICAS) if (from !== id) this.link(from, id).onTheWay = [];
  }

  restart(id: ReplicaId): void {
    this.crash(id);
    this.start(id);
  }

  /** The region burns down and gets an empty disk. */
  wipe(id: ReplicaId): void {
    this.anew(id, this.replica(id).disk.incarnation + 1);
  }

  /** The directory is set aside, and the replica begins without one. */
  anew(id: ReplicaId, incarnation: number): void {
    this.crash(id);
    this.replica(id).disk = new TestDisk(id, false, incarnation);
  }

  // ---- links ------------------------------------------------------------------------------------

  /** Nothing gets through in this direction; what is on the way is lost. */
  cut(from: ReplicaId, to: ReplicaId): void {
    Object.assign(this.link(from, to), { cut: true, onTheWay: [] });
  }

  cutBoth(a: ReplicaId, b: ReplicaId): void {
    this.cut(a, b);
    this.cut(b, a);
  }

  mend(from: ReplicaId, to: ReplicaId): void {
    const link = this.link(from, to);
    if (link.cut) this.replica(from).inputs.push({ type: 'connected', peer: to });
    link.cut = false;
  }

  mendBoth(a: ReplicaId, b: ReplicaId): void {
    this.mend(a, b);
    this.mend(b, a);
  }

  /** Everything sent from now on waits, in order, until it is released or dropped. */
  hold(from: ReplicaId, to: ReplicaId): void {
    this.link(from, to).held = true;
  }

  release(from: ReplicaId, to: ReplicaId): void {
    this.link(from, to).held = false;
  }

  /** Takes what waits or is under way on the link, for `inject`. */
  take(from: ReplicaId, to: ReplicaId): Packet<Names>[] {
    const packets = this.link(from, to).onTheWay.map(({ packet }) => packet);
    this.link(from, to).onTheWay = [];
    return packets;
  }

  /** Delivers a message, whenever it was sent. */
  inject(from: ReplicaId, to: ReplicaId, packet: Packet<Names>): void {
    this.replica(to).inputs.push({ type: 'packet', from, packet });
  }

  delay(from: ReplicaId, to: ReplicaId, micros: number): void {
    this.link(from, to).delayMicros = micros;
  }

  // ---- requests ---------------------------------------------------------------------------------

  append(
    id: ReplicaId,
    name: string,
    options: { minTimestamp?: number; bytes?: number; source?: number } = {},
  ): void {
    const { minTimestamp = 0, bytes = 100, source = 0 } = options;
    const appends = [{ name, bytes, minTimestamp, source }];
    this.replica(id).inputs.push({ type: 'append', appends });
  }

  heartbeat(id: ReplicaId): number {
    this.lastHeartbeat += 1;
    this.asked.set(this.lastHeartbeat, this.highestAcknowledged);
    this.replica(id).inputs.push({ type: 'heartbeat', id: this.lastHeartbeat });
    return this.lastHeartbeat;
  }

  // ---- time -------------------------------------------------------------------------------------

  run(millis: number): void {
    for (let turn = 0; turn < millis; turn += 1) this.turn();
  }

  /** Runs until it is so; throws when it does not come true in time. */
  until(condition: () => boolean, millisMax = 5_000): void {
    for (let turn = 0; !condition(); turn += 1) {
      if (turn === millisMax) throw new Violation('waited in vain');
      this.turn();
    }
  }

  acknowledged(name: string): boolean {
    return this.acknowledgedAt.has(name);
  }

  releasedBy(id: ReplicaId, name: string): boolean {
    return this.replica(id).released.includes(name);
  }

  /** Everything is mended and running; then all that was promised must hold on all three. */
  settle(): void {
    for (const from of REPLICAS) {
      for (const to of REPLICAS) {
        if (from === to) continue;
        this.release(from, to);
        this.mend(from, to);
      }
      this.replica(from).paused = false;
      this.replica(from).disk.held = false;
      if (this.replica(from).core === null) this.start(from);
    }
    this.run(1_000);
    const since = Math.max(START + this.now, ...this.replicas.map((it) => it.watermark));
    this.until(() => this.replicas.every((it) => it.watermark > since));
    const names = this.order.map(({ name }) => name);
    for (const name of this.acknowledgedAt.keys()) {
      if (!names.includes(name)) throw new Violation(`${name} was acknowledged and is lost`);
    }
    if (new Set(names).size < names.length) throw new Violation(`doubled: ${names.join(' ')}`);
    for (const { refused } of this.replicas) {
      const both = refused.find(({ name }) => names.includes(name));
      if (both !== undefined) throw new Violation(`${both.name} was refused and is there`);
    }
  }

  replica(id: ReplicaId): TestReplica {
    return at(this.replicas, id);
  }

  /** What the replica thinks of a lane. */
  lane(id: ReplicaId, lane: ReplicaId): ReturnType<LaneCore<Names>['inspect']>['lanes'][number] {
    const { core } = this.replica(id);
    assert(core !== null, 'does not run');
    return at(core.inspect().lanes, lane);
  }

  private turn(): void {
    this.now += TURN;
    for (const replica of this.replicas) {
      for (const from of REPLICAS) this.arrive(from, replica);
      const synced = replica.disk.sync(this.now);
      if (replica.core === null) replica.inputs = [];
      else if (!replica.paused) {
        if (synced > 0) replica.inputs.push({ type: 'persisted', seq: synced });
        this.step(replica, replica.core);
      } else if (synced > 0) replica.inputs.push({ type: 'persisted', seq: synced });
    }
  }

  private arrive(from: ReplicaId, replica: TestReplica): void {
    const link = this.link(from, replica.id);
    if (from === replica.id || link.held) return;
    while (link.onTheWay[0] !== undefined && link.onTheWay[0].arrivesAt <= this.now) {
      const { packet } = link.onTheWay[0];
      link.onTheWay.shift();
      replica.inputs.push({ type: 'packet', from, packet });
    }
  }

  private step(replica: TestReplica, core: LaneCore<Names, NamedAppend>): void {
    const inputs = [...replica.inputs, { type: 'tick' } as const];
    replica.inputs = [];
    const wall = START + this.now + replica.wallOffset;
    const effects = core.step(inputs, this.now as Micros, wall);
    for (const write of effects.writes) this.observe({ type: 'write', replica: replica.id, write });
    replica.disk.write(effects.writes, effects.seq, this.now + TURN);
    for (const { to, packet } of effects.packets) this.send(replica.id, to, packet);
    this.answer(replica, effects);
    this.publish(replica, effects);
  }

  private send(from: ReplicaId, to: ReplicaId, packet: Packet<Names>): void {
    const link = this.link(from, to);
    this.observe({ type: 'send', from, to, packet });
    if (link.cut) return;
    // Entries are copied, as a network copies them: two replicas never share one.
    const feeds = packet.feeds.map((feed) => ({
      ...feed,
      entries: feed.entries.map((entry) => ({ ...entry })),
    }));
    const arrivesAt = this.now + link.delayMicros;
    link.onTheWay.push({ arrivesAt, packet: { ...packet, feeds } });
  }

  private answer(replica: TestReplica, effects: Effects<Names, NamedAppend>): void {
    for (const { entry, appends } of effects.acknowledged) {
      this.observe({ type: 'acknowledged', replica: replica.id, entry });
      this.highestAcknowledged = Math.max(this.highestAcknowledged, entry.timestamp);
      for (const { name } of appends) {
        replica.acknowledged.push(name);
        this.acknowledgedAt.set(name, entry.timestamp);
      }
    }
    for (const { append, reason } of effects.refused) {
      this.observe({ type: 'refused', replica: replica.id, name: append.name, reason });
      replica.refused.push({ name: append.name, reason });
    }
    for (const { id, readPoint } of effects.readPoints) {
      this.observe({ type: 'readPoint', replica: replica.id, id, readPoint });
      this.readPoints.set(id, readPoint);
      if (readPoint < (this.asked.get(id) ?? 0)) {
        throw new Violation(`heartbeat ${String(id)} of ${String(replica.id)} is stale`);
      }
    }
  }

  private publish(replica: TestReplica, effects: Effects<Names, NamedAppend>): void {
    for (const { entry } of effects.released) {
      this.observe({ type: 'released', replica: replica.id, entry });
      const { timestamp } = entry;
      if (timestamp > effects.watermark) throw new Violation('released above the watermark');
      for (const name of entry.content ?? []) {
        const place = replica.released.push(name) - 1;
        const known = this.order[place];
        if (known === undefined) this.order.push({ name, timestamp });
        else if (known.name !== name || known.timestamp !== timestamp) {
          throw new Violation(`${name} released where ${known.name} stands`);
        }
      }
    }
    if (effects.watermark < replica.watermark) throw new Violation('the watermark fell');
    replica.watermark = effects.watermark;
  }

  private link(from: ReplicaId, to: ReplicaId): Link {
    return at(at(this.links, from), to);
  }
}

export const [A, B, C] = [0, 1, 2] as const;
