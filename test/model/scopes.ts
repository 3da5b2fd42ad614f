/**
 * What is explored: scopes of the specification that Spin visits completely, and for each rule of
 * the design the scope in which its absence shows. Numbers of rules are those of rules.pml.
 */
import type { RuleId } from '../../libs/lane/rules.ts';
import type { Budget } from './core-search.ts';
import type { Defines } from './spin.ts';

export interface Scope {
  readonly name: string;
  /** Sizes, compiled in. */
  readonly sizes: Defines;
  /** Faults, records and heartbeats (records: bit 1 is the first). */
  readonly faults: Defines;
  readonly liveness?: boolean;
  /** Only with `--long`, for its size; the rules it is about are planted in every run. */
  readonly long?: boolean;
}

const ONE_RECORD = 2;
const TWO_RECORDS = 6;

const AGREEMENT: Defines = { EPOCHS: 3, ENTRIES: 4, ORDER: 0 };
const AGREEMENT_SMALL: Defines = { EPOCHS: 2, ENTRIES: 3, ORDER: 0 };
const AGREEMENT_EPOCHS: Defines = { EPOCHS: 4, ENTRIES: 4, ORDER: 0 };
const ORDER: Defines = { EPOCHS: 2, ENTRIES: 3, CLOCKS: 4, PROMPT: 1 };
/** Memory and disk, clocks and words in one. */
const TOGETHER: Defines = { EPOCHS: 2, ENTRIES: 3, CLOCKS: 3 };
/** One epoch and two entries that only the healed system may use. */
const HEALING: Defines = { EPOCHS: 3, ENTRIES: 4, ORDER: 0, SPARE: 1, SPARE_ENTRIES: 2 };
const ORDER_SMALL: Defines = { EPOCHS: 2, ENTRIES: 3, CLOCKS: 3, PROMPT: 1 };
const ORDER_LARGE: Defines = { EPOCHS: 3, ENTRIES: 4, CLOCKS: 5, PROMPT: 1 };

function faults(records: number, counts: Partial<Record<'CRASHES' | 'WIPES' | 'BEATS', number>>) {
  const { CRASHES = 0, WIPES = 0, BEATS = 0 } = counts;
  return {
    MODEL_RECORDS: records,
    MODEL_CRASHES: CRASHES,
    MODEL_WIPES: WIPES,
    MODEL_BEATS: BEATS,
  };
}

/** Each is explored to its end, the long ones with `--long` only. */
export const SCOPES: readonly Scope[] = [
  {
    name: 'agreement: two records, one crash',
    sizes: AGREEMENT,
    faults: faults(TWO_RECORDS, { CRASHES: 1 }),
  },
  {
    name: 'agreement: two crashes',
    sizes: AGREEMENT,
    faults: faults(ONE_RECORD, { CRASHES: 2 }),
    long: true,
  },
  {
    name: 'agreement: a lost disk',
    sizes: AGREEMENT,
    faults: faults(ONE_RECORD, { WIPES: 1 }),
    long: true,
  },
  {
    name: 'agreement: a lost disk and a crash',
    sizes: AGREEMENT_SMALL,
    faults: faults(ONE_RECORD, { CRASHES: 1, WIPES: 1 }),
  },
  { name: 'heartbeat', sizes: AGREEMENT, faults: faults(ONE_RECORD, { BEATS: 1 }) },
  { name: 'order: one seal', sizes: ORDER, faults: faults(ONE_RECORD, {}) },
  {
    name: 'order: a lost disk',
    sizes: ORDER_SMALL,
    faults: faults(ONE_RECORD, { WIPES: 1 }),
    long: true,
  },
  {
    name: 'progress once healed, one crash',
    sizes: HEALING,
    faults: faults(ONE_RECORD, { CRASHES: 1 }),
    liveness: true,
  },
];

export interface Planted {
  readonly id: string;
  readonly off: number;
  readonly scope: Omit<Scope, 'name'>;
}

function planted(
  id: string,
  off: number,
  sizes: Defines,
  records: number,
  counts: Parameters<typeof faults>[1] = {},
): Planted {
  return { id, off, scope: { sizes, faults: { ...faults(records, counts), MODEL_OFF: off } } };
}

export const PLANTED: readonly Planted[] = [
  planted('L1-old-epoch', 1, AGREEMENT_EPOCHS, ONE_RECORD, { CRASHES: 1 }),
  planted('L1-one-copy', 2, AGREEMENT, ONE_RECORD, { CRASHES: 1 }),
  planted('L2-writer-assumed', 3, AGREEMENT, ONE_RECORD, { CRASHES: 1 }),
  planted('L3-release-unsynced', 4, TOGETHER, ONE_RECORD),
  planted('L4-ack-unsynced', 5, AGREEMENT, ONE_RECORD, { CRASHES: 1 }),
  planted('L4-promise-unsynced', 6, AGREEMENT, ONE_RECORD, { CRASHES: 1 }),
  planted('L4-promise-volatile', 7, AGREEMENT, ONE_RECORD, { CRASHES: 1 }),
  planted('L5-sealer-appends', 8, ORDER, ONE_RECORD),
  planted('L6-refuse-on-seal', 9, AGREEMENT, ONE_RECORD),
  planted('L6-append-again', 10, AGREEMENT_EPOCHS, TWO_RECORDS),
  {
    id: 'L6-no-reopening',
    off: 11,
    scope: { sizes: HEALING, faults: { ...faults(ONE_RECORD, {}), MODEL_OFF: 11 }, liveness: true },
  },
  planted('L8-old-clock', 12, ORDER_LARGE, ONE_RECORD),
  planted('T1-no-reservation', 13, ORDER_LARGE, ONE_RECORD, { CRASHES: 1 }),
  planted('T2-marker-behind', 14, ORDER, ONE_RECORD),
  planted('O1-uncommitted', 15, ORDER, ONE_RECORD),
  planted('O1-unsynced', 16, ORDER, ONE_RECORD),
  planted('O2-keep-closed', 17, ORDER_LARGE, ONE_RECORD),
  planted('O3-marker-pending', 18, ORDER_LARGE, ONE_RECORD),
  planted('O3-one-knows', 19, ORDER_LARGE, ONE_RECORD),
  planted('O3-knows-late', 20, ORDER_LARGE, ONE_RECORD),
  planted('O4-maximum', 21, ORDER, ONE_RECORD),
  planted('O5-close-ahead', 22, ORDER, ONE_RECORD),
  planted('fence-off', 24, AGREEMENT, ONE_RECORD, { CRASHES: 1 }),
  planted('adopt-shorter', 25, AGREEMENT, ONE_RECORD, { CRASHES: 1 }),
  planted('heartbeat-alone', 26, AGREEMENT, ONE_RECORD, { BEATS: 1 }),
  planted('heartbeat-reused', 27, AGREEMENT, ONE_RECORD, { BEATS: 2 }),
  planted('recover-one', 28, AGREEMENT, ONE_RECORD, { WIPES: 1 }),
  planted('recover-votes', 29, AGREEMENT, ONE_RECORD, { WIPES: 1 }),
  planted('recover-old-facts', 30, AGREEMENT, ONE_RECORD, { WIPES: 1 }),
  planted('recover-asked-once', 31, AGREEMENT_SMALL, ONE_RECORD, { CRASHES: 1, WIPES: 1 }),
  planted('recover-old-words', 32, ORDER_SMALL, ONE_RECORD, { WIPES: 1 }),
];

/** Rules whose absence no safety property of this scope can notice; the arguments are in README.md. */
export const ARGUED: readonly string[] = ['L7-no-asking', 'O5-above-clock', 'T3', 'T4', 'T5'];

/** Of the real core: from three replicas at rest, whatever may happen within the budget. */
export const CORE_SCOPES: readonly {
  readonly name: string;
  readonly budget: Budget;
  readonly statesMax: number;
}[] = [
  {
    name: 'a record, a read',
    budget: { appends: 1, heartbeats: 1, crashes: 0, timeouts: 0 },
    statesMax: 30_000,
  },
  {
    name: 'a record, a read, a crash',
    budget: { appends: 1, heartbeats: 1, crashes: 1, timeouts: 0 },
    statesMax: 40_000,
  },
  {
    name: 'a record, a seal',
    budget: { appends: 1, heartbeats: 0, crashes: 0, timeouts: 2 },
    statesMax: 40_000,
  },
];

const QUIET: Budget = { appends: 1, heartbeats: 0, crashes: 0, timeouts: 0 };
const READ: Budget = { appends: 1, heartbeats: 1, crashes: 0, timeouts: 0 };
const SILENCE: Budget = { appends: 1, heartbeats: 0, crashes: 0, timeouts: 1 };
const CRASH: Budget = { appends: 1, heartbeats: 0, crashes: 1, timeouts: 0 };
const CORE_PLANTED_STATES = 30_000;

export const CORE_PLANTED: readonly {
  readonly rule: RuleId;
  readonly budget: Budget;
  readonly statesMax: number;
}[] = (
  [
    ['L1-one-copy', QUIET],
    ['L1-count-twice', QUIET],
    ['L2-writer-assumed', SILENCE],
    ['L4-ack-unsynced', QUIET],
    ['L4-promise-unsynced', SILENCE],
    ['L4-promise-volatile', CRASH],
    ['O4-maximum', QUIET],
    ['O1-unsynced', QUIET],
    ['O1-uncommitted', QUIET],
    ['heartbeat-alone', READ],
  ] as const
).map(([rule, budget]) => ({ rule, budget, statesMax: CORE_PLANTED_STATES }));
