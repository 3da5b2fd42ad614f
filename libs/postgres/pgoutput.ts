/**
 * The messages of Postgres's logical replication plug-in pgoutput, protocol version 1, decoded.
 * https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 *
 * Values stay text, as Postgres prints them, and stay in their message (tuple.ts): JavaScript has no numeric,
 * no timestamptz, no jsonb, and the target casts them back itself. Later protocol versions add message types (stream start,
 * prepare, …); they come as further cases of `Message`, the existing ones do not change.
 */
import { ByteReader } from './bytes.ts';
import { lsn } from './lsn.ts';
import type { Lsn } from './lsn.ts';
import { NULL_VALUE, TEXT_HEAD_BYTES, TEXT_VALUE, Tuple, UNCHANGED_VALUE } from './tuple.ts';
import type { Value } from './tuple.ts';

/** What START_REPLICATION asks for. */
export const PROTO_VERSION = 1;

/** default: primary key; nothing: none; full: the whole old row; index: a chosen unique index. */
export type ReplicaIdentity = 'default' | 'nothing' | 'full' | 'index';

export interface Column {
  readonly name: string;
  /** Part of the replica identity. */
  readonly key: boolean;
  readonly typeId: number;
  readonly typeModifier: number;
}

export interface Relation {
  readonly kind: 'relation';
  /** Oid of the table at the source; names it in the changes. */
  readonly id: number;
  readonly schema: string;
  readonly table: string;
  readonly identity: ReplicaIdentity;
  readonly columns: readonly Column[];
}

/** The old row: its key columns only (`key`), or all of it (`full`). */
export interface OldTuple {
  readonly kind: 'key' | 'full';
  readonly values: Tuple;
}

export interface Begin {
  readonly kind: 'begin';
  /** Where the commit record starts. */
  readonly commitLsn: Lsn;
  /** Microseconds since 1970. */
  readonly commitTime: number;
  readonly xid: number;
}

export interface Commit {
  readonly kind: 'commit';
  readonly commitLsn: Lsn;
  /** After the commit record: confirming less does not release the COMMIT. */
  readonly endLsn: Lsn;
  readonly commitTime: number;
}

export interface Insert {
  readonly kind: 'insert';
  readonly relation: number;
  readonly values: Tuple;
}

export interface Update {
  readonly kind: 'update';
  readonly relation: number;
  /** null: the key is the one in `values`. */
  readonly old: OldTuple | null;
  readonly values: Tuple;
}

export interface Delete {
  readonly kind: 'delete';
  readonly relation: number;
  readonly old: OldTuple;
}

export interface Truncate {
  readonly kind: 'truncate';
  readonly relations: readonly number[];
  readonly cascade: boolean;
  readonly restartIdentity: boolean;
}

export interface Origin {
  readonly kind: 'origin';
  readonly commitLsn: Lsn;
  readonly name: string;
}

/** A type that is not built in; only a name for its oid. */
export interface Type {
  readonly kind: 'type';
  readonly id: number;
  readonly schema: string;
  readonly name: string;
}

/** What pg_logical_emit_message wrote. */
export interface LogicalMessage {
  readonly kind: 'message';
  readonly transactional: boolean;
  readonly lsn: Lsn;
  readonly prefix: string;
  readonly content: Uint8Array;
}

export type Change = Insert | Update | Delete | Truncate;
export type Message = Begin | Commit | Relation | Type | Origin | LogicalMessage | Change;

/** 2000-01-01 in microseconds since 1970: where Postgres counts from. */
export const POSTGRES_EPOCH_MICROS = 946_684_800_000_000;

/** First byte of each message. */
export const CODE = {
  begin: 0x42,
  commit: 0x43,
  delete: 0x44,
  insert: 0x49,
  message: 0x4d,
  origin: 0x4f,
  relation: 0x52,
  truncate: 0x54,
  type: 0x59,
  update: 0x55,
} as const;

const KEY_TUPLE = 0x4b;
const NEW_TUPLE = 0x4e;
const OLD_TUPLE = 0x4f;

/** Throws INVALID on everything that is not one whole message. */
export function decodeMessage(bytes: Uint8Array): Message {
  const reader = new ByteReader(bytes);
  const message = decode(reader, reader.u8());
  reader.end();
  return message;
}

function decode(reader: ByteReader, code: number): Message {
  switch (code) {
    case CODE.insert:
      return { kind: 'insert', relation: reader.u32(), values: newTuple(reader, reader.u8()) };
    case CODE.update:
      return update(reader);
    case CODE.delete:
      return delete_(reader);
    case CODE.begin:
      return {
        kind: 'begin',
        commitLsn: lsn(reader.u64()),
        commitTime: time(reader),
        xid: reader.u32(),
      };
    case CODE.commit:
      return commit(reader);
    case CODE.relation:
      return relation(reader);
    case CODE.truncate:
      return truncate(reader);
    case CODE.type:
      return { kind: 'type', id: reader.u32(), schema: reader.cstring(), name: reader.cstring() };
    case CODE.origin:
      return { kind: 'origin', commitLsn: lsn(reader.u64()), name: reader.cstring() };
    case CODE.message:
      return logicalMessage(reader);
    default:
      throw reader.invalid(`unknown message type ${code}`, 0);
  }
}

function commit(reader: ByteReader): Commit {
  reader.u8(); // flags, none defined
  return {
    kind: 'commit',
    commitLsn: lsn(reader.u64()),
    endLsn: lsn(reader.u64()),
    commitTime: time(reader),
  };
}

function update(reader: ByteReader): Update {
  const id = reader.u32();
  const code = reader.u8();
  if (code === NEW_TUPLE) {
    return { kind: 'update', relation: id, old: null, values: Tuple.read(reader) };
  }
  const old = oldTuple(reader, code);
  return { kind: 'update', relation: id, old, values: newTuple(reader, reader.u8()) };
}

function delete_(reader: ByteReader): Delete {
  const id = reader.u32();
  return { kind: 'delete', relation: id, old: oldTuple(reader, reader.u8()) };
}

function truncate(reader: ByteReader): Truncate {
  const count = reader.u32();
  const options = reader.u8();
  if (count * 4 !== reader.left) throw reader.invalid(`${count} relations`);
  const relations: number[] = [];
  for (let i = 0; i < count; i++) relations.push(reader.u32());
  const known = { cascade: (options & 1) !== 0, restartIdentity: (options & 2) !== 0 };
  return { kind: 'truncate', relations, ...known };
}

function relation(reader: ByteReader): Relation {
  const id = reader.u32();
  const schema = reader.cstring();
  const table = reader.cstring();
  const identity = replicaIdentity(reader);
  const count = reader.u16();
  const columns: Column[] = [];
  for (let i = 0; i < count; i++) {
    columns.push({
      key: (reader.u8() & 1) !== 0,
      name: reader.cstring(),
      typeId: reader.u32(),
      typeModifier: reader.i32(),
    });
  }
  // pgoutput leaves the name of pg_catalog out.
  return { kind: 'relation', id, schema: schema || 'pg_catalog', table, identity, columns };
}

function logicalMessage(reader: ByteReader): LogicalMessage {
  return {
    kind: 'message',
    transactional: (reader.u8() & 1) !== 0,
    lsn: lsn(reader.u64()),
    prefix: reader.cstring(),
    content: reader.bytes(reader.u32()),
  };
}

function oldTuple(reader: ByteReader, code: number): OldTuple {
  if (code === KEY_TUPLE) return { kind: 'key', values: Tuple.read(reader) };
  if (code === OLD_TUPLE) return { kind: 'full', values: Tuple.read(reader) };
  throw reader.invalid(`unknown tuple kind ${code}`, reader.offset - 1);
}

function newTuple(reader: ByteReader, code: number): Tuple {
  if (code !== NEW_TUPLE) throw reader.invalid(`unknown tuple kind ${code}`, reader.offset - 1);
  return Tuple.read(reader);
}

function replicaIdentity(reader: ByteReader): ReplicaIdentity {
  const code = reader.u8();
  const identity = identityOf(String.fromCharCode(code));
  if (identity !== null) return identity;
  throw reader.invalid(`unknown replica identity ${code}`, reader.offset - 1);
}

/** What `pg_class.relreplident` says; null: not known here. */
export function identityOf(code: string): ReplicaIdentity | null {
  const identities = Object.keys(IDENTITY_CODE) as ReplicaIdentity[];
  return identities.find((identity) => IDENTITY_CODE[identity] === code) ?? null;
}

function time(reader: ByteReader): number {
  return reader.i64() + POSTGRES_EPOCH_MICROS;
}

const IDENTITY_CODE: Readonly<Record<ReplicaIdentity, string>> = {
  default: 'd',
  nothing: 'n',
  full: 'f',
  index: 'i',
};

/** A row to be written by us. */
export interface NewRow {
  readonly kind: 'insert';
  readonly relation: number;
  readonly values: readonly Value[];
}

/** The initial copy of the tables is made of these two messages, written by us, not by pgoutput. */
export function encodeMessage(message: Relation | NewRow): Uint8Array {
  return message.kind === 'relation' ? encodeRelation(message) : encodeInsert(message);
}

function encodeRelation(message: Relation): Uint8Array {
  const parts = [Buffer.alloc(5), cstring(message.schema), cstring(message.table)];
  parts[0]?.writeUInt8(CODE.relation, 0);
  parts[0]?.writeUInt32BE(message.id, 1);
  const counts = Buffer.alloc(3);
  counts.write(IDENTITY_CODE[message.identity], 0, 'latin1');
  counts.writeUInt16BE(message.columns.length, 1);
  parts.push(counts);
  for (const column of message.columns) {
    const type = Buffer.alloc(8);
    type.writeUInt32BE(column.typeId, 0);
    type.writeInt32BE(column.typeModifier, 4);
    parts.push(Buffer.from([column.key ? 1 : 0]), cstring(column.name), type);
  }
  return Buffer.concat(parts);
}

function encodeInsert(message: NewRow): Uint8Array {
  let bytes = 8;
  for (const value of message.values) {
    bytes += typeof value === 'string' ? TEXT_HEAD_BYTES + Buffer.byteLength(value) : 1;
  }
  const out = Buffer.allocUnsafe(bytes);
  out[0] = CODE.insert;
  out.writeUInt32BE(message.relation, 1);
  out[5] = NEW_TUPLE;
  out.writeUInt16BE(message.values.length, 6);
  let at = 8;
  for (const value of message.values) {
    if (typeof value === 'string') {
      const length = out.write(value, at + TEXT_HEAD_BYTES, 'utf8');
      out[at] = TEXT_VALUE;
      out.writeUInt32BE(length, at + 1);
      at += TEXT_HEAD_BYTES + length;
    } else {
      out[at++] = value === null ? NULL_VALUE : UNCHANGED_VALUE;
    }
  }
  return out;
}

function cstring(text: string): Buffer {
  return Buffer.from(`${text}\0`, 'utf8');
}
