/**
 * Control actions inside a batch frame (SPEC.md, Control): what a client wants decided about a stream in
 * the order, without a record. Owns their bytes and the limits of their fields; what an action does is
 * the business of libs/order.
 */
import { MeridianError } from '../errors/errors.ts';
import { assert, unreachable } from '../values/assert.ts';
import { readU16, readU32, readU64, readU8, writeU16, writeU32, writeU64 } from './ints.ts';
import { isU64 } from './ints.ts';
import { decodeName, encodeName } from './names.ts';

export interface Control {
  /** The same id gets the first outcome again; empty: every repetition is an action of its own. */
  readonly requestId: string;
  /** In an entry with a higher timestamp the action has no effect. */
  readonly notAfter: number;
  readonly action: ControlAction;
}

/** `null`: no wish. */
export interface ControlConfig {
  readonly fencing: 'none' | 'required' | null;
}

export type ControlAction =
  | { readonly kind: 'create'; readonly config: ControlConfig }
  | { readonly kind: 'configure'; readonly config: ControlConfig }
  | { readonly kind: 'delete' }
  /** `token` null: one above the current one. */
  | { readonly kind: 'fence'; readonly token: number | null; readonly expected: number | null }
  | { readonly kind: 'trim'; readonly before: number }
  | { readonly kind: 'acquire'; readonly holder: string; readonly ttlMicros: number }
  | {
      readonly kind: 'renew';
      readonly holder: string;
      readonly token: number;
      readonly ttlMicros: number;
    }
  | { readonly kind: 'release'; readonly holder: string; readonly token: number };

export const CONTROL_VERSION = 1;
/** Header of a control region; padded to it. So a control batch is never smaller than one record. */
export const CONTROL_BYTES_MIN = 24;
export const REQUEST_ID_BYTES_MAX = 64;
export const HOLDER_BYTES_MAX = 255;
/** Room above it to mint from, for ever. */
export const TOKEN_MAX = 2 ** 52;
export const TTL_MICROS_MIN = 1_000;
export const TTL_MICROS_MAX = 24 * 3600 * 1_000_000;

const KINDS = [
  'create',
  'configure',
  'delete',
  'fence',
  'trim',
  'acquire',
  'renew',
  'release',
] as const satisfies readonly ControlAction['kind'][];
const FENCING = [null, 'none', 'required'] as const;
const HAS_TOKEN = 1;
const HAS_EXPECTED = 2;

/** Bytes of the control region; INVALID for what may not be asked. */
export function encodeControl(control: Control): Uint8Array {
  const { requestId, notAfter, action } = control;
  const id = encodeName(requestId);
  limit('request id', id.length, 0, REQUEST_ID_BYTES_MAX);
  limit('notAfter', notAfter, 0, Number.MAX_SAFE_INTEGER);
  const holder = 'holder' in action ? encodeName(action.holder) : null;
  const bytes = CONTROL_BYTES_MIN + id.length + fieldBytes(action, holder);
  const region = new Uint8Array(bytes);
  region[0] = CONTROL_VERSION;
  region[1] = KINDS.indexOf(action.kind) + 1;
  writeU16(region, 2, id.length);
  writeU32(region, 4, bytes);
  writeU64(region, 8, notAfter);
  writeU64(region, 16, 0);
  region.set(id, CONTROL_BYTES_MIN);
  writeFields(region, CONTROL_BYTES_MIN + id.length, action, holder);
  return region;
}

/** The control region that starts at `offset` and must end at or before `end`. */
export function decodeControl(bytes: Uint8Array, offset: number, end: number): Control {
  const version = readU8(bytes, offset);
  if (end - offset < CONTROL_BYTES_MIN || version !== CONTROL_VERSION) {
    throw invalid(`control at byte ${offset} has version ${version} and ${end - offset} bytes`);
  }
  const kind = KINDS[readU8(bytes, offset + 1) - 1];
  if (kind === undefined) {
    throw invalid(`control at byte ${offset} has unknown kind ${readU8(bytes, offset + 1)}`);
  }
  const idBytes = readU16(bytes, offset + 2);
  const regionEnd = offset + readU32(bytes, offset + 4);
  limit('request id', idBytes, 0, REQUEST_ID_BYTES_MAX);
  const fields = new Fields(bytes, offset + CONTROL_BYTES_MIN, regionEnd);
  if (regionEnd > end) throw invalid(`control at byte ${offset} exceeds its batch`);
  const requestId = fields.text(idBytes);
  return {
    requestId,
    notAfter: readU64(bytes, offset + 8),
    action: readAction(kind, fields),
  };
}

function fieldBytes(action: ControlAction, holder: Uint8Array | null): number {
  switch (action.kind) {
    case 'create':
    case 'configure':
      return 1;
    case 'delete':
      return 0;
    case 'fence':
      return 1 + 8 + 8;
    case 'trim':
      return 8;
    case 'acquire':
    case 'renew':
    case 'release':
      return 2 + (holder?.length ?? 0) + 8 + 8;
    default:
      return unreachable(action);
  }
}

function writeFields(
  region: Uint8Array,
  start: number,
  action: ControlAction,
  holder: Uint8Array | null,
): void {
  switch (action.kind) {
    case 'create':
    case 'configure': {
      const fencing = FENCING.indexOf(action.config.fencing);
      if (fencing < 0) throw invalid(`unknown fencing ${String(action.config.fencing)}`);
      region[start] = fencing;
      return;
    }
    case 'delete':
      return;
    case 'fence': {
      const { token, expected } = action;
      region[start] = (token === null ? 0 : HAS_TOKEN) | (expected === null ? 0 : HAS_EXPECTED);
      limit('token', token ?? 0, 0, TOKEN_MAX);
      limit('expected token', expected ?? 0, 0, Number.MAX_SAFE_INTEGER);
      writeU64(region, start + 1, token ?? 0);
      writeU64(region, start + 9, expected ?? 0);
      return;
    }
    case 'trim':
      limit('before', action.before, 0, Number.MAX_SAFE_INTEGER);
      writeU64(region, start, action.before);
      return;
    case 'acquire':
    case 'renew':
    case 'release': {
      assert(holder !== null, 'a lease has a holder');
      const token = action.kind === 'acquire' ? 0 : action.token;
      const ttlMicros = action.kind === 'release' ? TTL_MICROS_MIN : action.ttlMicros;
      checkLease(holder.length, token, ttlMicros);
      writeU16(region, start, holder.length);
      region.set(holder, start + 2);
      writeU64(region, start + 2 + holder.length, token);
      writeU64(region, start + 10 + holder.length, ttlMicros);
      return;
    }
    default:
      unreachable(action);
  }
}

function readAction(kind: ControlAction['kind'], fields: Fields): ControlAction {
  switch (kind) {
    case 'create':
    case 'configure':
      return { kind, config: { fencing: fencingOf(fields.u8()) } };
    case 'delete':
      return { kind };
    case 'fence': {
      const flags = fields.u8();
      if ((flags & ~(HAS_TOKEN | HAS_EXPECTED)) !== 0) throw invalid(`fence with flags ${flags}`);
      const [token, expected] = [fields.u64(), fields.u64()];
      limit('token', token, 0, TOKEN_MAX);
      return {
        kind,
        token: (flags & HAS_TOKEN) === 0 ? null : token,
        expected: (flags & HAS_EXPECTED) === 0 ? null : expected,
      };
    }
    case 'trim':
      return { kind, before: fields.u64() };
    case 'acquire':
    case 'renew':
    case 'release': {
      const holderBytes = fields.u16();
      const holder = fields.text(holderBytes);
      const [token, ttlMicros] = [fields.u64(), fields.u64()];
      checkLease(holderBytes, token, ttlMicros);
      if (kind === 'acquire') return { kind, holder, ttlMicros };
      return kind === 'renew' ? { kind, holder, token, ttlMicros } : { kind, holder, token };
    }
    default:
      return unreachable(kind);
  }
}

function fencingOf(value: number): ControlConfig['fencing'] {
  const fencing = FENCING[value];
  if (fencing === undefined) throw invalid(`unknown fencing ${value}`);
  return fencing;
}

function checkLease(holderBytes: number, token: number, ttlMicros: number): void {
  limit('holder', holderBytes, 1, HOLDER_BYTES_MAX);
  limit('token', token, 0, Number.MAX_SAFE_INTEGER);
  limit('ttl in microseconds', ttlMicros, TTL_MICROS_MIN, TTL_MICROS_MAX);
}

/** Reads one after the other and never beyond the end. */
class Fields {
  readonly #bytes: Uint8Array;
  #offset: number;
  readonly #end: number;

  constructor(bytes: Uint8Array, offset: number, end: number) {
    this.#bytes = bytes;
    this.#offset = offset;
    this.#end = end;
  }

  u8(): number {
    return readU8(this.#bytes, this.#take(1));
  }

  u16(): number {
    return readU16(this.#bytes, this.#take(2));
  }

  u64(): number {
    return readU64(this.#bytes, this.#take(8));
  }

  text(bytes: number): string {
    return decodeName(this.#bytes, this.#take(bytes), bytes);
  }

  #take(bytes: number): number {
    const start = this.#offset;
    if (start + bytes > this.#end) throw invalid(`control ends at byte ${this.#end}, too early`);
    this.#offset = start + bytes;
    return start;
  }
}

function limit(what: string, value: number, least: number, most: number): void {
  if (isU64(value) && value >= least && value <= most) return;
  throw invalid(`${what} is ${value}; ${least} to ${most} are allowed`);
}

function invalid(message: string): MeridianError {
  return new MeridianError('INVALID', message);
}
