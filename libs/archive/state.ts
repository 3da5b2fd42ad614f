/**
 * The bytes of a state (SPEC.md): the order's machine before an ordinal, and where each lane stood there.
 * What the machine's chunks mean is the business of libs/order.
 */
import { MeridianError } from '../errors/errors.ts';
import { readU32, writeU32 } from '../frames/ints.ts';
import { encodeJson } from './manifest.ts';
import { otherVersion } from './segment.ts';

export const STATE_VERSION = 1;

const MAGIC = Buffer.from('MERIDSTA');
const HEADER_BYTES = 16;

/** Of the last entry of a lane; zeros when there has been none. */
export interface LaneMark {
  readonly epoch: number;
  readonly index: number;
  readonly timestamp: number;
}

export interface StateHead {
  /** Of the first entry that is not in it. */
  readonly ordinal: number;
  /** Of the last entry that is in it. */
  readonly timestamp: number;
  readonly lanes: readonly LaneMark[];
}

export interface ArchivedState extends StateHead {
  readonly machine: readonly Uint8Array[];
}

/** `MERIDSTA`, u32 version, u32 bytes of the head, head in JSON; then chunks, each with its u32 size. */
export function encodeState({ machine, ...head }: ArchivedState): Uint8Array {
  const { ordinal, timestamp, lanes } = head;
  const json = encodeJson({ ordinal, timestamp, lanes });
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  writeU32(header, 8, STATE_VERSION);
  writeU32(header, 12, json.length);
  const chunks = machine.flatMap((chunk) => {
    const size = Buffer.alloc(4);
    writeU32(size, 0, chunk.length);
    return [size, chunk];
  });
  return Buffer.concat([header, json, ...chunks]);
}

/** Of bytes whose hash was compared. Throws CORRUPT or REFUSED. */
export function decodeState(bytes: Uint8Array, key: string): ArchivedState {
  const malformed = (): MeridianError =>
    new MeridianError('CORRUPT', `${key} is no state of an archive`, { details: { key } });
  if (!Buffer.from(bytes.subarray(0, 8)).equals(MAGIC)) throw malformed();
  const version = readU32(bytes, 8);
  if (version !== STATE_VERSION) throw otherVersion(key, version, STATE_VERSION);
  let at = HEADER_BYTES + readU32(bytes, 12);
  if (at > bytes.length) throw malformed();
  const head = JSON.parse(Buffer.from(bytes.subarray(HEADER_BYTES, at)).toString()) as StateHead;
  const machine: Uint8Array[] = [];
  while (at < bytes.length) {
    const end = at + 4 + readU32(bytes, at);
    if (end > bytes.length) throw malformed();
    machine.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return { ...head, machine };
}
