/**
 * Carries what was released into the archive: makes segments, puts them there, reads them back, names
 * them in the next manifest. Appends never wait for it: it works beside them, in slices, and when the
 * store stays away it waits, ever longer, while the local log keeps what is not archived.
 *
 * Owns the archive's catalog, which readers look into. Several replicas may share a bucket: their segments
 * are the same bytes, so each compares its own with what is named; other bytes, seen again and again, mean that
 * one order was not one, and end archiving here until somebody has put it right. What may leave the log is said by `archivedTo`.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { Catalog, createChecked } from '../../libs/archive/catalog.ts';
import type { CutRule } from '../../libs/archive/cut.ts';
import { segmentKey, stateKey } from '../../libs/archive/keys.ts';
import { segmentRef, sha256Of, withSegments } from '../../libs/archive/manifest.ts';
import type { Manifest, ObjectRef } from '../../libs/archive/manifest.ts';
import type { ObjectStore } from '../../libs/archive/object-store.ts';
import type { BuiltSegment } from '../../libs/archive/segment.ts';
import { sweepNumber } from '../../libs/archive/sweep.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { LaneStore } from './lane-store.ts';
import type { ReleaseIndex } from './release-index.ts';
import { SegmentMaker } from './segment-maker.ts';
import type { Watermark } from './watermark.ts';

export interface ArchiverOptions {
  readonly store: ObjectStore;
  readonly cluster: string;
  readonly instance: string;
  /** Name of this writer in manifests. */
  readonly by: string;
  readonly index: ReleaseIndex;
  readonly entries: Pick<LaneStore, 'content'>;
  readonly watermark: Pick<Watermark, 'value'>;
  /** For an archive that is new; an old one has its own. */
  readonly rule: CutRule;
  /** Segments under way at the same time, each in memory. */
  readonly uploadsMax: number;
  /** Pause when there is nothing to do, milliseconds. */
  readonly pollMs: number;
  /** Time that another writer of a shared bucket gets before this one does its work, milliseconds. */
  readonly turnMs: number;
  /** The order's state at the first entry of the log, encoded; null: the log is whole. */
  readonly baseState: () => Uint8Array | null;
  readonly logger: Logger;
}

export interface ArchiverFigures {
  segments: number;
  bytes: number;
  failures: number;
}

const BACKOFF_MS_LEAST = 500;
const BACKOFF_MS_MAX = 30_000;
/** Other content, another journal's archive: waiting does not help, unless the answer was a lie. */
const FINAL = new Set(['CORRUPT', 'WRONG_TARGET']);
/** Looks in a row that must say so before it is believed: one answer may be damaged on its way. */
const DOUBTS = 3;
/** Between two looks at an archive that holds what it must not: somebody may have put it right. */
const HALTED_MS = 60_000;

export class Archiver {
  readonly #options: ArchiverOptions;
  readonly figures: ArchiverFigures = { segments: 0, bytes: 0, failures: 0 };
  #catalog: Catalog | null = null;
  #maker: SegmentMaker | null = null;
  /** Made, and not known to be named. */
  #made: BuiltSegment[] = [];
  #archivedTo = 0;
  #archivedTimestamp = 0;
  #halted = false;
  /** Looks in a row that found what must not be there. */
  #doubts = 0;
  #failing = false;
  #backoffMs = 0;
  readonly #stopping = new AbortController();

  constructor(options: ArchiverOptions) {
    this.#options = options;
  }

  /** null: the store has not been reached yet, or holds what it must not. */
  get catalog(): Catalog | null {
    return this.#catalog;
  }

  /** Entries with lower ordinals are in the archive, read back and named. */
  get archivedTo(): number {
    return this.#archivedTo;
  }

  /** Timestamp of the last of them. */
  get archivedTimestamp(): number {
    return this.#archivedTimestamp;
  }

  /** Nothing is archived any more: somebody must put right what is there. */
  get halted(): boolean {
    return this.#halted;
  }

  /** Under way: made, and not known to be named. */
  get heldSegments(): number {
    return this.#made.length;
  }

  /** The memory they take. */
  get heldBytes(): number {
    return this.#made.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  start(): void {
    void this.#run();
  }

  /** What is under way is left: the next start finds out what became of it. */
  stop(): void {
    this.#stopping.abort();
  }

  async #run(): Promise<void> {
    while (!this.#isOver) await this.#pause(await this.attempt());
  }

  /** A round, and what becomes of its failure; returns how long to wait before the next, milliseconds. */
  async attempt(): Promise<number> {
    try {
      const moved = await this.round();
      if (this.#failing) this.#options.logger.info({}, 'the archive is written again');
      this.#halted = false;
      this.#failing = false;
      this.#doubts = 0;
      this.#backoffMs = 0;
      return moved ? 0 : this.#options.pollMs;
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      return this.#isOver ? 0 : this.#failed(error);
    }
  }

  /** One look at the archive and the work found there; true: there may be more. Rejects with what failed. */
  async round(): Promise<boolean> {
    const catalog = this.#catalog ?? (await this.#open());
    await catalog.refresh();
    const before = this.#archivedTo;
    await this.#compare(catalog);
    await this.#fill();
    await this.#compare(catalog);
    const [next] = this.#made;
    if (catalog.manifest.end !== next?.first) return this.#archivedTo > before;
    await this.#giveWay(catalog);
    if (catalog.manifest.end === next.first) await this.#upload(catalog);
    await this.#compare(catalog);
    return true;
  }

  async #open(): Promise<Catalog> {
    const { store, cluster, instance, by, rule, index } = this.#options;
    const options = { store, cluster, instance, by, now: () => Date.now() };
    const standing = await Catalog.open(options);
    const { segmentBytes, windowMicros } = rule;
    const catalog =
      standing ??
      (await Catalog.create(options, {
        cluster,
        instance,
        segmentBytes,
        windowMicros,
        first: index.first,
        goneTo: index.goneTo,
        state: await this.#putBase(),
      }));
    const { end, chain, lastTimestamp } = catalog.manifest;
    this.#options.logger.info(
      { archive: store.url, manifest: catalog.manifest.number, entries: end },
      'the archive is open',
    );
    this.#catalog = catalog;
    this.#archivedTo = end;
    this.#archivedTimestamp = lastTimestamp;
    this.#maker = this.#makerAt(catalog, end, chain);
    return catalog;
  }

  #makerAt(catalog: Catalog, first: number, chain: string): SegmentMaker {
    const { index, entries, watermark } = this.#options;
    const { root: rule } = catalog;
    return new SegmentMaker({ index, store: entries, watermark, rule, first, chain });
  }

  /** An archive that begins later than its journal needs what the order had made of the beginning. */
  async #putBase(): Promise<ObjectRef | null> {
    const { store, index, baseState } = this.#options;
    if (index.first === 0) return null;
    const bytes = baseState();
    if (bytes === null) throw new MeridianError('UNAVAILABLE', 'the base checkpoint is not there');
    const sha256 = sha256Of(bytes);
    const ref = { key: stateKey(index.first, sha256), bytes: bytes.length, sha256 };
    await createChecked(store, ref, bytes);
    return ref;
  }

  async #fill(): Promise<void> {
    while (this.#made.length < this.#options.uploadsMax) {
      const segment = (await this.#maker?.make()) ?? null;
      if (segment === null) return;
      this.#made.push(segment);
    }
  }

  /** Segments of ours that are named count as archived; they must be the same as those named. */
  async #compare(catalog: Catalog): Promise<void> {
    for (let [made] = this.#made; made !== undefined; [made] = this.#made) {
      const { first, end, sha256, lastTimestamp } = made;
      if (catalog.manifest.end <= first) return;
      const named = await catalog.segmentAt(first);
      // The janitor may have been faster than this replica.
      if (named !== null && (named.end !== end || named.sha256 !== sha256)) {
        throw new MeridianError(
          'CORRUPT',
          `${catalog.store.url}/${named.key} has other content than this replica has released there`,
          { details: { key: named.key, expected: sha256, actual: named.sha256 } },
        );
      }
      this.#made.shift();
      this.#archivedTo = end;
      this.#archivedTimestamp = lastTimestamp;
    }
    this.#skipAhead(catalog);
  }

  /** What others archived and this replica cannot make (it came later) is taken as they made it. */
  #skipAhead(catalog: Catalog): void {
    const { index } = this.#options;
    const { end, chain, lastTimestamp } = catalog.manifest;
    if (this.#archivedTo >= index.first || end <= this.#archivedTo) return;
    this.#made = [];
    this.#maker = this.#makerAt(catalog, end, chain);
    this.#archivedTo = end;
    this.#archivedTimestamp = lastTimestamp;
  }

  /** Where another one wrote last, it is probably at work already: its segment is ours too. */
  async #giveWay(catalog: Catalog): Promise<void> {
    const { by, turnMs } = this.#options;
    const { number, by: writer } = catalog.manifest;
    if (number === 0 || writer === by || this.#isOver) return;
    await this.#pause(turnMs);
    await catalog.refresh();
  }

  async #upload(catalog: Catalog): Promise<void> {
    const made = [...this.#made];
    const sweep = sweepNumber(catalog.manifest);
    const refs = made.map((segment) =>
      segmentRef(segment, segmentKey(segment.first, segment.sha256, sweep)),
    );
    await Promise.all(
      made.map(async ({ bytes }, at) => {
        const ref = refs[at];
        if (ref !== undefined) await createChecked(catalog.store, ref, bytes);
      }),
    );
    if (this.#isOver) return;
    const outcome = { isOurs: false };
    const follow = (manifest: Manifest): Manifest | null => {
      // After a sweep nobody knows whether what was uploaded before it is still there: once more.
      outcome.isOurs = manifest.end === made[0]?.first && sweepNumber(manifest) === sweep;
      return outcome.isOurs ? withSegments(manifest, refs) : null;
    };
    await catalog.commit(follow);
    if (!outcome.isOurs) return;
    this.figures.segments += made.length;
    this.figures.bytes += made.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }

  /** Told once: an outage, and a halt. Returns the pause before the next look. */
  #failed(error: MeridianError): number {
    const { logger, store } = this.#options;
    const fields = { archive: store.url, reason: error.reason, details: error.details };
    this.figures.failures += 1;
    this.#doubts = FINAL.has(error.reason) ? this.#doubts + 1 : 0;
    if (this.#doubts >= DOUBTS) {
      const message =
        'ARCHIVING HAS STOPPED: the archive holds what it must not; appends go on, and the log keeps everything from here on';
      if (!this.#halted) logger.error({ ...fields, found: error.message }, message);
      this.#halted = true;
      this.#failing = true;
      return HALTED_MS;
    }
    const message = 'the archive cannot be written; the log keeps what is not archived';
    if (!this.#failing) logger.warn({ ...fields, found: error.message }, message);
    this.#failing = true;
    this.#backoffMs = Math.min(BACKOFF_MS_MAX, Math.max(BACKOFF_MS_LEAST, this.#backoffMs * 2));
    // What may be a lie is asked again soon: while in doubt nothing is archived.
    return this.#doubts > 0 ? BACKOFF_MS_LEAST : this.#backoffMs;
  }

  get #isOver(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Ends early when all is over: whoever pauses looks. */
  async #pause(ms: number): Promise<void> {
    if (ms === 0) return;
    await pause(ms, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
  }
}
