/**
 * The swarm of a run of the whole system: two instances and perhaps one that joins, each with what a run of one alone may
 * have, and above them crossbars, appliers and subscribers with faults of their own.
 */
import type { CrossbarSettings } from '../../../services/crossbar/crossbar.ts';
import { drawOptions, type SimulationOptions } from '../options.ts';
import { Prng } from '../prng.ts';
import { drawClients, type ClientSwarm } from './client-options.ts';
import { FOUNDERS, type MemberPlan } from './members.ts';
import type { SystemBug } from './system-bugs.ts';

export const SYSTEM_FAULTS = [
  'crossbarCrash',
  'crossbarPause',
  'applierCrash',
  'subscriberLeaves',
  'lineCut',
  'lineReset',
  'storeOutage',
  'lineMute',
  'userCrash',
] as const;
export type SystemFault = (typeof SYSTEM_FAULTS)[number];

export interface SystemOptions {
  readonly seed: number;
  readonly instances: readonly SimulationOptions[];
  readonly crossbars: number;
  readonly appliers: number;
  readonly subscribers: number;
  /** Mean time between two faults of a kind, microseconds; absent: never. */
  readonly faults: Partial<Readonly<Record<SystemFault, number>>>;
  /** Longest way between processes above the instances, microseconds. */
  readonly lineDelayMax: number;
  /** Silence after which a reader goes elsewhere, ms. */
  readonly silenceMs: number;
  readonly settings: CrossbarSettings;
  /** Bytes that a replica lets wait for one reader. */
  readonly shareBytes: number;
  readonly database: { readonly slowness: number; readonly failing: number };
  /** Mean time between two reads at an applier, microseconds. */
  readonly readEvery: number;
  /** null: log stays where it is. */
  readonly archive: ArchiveOptions | null;
  /** null: nobody joins or leaves. */
  readonly members: MemberPlan | null;
  /** null: nobody appends through the client library. */
  readonly clients: ClientSwarm | null;
  readonly strikes: ReadonlySet<number> | null;
  readonly bug: SystemBug | null;
}

export interface ArchiveOptions {
  readonly segmentBytes: number;
  readonly windowMicros: number;
  readonly uploadsMax: number;
  readonly pollMs: number;
  readonly turnMs: number;
  /** Bytes of segments that a replica keeps for its readers. */
  readonly cacheBytesMax: number;
  /** Longest answer of the store, microseconds. */
  readonly slowness: number;
  /** Shares of calls that fail, half of them after they took effect, and of reads that bring other bytes. */
  readonly failing: number;
  readonly damaging: number;
}

export interface SystemFocus {
  readonly faults?: readonly SystemFault[];
  /** Multiplies the rate of the faults. */
  readonly intensity?: number;
  readonly archive?: boolean;
  readonly members?: boolean;
  /** Multiplies what clients of the library do. */
  readonly busy?: number;
}

const SECOND = 1_000_000;
const FAULT_PHASE = 20 * SECOND;

/** Mean seconds between two faults of a kind in a run that has it. */
const MEAN_SECONDS: Readonly<Record<SystemFault, readonly [number, number]>> = {
  crossbarCrash: [2, 8],
  crossbarPause: [3, 10],
  applierCrash: [1, 6],
  subscriberLeaves: [1, 4],
  lineCut: [2, 8],
  lineReset: [1, 6],
  storeOutage: [3, 10],
  lineMute: [2, 8],
  userCrash: [2, 8],
};

export function drawSystemOptions(
  seed: number,
  planted: { readonly bug?: SystemBug | null; readonly focus?: SystemFocus } = {},
): SystemOptions {
  const draw = new Prng(seed, 'system');
  const focus = planted.focus ?? {};
  const faults: Partial<Record<SystemFault, number>> = {};
  for (const fault of SYSTEM_FAULTS) {
    const [low, high] = MEAN_SECONDS[fault];
    const mean = draw.between(low * SECOND, high * SECOND);
    const drawn = draw.chance(0.5);
    const wanted = focus.faults?.includes(fault) === true;
    if (wanted) faults[fault] = Math.floor((low * SECOND) / (focus.intensity ?? 1));
    else if (drawn) faults[fault] = mean;
  }
  const exact = draw.chance(0.2);
  const coarse = draw.chance(0.5);
  const archive = (focus.archive ?? draw.chance(0.6)) ? drawArchive(draw) : null;
  const swarm = { exact, coarse, draw, isArchived: archive !== null };
  const members = drawMembers(seed, focus.members ?? null);
  const instances = Array.from({ length: FOUNDERS }, (_, i) =>
    instanceOptions(seed + i * 2 ** 33, swarm),
  );
  if (members !== null) {
    const joiner = { ...swarm, draw: new Prng(seed, 'joiner') };
    instances.push(instanceOptions(seed + FOUNDERS * 2 ** 33, joiner));
  }
  return {
    seed,
    instances,
    crossbars: 2,
    appliers: 2,
    subscribers: 2,
    faults,
    lineDelayMax: draw.magnitude(500, 40_000),
    silenceMs: draw.between(500, 1_500),
    settings: {
      windowBytesMax: draw.pick([3_000, 30_000, 1 << 20]),
      inputBytesMax: draw.pick([2_000, 1 << 20]),
      retryMs: draw.between(10, 200),
      stallAfterMs: 1_000,
      stallRepeatMs: 1_000,
      subscribersMax: 100,
      catchUpsMax: draw.pick([1, 4]),
      streamsPerSubscriberMax: 10,
      progressIntervalMs: draw.between(5, 40),
      subscriberBytesMax: draw.pick([1_000, 64 * 1024]),
      subscribersBytesMax: 1 << 20,
      slowReaderMs: 20_000,
      catchUpTurnMs: 100,
      waitersMax: 100,
    },
    shareBytes: draw.pick([500, 8_000, 64 * 1024]),
    database: {
      slowness: draw.magnitude(500, 200_000),
      failing: draw.chance(0.5) ? draw.magnitude(5, 150) / 1_000 : 0,
    },
    readEvery: draw.between(200_000, 800_000),
    archive,
    members,
    clients: drawClients(seed, focus.busy ?? 1),
    strikes: null,
    bug: planted.bug ?? null,
  };
}

interface Swarm {
  readonly exact: boolean;
  readonly coarse: boolean;
  readonly isArchived: boolean;
  readonly draw: Prng;
}

/** Drawn apart, so that a seed without them is the run that it was before there were any. */
function drawMembers(seed: number, wanted: boolean | null): MemberPlan | null {
  const draw = new Prng(seed, 'members');
  const joinAt = draw.between(2 * SECOND, FAULT_PHASE / 2);
  const leaveAt = joinAt + draw.between(SECOND, FAULT_PHASE / 2);
  const leaves = draw.chance(0.6);
  const drawn = draw.chance(0.3);
  return (wanted ?? drawn) ? { joinAt, leaveAt: leaves ? leaveAt : null } : null;
}

function drawArchive(draw: Prng): ArchiveOptions {
  return {
    segmentBytes: draw.pick([1_000, 4_000]),
    windowMicros: draw.between(1, 4) * SECOND,
    uploadsMax: draw.pick([1, 3]),
    pollMs: draw.between(100, 600),
    turnMs: draw.between(20, 500),
    cacheBytesMax: draw.pick([2_000, 1 << 20]),
    slowness: draw.magnitude(2_000, 300_000),
    failing: draw.pick([0, 0.05, 0.2]),
    damaging: draw.chance(0.3) ? 0.01 : 0,
  };
}

/** As of a run of one instance; shorter, and with clocks that are not hours from those of the other. */
function instanceOptions(
  seed: number,
  { exact, coarse, draw, isArchived }: Swarm,
): SimulationOptions {
  const focus = { maxClockError: exact, oddClock: !exact && draw.chance(0.08) };
  const drawn = drawOptions(seed, { focus });
  const { clocks, oddClock, workload, checkpoints } = drawn;
  const near = (micros: number): number => Math.min(micros, draw.pick([150_000, 2 * SECOND]));
  return {
    ...drawn,
    faultPhase: FAULT_PHASE,
    // Half of the time, twice as often.
    faults: Object.fromEntries(
      Object.entries(drawn.faults)
        // What a damaged memory has made of the order must not get into the archive; and true clocks do not jump.
        .filter(([fault]) => fault !== 'drift' && !(exact && fault === 'clockJump'))
        .map(([fault, mean]) => [fault, Math.ceil(mean / 2)]),
    ),
    clocks: {
      ...clocks,
      coarse,
      offset: near(clocks.offset),
      jump: oddClock === null ? near(clocks.jump) : clocks.jump,
    },
    workload: { ...workload, operationsMin: 100 },
    // What leaves the log is in the archive, or it does not leave.
    checkpoints: isArchived
      ? { ...checkpoints, every: draw.between(500_000, 2 * SECOND), trim: draw.pick([0.3, 1]) }
      : { ...checkpoints, trim: 0 },
  };
}
