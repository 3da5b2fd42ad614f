/**
 * Swarm testing: each seed draws which faults happen at all, how hard, and how the system is set up.
 * Runs that have everything at once find less than runs that have a few things often.
 */
import type { RuleId } from '../../libs/lane/rules.ts';
import type { LaneSettings } from '../../libs/lane/types.ts';
import { REPLICAS, type ReplicaId } from '../../libs/values/numbers.ts';
import type { HarnessBug } from './planted-bugs.ts';
import { Prng } from './prng.ts';

export const FAULTS = [
  'crash',
  'crashAll',
  'wipe',
  'amnesia',
  'rollback',
  'drift',
  'pause',
  'isolate',
  'cut',
  'cutOneWay',
  'flap',
  'clog',
  'slowLink',
  'reset',
  'slowDisk',
  'clockJump',
  'syncError',
  'diskFull',
  'rot',
  'misdirected',
] as const;
export type Fault = (typeof FAULTS)[number];

export interface SimulationOptions {
  readonly seed: number;
  /** Length of the phase with faults, microseconds. */
  readonly faultPhase: number;
  /** Within this everything must be well again, microseconds. */
  readonly healBound: number;
  readonly settings: LaneSettings;
  readonly tick: number;
  /** Longest wait of an input for the step that takes it; 0: a step each. */
  readonly turn: number;
  readonly network: NetworkOptions;
  readonly disk: DiskOptions;
  readonly clocks: ClockSwarm;
  readonly workload: WorkloadOptions;
  readonly checkpoints: CheckpointSwarm;
  /** Mean time between two faults of a kind, microseconds; absent: never. */
  readonly faults: Partial<Readonly<Record<Fault, number>>>;
  /**
   * One fault at a time: a cut link, and no epoch may change (P5); a replica dead, cut off or
   * paused, and the others go on (P4).
   */
  readonly single: 'link' | 'replica' | null;
  /** T4: the only replica whose clock is wrong, by hours; it must not carry the others away. */
  readonly oddClock: ReplicaId | null;
  /** Share of restarts that end before most of the others can hear of them, up to four in a row. */
  readonly unheard: number;
  /** Numbers of the strikes that happen; null: all (shrink.ts leaves some out). */
  readonly strikes: ReadonlySet<number> | null;
  readonly broken: ReadonlySet<RuleId>;
  readonly bug: HarnessBug | null;
}

export interface NetworkOptions {
  /** One-way delay per pair of replicas (0–1, 0–2, 1–2), microseconds. */
  readonly delay: readonly [number, number, number];
  readonly jitter: number;
  /** Share of messages that vanish. */
  readonly loss: number;
  /** Share of messages that come twice. */
  readonly duplicate: number;
  /** Share of the messages of a broken connection that arrive after all, late. */
  readonly ghost: number;
  /** Messages cannot be changed any more once they are sent: whoever tries is found out. */
  readonly frozen: boolean;
}

export interface DiskOptions {
  readonly sync: number;
  readonly jitter: number;
  /** Share of syncs that take long, and how long at most. */
  readonly stall: number;
  readonly stallMax: number;
}

export interface CheckpointSwarm {
  /** Mean time between two checkpoints of a replica, microseconds; 0: none are taken. */
  readonly every: number;
  /** Longest time until one is on disk. */
  readonly duration: number;
  /** Share of checkpoints after which all older log goes. */
  readonly trim: number;
}

export interface ClockSwarm {
  /** Largest initial offset, microseconds. */
  readonly offset: number;
  readonly driftPpm: number;
  /** Largest jump. */
  readonly jump: number;
  /** Wall clocks know milliseconds only. */
  readonly coarse?: boolean;
}

export interface WorkloadOptions {
  readonly clients: number;
  /** Mean pause of a client between two operations, microseconds. */
  readonly think: number;
  readonly window: number;
  readonly streams: number;
  readonly operationsMin: number;
  /** Share of appends before which an idle client changes the replica. */
  readonly roam: number;
  /** Shares of operations. */
  readonly reads: number;
  readonly conditions: number;
  readonly quorum: number;
}

export interface Focus {
  readonly faults?: readonly Fault[];
  /** Multiplies the rate of the faults. */
  readonly intensity?: number;
  readonly single?: 'link' | 'replica';
  readonly loss?: number;
  readonly duplicate?: number;
  readonly ghost?: number;
  readonly clockOffset?: number;
  readonly clockJump?: number;
  readonly reads?: number;
  readonly roam?: number;
  readonly slowSyncs?: boolean;
  readonly maxClockError?: boolean;
  readonly oddClock?: boolean;
  /** Checkpoints are frequent, and log goes as soon as it may. */
  readonly checkpoints?: boolean;
  /** The cores keep nothing in memory that they could read back. */
  readonly fewHot?: boolean;
  /** Share of restarts that nobody hears. */
  readonly unheard?: number;
  /** Seals are tried before the third replica can have stepped in. */
  readonly hasty?: boolean;
}

/** The bound of rule T4 in all runs, microseconds. */
export const MAX_CLOCK_OFFSET = 500_000;

const SECOND = 1_000_000;
const HOUR = 3600 * SECOND;

/** Mean seconds between two faults of a kind in a run that has it. */
const MEAN_SECONDS: Readonly<Record<Fault, readonly [number, number]>> = {
  crash: [3, 15],
  crashAll: [10, 40],
  wipe: [8, 30],
  amnesia: [8, 30],
  rollback: [5, 20],
  drift: [10, 30],
  pause: [3, 12],
  isolate: [4, 15],
  cut: [3, 12],
  cutOneWay: [3, 12],
  flap: [6, 20],
  clog: [4, 15],
  slowLink: [5, 15],
  reset: [1, 8],
  slowDisk: [5, 20],
  clockJump: [4, 15],
  syncError: [4, 15],
  diskFull: [5, 20],
  rot: [1, 6],
  misdirected: [1, 6],
};

/** Drawn apart from the others, so that a seed, and where a planted bug shows, is what it was without them. */
const DISK_FAULTS: readonly Fault[] = ['syncError', 'diskFull', 'rot', 'misdirected'];

/** Whole disks go: a run that has it always is about nothing else. */
const RARE: readonly Fault[] = ['crashAll', 'wipe', 'amnesia', 'rollback', 'drift'];

export function drawOptions(
  seed: number,
  planted: { broken?: ReadonlySet<RuleId>; bug?: HarnessBug | null; focus?: Focus } = {},
): SimulationOptions {
  const draw = new Prng(seed, 'options');
  const focus = planted.focus ?? {};
  const single = drawSingle(draw, planted.focus);
  const calm = single !== null || draw.chance(0.03);
  const intensity = focus.intensity ?? 1;
  const faults: Partial<Record<Fault, number>> = {};
  for (const fault of FAULTS) {
    if (DISK_FAULTS.includes(fault)) continue;
    const [low, high] = MEAN_SECONDS[fault];
    const mean = draw.between(low * SECOND, high * SECOND);
    const rare = RARE.includes(fault);
    const wanted = focus.faults?.includes(fault) === true;
    const drawn = draw.chance(rare ? 0.15 : 0.35);
    if (calm) continue;
    if (wanted) faults[fault] = Math.floor((low * SECOND) / intensity);
    else if (drawn && (focus.faults === undefined || draw.chance(0.5))) faults[fault] = mean;
  }
  if (single === 'link') faults.cut = 3 * SECOND;
  if (single === 'replica') for (const fault of ONE_REPLICA) faults[fault] = 6 * SECOND;
  const odd = focus.oddClock ?? (planted.focus === undefined && draw.chance(0.08));
  const oddClock = !calm && odd ? draw.pick(REPLICAS) : null;
  if (oddClock !== null) faults.clockJump = 4 * SECOND;
  const farClocks = !calm && oddClock === null && draw.chance(0.25);
  // Where clocks are far apart one replica alone may stamp: a run that stops that one too proves nothing.
  const disks = calm || (farClocks && focus.faults === undefined) ? null : drawDisks(seed, focus);
  Object.assign(faults, disks?.faults);
  const nearClocks = draw.chance(0.5);
  const offset = farClocks ? draw.magnitude(SECOND, 5 * HOUR) : nearClocks ? 20_000 : 150_000;
  const slowSyncs = focus.slowSyncs ?? (!calm && draw.chance(0.3));
  const wan = draw.chance(0.7);
  const delay = (): number => (wan ? draw.magnitude(1_000, 40_000) : draw.between(100, 1_000));
  const delays = [delay(), delay(), delay()] as const;
  const jitterShare = draw.pick([0.1, 0.5, 2]);
  const clockOffset = focus.clockOffset ?? offset;
  const hasty = focus.hasty ?? draw.chance(0.15);
  // T5 after a restart costs what is left of the reservation; P4 is looked at without it.
  const exactClocks =
    single !== 'replica' &&
    (focus.maxClockError ?? (!farClocks && faults.clockJump === undefined && draw.chance(0.2)));
  return {
    seed,
    faultPhase: 60 * SECOND,
    // Most runs need two; a wiped replica behind slow links and tiny feeds takes its time.
    healBound: 60 * SECOND,
    settings: {
      ...drawSettings(
        draw,
        Math.max(...delays),
        planted.bug === 'clock-jump-accepted' ? 10 * HOUR : MAX_CLOCK_OFFSET,
        exactClocks ? 10_000 : null,
        hasty,
      ),
      ...(focus.fewHot === true ? { hotEntriesMax: 0 } : {}),
      // While the order waits for a seal, what is committed and not released adds up (P7 against P4).
      ...(single === 'replica' ? { inflightBytesMax: 64 << 20 } : {}),
    },
    tick: draw.between(30_000, 60_000),
    turn: draw.pick([0, 0, 200, 2_000]),
    network: {
      delay: delays,
      jitter: Math.floor(Math.max(...delays) * (single === null ? jitterShare : 0.1)),
      loss: focus.loss ?? (!calm && draw.chance(0.35) ? draw.magnitude(2, 300) / 1_000 : 0),
      duplicate:
        focus.duplicate ?? (!calm && draw.chance(0.35) ? draw.magnitude(5, 500) / 1_000 : 0),
      ghost: focus.ghost ?? (calm ? 0 : draw.pick([0, 0.1, 0.5])),
      frozen: seed % 20 === 0,
    },
    disk: {
      sync: draw.magnitude(100, 8_000),
      jitter: draw.magnitude(100, 8_000),
      stall: slowSyncs ? draw.magnitude(2, 60) / 1_000 : 0,
      stallMax: draw.magnitude(100_000, 4 * SECOND),
    },
    clocks: {
      offset: exactClocks ? 4_000 : clockOffset,
      driftPpm: exactClocks ? 20 : draw.pick([0, 100, 500]),
      jump: oddClock !== null ? 3 * HOUR : (focus.clockJump ?? draw.magnitude(100_000, 3 * HOUR)),
    },
    workload: {
      clients: draw.between(4, 7),
      think: draw.between(300_000, 600_000),
      window: draw.pick([1, 2, 4]),
      streams: draw.between(1, 3),
      operationsMin: 300,
      roam: focus.roam ?? 0.1,
      reads: focus.reads ?? draw.pick([0.15, 0.3]),
      conditions: 0.15,
      quorum: draw.pick([0.3, 0.6]),
    },
    checkpoints: {
      every: focus.checkpoints === true ? SECOND : draw.pick([0, SECOND, 10 * SECOND]),
      duration: draw.magnitude(10_000, 2 * SECOND),
      // Who is behind a log that goes at once starts again with a checkpoint: nothing to do with P5.
      trim: single === 'link' ? 0 : focus.checkpoints === true ? 0.8 : draw.pick([0, 0.3, 1]),
    },
    faults,
    single,
    oddClock,
    unheard: disks?.unheard ?? 0,
    strikes: null,
    broken: planted.broken ?? new Set(),
    bug: planted.bug ?? null,
  };
}

function drawDisks(seed: number, focus: Focus): Pick<SimulationOptions, 'faults' | 'unheard'> {
  const draw = new Prng(seed, 'disk faults');
  const faults: Partial<Record<Fault, number>> = {};
  for (const fault of DISK_FAULTS) {
    const [low, high] = MEAN_SECONDS[fault];
    const mean = draw.between(low * SECOND, high * SECOND);
    const drawn = draw.chance(0.2);
    const wanted = focus.faults?.includes(fault) === true;
    if (wanted) faults[fault] = Math.floor((low * SECOND) / (focus.intensity ?? 1));
    else if (drawn && focus.faults === undefined) faults[fault] = mean;
  }
  const drawn = focus.faults === undefined ? draw.pick([0, 0, 0.2, 0.5]) : 0;
  return { faults, unheard: focus.unheard ?? drawn };
}

const ONE_REPLICA: readonly Fault[] = ['isolate', 'crash', 'pause'];

function drawSingle(draw: Prng, focus: Focus | undefined): SimulationOptions['single'] {
  const kind = draw.unit();
  if (focus !== undefined) return focus.single ?? null;
  return kind < 0.06 ? 'link' : kind < 0.12 ? 'replica' : null;
}

/** Timeouts are scaled to the delays of the run, and up as a whole, to make a run cheap. */
function drawSettings(
  draw: Prng,
  delayMax: number,
  maxClockOffset: number,
  maxClockError: number | null,
  hasty: boolean,
): LaneSettings {
  const beacon = draw.between(40_000, 100_000);
  const detour = 3 * beacon + 2 * delayMax;
  return {
    beacon,
    lazy: draw.pick([1_000, 5_000, 10_000]),
    detour,
    sealTimeout: hasty
      ? detour + delayMax
      : Math.max(draw.between(300_000, 700_000), 2 * detour + 4 * delayMax),
    resend: draw.between(150_000, 300_000) + 2 * delayMax,
    reserve: draw.pick([200_000, 1_000_000, 3_000_000]),
    maxClockOffset,
    maxClockError,
    entryBytesMax: draw.pick([1_000, 10_000, 1 << 20]),
    inflightBytesMax: draw.pick([5_000, 64 << 20]),
    queueBytesMax: draw.pick([5_000, 64 << 20]),
    feedBytesMax: draw.pick([2_000, 16 << 20]),
    hotEntriesMax: draw.pick([0, 3, 1_024]),
  };
}
