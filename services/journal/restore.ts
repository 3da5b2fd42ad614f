/**
 * Builds a replica's data directory from an archive alone: the order is executed again from the archived
 * state through every segment, each checked against the manifest, the chain of hashes, and what the order
 * made of it the first time. The log itself begins behind the last archived entry; what is older stays in
 * the archive, from which the restored journal serves it. Equal archives give equal directories, so three
 * replicas are restored independently of each other.
 */
import { existsSync, readdirSync } from 'node:fs';
import { Catalog, readChecked } from '../../libs/archive/catalog.ts';
import type { ObjectStore } from '../../libs/archive/object-store.ts';
import { decodeSegment } from '../../libs/archive/segment.ts';
import type { Segment } from '../../libs/archive/segment.ts';
import { decodeState } from '../../libs/archive/state.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { ENTRY_HEADER_BYTES } from '../../libs/frames/entry.ts';
import type { Mark } from '../../libs/lane/types.ts';
import { createOrderMachine, restoreOrderMachine } from '../../libs/order/machine.ts';
import type { HashedOrderMachine } from '../../libs/order/machine.ts';
import { openLog } from '../../libs/storage/log.ts';
import { at } from '../../libs/values/assert.ts';
import { REPLICAS, TIMESTAMP_STRIDE, nextEpoch } from '../../libs/values/numbers.ts';
import type { Epoch, Index, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { ArchiveView } from './archive-history.ts';
import { headSection, machineSection, newHead } from './checkpoint-sections.ts';
import { makeLog } from './recovery.ts';

export interface RestoreOptions {
  readonly store: ObjectStore;
  readonly directory: string;
  readonly replica: ReplicaId;
  readonly generation: number;
  /** Wall clock, microseconds. */
  readonly wall: number;
}

export interface Restored {
  readonly directory: string;
  readonly cluster: string;
  readonly instance: string;
  readonly replica: number;
  readonly generation: number;
  /** Entries in the restored order, from the first of the journal. */
  readonly entries: number;
  /** The last archived position: everything up to this log time is restored, nothing after it. */
  readonly timestamp: number;
  /** Of the restored order; the same for every replica. */
  readonly hash: string;
}

/** Throws REFUSED when the place is not empty or there is no archive; CORRUPT with the key of what is not right. */
export async function restoreReplica(options: RestoreOptions): Promise<Restored> {
  const { store, directory, replica, generation, wall } = options;
  if (existsSync(directory) && readdirSync(directory).length > 0) {
    throw new MeridianError(
      'REFUSED',
      `${directory} is not empty: a journal is restored to an empty place`,
    );
  }
  const root = await Catalog.rootOf(store);
  const names = { cluster: root?.cluster ?? '', instance: root?.instance ?? '' };
  const catalog = await Catalog.open({ store, ...names, by: 'restore', now: () => wall / 1000 });
  if (catalog === null) throw new MeridianError('REFUSED', `there is no archive at ${store.url}`);
  const { order, lanes } = await replay(catalog);
  const { end, lastTimestamp } = catalog.manifest;
  const identity = { ...names, replica, generation };
  await makeLog({ directory, identity, self: replica, incarnation: wall, voting: true });
  const timestamp = lastTimestamp as Timestamp;
  const head = newHead({
    watermark: timestamp,
    count: end,
    lastTimestamp: timestamp,
    segment: 1,
    lanes: lanes.map((mark) => ({ base: mark, released: mark, epochs: [], after: null })),
    state: {
      promised: lanes.map(({ epoch }) => epoch),
      reservation: lastTimestamp,
      incarnations: REPLICAS.map((id) => (id === replica ? wall : 0)),
      voting: true,
    },
  });
  const log = openLog({ directory, identity, onFatal: () => undefined }, () => undefined);
  await new Promise<void>((resolve, reject) => {
    log.saveCheckpoint(sections(), (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
  await log.close();
  return { directory, ...identity, entries: end, timestamp: lastTimestamp, hash: order.hash() };

  function* sections(): Generator<Uint8Array, void, undefined> {
    yield headSection(head);
    for (const chunk of order.snapshot()) yield machineSection(chunk);
  }
}

interface Replayed {
  readonly order: HashedOrderMachine;
  readonly lanes: readonly Mark[];
}

async function replay(catalog: Catalog): Promise<Replayed> {
  const { state } = catalog.manifest;
  const archived =
    state === null ? null : decodeState(await readChecked(catalog.store, state), state.key);
  const order = archived === null ? createOrderMachine() : restoreOrderMachine(archived.machine);
  const lanes = REPLICAS.map((lane) => {
    const mark = archived?.lanes[lane];
    // A lane without entries gets a first one that nobody has: a log begins behind something.
    return mark === undefined || mark.index === 0 ? unwritten(lane) : (mark as Mark);
  });
  let chain: string | null = null;
  for await (const ref of catalog.allSegments()) {
    const segment = decodeSegment(await readChecked(catalog.store, ref), ref.key);
    if (segment.first !== ref.first || (chain !== null && segment.previous !== chain)) {
      throw new MeridianError('CORRUPT', `${ref.key} does not follow the segment before it`, {
        details: { key: ref.key },
      });
    }
    execute(order, lanes, segment, ref.key);
    chain = ref.sha256;
  }
  return { order, lanes };
}

/** What the order makes of it now must be what it made of it then. */
function execute(order: HashedOrderMachine, lanes: Mark[], segment: Segment, key: string): void {
  const { index } = new ArchiveView(segment);
  segment.entries.forEach(({ header, frame }, number) => {
    const ordinal = segment.first + number;
    const seen = new Set<string>();
    for (let offset = ENTRY_HEADER_BYTES; offset < frame.length;) {
      const batch = decodeBatchHeader(frame, offset);
      offset += batch.bytes;
      const outcome = order.apply(batch, header.timestamp);
      if (outcome.kind !== 'appended' || seen.has(batch.stream)) continue;
      seen.add(batch.stream);
      if (index.rows(batch.stream)?.firstSeqNumIn(ordinal) === outcome.firstSeqNum) continue;
      throw new MeridianError(
        'CORRUPT',
        `${key}: the order makes number ${outcome.firstSeqNum} of entry ${ordinal} in ${batch.stream}, the archive says otherwise`,
        { details: { key } },
      );
    }
    const { lane, epoch, index: slot, timestamp } = header;
    lanes[lane] = { ...at(lanes, lane), epoch, index: slot, timestamp };
  });
}

function unwritten(lane: ReplicaId): Mark {
  const epoch = nextEpoch(0 as Epoch, lane);
  return { epoch, index: 1 as Index, timestamp: (TIMESTAMP_STRIDE + lane) as Timestamp };
}
