/**
 * Bugs planted outside the core: in the driver, the disk, the client. Each is a mistake somebody
 * has made in a system of this kind (the switches inside the core are in libs/lane/rules.ts). For
 * every planted bug, also where to look: the faults that bring it to light.
 */
import type { Fault, Focus } from './options.ts';

export const HARNESS_BUGS = [
  { id: 'ack-before-sync', what: 'the driver reports writes as persisted before they are' },
  { id: 'promise-not-written', what: 'the log forgets promises' },
  { id: 'reservation-not-written', what: 'the log forgets clock reservations' },
  {
    id: 'wiped-replica-votes',
    what: 'a replica with an empty disk starts as if it had voted never',
  },
  { id: 'read-without-wait', what: 'a read does not wait for the watermark' },
  { id: 'read-point-reused', what: 'a read takes the read point of an earlier heartbeat' },
  { id: 'read-point-own', what: 'a read takes the own watermark for the read point' },
  { id: 'writers-lost', what: 'the writer table is lost at a restart' },
  { id: 'retry-as-new', what: 'a retry carries a fresh writer sequence' },
  { id: 'no-min-timestamp', what: 'a client changes the replica without its minTimestamp' },
  { id: 'release-reordered', what: 'the driver executes the releases of a step in reverse' },
  { id: 'batch-torn', what: 'the driver executes only a part of an entry' },
  { id: 'watermark-early', what: 'the driver publishes the watermark before it has released' },
  { id: 'ordered-early', what: 'an ORDERED append is answered when it is committed' },
  { id: 'clock-jump-accepted', what: 'no wall clock is ever too far from the others' },
  {
    id: 'install-forgets-promises',
    what: 'a replica that takes a checkpoint of a peer forgets what it promised',
  },
  {
    id: 'checkpoint-early',
    what: 'a checkpoint says it covers more than its machine has executed',
  },
  { id: 'checkpoint-unsynced', what: 'old log goes before the checkpoint is on disk' },
  {
    id: 'lives-not-written',
    what: 'a replica that starts has forgotten which lives of its peers it knew',
  },
  {
    id: 'unnamed-lives-dropped',
    what: 'a start remembers of its earlier lives only the newest that a peer has named',
  },
  { id: 'divergence-ignored', what: 'a replica whose state is found wrong by both others goes on' },
  { id: 'sync-retried', what: 'a sync that failed is tried again as if the data were still there' },
  { id: 'space-untold', what: 'the core is not told that the disk is full' },
  { id: 'rot-believed', what: 'a rotten block is taken for what was written' },
  { id: 'misdirected-believed', what: 'a whole block in the place of another is taken for it' },
  { id: 'rot-cuts', what: 'a start ends the log before the first block that cannot be read' },
  { id: 'restart-skips', what: 'a restarted driver does not execute the first entry again' },
] as const;

export type HarnessBug = (typeof HARNESS_BUGS)[number]['id'];

const SEALS: readonly Fault[] = ['crash', 'pause', 'isolate', 'reset'];
const PARTITIONS: readonly Fault[] = ['isolate', 'cut', 'cutOneWay', 'flap'];

/** Where to look; a bug without an entry is looked for everywhere. */
const FOCUS: Readonly<Record<string, Focus>> = {
  'L1-old-epoch': { faults: ['crash', 'isolate', 'cut', 'cutOneWay', 'reset'], intensity: 3 },
  'L1-one-copy': { faults: ['crash', 'isolate'], intensity: 2 },
  'L2-writer-assumed': { faults: ['crash', 'slowDisk'], intensity: 2, slowSyncs: true },
  'L3-release-unsynced': { faults: ['crash', 'slowDisk'], slowSyncs: true },
  'L4-ack-unsynced': { faults: ['crash', 'slowDisk'], slowSyncs: true },
  'L4-promise-unsynced': { faults: ['crash', ...PARTITIONS], intensity: 2, slowSyncs: true },
  'L4-promise-volatile': { faults: ['crash', ...PARTITIONS], intensity: 2 },
  'L5-sealer-appends': { faults: SEALS, intensity: 2 },
  'L6-refuse-on-seal': { faults: SEALS, intensity: 2 },
  'L6-append-again': { faults: SEALS, intensity: 2 },
  'L7-no-asking': { single: 'link', hasty: true },
  'slow-is-heard': { single: 'link' },
  'L8-old-clock': { faults: [...SEALS, 'clockJump'], intensity: 3, clockJump: 2_000_000 },
  'T1-no-reservation': { faults: ['crash', 'clockJump'], clockJump: 60_000_000 },
  'T2-marker-behind': { faults: [...SEALS, 'clockJump'], intensity: 3, clockJump: 2_000_000 },
  'O1-uncommitted': { faults: PARTITIONS, intensity: 2 },
  'O1-unsynced': { faults: ['slowDisk', 'slowLink', 'reset'], slowSyncs: true, intensity: 2 },
  'O2-keep-closed': { faults: ['isolate', 'crash', 'cut', 'cutOneWay', 'flap'], intensity: 3 },
  'O3-one-knows': { faults: ['isolate', 'crash', 'pause', 'cut', 'cutOneWay'], intensity: 3 },
  'fence-off': { faults: ['isolate', 'pause', 'clog', 'slowLink'], intensity: 3 },
  'adopt-shorter': { faults: SEALS, intensity: 2 },
  'heartbeat-alone': { faults: PARTITIONS, reads: 0.4 },
  'heartbeat-reused': { faults: ['slowLink', 'clog'], reads: 0.5 },
  'recover-one': { faults: ['wipe', 'crash', 'isolate', 'cut'], intensity: 3 },
  'recover-votes': { faults: ['wipe', 'crash', 'isolate', 'cut'], intensity: 3 },
  'recover-old-facts': { faults: ['amnesia'], intensity: 6, ghost: 1 },
  'rollback-believed': { faults: ['rollback', 'crash', 'isolate', 'cut'], intensity: 3 },
  'unconfirmed-acts': { faults: ['rollback', 'pause', 'isolate'], intensity: 6 },
  'lives-not-written': { faults: ['rollback', 'crash', 'crashAll', 'cut'], intensity: 3 },
  'M6-last-life': { faults: ['rollback', 'isolate'], intensity: 6, unheard: 0.5 },
  'unnamed-lives-dropped': { faults: ['crash', 'isolate'], intensity: 6, unheard: 0.5 },
  'divergence-ignored': { faults: ['drift', 'cut'] },
  'ack-before-sync': { faults: ['crash', 'slowDisk'], slowSyncs: true },
  'promise-not-written': { faults: ['crash', ...PARTITIONS], intensity: 2 },
  'reservation-not-written': { faults: ['crash', 'clockJump'], clockJump: 60_000_000 },
  'wiped-replica-votes': { faults: ['wipe', 'crash', 'isolate', 'cut'], intensity: 3 },
  'writers-lost': { faults: ['crash', 'pause', 'isolate'], intensity: 2 },
  'retry-as-new': { faults: ['crash', 'pause', 'isolate'], intensity: 2 },
  'install-forgets-promises': {
    faults: ['crash', 'pause', 'isolate', 'wipe', 'cut'],
    intensity: 3,
    checkpoints: true,
  },
  'checkpoint-early': { faults: ['crash'], checkpoints: true },
  'checkpoint-unsynced': { faults: ['crash'], intensity: 3, checkpoints: true },
  'sync-retried': { faults: ['syncError'], intensity: 3 },
  'space-untold': { faults: ['diskFull'], intensity: 3 },
  'rot-believed': { faults: ['rot', 'isolate', 'crash'], intensity: 3, fewHot: true },
  'misdirected-believed': {
    faults: ['misdirected', 'isolate', 'crash'],
    intensity: 3,
    fewHot: true,
  },
  'rot-cuts': { faults: ['rot', 'crash'], intensity: 3 },
  'clock-jump-accepted': { oddClock: true },
  'no-min-timestamp': { clockOffset: 240_000, roam: 0.8 },
};

export function focusOf(bug: string): Focus {
  return FOCUS[bug] ?? {};
}

/**
 * Planted bugs that no check of this kind can notice, because they cost only progress or speed: the
 * paragraph of SPEC.md that argues it, and the check that shows it.
 */
export const ARGUED: Readonly<Partial<Record<string, string>>> = {};
