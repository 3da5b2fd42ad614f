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

export interface MemberRecord {
  readonly kind: 'join' | 'leave';
  /** Number of the instance that comes or goes. */
  readonly instance: number;
  readonly name: string;
  /** Where it is reached; empty for a leave. */
  readonly replicas: readonly { readonly region: string; readonly address: string }[];
  /** Those that made up the order before any change, ascending: every reader must mean the same ones. */
  readonly founders: readonly MemberRef[];
}

const VERSION = 1;
const HEADER = 'meridian-members';
/** A filter of keys must let the changes through: a record without this key is no change. */
export const MEMBERS_KEY: Uint8Array = Buffer.from(MEMBERS_STREAM);
const BODY_BYTES_MAX = 64 * 1024;
const NUMBER_MAX = 65_535;
const NAME = /^[\w.-]{1,64}$/;
const ADDRESS = /^\S{1,255}:\d{1,5}$/;
const REPLICAS_MAX = 9;
const FOUNDERS_MAX = 255;

/** INVALID for what no reader would take for a change. */
export function encodeMemberRecord(record: MemberRecord): RecordInput {
  const { kind, instance, name, replicas, founders } = record;
  const body = Buffer.from(JSON.stringify({ kind, instance, name, replicas, founders }));
  const input: RecordInput = {
    key: MEMBERS_KEY,
    headers: [[HEADER, Buffer.from(String(VERSION))]],
    body,
  };
  if (changeOf(body) === null) {
    throw new MeridianError('INVALID', `no change of members: ${body.toString()}`);
  }
  return input;
}

/** null: it is no change. REFUSED for one of a format that is not known here. */
export function decodeMemberRecord({ key, headers, body }: RecordView): MemberRecord | null {
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
  return body.length > BODY_BYTES_MAX ? null : changeOf(body);
}

/** The change in a batch, of any stream: its first record that is one. */
export function memberRecordIn(batch: Uint8Array): MemberRecord | null {
  if (decodeBatchHeader(batch).stream !== MEMBERS_STREAM) return null;
  for (const record of decodeRecords(batch)) {
    const change = decodeMemberRecord(record);
    if (change !== null) return change;
  }
  return null;
}

function changeOf(body: Uint8Array): MemberRecord | null {
  const value = parsed(body);
  if (!isObject(value)) return null;
  const { kind, instance, name, replicas, founders } = value;
  if (kind !== 'join' && kind !== 'leave') return null;
  if (!isNumber(instance) || !isName(name)) return null;
  if (!Array.isArray(replicas) || replicas.length > REPLICAS_MAX) return null;
  if (kind === 'join' && replicas.length === 0) return null;
  const places = replicas.flatMap((each) => placeOf(each) ?? []);
  if (places.length !== replicas.length) return null;
  if (new Set(places.map(({ region }) => region)).size !== places.length) return null;
  if (!Array.isArray(founders) || founders.length < 1 || founders.length > FOUNDERS_MAX)
    return null;
  const refs = founders.flatMap((each) => refOf(each) ?? []);
  if (refs.length !== founders.length) return null;
  const ascending = refs.every(({ number }, i) => number > (refs[i - 1]?.number ?? 0));
  return ascending ? { kind, instance, name, replicas: places, founders: refs } : null;
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
