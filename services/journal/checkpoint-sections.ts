/**
 * What stands in a replica's checkpoint, as sections of libs/storage: a head in JSON, the ordered state
 * machine, the release index and the places of the entries. Every section begins with its kind. The
 * checkpoint that a peer is sent has a head and the machine only: it begins where its log begins.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { EpochRun, Mark } from '../../libs/lane/types.ts';
import { restoreOrderMachine } from '../../libs/order/machine.ts';
import type { HashedOrderMachine } from '../../libs/order/machine.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import { isHead, isObject } from './checkpoint-head.ts';
import { LaneStore } from './lane-store.ts';
import type { ProtocolState } from './log-state.ts';
import { ReleaseIndex } from './release-index.ts';

const KINDS = { head: 1, machine: 2, entries: 3, streams: 4, recordless: 5, places: 6 } as const;
type Kind = keyof typeof KINDS;

const HEAD_VERSION = 1;

export interface LaneHead {
  /** The log of the lane begins behind this. */
  readonly base: Mark;
  /** Everything up to here is in the machine and the index. */
  readonly released: Mark;
  /** Of the entries above `base` up to `released`. */
  readonly epochs: readonly EpochRun[];
  /** Entries written before this place are no part of the log any more (C3); null: all are. */
  readonly after: { readonly segment: number; readonly offset: number } | null;
}

export interface CheckpointHead {
  readonly version: number;
  /** Everything up to here had been released. */
  readonly watermark: Timestamp;
  /** How many entries that was, from the first of the journal. */
  readonly count: number;
  readonly lastTimestamp: Timestamp;
  /** The log goes on from this segment. */
  readonly segment: number;
  readonly lanes: readonly LaneHead[];
  readonly state: ProtocolState;
}

export interface Loaded {
  readonly head: CheckpointHead;
  readonly order: HashedOrderMachine;
  readonly index: ReleaseIndex;
  readonly store: LaneStore;
}

export interface CheckpointSource {
  readonly order: HashedOrderMachine;
  readonly index: ReleaseIndex;
  readonly store: LaneStore;
}

/** All sections, in the order in which they must be loaded. `machineSaved`: batches may be applied again. */
export function* saveSections(
  head: CheckpointHead,
  { order, index, store }: CheckpointSource,
  machineSaved: () => void,
): Generator<Uint8Array, void, undefined> {
  try {
    yield headSection(head);
    for (const chunk of order.snapshot()) yield section('machine', chunk);
  } finally {
    machineSaved();
  }
  for (const part of index.saveEntries(head.count)) yield section('entries', part);
  for (const part of index.saveStreams(head.count)) yield section('streams', part);
  for (const part of index.saveRecordless(head.count)) yield section('recordless', part);
  for (const lane of REPLICAS) {
    const to = head.lanes[lane]?.released.index;
    if (to === undefined) continue;
    for (const part of store.save(lane, to)) yield section('places', part);
  }
}

/** What a peer is sent of a stored checkpoint: its head and its machine. */
export function* sectionsForPeer(
  stored: Iterable<Uint8Array>,
): Generator<Uint8Array, void, undefined> {
  for (const part of stored) {
    if (part[0] === KINDS.head || part[0] === KINDS.machine) yield part;
  }
}

/**
 * What a replica keeps of a peer's checkpoint: the machine, under a head of its own (C3). The lanes begin
 * at the marks; `holds` says of which lane the own log holds the mark, and so keeps what follows it.
 */
export function* adoptSections(
  sections: readonly Uint8Array[],
  own: {
    readonly holds: (lane: number, mark: Mark) => boolean;
    readonly position: { readonly segment: number; readonly offset: number };
    /** Where the first entry behind the mark stands; the position itself when there is none. */
    readonly segmentBehind: (lane: number, mark: Mark) => number;
    readonly state: ProtocolState;
  },
): Generator<Uint8Array, void, undefined> {
  const theirs = readHead(sections[0]);
  const lanes = theirs.lanes.map(({ released }, lane) => ({
    base: released,
    released,
    epochs: [],
    after: own.holds(lane, released) ? null : own.position,
  }));
  const kept = lanes.map(({ released, after }, lane) =>
    after === null ? own.segmentBehind(lane, released) : own.position.segment,
  );
  yield headSection({
    ...theirs,
    segment: Math.min(...kept),
    lanes,
    state: {
      ...own.state,
      promised: own.state.promised.map((epoch, lane) =>
        Math.max(epoch, lanes[lane]?.released.epoch ?? 0),
      ),
    },
  });
  yield* sections.slice(1);
}

/** Chunks of the order's machine. */
export function machineChunks(sections: readonly Uint8Array[]): Uint8Array[] {
  return sections.filter((part) => part[0] === KINDS.machine).map((part) => part.subarray(1));
}

/** A section with a chunk of the order's machine. */
export function machineSection(chunk: Uint8Array): Uint8Array {
  return section('machine', chunk);
}

export function headSection(head: CheckpointHead): Uint8Array {
  return section('head', Buffer.from(JSON.stringify(head)));
}

/** Of the first section. Throws CORRUPT. */
export function readHead(bytes: Uint8Array | undefined): CheckpointHead {
  if (bytes?.[0] !== KINDS.head) throw malformed('it begins with no head');
  const head = parsed(bytes.subarray(1));
  const version = isObject(head) ? head['version'] : undefined;
  if (typeof version !== 'number') throw malformed('its head has no version');
  if (version !== HEAD_VERSION) {
    throw new MeridianError(
      'REFUSED',
      `a checkpoint of version ${version}, this program reads version ${HEAD_VERSION}`,
      { details: { expected: HEAD_VERSION, actual: version } },
    );
  }
  if (!isHead(head)) throw malformed('its head is not one');
  return head;
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString());
  } catch (cause) {
    throw malformed('its head is no JSON', cause);
  }
}

export function newHead(fields: Omit<CheckpointHead, 'version'>): CheckpointHead {
  return { version: HEAD_VERSION, ...fields };
}

/** Builds what the sections describe. Throws CORRUPT, whatever it stumbles over. */
export function loadSections(sections: Iterable<Uint8Array>, cacheBytesMax: number): Loaded {
  try {
    return load(sections, cacheBytesMax);
  } catch (error) {
    if (error instanceof MeridianError) throw error;
    throw malformed(error instanceof Error ? error.message : String(error), error);
  }
}

function load(sections: Iterable<Uint8Array>, cacheBytesMax: number): Loaded {
  const index = new ReleaseIndex();
  const store = new LaneStore(cacheBytesMax);
  const iterator = sections[Symbol.iterator]();
  const first = iterator.next();
  const head = readHead(first.done === true ? undefined : first.value);
  let next = iterator.next();
  function* machine(): Generator<Uint8Array> {
    for (; next.done !== true && next.value[0] === KINDS.machine; next = iterator.next()) {
      yield next.value.subarray(1);
    }
  }
  const order = restoreOrderMachine(machine());
  for (const lane of REPLICAS) store.startAt(lane, laneOf(head, lane).base.index);
  let entries = 0;
  const rest: Uint8Array[] = [];
  // How many rows there are says at which ordinal they begin.
  for (; next.done !== true; next = iterator.next()) {
    if (next.value[0] === KINDS.entries) entries += (next.value.length - 1) / 16;
    rest.push(next.value);
  }
  const goneTo = Math.max(...head.lanes.map(({ base }) => base.timestamp));
  index.startAt(head.count - entries, goneTo, head.lastTimestamp);
  for (const part of rest) loadPart(part, index, store);
  for (const lane of REPLICAS) {
    const { released, base } = laneOf(head, lane);
    if (store.last(lane) === released.index) continue;
    throw malformed(`lane ${lane} has places up to ${store.last(lane)}, from ${base.index} on`);
  }
  return { head, order, index, store };
}

export function laneOf(head: CheckpointHead, lane: number): LaneHead {
  const found = head.lanes[lane];
  if (found === undefined) throw malformed(`it has no lane ${lane}`);
  return found;
}

function loadPart(part: Uint8Array, index: ReleaseIndex, store: LaneStore): void {
  const body = part.subarray(1);
  switch (part[0]) {
    case KINDS.entries:
      index.loadEntries(body);
      return;
    case KINDS.streams:
      index.loadStreams(body);
      return;
    case KINDS.recordless:
      index.loadRecordless(body);
      return;
    case KINDS.places:
      store.load(body);
      return;
    default:
      throw malformed(`a section of unknown kind ${part[0] ?? 0}`);
  }
}

function section(kind: Kind, body: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(1 + body.length);
  bytes[0] = KINDS[kind];
  bytes.set(body, 1);
  return bytes;
}

function malformed(what: string, cause?: unknown): MeridianError {
  return new MeridianError('CORRUPT', `the checkpoint makes no sense: ${what}`, { cause });
}
