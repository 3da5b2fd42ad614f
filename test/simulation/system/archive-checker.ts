/**
 * What stands in the store, held against what the instance has released, object by object as it is written: nothing is
 * overwritten, a manifest follows the one before and names what is there, segments hold the released entries byte by
 * byte whoever made them, and log goes only when a manifest has it and two replicas have written it (I17).
 */
import { Catalog } from '../../../libs/archive/catalog.ts';
import { HINT_KEY, ROOT_KEY, manifestKey } from '../../../libs/archive/keys.ts';
import { decodeManifest, sha256Of } from '../../../libs/archive/manifest.ts';
import type { Manifest, SegmentRef } from '../../../libs/archive/manifest.ts';
import { decodeSegment } from '../../../libs/archive/segment.ts';
import { decodeBatchHeader } from '../../../libs/frames/batch.ts';
import { ENTRY_HEADER_BYTES } from '../../../libs/frames/entry.ts';
import { createOrderMachine } from '../../../libs/order/machine.ts';
import type { ReplicaId, Timestamp } from '../../../libs/values/numbers.ts';
import { ArchiveReplay } from '../../../services/journal/archive-replay.ts';
import type { Cluster } from '../cluster.ts';
import { isMarker, type ReleasedEntry } from '../order-checker.ts';
import type { Trace } from '../trace.ts';
import { check } from '../violation.ts';
import { releasedFrame } from './replica-side.ts';
import type { SimulatedStore, StoreListener } from './simulated-store.ts';

export class ArchiveChecker implements StoreListener {
  /** The newest one. */
  manifest: Manifest | null = null;
  trims = 0;
  private manifestHash = '';
  private readonly store: SimulatedStore;
  private readonly cluster: Cluster;
  private readonly trace: Trace;
  /** Keys of segments by the ordinal of their first entry. */
  private readonly segments = new Map<number, string>();
  /** Released entries with batches, by ordinal. */
  private readonly entries: ReleasedEntry[] = [];
  private looked = 0;

  constructor(store: SimulatedStore, cluster: Cluster, trace: Trace) {
    this.store = store;
    this.cluster = cluster;
    this.trace = trace;
  }

  written(key: string, bytes: Uint8Array, before: Uint8Array | null): void {
    if (key === HINT_KEY) return;
    check(before === null || Buffer.from(before).equals(bytes), 'object-overwritten', () => {
      return `${key} was there, with other bytes`;
    });
    if (before !== null) return;
    if (key.startsWith('segments/')) this.segmentWritten(key, bytes);
    else if (key.startsWith('manifests/')) this.manifestWritten(key, bytes);
  }

  /** I17: entries below the ordinal are about to leave the log of a replica. */
  mayTrim(replica: ReplicaId, ordinal: number): void {
    this.trims += 1;
    const end = this.manifest?.end ?? 0;
    check(ordinal <= end, 'dropped-unarchived', () => {
      return `r${replica} drops entries below ${ordinal}, the manifest names those below ${end}`;
    });
    this.extend();
    for (const { lane, index, epoch } of this.entries.slice(0, ordinal)) {
      const copies = this.cluster.replicas.filter(
        ({ disk }) => disk.lanes[lane]?.entries[index - 1]?.epoch === epoch,
      );
      const lost = this.cluster.replicas.some(({ disk }) => disk.lost);
      check(copies.length >= (lost ? 1 : 2), 'dropped-alone', () => {
        return `r${replica} drops lane ${lane} index ${index}, which ${copies.length} have`;
      });
    }
  }

  /** Entries released so far that an archive is to hold. */
  get released(): number {
    this.extend();
    return this.entries.length;
  }

  /** What the archive alone gives is what was released, up to where it ends. */
  async checkRestore(cluster: string, instance: string): Promise<void> {
    const client = this.store.client(() => false);
    const options = { store: client, cluster, instance, by: 'restore', now: () => 0 };
    const catalog = await Catalog.open(options);
    check(catalog !== null, 'restore-nothing', () => `there is no archive of ${instance}`);
    const replay = await ArchiveReplay.ofAll(catalog);
    this.extend();
    const order = createOrderMachine();
    for (const entry of this.entries.slice(0, replay.ordinal)) {
      const frame = releasedFrame(entry);
      for (let offset = ENTRY_HEADER_BYTES; offset < frame.length;) {
        const batch = decodeBatchHeader(frame, offset);
        order.apply(batch, entry.timestamp as Timestamp);
        offset += batch.bytes;
      }
    }
    check(order.hash() === replay.order.hash(), 'restore-differs', () => {
      return `${instance} restored up to entry ${replay.ordinal} is another order`;
    });
    const names = this.entries.slice(0, replay.ordinal).at(-1);
    check(names === undefined || replay.timestamp === names.timestamp, 'restore-differs', () => {
      return `${instance} restored ends at ${replay.timestamp}, not ${names?.timestamp}`;
    });
  }

  private segmentWritten(key: string, bytes: Uint8Array): void {
    const segment = decodeSegment(bytes, key);
    const other = this.segments.get(segment.first);
    check(other === undefined || other === key, 'segments-differ', () => {
      return `${key} and ${other} both begin with entry ${segment.first}`;
    });
    this.segments.set(segment.first, key);
    this.extend();
    segment.entries.forEach(({ frame, header }, i) => {
      const entry = this.entries[segment.first + i];
      check(entry?.timestamp === header.timestamp, 'archive-order', () => {
        return `${key} has ${header.timestamp} as entry ${segment.first + i}, released is ${entry?.timestamp}`;
      });
      const released = releasedFrame(entry);
      check(Buffer.from(released).equals(frame), 'archive-bytes', () => {
        return `${key} has other bytes of entry ${segment.first + i}`;
      });
    });
  }

  private manifestWritten(key: string, bytes: Uint8Array): void {
    const manifest = decodeManifest(bytes, key);
    const { number, previous, first, end, segments } = manifest;
    const last = this.manifest;
    const root = this.store.objects.get(ROOT_KEY);
    const expected = last === null ? sha256Of(root ?? new Uint8Array()) : this.manifestHash;
    const isNext = number === (last?.number ?? 0) + 1 && key === manifestKey(number);
    check(isNext && previous === expected, 'manifest-fork', () => {
      return `${key} does not follow on manifest ${last?.number ?? 0}`;
    });
    check(end >= (last?.end ?? first), 'manifest-went-back', () => `${key} ends at ${end}`);
    for (const ref of segments) if (ref.first >= (last?.end ?? first)) this.named(key, ref);
    this.manifest = manifest;
    this.manifestHash = sha256Of(bytes);
    this.trace.note('manifest', -1, end, number);
  }

  private named(key: string, ref: SegmentRef): void {
    const bytes = this.store.objects.get(ref.key);
    check(bytes !== undefined && sha256Of(bytes) === ref.sha256, 'manifest-names-missing', () => {
      return `${key} names ${ref.key}, which is not there`;
    });
  }

  private extend(): void {
    const { list } = this.cluster.checkers.order;
    for (; this.looked < list.length; this.looked++) {
      const entry = list[this.looked];
      if (entry !== undefined && !isMarker(entry)) this.entries.push(entry);
    }
  }
}
