/**
 * One replica of the real core as an automaton. The core is deterministic: its state is a function
 * of its inputs, and copying it would mean to know its insides. So a state is kept as the inputs of
 * the present life on top of the disk it began with, equal states are kept once (canonical.ts), and
 * each input is given to each state once, however many states of the whole system it occurs in.
 */
import { LaneCore } from '../../libs/lane/core.ts';
import { wholeLog } from '../../libs/lane/lane-log.ts';
import type { RuleId } from '../../libs/lane/rules.ts';
import { defaultSettings } from '../../libs/lane/settings.ts';
import type { Append, Effects, Entry, Input, Packet, Write } from '../../libs/lane/types.ts';
import { at } from '../../libs/values/assert.ts';
import type { Epoch, Micros, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import { CLOCK_START, canonical } from './canonical.ts';

type Content = readonly number[];
interface Record_ extends Append {
  readonly id: number;
}

/** What survives a crash; never changed in place. */
export interface Disk {
  readonly lanes: readonly {
    readonly promised: number;
    readonly entries: readonly Entry<Content>[];
  }[];
  readonly reservation: number;
  readonly incarnations: readonly number[];
}

/** persist: everything written so far. timeout: time passes, more than any patience of the core. */
export type Action =
  | { readonly type: 'deliver'; readonly from: ReplicaId; readonly packet: number }
  | { readonly type: 'append'; readonly id: number }
  | { readonly type: 'heartbeat'; readonly id: number }
  | { readonly type: 'persist' }
  | { readonly type: 'timeout' }
  | { readonly type: 'start' };

export interface State {
  readonly id: number;
  readonly self: ReplicaId;
  readonly began: Disk;
  readonly actions: readonly Action[];
  readonly disk: Disk;
  readonly pending: readonly Write<Content>[];
  /** Released in this life. */
  readonly count: number;
  readonly watermark: number;
  readonly epochs: readonly number[];
}

export interface Step {
  readonly state: State;
  /** Packets by addressee, as numbers. */
  readonly sent: readonly { readonly to: ReplicaId; readonly packet: number }[];
  readonly acknowledged: readonly Entry<Content>[];
  readonly released: readonly Entry<Content>[];
  readonly readPoints: readonly { readonly id: number; readonly readPoint: number }[];
  readonly refused: readonly number[];
  /** A claim that is not on disk, or an assertion of the core. */
  readonly violation: string | null;
}

const SILENCE = 140_000;
const SILENCES = 4;

export const EMPTY: Disk = {
  lanes: REPLICAS.map(() => ({ promised: 0, entries: [] })),
  reservation: 0,
  incarnations: [0, 0, 0],
};

export class Replicas {
  /** Steps of a core that were really executed, and those that replayed the past of a state. */
  executed = 0;
  readonly packets: Packet<Content>[] = [];
  private readonly broken: ReadonlySet<RuleId>;
  private readonly states = new Map<string, State>();
  private readonly packetIds = new Map<string, number>();
  private readonly steps = new Map<string, Step>();

  constructor(broken: ReadonlySet<RuleId>) {
    this.broken = broken;
  }

  get count(): number {
    return this.states.size;
  }

  /** A new life on top of a disk. */
  start(self: ReplicaId, disk: Disk): Step {
    const state: State = {
      id: -1 - self,
      self,
      began: disk,
      actions: [],
      disk,
      pending: [],
      count: 0,
      watermark: 0,
      epochs: [0, 0, 0],
    };
    return this.execute(state, { type: 'start' });
  }

  step(state: State, action: Action): Step {
    const key = `${String(state.id)} ${JSON.stringify(action)}`;
    let step = this.steps.get(key);
    if (step === undefined) this.steps.set(key, (step = this.execute(state, action)));
    return step;
  }

  private execute(state: State, action: Action): Step {
    const life = new Life(state.self, state.began, this.broken, this.packets);
    try {
      for (const past of state.actions) life.act(past);
      const effects = life.act(action);
      this.executed += state.actions.length + 1;
      return this.finish(state, action, life, effects);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const nothing = { sent: [], acknowledged: [], released: [], readPoints: [], refused: [] };
      return { state, ...nothing, violation: `the core asserts: ${message}` };
    }
  }

  private finish(state: State, action: Action, life: Life, all: readonly Result[]): Step {
    const released = all.flatMap((effects) => effects.released.map(({ entry }) => entry));
    const watermark = at(all, all.length - 1).watermark;
    const { disk, pending } = life;
    const count = state.count + released.length;
    const text =
      `${String(state.self)} ${String(count)} ${JSON.stringify([disk, pending])} ` +
      canonical(life.core, life.now);
    let next = this.states.get(text);
    if (next === undefined) {
      next = {
        id: this.states.size,
        self: state.self,
        began: state.began,
        actions: [...state.actions, action],
        disk,
        pending,
        count,
        watermark,
        epochs: life.core.inspect().lanes.map(({ promised }) => promised),
      };
      this.states.set(text, next);
    }
    let violation: string | null = null;
    // Of a longer silence the beacons are lost: only the last word and what asks for something arrive.
    const sent = all.flatMap((effects, i) =>
      effects.packets
        .filter(({ packet }) => {
          violation ??= claim(packet, disk);
          return i === all.length - 1 || packet.letters.length + packet.feeds.length > 0;
        })
        .map(({ to, packet }) => ({ to, packet: this.packetId(packet) })),
    );
    return {
      state: next,
      sent,
      released,
      acknowledged: all.flatMap((effects) => effects.acknowledged.map(({ entry }) => entry)),
      readPoints: all.flatMap((effects) => effects.readPoints),
      refused: all.flatMap((effects) => effects.refused.map(({ append }) => append.id)),
      violation,
    };
  }

  /** Without measurements of time: a scope in which no round trip was ever completed. */
  private packetId(packet: Packet<Content>): number {
    const timeless = { ...packet, sentAt: CLOCK_START as Micros, echo: null, wall: 0 };
    const text = JSON.stringify(timeless);
    let id = this.packetIds.get(text);
    if (id === undefined) {
      id = this.packets.length;
      this.packets.push(JSON.parse(text) as Packet<Content>);
      this.packetIds.set(text, id);
    }
    return id;
  }
}

type Result = Effects<Content, Record_>;

/** A core that lives while its inputs are repeated. */
class Life {
  readonly core: LaneCore<Content, Record_>;
  disk: Disk;
  pending: Write<Content>[] = [];
  now = CLOCK_START;
  private readonly packets: readonly Packet<Content>[];
  private seq = 0;

  constructor(
    self: ReplicaId,
    disk: Disk,
    broken: ReadonlySet<RuleId>,
    packets: readonly Packet<Content>[],
  ) {
    this.disk = disk;
    this.packets = packets;
    this.core = new LaneCore<Content, Record_>({
      self,
      recovered: {
        lanes: disk.lanes.map(({ promised, entries }) => ({
          promised: promised as Epoch,
          ...wholeLog([...entries]),
        })),
        watermark: 0 as Timestamp,
        reservation: disk.reservation as Timestamp,
        incarnation: 1,
        incarnations: disk.incarnations,
        // Lives are not told: no directory is put back here.
        life: { number: 0, previous: 0 },
        heard: REPLICAS.map(() => ({ life: 0, clock: 0 })),
        lineages: REPLICAS.map(() => []),
        voting: true,
      },
      assemble: (_header, appends) => ({ content: appends.map(({ id }) => id), bytes: 1 }),
      readBack: (lane, index) => at(at(this.disk.lanes, lane).entries, index - 1),
      settings: defaultSettings,
      broken,
    });
  }

  act(action: Action): readonly Result[] {
    if (action.type !== 'timeout') return [this.step(this.input(action))];
    return Array.from({ length: SILENCES }, () => {
      this.now += SILENCE;
      return this.step({ type: 'tick' });
    });
  }

  private input(action: Exclude<Action, { type: 'timeout' }>): Input<Content, Record_> {
    switch (action.type) {
      case 'deliver':
        return { type: 'packet', from: action.from, packet: at(this.packets, action.packet) };
      case 'append':
        return { type: 'append', appends: [{ id: action.id, bytes: 1, minTimestamp: 0 }] };
      case 'heartbeat':
        return { type: 'heartbeat', id: action.id };
      case 'persist': {
        for (const write of this.pending) this.disk = after(this.disk, write);
        this.pending = [];
        return { type: 'persisted', seq: this.seq };
      }
      case 'start':
        return { type: 'tick' };
    }
  }

  private step(input: Input<Content, Record_>): Result {
    const effects = this.core.step([input], this.now as Micros, 0);
    this.pending.push(...effects.writes);
    this.seq = effects.seq;
    return effects;
  }
}

function after(disk: Disk, write: Write<Content>): Disk {
  const lane = (id: ReplicaId, change: Partial<Disk['lanes'][number]>): Disk => ({
    ...disk,
    lanes: disk.lanes.map((old, i) => (i === id ? { ...old, ...change } : old)),
  });
  switch (write.type) {
    case 'entry':
      return lane(write.entry.lane, {
        entries: [...at(disk.lanes, write.entry.lane).entries, write.entry],
      });
    case 'truncate':
      return lane(write.lane, {
        entries: at(disk.lanes, write.lane).entries.slice(0, write.from - 1),
      });
    case 'promise':
      return lane(write.lane, { promised: write.epoch });
    case 'reserve':
      return { ...disk, reservation: write.timestamp };
    case 'incarnation':
      return {
        ...disk,
        incarnations: disk.incarnations.map((old, i) =>
          i === write.replica ? write.incarnation : old,
        ),
      };
    case 'life':
    case 'named':
    case 'recovered':
      return disk;
  }
}

/** L4: what leaves a replica about itself is on its disk. */
function claim(packet: Packet<Content>, disk: Disk): string | null {
  for (const [lane, { promised, tail }] of packet.status.lanes.entries()) {
    const durable = at(disk.lanes, lane);
    if (promised > durable.promised) return `claims promise ${String(promised)}, not on disk`;
    if (tail.index > 0 && durable.entries[tail.index - 1]?.epoch !== tail.epoch) {
      return `claims lane ${String(lane)} up to ${String(tail.index)}, not on disk`;
    }
  }
  for (const { control, from } of packet.letters) {
    if (control.type !== 'promise' || from !== packet.status.replica) continue;
    const durable = at(disk.lanes, control.lane);
    if (durable.promised < control.epoch) return `promises ${String(control.epoch)}, not on disk`;
  }
  return null;
}
