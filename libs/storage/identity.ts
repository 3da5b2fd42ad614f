/**
 * The identity of a data directory (S4): whose log it is. One small text file, written once by
 * `formatDirectory` and never changed; every segment carries its digest. A random log id inside
 * makes two lives of the same directory distinguishable. Does not lock: `openLog` does.
 */
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { MeridianError } from '../errors/errors.ts';
import { nodeFiles, writeFully } from './files.ts';
import type { Files } from './files.ts';
import {
  digestOf,
  FORMAT_VERSION,
  SEGMENT_HEADER_BYTES,
  segmentName,
  segmentOfName,
  writeSegmentHeader,
} from './format.ts';

export interface Identity {
  readonly cluster: string;
  readonly instance: string;
  readonly replica: number;
  readonly generation: number;
}

export type DirectoryState =
  | { readonly kind: 'missing' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'log'; readonly identity: Identity };

export const IDENTITY_FILE = 'identity';
export const LOCK_FILE = 'lock';
const IDENTITY_FILE_NEW = 'identity.new';
/** Directories of what was set aside; they are nobody's any more and never touched. */
export const ASIDE_PREFIX = 'aside-';
const IDENTITY_BYTES_MAX = 4096;
const FIRST_SEGMENT = segmentName(1);

/**
 * Makes a missing or empty directory the log of this identity, empty. Throws REFUSED for any other
 * directory. The identity file appears last and at once: a crash before leaves a directory that
 * still counts as empty.
 */
export function formatDirectory(
  directory: string,
  identity: Identity,
  files: Files = nodeFiles,
): void {
  checkIdentity(identity);
  const state = inspectDirectory(directory, files);
  if (state.kind === 'log') {
    throw new MeridianError(
      'REFUSED',
      `${directory} already is the log of ${describeIdentity(state.identity)}; it is never formatted again`,
      { details: { directory } },
    );
  }
  files.makeDirectory(directory);
  const lock = files.lock(join(directory, LOCK_FILE));
  try {
    const text = encodeIdentity(identity, randomBytes(16).toString('hex'));
    const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const first = { segment: 1, previous: 0, firstFrame: 1 };
    writeSegmentHeader(header, 0, digestOf(text), first);
    for (const name of files.list(directory) ?? []) {
      if (name === FIRST_SEGMENT || name === IDENTITY_FILE_NEW) files.remove(join(directory, name));
    }
    create(files, join(directory, FIRST_SEGMENT), header);
    create(files, join(directory, IDENTITY_FILE_NEW), text);
    files.syncDirectory(directory);
    files.rename(join(directory, IDENTITY_FILE_NEW), join(directory, IDENTITY_FILE));
    files.syncDirectory(directory);
    files.syncDirectory(dirname(directory));
  } finally {
    files.close(lock);
  }
}

/**
 * What the directory is. Throws CORRUPT for a damaged identity file or a log without one, REFUSED
 * for a directory that holds something else or another version's log.
 */
export function inspectDirectory(directory: string, files: Files = nodeFiles): DirectoryState {
  const names = files.list(directory);
  if (names === null) return { kind: 'missing' };
  if (names.includes(IDENTITY_FILE)) {
    return { kind: 'log', identity: readIdentity(directory, files).identity };
  }
  const others = names.filter(
    (name) => name !== LOCK_FILE && name !== IDENTITY_FILE_NEW && !name.startsWith(ASIDE_PREFIX),
  );
  if (others.length === 0) return { kind: 'empty' };
  const path = join(directory, IDENTITY_FILE);
  if (others.some((name) => segmentOfName(name) !== undefined)) {
    if (others.length === 1 && isBlank(files, join(directory, FIRST_SEGMENT), others[0])) {
      return { kind: 'empty' };
    }
    throw new MeridianError(
      'CORRUPT',
      `${directory} holds segments of a log but no identity file; it must be recovered from its peers`,
      { details: { file: path, offset: 0 } },
    );
  }
  throw new MeridianError(
    'REFUSED',
    `${directory} is not empty and not a log (it holds ${others.slice(0, 3).join(', ')})`,
    { details: { directory } },
  );
}

/**
 * Moves everything that makes up the log into a directory of its own beside it, whole or damaged, so
 * that it can be looked at; returns that directory. Interrupted, it leaves a log that is damaged still.
 */
export function setAside(directory: string, files: Files = nodeFiles): string {
  const lock = files.lock(join(directory, LOCK_FILE));
  try {
    const names = files.list(directory) ?? [];
    const taken = names.filter((name) => name.startsWith(ASIDE_PREFIX)).length;
    const target = join(directory, `${ASIDE_PREFIX}${String(taken + 1).padStart(4, '0')}`);
    files.makeDirectory(target);
    const parts = names.filter((name) => name !== LOCK_FILE && !name.startsWith(ASIDE_PREFIX));
    // The identity last: without its segments it cannot pass for a log.
    for (const name of parts.filter((part) => part !== IDENTITY_FILE)) {
      files.rename(join(directory, name), join(target, name));
    }
    if (parts.includes(IDENTITY_FILE)) {
      files.rename(join(directory, IDENTITY_FILE), join(target, IDENTITY_FILE));
    }
    files.syncDirectory(target);
    files.syncDirectory(directory);
    return target;
  } finally {
    files.close(lock);
  }
}

/** The identity and the digest that every segment of this log carries. */
export function readIdentity(
  directory: string,
  files: Files,
): { readonly identity: Identity; readonly digest: Buffer } {
  const path = join(directory, IDENTITY_FILE);
  const file = files.open(path, 'read');
  let text: Buffer;
  try {
    const buffer = Buffer.alloc(IDENTITY_BYTES_MAX);
    text = buffer.subarray(0, files.read(file, buffer, 0));
  } finally {
    files.close(file);
  }
  return { identity: decodeIdentity(text, path), digest: digestOf(text) };
}

/** Throws WRONG_TARGET, naming the first field that differs. */
export function requireIdentity(directory: string, actual: Identity, expected: Identity): void {
  for (const field of ['cluster', 'instance', 'replica', 'generation'] as const) {
    if (actual[field] === expected[field]) continue;
    throw new MeridianError(
      'WRONG_TARGET',
      `${directory} belongs to ${field} ${actual[field]}, this process is of ${field} ${expected[field]}; ` +
        'give it its own data directory',
      { details: { directory, field, expected: expected[field], actual: actual[field] } },
    );
  }
}

export function describeIdentity(identity: Identity): string {
  const { cluster, instance, replica, generation } = identity;
  return `cluster ${cluster}, instance ${instance}, replica ${replica}, generation ${generation}`;
}

function encodeIdentity(identity: Identity, log: string): Buffer {
  const { cluster, instance, replica, generation } = identity;
  const fields = { version: FORMAT_VERSION, cluster, instance, replica, generation, log };
  const checksum = crc32(JSON.stringify(fields)).toString(16).padStart(8, '0');
  return Buffer.from(`${JSON.stringify({ ...fields, checksum }, null, 2)}\n`);
}

/** Accepts only the very bytes that `encodeIdentity` writes, so any flipped bit is noticed. */
function decodeIdentity(text: Buffer, path: string): Identity {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.toString());
  } catch (cause) {
    throw damaged(path, cause);
  }
  if (typeof parsed !== 'object' || parsed === null) throw damaged(path);
  const { version, cluster, instance, replica, generation, log, checksum } = parsed as Record<
    string,
    unknown
  >;
  const fields = { version, cluster, instance, replica, generation, log };
  const isWhole = checksum === crc32(JSON.stringify(fields)).toString(16).padStart(8, '0');
  if (isWhole && version !== FORMAT_VERSION) {
    throw new MeridianError(
      'REFUSED',
      `${path} is of format version ${String(version)}, this program reads version ${FORMAT_VERSION}`,
      { details: { file: path, expected: FORMAT_VERSION, actual: String(version) } },
    );
  }
  if (
    typeof cluster !== 'string' ||
    typeof instance !== 'string' ||
    typeof replica !== 'number' ||
    typeof generation !== 'number' ||
    typeof log !== 'string'
  ) {
    throw damaged(path);
  }
  const identity = { cluster, instance, replica, generation };
  if (!encodeIdentity(identity, log).equals(text)) throw damaged(path);
  return identity;
}

function damaged(path: string, cause?: unknown): MeridianError {
  return new MeridianError(
    'CORRUPT',
    `the identity file ${path} is damaged; the replica must be recovered from its peers`,
    { details: { file: path, offset: 0 }, cause },
  );
}

function checkIdentity(identity: Identity): void {
  const { cluster, instance, replica, generation } = identity;
  const isName = (name: string): boolean => name.length >= 1 && name.length <= 255;
  const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
  if (isName(cluster) && isName(instance) && isCount(replica) && isCount(generation)) return;
  throw new MeridianError('INVALID', `not an identity: ${describeIdentity(identity)}`);
}

/** A first segment without frames: what an interrupted `formatDirectory` leaves. */
function isBlank(files: Files, path: string, name: string | undefined): boolean {
  if (name !== FIRST_SEGMENT) return false;
  const file = files.open(path, 'read');
  try {
    return files.size(file) <= SEGMENT_HEADER_BYTES;
  } finally {
    files.close(file);
  }
}

function create(files: Files, path: string, data: Uint8Array): void {
  const file = files.open(path, 'create');
  try {
    writeFully(files, file, data, 0);
    files.sync(file);
  } finally {
    files.close(file);
  }
}
