/**
 * Names in frames: streams, writers, headers. The same few names come in every batch, so both
 * directions remember what they saw lately: a hit costs a comparison instead of a decoder call, and
 * hands out the same string object, whose hash a Map has computed before. Memory is bounded by the
 * number of slots times the longest name that is remembered.
 */
import { MeridianError } from '../errors/errors.ts';

const SLOTS = 1024;
const REMEMBERED_BYTES_MAX = 255;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const decoded: ({ readonly bytes: Uint8Array; readonly name: string } | undefined)[] =
  new Array<undefined>(SLOTS).fill(undefined);
const encoded = new Map<string, Uint8Array>();

/** The name in `length` bytes at `offset`; INVALID when they are not UTF-8. */
export function decodeName(bytes: Uint8Array, offset: number, length: number): string {
  if (length > REMEMBERED_BYTES_MAX) return decodeText(bytes, offset, length);
  const slot = slotOf(bytes, offset, length);
  const remembered = decoded[slot];
  if (remembered !== undefined && sameBytes(remembered.bytes, bytes, offset, length)) {
    return remembered.name;
  }
  const name = decodeText(bytes, offset, length);
  decoded[slot] = { bytes: bytes.slice(offset, offset + length), name };
  return name;
}

/** The bytes of a name, to be copied, not kept; INVALID when it has an unpaired surrogate. */
export function encodeName(name: string): Uint8Array {
  const remembered = encoded.get(name);
  if (remembered !== undefined) return remembered;
  const bytes = Buffer.from(name, 'utf8');
  if (bytes.toString('utf8') !== name) {
    throw new MeridianError('INVALID', `name ${JSON.stringify(name)} is not well-formed text`);
  }
  if (bytes.length > REMEMBERED_BYTES_MAX) return bytes;
  if (encoded.size >= SLOTS) encoded.clear();
  const own = new Uint8Array(bytes);
  encoded.set(name, own);
  return own;
}

/** FNV-1a, for a slot number only. */
function slotOf(bytes: Uint8Array, offset: number, length: number): number {
  let hash = 0x811c_9dc5;
  for (let i = offset; i < offset + length; i += 1) {
    hash = Math.imul(hash ^ (bytes[i] ?? 0), 0x0100_0193);
  }
  return (hash ^ (hash >>> 15)) & (SLOTS - 1);
}

function sameBytes(a: Uint8Array, b: Uint8Array, offset: number, length: number): boolean {
  if (a.length !== length) return false;
  for (let i = 0; i < length; i += 1) if (a[i] !== b[offset + i]) return false;
  return true;
}

function decodeText(bytes: Uint8Array, offset: number, length: number): string {
  try {
    return decoder.decode(bytes.subarray(offset, offset + length));
  } catch (cause) {
    throw new MeridianError('INVALID', `name at byte ${offset} is not UTF-8`, { cause });
  }
}
