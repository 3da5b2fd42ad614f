/**
 * A change of the instances that make up a database's order, as a record of that order itself (SPEC.md,
 * Membership; what it means is in libs/merge/SPEC.md, Members). Everybody who reads the order must read the
 * same out of the same bytes: what is no change by these rules is none for anybody, and a record of a later
 * format is not skipped but stops whoever does not know it.
 */
import { MeridianError } from '../errors/errors.ts';
import { decodeBatchHeader, decodeRecords } from './batch.ts';
import type { RecordInput, RecordView } from './record.ts';

/** Of the registry, the instance whose journal holds the changes. */
export const MEMBERS_STREAM = '_meridian.members';
/** While a stream of this name exists, its instance takes no more appends (libs/order/SPEC.md, Retirement). */
export const RETIRED_STREAM = '_meridian.retired';

export interface MemberRef {
  readonly number: number;
  readonly name: string;
}

/** What changes. */
export interface MemberEvent {
  readonly kind: 'join' | 'leave';
  /** Number of the instance that comes or goes. */
  readonly instance: number;
  readonly name: string;
  /** Where it is reached; empty for a leave. */
  readonly replicas: readonly { readonly region: string; readonly address: string }[];
}

/** A change that stood in an earlier record. */
export interface PastEvent extends MemberEvent {
  /** Of its entry in the registry's journal. */
  readonly timestamp: number;
}

interface MemberFacts {
  /** Those that made up the order before any change, ascending: every reader must mean the same ones. */
  readonly founders: readonly MemberRef[];
  /** The changes before this record, so that what lies before it can be trimmed. */
  readonly history: readonly PastEvent[];
}

/** A change. */
export interface MemberRecord extends MemberEvent, MemberFacts {}

/** Changes nothing: says again what there has been. */
export interface MemberRenewal extends MemberFacts {
  readonly kind: 'renewal';
}

const VERSION = 1;
const HEADER = 'meridian-members';
/** A filter of keys must let the changes through: a record without this key is no change. */
export const MEMBERS_KEY: Uint8Array = Buffer.from(MEMBERS_STREAM);
const BODY_BYTES_MAX = 512 * 1024;
const HISTORY_MAX = 1000;
const NUMBER_MAX = 65_535;
const NAME = /^[\w.-]{1,64}$/;
const ADDRESS = /^\S{1,255}:\d{1,5}$/;
const REPLICAS_MAX = 9;
const FOUNDERS_MAX = 255;

/** INVALID for what no reader would understand. */
export function encodeMemberRecord(record: MemberRecord | MemberRenewal): RecordInput {
  const { kind, founders, history } = record;
  const event =
    kind === 'renewal'
      ? {}
      : { instance: record.instance, name: record.name, replicas: record.replicas };
  const body = Buffer.from(JSON.stringify({ kind, ...event, founders, history }));
  if (recordOf(body) === null) {
    throw new MeridianError('INVALID', `no record of members: ${body.toString().slice(0, 1000)}`);
  }
  return { key: MEMBERS_KEY, headers: [[HEADER, Buffer.from(String(VERSION))]], body };
}

/** null: it says nothing about members. REFUSED for one of a format that is not known here. */
export function decodeMemberRecord({
  key,
  headers,
  body,
}: RecordView): MemberRecord | MemberRenewal | null {
  if (key === null || Buffer.compare(key, MEMBERS_KEY) !== 0) return null;
  const version = headers.find(([name]) => name === HEADER)?.[1];
  if (version === undefined) return null;
  const text = Buffer.from(version).toString();
  if (text !== String(VERSION)) {
    throw new MeridianError(
      'REFUSED',
      `a change of members has format ${JSON.stringify(text)}; ${VERSION} is known here: update this program`,
      { details: { expected: VERSION, actual: text } },
    );
  }
  return recordOf(body);
}

/** The change in a batch, of any stream: its first record that is one. */
export function memberRecordIn(batch: Uint8Array): MemberRecord | null {
  if (decodeBatchHeader(batch).stream !== MEMBERS_STREAM) return null;
  for (const record of decodeRecords(batch)) {
    const decoded = decodeMemberRecord(record);
    if (decoded !== null && decoded.kind !== 'renewal') return decoded;
  }
  return null;
}

function recordOf(body: Uint8Array): MemberRecord | MemberRenewal | null {
  const value = body.length > BODY_BYTES_MAX ? null : parsed(body);
  if (!isObject(value)) return null;
  const founders = foundersIn(value['founders']);
  const history = historyIn(value['history']);
  if (founders === null || history === null) return null;
  if (value['kind'] === 'renewal') return { kind: 'renewal', founders, history };
  const event = eventIn(value);
  return event === null ? null : { ...event, founders, history };
}

function eventIn(value: unknown): MemberEvent | null {
  if (!isObject(value)) return null;
  const { kind, instance, name, replicas } = value;
  if (kind !== 'join' && kind !== 'leave') return null;
  if (!isNumber(instance) || !isName(name)) return null;
  if (!Array.isArray(replicas) || replicas.length > REPLICAS_MAX) return null;
  if (kind === 'join' && replicas.length === 0) return null;
  const places = replicas.flatMap((each) => placeOf(each) ?? []);
  if (places.length !== replicas.length) return null;
  if (new Set(places.map(({ region }) => region)).size !== places.length) return null;
  return { kind, instance, name, replicas: places };
}

function foundersIn(value: unknown): MemberRef[] | null {
  if (!Array.isArray(value) || value.length < 1 || value.length > FOUNDERS_MAX) return null;
  const refs = value.flatMap((each) => refOf(each) ?? []);
  const ascending = refs.every(({ number }, i) => number > (refs[i - 1]?.number ?? 0));
  return ascending && refs.length === value.length ? refs : null;
}

function historyIn(value: unknown): PastEvent[] | null {
  if (!Array.isArray(value) || value.length > HISTORY_MAX) return null;
  const events = value.flatMap((each) => pastIn(each) ?? []);
  const ascending = events.every(({ timestamp }, i) => timestamp > (events[i - 1]?.timestamp ?? 0));
  return ascending && events.length === value.length ? events : null;
}

function pastIn(value: unknown): PastEvent | null {
  const event = eventIn(value);
  const timestamp = isObject(value) ? value['timestamp'] : null;
  if (event === null || !Number.isSafeInteger(timestamp)) return null;
  return { ...event, timestamp: Number(timestamp) };
}

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString());
  } catch {
    return null;
  }
}

function placeOf(value: unknown): { region: string; address: string } | null {
  if (!isObject(value)) return null;
  const { region, address } = value;
  if (!isName(region) || typeof address !== 'string' || !ADDRESS.test(address)) return null;
  return { region, address };
}

function refOf(value: unknown): MemberRef | null {
  if (!isObject(value)) return null;
  const { number, name } = value;
  return isNumber(number) && isName(name) ? { number, name } : null;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isNumber(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 1 && Number(value) <= NUMBER_MAX;
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && NAME.test(value);
}
