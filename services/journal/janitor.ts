/**
 * Deletes in an archive: what retention by age or size has passed over, and what every stream has trimmed, from
 * the beginning on, as far as no registered reader holds it. One round is one look; a round that was
 * interrupted anywhere is finished by the next. It has its own rights: nobody else may delete, and it may
 * delete nothing but segments, pages and states.
 *
 * Never by a listing alone: an object goes because a manifest named it and a later one calls it garbage, or
 * because a manifest says that it can never be named any more (libs/archive/sweep.ts). Never by a clock of its own either: age counts in log time back from the last archived entry, so a janitor whose clock
 * is wrong deletes nothing too early, and an idle journal keeps what it has. Only holds expire by the wall clock.
 */
import { randomBytes } from 'node:crypto';
import { Catalog, createChecked } from '../../libs/archive/catalog.ts';
import { stateKey } from '../../libs/archive/keys.ts';
import { archivedBytes, sha256Of } from '../../libs/archive/manifest.ts';
import type { ObjectRef, SegmentRef } from '../../libs/archive/manifest.ts';
import type { ListingStore, StoredObject } from '../../libs/archive/object-store.ts';
import {
  ripe,
  tightestHold,
  withKnown,
  withoutGarbage,
  withoutSegments,
} from '../../libs/archive/removal.ts';
import { decodeSegment } from '../../libs/archive/segment.ts';
import type { StreamRange } from '../../libs/archive/segment.ts';
import { leftovers, sweepNumber, withSweep } from '../../libs/archive/sweep.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { OrderMachine } from '../../libs/order/types.ts';
import { ArchiveView } from './archive-history.ts';
import { ArchiveReplay } from './archive-replay.ts';
import { outcomeOf } from './segment-maker.ts';

export interface JanitorOptions {
  readonly store: ListingStore;
  /** Age in log time up to which entries are kept, microseconds; 0: any age. */
  readonly retentionMicros: number;
  /** Bytes of segments that are kept; 0: any number. */
  readonly retentionBytes: number;
  /** Deletes also what every stream has trimmed. */
  readonly trims: boolean;
  /** Time that readers of older manifests have before an object goes, milliseconds. */
  readonly graceMs: number;
  /** Deletes also what was uploaded this long ago and never named, milliseconds; null: leaves it. */
  readonly unnamedMs: number | null;
  /** Only says what would be deleted. */
  readonly dryRun: boolean;
  /** Wall clock, milliseconds since 1970. */
  readonly now: () => number;
}

export interface JanitorReport {
  readonly cluster: string;
  readonly instance: string;
  /** What is archived after the round: ordinals, and the log time up to which all is deleted. */
  readonly first: number;
  readonly end: number;
  readonly goneTo: number;
  /** Named no more since this round, or that would be. */
  readonly removedSegments: number;
  readonly removedBytes: number;
  /** Deleted by this round. */
  readonly deletedObjects: number;
  /** Named no more, and waiting for readers of older manifests. */
  readonly waitingObjects: number;
  /** Uploaded and never named: waiting for a sweep, or for the grace after it. */
  readonly unnamedObjects: number;
  /** The hold that kept something from being deleted. */
  readonly heldBy: string | null;
}

/** Where objects lie that may be deleted. */
const FOLDERS = ['segments', 'pages', 'states'];

/** New segments after which the janitor's own state is written again. */
const KNOWN_SEGMENTS = 16;
/** Of one round, and of all that waits: every manifest names its garbage. */
const SEGMENTS_MAX = 4000;
const GARBAGE_MAX = 10_000;

/** Throws REFUSED when there is no archive; what the store throws ends the round. */
export async function cleanArchive(options: JanitorOptions): Promise<JanitorReport> {
  const { store, now, dryRun } = options;
  const root = await Catalog.rootOf(store);
  if (root === null) throw new MeridianError('REFUSED', `there is no archive at ${store.url}`);
  const { cluster, instance } = root;
  const catalog = await Catalog.open({ store, cluster, instance, by: 'janitor', now });
  if (catalog === null) throw new MeridianError('UNAVAILABLE', `${store.url} lost its root`);
  const named = dryRun ? 0 : await removeGarbage(catalog, options);
  const unnamed = await removeUnnamed(catalog, options);
  const found = await expired(catalog, options);
  const { heldBy } = found;
  const isDone = dryRun || (await remove(catalog, found.segments, options));
  const segments = isDone ? found.segments : [];
  const { first, end, goneTo, garbage } = catalog.manifest;
  return {
    cluster,
    instance,
    first,
    end,
    goneTo,
    removedSegments: segments.length,
    removedBytes: segments.reduce((sum, { bytes }) => sum + bytes, 0),
    deletedObjects: named + unnamed.deleted,
    waitingObjects: garbage.length,
    unnamedObjects: unnamed.left,
    heldBy,
  };
}

/** Deletes what has been garbage for long enough; a crash in the middle leaves it named as garbage. */
async function removeGarbage(catalog: Catalog, { graceMs, now }: JanitorOptions): Promise<number> {
  const gone = ripe(catalog.manifest, graceMs, now());
  if (gone.length === 0) return 0;
  for (const { key } of gone) await catalog.store.remove(key);
  await catalog.commit((manifest) => withoutGarbage(manifest, gone));
  return gone.length;
}

/**
 * Two looks: the first finds what is not named and makes a manifest with a sweep, after which nobody can name it
 * any more; the second, a grace later, deletes what is there still, and not named still.
 */
async function removeUnnamed(
  catalog: Catalog,
  options: JanitorOptions,
): Promise<{ deleted: number; left: number }> {
  const { store, unnamedMs, graceMs, dryRun, now } = options;
  if (unnamedMs === null) return { deleted: 0, left: 0 };
  const manifest = await catalog.refresh();
  const rules = { manifest, named: await allNamed(catalog), ageMs: unnamedMs, now: now() };
  const { fenced, open } = await leftovers(everything(store), rules);
  if (dryRun) return { deleted: 0, left: fenced.length + open.length };
  const isRipe = manifest.sweep !== undefined && now() - manifest.sweep.at >= graceMs;
  const gone = isRipe ? fenced : [];
  for (const key of gone) await store.remove(key);
  if (open.length > 0) await catalog.commit((before) => withSweep(before, now()));
  return { deleted: gone.length, left: fenced.length - gone.length + open.length };
}

async function allNamed(catalog: Catalog): Promise<Set<string>> {
  const { manifest, root } = catalog;
  const named = new Set(manifest.pages.map(({ key }) => key));
  for (const ref of [root.state, manifest.state, manifest.known])
    if (ref != null) named.add(ref.key);
  for await (const { key } of catalog.allSegments()) named.add(key);
  return named;
}

async function* everything(store: ListingStore): AsyncIterable<StoredObject> {
  for (const folder of FOLDERS) yield* store.list(folder);
}

/** The segments at the beginning that may go, the last one of all never among them. */
async function expired(
  catalog: Catalog,
  options: JanitorOptions,
): Promise<{ segments: readonly SegmentRef[]; heldBy: string | null }> {
  const { retentionMicros, retentionBytes, trims, now } = options;
  const { manifest } = catalog;
  const order = trims ? await orderAtEnd(catalog, options) : null;
  const oldest = retentionMicros === 0 ? 0 : manifest.lastTimestamp - retentionMicros;
  const hold = tightestHold(manifest, now());
  let bytes = await bytesNamed(catalog);
  const segments: SegmentRef[] = [];
  let isTrimmed = order !== null;
  const most = Math.min(SEGMENTS_MAX, GARBAGE_MAX - manifest.garbage.length);
  for await (const segment of catalog.allSegments()) {
    if (segment.end === manifest.end || segments.length >= most) break;
    const isOld = segment.lastTimestamp < oldest;
    const isTooMuch = retentionBytes > 0 && bytes - segment.bytes >= retentionBytes;
    if (isTrimmed && order !== null) isTrimmed = await isForgotten(catalog, segment, order);
    if (!isOld && !isTooMuch && !isTrimmed) break;
    if (hold !== null && segment.lastTimestamp > hold.timestamp) {
      return { segments, heldBy: hold.name };
    }
    segments.push(segment);
    bytes -= segment.bytes;
  }
  return { segments, heldBy: null };
}

/** Names them no more, with the order's state behind them, from which a restore begins; false: not now. */
async function remove(
  catalog: Catalog,
  segments: readonly SegmentRef[],
  { now }: JanitorOptions,
): Promise<boolean> {
  if (segments.length === 0) return false;
  const { first, state: before } = catalog.manifest;
  const replay = await ArchiveReplay.from(catalog, before);
  for (const segment of segments) await replay.execute(segment);
  const sweep = sweepNumber(catalog.manifest);
  const state = await put(catalog, replay);
  const { state: rootState } = catalog.root;
  const goneTo = segments.at(-1)?.lastTimestamp ?? 0;
  let isDone = false;
  await catalog.commit((manifest) => {
    // Another janitor was faster, or a reader has registered meanwhile: the next round looks again.
    const hold = tightestHold(manifest, now());
    isDone =
      manifest.first === first &&
      sweepNumber(manifest) === sweep &&
      (hold === null || hold.timestamp >= goneTo);
    if (!isDone) return null;
    return withoutSegments(manifest, { segments, state, rootState, now: now() });
  });
  return isDone;
}

/** What the streams are at the end of the archive; where the last round stood is written down. */
async function orderAtEnd(
  catalog: Catalog,
  { dryRun, now }: JanitorOptions,
): Promise<OrderMachine> {
  const { known, first, state } = catalog.manifest;
  const begin = known !== undefined && known.ordinal >= first ? known : state;
  const replay = await ArchiveReplay.from(catalog, begin);
  let executed = 0;
  for await (const segment of catalog.allSegments()) {
    if (segment.end <= replay.ordinal) continue;
    await replay.execute(segment);
    executed += 1;
  }
  if (executed >= KNOWN_SEGMENTS && !dryRun) {
    const sweep = sweepNumber(catalog.manifest);
    const written = { ...(await put(catalog, replay)), ordinal: replay.ordinal };
    await catalog.commit((manifest) =>
      sweepNumber(manifest) === sweep ? withKnown(manifest, written, now()) : null,
    );
  }
  return replay.order;
}

/** Under a name of its own each time: what is named must never be what another round has called garbage. */
async function put(catalog: Catalog, replay: ArchiveReplay): Promise<ObjectRef> {
  const bytes = replay.encode();
  const chance = randomBytes(32).toString('hex');
  const key = stateKey(replay.ordinal, chance, sweepNumber(catalog.manifest));
  const ref = { key, bytes: bytes.length, sha256: sha256Of(bytes) };
  await createChecked(catalog.store, ref, bytes);
  return ref;
}

/** Without what a page names although it is deleted already. */
async function bytesNamed(catalog: Catalog): Promise<number> {
  const { manifest } = catalog;
  const [page] = manifest.pages;
  if (page === undefined || page.first >= manifest.first) return archivedBytes(manifest);
  const gone = (await catalog.pageContent(page)).filter(({ end }) => end <= manifest.first);
  return archivedBytes(manifest) - gone.reduce((sum, segment) => sum + segment.bytes, 0);
}

/** Nobody may ask for any record in it any more: trimmed, or of a stream that was deleted since. */
async function isForgotten(
  catalog: Catalog,
  segment: SegmentRef,
  order: OrderMachine,
): Promise<boolean> {
  const ranges = segment.streams ?? (await rangesOf(catalog, segment));
  return ranges.every(({ stream, next }) => {
    const state = order.stream(stream);
    if (state === null || state.createdAt > segment.lastTimestamp) return true;
    return next <= state.firstSeqNum;
  });
}

/** Of a segment with too many streams to be listed. */
async function rangesOf(catalog: Catalog, ref: SegmentRef): Promise<StreamRange[]> {
  const segment = decodeSegment(await catalog.fetch(ref), ref.key);
  const { index } = new ArchiveView(segment);
  return segment.entries.flatMap(
    ({ frame }, number) => outcomeOf(index, segment.first + number, frame).streams,
  );
}
