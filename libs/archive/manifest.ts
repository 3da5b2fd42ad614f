/**
 * The manifest of an archive (SPEC.md): which segments there are, from which ordinal on they count, and
 * what else must be agreed on. Manifests are numbered and immutable; the next one is whoever's that
 * creates it. This file has the values and their bytes; reading and committing them is catalog.ts.
 */
import { createHash } from 'node:crypto';
import { MeridianError } from '../errors/errors.ts';
import type { CutRule } from './cut.ts';
import { isKey, isRemovable } from './keys.ts';
import type { BuiltSegment, StreamRange } from './segment.ts';
import { otherVersion } from './segment.ts';

export const MANIFEST_VERSION = 1;
/** Of a manifest with a sweep: whoever does not know what that is must not write the next one. */
export const SWEPT_VERSION = 2;
/** Segments that stand in the manifest itself; with these a page is full. */
export const PAGE_SEGMENTS = 256;
/** A segment with more streams says that it may have any. */
export const LISTED_STREAMS_MAX = 8;
export const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;

/** Written once, by whoever comes first: whose archive this is and what all writers must do alike. */
export interface Root extends CutRule {
  readonly version: number;
  readonly cluster: string;
  readonly instance: string;
  /** Ordinal of the first entry; not 0 when the journal had lost older ones before it was archived. */
  readonly first: number;
  /** Everything at or below this log time is before `first`. */
  readonly goneTo: number;
  /** The order's state before `first`; null: empty. */
  readonly state: ObjectRef | null;
}

export interface ObjectRef {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface SegmentRef extends ObjectRef {
  readonly first: number;
  readonly end: number;
  readonly firstTimestamp: number;
  readonly lastTimestamp: number;
  /** null: too many to list. */
  readonly streams: readonly StreamRange[] | null;
}

/** `PAGE_SEGMENTS` segments in a row, in an object of their own. */
export interface PageRef extends ObjectRef {
  readonly first: number;
  readonly end: number;
  readonly firstTimestamp: number;
  readonly lastTimestamp: number;
  /** Of all its segments. */
  readonly segmentBytes: number;
}

/** A reader that is registered: nothing above `timestamp` is deleted before it expires. */
export interface Hold {
  readonly name: string;
  /** Microseconds; what the reader has got so far. */
  readonly timestamp: number;
  /** Wall clock, milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Named no more; deleted when readers of older manifests have had their time. */
export interface Garbage {
  readonly key: string;
  /** Wall clock, milliseconds since 1970. */
  readonly since: number;
}

export interface Manifest {
  readonly version: number;
  readonly number: number;
  /** Hash of the root, so that a manifest of another archive is noticed. */
  readonly root: string;
  /** Hash of the manifest before; of the root for the first. */
  readonly previous: string;
  /** Who wrote it, for people. */
  readonly by: string;
  /** Wall clock, milliseconds since 1970, for people. */
  readonly at: number;
  /** Entries below are not there any more. */
  readonly first: number;
  readonly goneTo: number;
  /** Behind the last entry there is. */
  readonly end: number;
  /** Timestamp of the last entry; 0 when there has been none. */
  readonly lastTimestamp: number;
  /** Hash of the last segment, or of the root. */
  readonly chain: string;
  /** The order's state before `first`; null: as the root says. */
  readonly state: ObjectRef | null;
  readonly pages: readonly PageRef[];
  readonly segments: readonly SegmentRef[];
  readonly holds: readonly Hold[];
  readonly garbage: readonly Garbage[];
  /** The janitor's: the order's state at an ordinal behind `first`, so that it goes on from there. */
  readonly known?: KnownState;
  /** The last one; what was uploaded before it and is not named can never be named any more. */
  readonly sweep?: Sweep;
}

export interface Sweep {
  /** From 1 on. */
  readonly number: number;
  /** Wall clock, milliseconds since 1970. */
  readonly at: number;
}

export interface KnownState extends ObjectRef {
  readonly ordinal: number;
}

export function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export function encodeJson(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}

/**
 * The same of what no other object vouches for, with the hash of everything before it as its last field: a reader knows
 * at once whether this is what was written, and does not write the next manifest upon what it is not.
 */
export function encodeSummed(value: object): Uint8Array {
  const text = JSON.stringify(value);
  return Buffer.from(`${text.slice(0, -1)},"sum":"${sha256Of(Buffer.from(text))}"}\n`);
}

/** Before the first one is written. */
export function emptyManifest(root: Root, rootHash: string): Manifest {
  const { first, goneTo, state } = root;
  return {
    version: MANIFEST_VERSION,
    number: 0,
    root: rootHash,
    previous: rootHash,
    by: '',
    at: 0,
    first,
    goneTo,
    end: first,
    lastTimestamp: goneTo,
    chain: rootHash,
    state,
    pages: [],
    segments: [],
    holds: [],
    garbage: [],
  };
}

export function segmentRef(segment: BuiltSegment, key: string): SegmentRef {
  const { first, end, firstTimestamp, lastTimestamp, sha256, streams } = segment;
  return {
    key,
    bytes: segment.bytes.length,
    sha256,
    first,
    end,
    firstTimestamp,
    lastTimestamp,
    streams: streams.length > LISTED_STREAMS_MAX ? null : streams,
  };
}

/** With these segments behind the others; they must follow on. */
export function withSegments(manifest: Manifest, added: readonly SegmentRef[]): Manifest {
  const last = added.at(-1);
  if (last === undefined) return manifest;
  return {
    ...manifest,
    segments: [...manifest.segments, ...added],
    end: last.end,
    lastTimestamp: last.lastTimestamp,
    chain: last.sha256,
  };
}

/** All bytes of segments that are named. */
export function archivedBytes({ pages, segments }: Manifest): number {
  return (
    pages.reduce((sum, page) => sum + page.segmentBytes, 0) +
    segments.reduce((sum, segment) => sum + segment.bytes, 0)
  );
}

/** Throws CORRUPT or REFUSED. */
export function decodeRoot(bytes: Uint8Array, key: string): Root {
  const root = parseSummed(bytes, key) as Partial<Root>;
  if (root.version !== MANIFEST_VERSION) {
    throw otherVersion(key, Number(root.version), MANIFEST_VERSION);
  }
  const { segmentBytes, windowMicros, first, goneTo, cluster, instance } = root;
  const numbers = [segmentBytes, windowMicros, first, goneTo].every((it) => isCount(it));
  if (!numbers || typeof cluster !== 'string' || typeof instance !== 'string') {
    throw malformed(key, 'it is no root of an archive');
  }
  if (root.state !== null && !isRef(root.state)) throw malformed(key, 'its state has no place');
  return root as Root;
}

/** Throws CORRUPT or REFUSED. */
export function decodeManifest(bytes: Uint8Array, key: string): Manifest {
  const manifest = parseSummed(bytes, key) as Partial<Manifest>;
  if (manifest.version !== MANIFEST_VERSION && manifest.version !== SWEPT_VERSION) {
    throw otherVersion(key, Number(manifest.version), SWEPT_VERSION);
  }
  const { number, first, goneTo, end, lastTimestamp, pages, segments, holds, garbage } = manifest;
  const numbers = [number, first, goneTo, end, lastTimestamp].every((it) => isCount(it));
  const lists = [pages, segments, holds, garbage].every((it) => Array.isArray(it));
  if (!numbers || !lists) throw malformed(key, 'it is no manifest');
  if (![...(pages ?? []), ...(segments ?? [])].every((it) => isRange(it))) {
    throw malformed(key, 'it names something without a place');
  }
  const { state, known } = manifest;
  const states = (state === null || isRef(state)) && (known === undefined || isKnown(known));
  if (!states) throw malformed(key, 'its state has no place');
  if ((manifest.version === SWEPT_VERSION) !== isSweep(manifest.sweep)) {
    throw malformed(key, 'its sweep does not belong to its version');
  }
  if (!(holds ?? []).every((it) => isHold(it)))
    throw malformed(key, 'it has a hold without a name');
  if (!(garbage ?? []).every((it) => isGarbage(it))) {
    throw malformed(key, 'it would delete what is never deleted');
  }
  const whole = manifest as Manifest;
  checkContiguous(whole.pages, whole.segments, whole.end, key);
  return whole;
}

/** Throws CORRUPT. */
export function decodePage(bytes: Uint8Array, key: string): SegmentRef[] {
  const segments = parse(bytes, key);
  if (!Array.isArray(segments) || !segments.every((it) => isRange(it))) {
    throw malformed(key, 'it is no page of a manifest');
  }
  return segments as SegmentRef[];
}

function checkContiguous(
  pages: readonly PageRef[],
  segments: readonly SegmentRef[],
  end: number,
  key: string,
): void {
  const all = [...pages, ...segments];
  all.forEach((each, at) => {
    const next = all[at + 1]?.first ?? end;
    if (each.end !== next) throw malformed(key, `after entry ${each.end} it goes on at ${next}`);
  });
}

/** At the end; with any name, so that damage to the name of the field is no way around it. */
const SUM = /^,"[^"]*":"[^"]{64}"\}\n$/;
const SUM_CHARS = ',"sum":""}\n'.length + 64;

/** Objects written before there was a sum have none. */
function parseSummed(bytes: Uint8Array, key: string): object {
  const text = Buffer.from(bytes).toString();
  const end = text.slice(-SUM_CHARS);
  if (SUM.test(end)) {
    const sum = sha256Of(Buffer.from(`${text.slice(0, -SUM_CHARS)}}`));
    if (end !== `,"sum":"${sum}"}\n`) {
      throw malformed(key, 'it is not what was written: its sum is another');
    }
  }
  const value = parse(bytes, key);
  Reflect.deleteProperty(value, 'sum');
  return value;
}

function parse(bytes: Uint8Array, key: string): object {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Told below.
  }
  throw malformed(key, 'it is no JSON');
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isRef(value: unknown): value is ObjectRef {
  const { key, bytes, sha256 } = (value ?? {}) as Partial<ObjectRef>;
  return (
    typeof key === 'string' && isKey(key) && isCount(bytes) && /^[0-9a-f]{64}$/.test(sha256 ?? '')
  );
}

function isRange(value: unknown): boolean {
  const { first, end, firstTimestamp, lastTimestamp } = (value ?? {}) as Partial<SegmentRef>;
  return (
    isRef(value) &&
    [first, end, firstTimestamp, lastTimestamp].every((it) => isCount(it)) &&
    (first ?? 0) < (end ?? 0)
  );
}

function isKnown(value: unknown): boolean {
  return isRef(value) && isCount((value as Partial<KnownState>).ordinal);
}

function isSweep(value: unknown): boolean {
  const { number, at } = (value ?? {}) as Partial<Sweep>;
  return isCount(number) && number > 0 && isCount(at);
}

function isHold(value: unknown): boolean {
  const { name, timestamp, expiresAt } = (value ?? {}) as Partial<Hold>;
  return typeof name === 'string' && isCount(timestamp) && isCount(expiresAt);
}

function isGarbage(value: unknown): boolean {
  const { key, since } = (value ?? {}) as Partial<Garbage>;
  return typeof key === 'string' && isRemovable(key) && isCount(since);
}

function malformed(key: string, what: string): MeridianError {
  return new MeridianError('CORRUPT', `${key} makes no sense: ${what}`, { details: { key } });
}
