/**
 * The newest manifest of an archive, and the one way to the next: whoever creates the next number has
 * decided; everybody else reads it and tries again on top. So several replicas and a janitor may write
 * to one archive, and a lost answer is settled by reading what is there.
 *
 * The hint says where to begin to look; from there numbers are asked for until one is missing, because
 * it may lag behind. Deliberately not here: what to change (archiver, janitor), and bytes of segments.
 */
import { MeridianError } from '../errors/errors.ts';
import { HINT_KEY, ROOT_KEY, manifestKey, pageKey } from './keys.ts';
import type { Manifest, ObjectRef, PageRef, Root, SegmentRef } from './manifest.ts';
import { MANIFEST_BYTES_MAX, MANIFEST_VERSION, PAGE_SEGMENTS } from './manifest.ts';
import { decodeManifest, decodePage, decodeRoot, emptyManifest } from './manifest.ts';
import { encodeJson, encodeSummed, sha256Of } from './manifest.ts';
import type { ObjectStore } from './object-store.ts';
import { SEGMENT_BYTES_MAX } from './segment.ts';
import { checkNamed, sweepNumber } from './sweep.ts';

const PAGES_KEPT = 16;
/** More tries to be the next would mean that something is broken. */
const RACES_MAX = 100;

export interface CatalogOptions {
  readonly store: ObjectStore;
  readonly cluster: string;
  readonly instance: string;
  /** Who writes, for people. */
  readonly by: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/** null: no change. Called again on top of what another has written meanwhile. */
export type Change = (manifest: Manifest) => Omit<Manifest, 'number' | 'previous'> | null;

export class Catalog {
  readonly store: ObjectStore;
  readonly root: Root;
  readonly #options: CatalogOptions;
  readonly #rootHash: string;
  #manifest: Manifest;
  #hash: string;
  readonly #pages = new Map<string, readonly SegmentRef[]>();

  private constructor(options: CatalogOptions, root: Root, rootHash: string) {
    this.#options = options;
    this.#rootHash = rootHash;
    this.store = options.store;
    this.root = root;
    this.#manifest = emptyManifest(root, rootHash);
    this.#hash = rootHash;
  }

  /** null: there is no archive. Throws WRONG_TARGET when it is another journal's. */
  static async open(options: CatalogOptions): Promise<Catalog | null> {
    const bytes = await options.store.read(ROOT_KEY, MANIFEST_BYTES_MAX);
    if (bytes === null) return null;
    const root = decodeRoot(bytes, ROOT_KEY);
    for (const field of ['cluster', 'instance'] as const) {
      if (root[field] === options[field]) continue;
      throw new MeridianError(
        'WRONG_TARGET',
        `${options.store.url} is the archive of ${field} ${root[field]}, not of ${options[field]}`,
        { details: { expected: options[field], actual: root[field] } },
      );
    }
    const catalog = new Catalog(options, root, sha256Of(bytes));
    await catalog.#find();
    return catalog;
  }

  /** Whose archive a store holds; null: none. */
  static async rootOf(store: ObjectStore): Promise<Root | null> {
    const bytes = await store.read(ROOT_KEY, MANIFEST_BYTES_MAX);
    return bytes === null ? null : decodeRoot(bytes, ROOT_KEY);
  }

  /** Makes the archive unless another has done so; the root that stands then counts. */
  static async create(options: CatalogOptions, root: Omit<Root, 'version'>): Promise<Catalog> {
    await options.store.create(ROOT_KEY, encodeSummed({ version: MANIFEST_VERSION, ...root }));
    const catalog = await Catalog.open(options);
    if (catalog !== null) return catalog;
    throw new MeridianError('UNAVAILABLE', `${options.store.url} lost what was just written`);
  }

  get manifest(): Manifest {
    return this.#manifest;
  }

  /** Takes what others have written since. */
  async refresh(): Promise<Manifest> {
    for (;;) {
      const { number } = this.#manifest;
      const bytes = await this.#readManifest(number + 1);
      if (bytes === null) {
        if (this.#manifest.number === number) return this.#manifest;
      } else this.#follow(bytes, number + 1);
    }
  }

  /** Makes the next manifest, and reads it back: what it returns is what the store holds. */
  async commit(change: Change): Promise<Manifest> {
    for (let race = 0; race < RACES_MAX; race += 1) {
      await this.refresh();
      const before = this.#manifest;
      const previous = this.#hash;
      const changed = change(before);
      if (changed === null) return before;
      const { by } = this.#options;
      const next: Manifest = {
        ...(await this.#withFullPages(changed, sweepNumber(before))),
        number: before.number + 1,
        previous,
        by,
        at: this.#options.now(),
      };
      checkNamed(before, next);
      const bytes = encodeSummed(next);
      await this.store.create(manifestKey(next.number), bytes);
      // Created or not, an answer lost or not: what stands there has decided.
      const standing = await this.#readManifest(next.number);
      if (standing === null) continue;
      this.#follow(standing, next.number);
      if (!Buffer.from(standing).equals(bytes)) continue;
      await this.store
        .replace(HINT_KEY, encodeJson({ number: next.number }))
        .catch(() => undefined);
      return this.#manifest;
    }
    throw new MeridianError('UNAVAILABLE', `others write to ${this.store.url} all the time`);
  }

  /** The segment that holds the ordinal, or null. */
  async segmentAt(ordinal: number): Promise<SegmentRef | null> {
    const { first, end, pages, segments } = this.#manifest;
    if (ordinal < first || ordinal >= end) return null;
    const page = pages.find((each) => ordinal < each.end);
    const among = page === undefined ? segments : await this.pageContent(page);
    return among.find((each) => ordinal < each.end) ?? null;
  }

  /** First segment with an entry at or above the timestamp; null when there is none. */
  async segmentFrom(timestamp: number): Promise<SegmentRef | null> {
    const { pages, segments, first } = this.#manifest;
    const page = pages.find((each) => each.lastTimestamp >= timestamp && each.end > first);
    const among = page === undefined ? segments : await this.pageContent(page);
    return among.find((each) => each.lastTimestamp >= timestamp && each.end > first) ?? null;
  }

  /** All segments that are named, the oldest first. */
  async *allSegments(): AsyncGenerator<SegmentRef> {
    const { pages, segments, first } = this.#manifest;
    for (const page of pages) {
      for (const segment of await this.pageContent(page)) if (segment.end > first) yield segment;
    }
    for (const segment of segments) if (segment.end > first) yield segment;
  }

  async pageContent(page: PageRef): Promise<readonly SegmentRef[]> {
    const known = this.#pages.get(page.key);
    if (known !== undefined) return known;
    const content = decodePage(await this.fetch(page), page.key);
    this.#pages.set(page.key, content);
    for (const key of this.#pages.keys()) {
      if (this.#pages.size <= PAGES_KEPT) break;
      this.#pages.delete(key);
    }
    return content;
  }

  /**
   * The bytes of a segment or page that was named when it was found. OUT_OF_RANGE when the janitor has
   * deleted it since: the manifest is the newer one then, and does not name it; CORRUPT otherwise.
   */
  async fetch(ref: SegmentRef | PageRef): Promise<Uint8Array> {
    try {
      return await readChecked(this.store, ref);
    } catch (error) {
      if (!(error instanceof MeridianError) || error.reason !== 'CORRUPT') throw error;
      if (ref.end > (await this.refresh()).first) throw error;
      throw new MeridianError('OUT_OF_RANGE', `${ref.key} was deleted while it was asked for`, {
        details: { key: ref.key },
        cause: error,
      });
    }
  }

  /** From the hint on, in leaps: a hint that lags far behind costs a few questions more. */
  async #find(): Promise<void> {
    const hinted = await this.#hinted();
    let low = hinted;
    let bytes = hinted === 0 ? null : await this.#readManifest(hinted);
    if (hinted > 0 && bytes === null) {
      throw new MeridianError(
        'CORRUPT',
        `${this.store.url}/${HINT_KEY} names manifest ${hinted}, which is not there`,
        { details: { key: manifestKey(hinted) } },
      );
    }
    for (let step = 1; step > 0;) {
      const found = await this.#readManifest(low + step);
      if (found === null) {
        // Overshot: back to small steps, and when the very next is missing, this was the last.
        step = step === 1 ? 0 : 1;
        continue;
      }
      bytes = found;
      low += step;
      step *= 2;
    }
    if (bytes !== null) this.#adopt(bytes, low, null);
  }

  async #hinted(): Promise<number> {
    const bytes = await this.store.read(HINT_KEY, MANIFEST_BYTES_MAX);
    if (bytes === null) return 0;
    try {
      const { number } = JSON.parse(Buffer.from(bytes).toString()) as { number?: unknown };
      return typeof number === 'number' && Number.isSafeInteger(number) && number > 0 ? number : 0;
    } catch {
      return 0;
    }
  }

  #readManifest(number: number): Promise<Uint8Array | null> {
    return this.store.read(manifestKey(number), MANIFEST_BYTES_MAX);
  }

  /** The manifest after ours; nothing when a reader of the same catalog was faster. */
  #follow(bytes: Uint8Array, number: number): void {
    if (number === this.#manifest.number + 1) this.#adopt(bytes, number, this.#hash);
  }

  /** `previous` null: not known, this is the first one we see. */
  #adopt(bytes: Uint8Array, number: number, previous: string | null): void {
    const key = manifestKey(number);
    const manifest = decodeManifest(bytes, key);
    const wrong =
      manifest.number !== number
        ? `it says that it is number ${manifest.number}`
        : manifest.root !== this.#rootHash
          ? 'it belongs to another archive'
          : previous !== null && manifest.previous !== previous
            ? 'it follows on another manifest than the one before it'
            : null;
    if (wrong !== null) {
      throw new MeridianError('CORRUPT', `${this.store.url}/${key}: ${wrong}`, {
        details: { key },
      });
    }
    this.#manifest = manifest;
    this.#hash = sha256Of(bytes);
  }

  /** Moves full pages into objects of their own. The same segments make the same page. */
  async #withFullPages<T extends Pick<Manifest, 'pages' | 'segments'>>(
    manifest: T,
    sweep: number,
  ): Promise<T> {
    let { pages, segments } = manifest;
    while (segments.length > PAGE_SEGMENTS) {
      const full = segments.slice(0, PAGE_SEGMENTS);
      const [head] = full;
      const last = full.at(-1);
      if (head === undefined || last === undefined) break;
      const bytes = encodeJson(full);
      const sha256 = sha256Of(bytes);
      const page: PageRef = {
        key: pageKey(head.first, sha256, sweep),
        bytes: bytes.length,
        sha256,
        first: head.first,
        end: last.end,
        firstTimestamp: head.firstTimestamp,
        lastTimestamp: last.lastTimestamp,
        segmentBytes: full.reduce((sum, segment) => sum + segment.bytes, 0),
      };
      await createChecked(this.store, page, bytes);
      pages = [...pages, page];
      segments = segments.slice(PAGE_SEGMENTS);
    }
    return { ...manifest, pages, segments };
  }
}

/**
 * Puts the object there and reads it back: afterwards the store holds these bytes. It is success when
 * they were there before. CORRUPT when other bytes are: nothing is overwritten, ever.
 */
export async function createChecked(
  store: ObjectStore,
  ref: ObjectRef,
  bytes: Uint8Array,
): Promise<'created' | 'exists'> {
  const outcome = await store.create(ref.key, bytes);
  const standing = await store.read(ref.key, SEGMENT_BYTES_MAX);
  if (standing !== null && Buffer.from(standing).equals(bytes)) return outcome;
  if (standing === null) {
    throw new MeridianError('UNAVAILABLE', `${store.url}/${ref.key} is gone after it was written`);
  }
  throw new MeridianError(
    'CORRUPT',
    `${store.url}/${ref.key} holds other content than this replica has to archive there`,
    { details: { key: ref.key, expected: ref.sha256, actual: sha256Of(standing) } },
  );
}

/** The object's bytes, which are what was named. CORRUPT, with the key, when they are not, or gone. */
export async function readChecked(store: ObjectStore, ref: ObjectRef): Promise<Uint8Array> {
  const bytes = await store.read(ref.key, SEGMENT_BYTES_MAX);
  if (bytes === null) {
    throw new MeridianError(
      'CORRUPT',
      `${store.url}/${ref.key} is not there, although the manifest names it`,
      { details: { key: ref.key } },
    );
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes)));
  const actual = Buffer.from(digest).toString('hex');
  if (bytes.length === ref.bytes && actual === ref.sha256) return bytes;
  throw new MeridianError(
    'CORRUPT',
    `${store.url}/${ref.key} is not what the manifest names: ${bytes.length} bytes of ${ref.bytes}`,
    { details: { key: ref.key, expected: ref.sha256, actual } },
  );
}
