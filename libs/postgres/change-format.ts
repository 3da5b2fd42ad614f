/**
 * The change format (SPEC.md): how source transactions lie in journal records. One record is one
 * pgoutput message, unchanged, or one of four kinds of our own: a header, which opens every batch,
 * a fragment of a message too large for a batch, a watermark, and a handover.
 *
 * Why the bytes of Postgres and not a format of our own: nothing is re-encoded when shipping, text
 * is never decoded and encoded on the way, and whoever can read pgoutput can read the journal.
 */
import { MeridianError } from '../errors/errors.ts';
import { ByteReader } from './bytes.ts';
import { lsn } from './lsn.ts';
import type { Lsn } from './lsn.ts';

export const CHANGE_FORMAT_VERSION = 1;

/** Where transactions come from; LSNs of different sources cannot be compared. */
export interface Source {
  /** Of the cluster, decimal: 64 bits. */
  readonly systemId: string;
  readonly timeline: number;
  readonly database: string;
}

export interface TransactionHeader {
  readonly kind: 'transaction';
  readonly source: Source;
  /** The initial copy of the tables, as one transaction. */
  readonly snapshot: boolean;
  /** Number of the batch inside its transaction, from 0. */
  readonly part: number;
  /** The last batch; only with it does the transaction exist. */
  readonly final: boolean;
  /** The writer epoch of the shipper; parts of different attempts do not belong together. */
  readonly attempt: number;
  /** 0 for a snapshot. */
  readonly xid: number;
  readonly commitLsn: Lsn;
  /** After the commit record; 0 in parts that are not final. */
  readonly endLsn: Lsn;
  /** Microseconds since 1970 on the source's clock. */
  readonly commitTime: number;
}

/** Says that the source's log holds nothing published up to `lsn` that is not in the journal. */
export interface Watermark {
  readonly kind: 'watermark';
  readonly source: Source;
  readonly lsn: Lsn;
}

/** From here on the stream comes from another database: what `from` still appends means nothing. */
export interface Handover {
  readonly kind: 'handover';
  /** Who ships from now on, and where in its log that begins. */
  readonly source: Source;
  readonly lsn: Lsn;
  readonly from: Source;
}

/** What the records of one batch mean. */
export type ChangeBatch =
  | { readonly header: TransactionHeader; readonly messages: readonly Uint8Array[] }
  | { readonly header: Watermark | Handover };

/** First byte of our own records; none of them is a message of pgoutput. */
export const HEADER = 0x48;
export const FRAGMENT = 0x46;
export const WATERMARK = 0x57;
export const HANDOVER = 0x58;

const FLAG_SNAPSHOT = 1;
const FLAG_FINAL = 2;
const LAST_FRAGMENT = 1;
const FRAGMENT_OVERHEAD = 2;

export function encodeHeader(header: TransactionHeader): Uint8Array {
  const database = Buffer.from(header.source.database, 'utf8');
  const out = Buffer.alloc(54 + database.length);
  out[0] = HEADER;
  out[1] = CHANGE_FORMAT_VERSION;
  out[2] = (header.snapshot ? FLAG_SNAPSHOT : 0) | (header.final ? FLAG_FINAL : 0);
  out.writeUInt32BE(header.part, 4);
  out.writeUInt32BE(header.attempt, 8);
  out.writeUInt32BE(header.xid, 12);
  writeU64(out, header.commitLsn, 16);
  writeU64(out, header.endLsn, 24);
  writeU64(out, header.commitTime, 32);
  out.writeBigUInt64BE(BigInt(header.source.systemId), 40);
  out.writeUInt32BE(header.source.timeline, 48);
  out.writeUInt16BE(database.length, 52);
  database.copy(out, 54);
  return out;
}

export function encodeWatermark(watermark: Watermark): Uint8Array {
  return encodePlace(WATERMARK, watermark.lsn, [watermark.source]);
}

export function encodeHandover({ source, lsn: begins, from }: Handover): Uint8Array {
  return encodePlace(HANDOVER, begins, [source, from]);
}

function encodePlace(code: number, place: Lsn, sources: readonly Source[]): Uint8Array {
  const head = Buffer.alloc(12);
  head[0] = code;
  head[1] = CHANGE_FORMAT_VERSION;
  writeU64(head, place, 4);
  return Buffer.concat([head, ...sources.map(encodeSource)]);
}

function encodeSource({ systemId, timeline, database }: Source): Uint8Array {
  const name = Buffer.from(database, 'utf8');
  const out = Buffer.alloc(14 + name.length);
  out.writeBigUInt64BE(BigInt(systemId), 0);
  out.writeUInt32BE(timeline, 8);
  out.writeUInt16BE(name.length, 12);
  name.copy(out, 14);
  return out;
}

/** Cuts a message into records of at most `bytesMax`. */
export function* encodeFragments(message: Uint8Array, bytesMax: number): Generator<Uint8Array> {
  const step = bytesMax - FRAGMENT_OVERHEAD;
  for (let at = 0; at < message.length; at += step) {
    const piece = message.subarray(at, at + step);
    const out = new Uint8Array(FRAGMENT_OVERHEAD + piece.length);
    out[0] = FRAGMENT;
    out[1] = at + step >= message.length ? LAST_FRAGMENT : 0;
    out.set(piece, FRAGMENT_OVERHEAD);
    yield out;
  }
}

/** The piece of a fragment record; null when the record is a whole message. */
export function fragmentOf(record: Uint8Array): { bytes: Uint8Array; last: boolean } | null {
  if (record[0] !== FRAGMENT) return null;
  const flags = record[1];
  if (flags === undefined || flags > LAST_FRAGMENT) {
    throw new MeridianError('INVALID', 'malformed change record: fragment flags');
  }
  return { bytes: record.subarray(FRAGMENT_OVERHEAD), last: flags === LAST_FRAGMENT };
}

/** The source that was read last: nearly every batch names the same, and a comparison costs less than to read it. */
export class SourceMemory {
  #bytes: Buffer = Buffer.alloc(0);
  #source: Source | null = null;

  read(reader: ByteReader): Source {
    if (this.#source !== null && reader.takeIfSame(this.#bytes)) return this.#source;
    const begin = reader.offset;
    this.#source = decodeSource(reader);
    // A copy: what is read from is a view on what was received.
    this.#bytes = Buffer.from(reader.all.subarray(begin, reader.offset));
    return this.#source;
  }
}

/** Throws INVALID unless the records are one batch of this format. */
export function decodeChangeBatch(
  records: readonly Uint8Array[],
  memory: SourceMemory = new SourceMemory(),
): ChangeBatch {
  const first = records[0];
  if (first === undefined) throw new MeridianError('INVALID', 'a batch without records');
  const reader = new ByteReader(first);
  const code = reader.u8();
  const version = reader.u8();
  if (code !== HEADER && code !== WATERMARK && code !== HANDOVER) {
    throw reader.invalid(`the batch opens with a record of type ${code}, not with a header`, 0);
  }
  if (version !== CHANGE_FORMAT_VERSION) {
    throw new MeridianError(
      'INVALID',
      `change format version ${version}; this program knows ${CHANGE_FORMAT_VERSION}: upgrade it`,
      { details: { version } },
    );
  }
  if (code === HEADER) {
    return { header: decodeHeader(reader, memory), messages: records.slice(1) };
  }
  if (records.length !== 1) throw reader.invalid('a watermark or handover with further records');
  return { header: code === WATERMARK ? decodeWatermark(reader) : decodeHandover(reader) };
}

export function sameSource(a: Source, b: Source): boolean {
  if (a === b) return true;
  return a.systemId === b.systemId && a.timeline === b.timeline && a.database === b.database;
}

export function describeSource(source: Source): string {
  return `database ${source.database} of cluster ${source.systemId}, timeline ${source.timeline}`;
}

function decodeHeader(reader: ByteReader, memory: SourceMemory): TransactionHeader {
  const flags = reader.u8();
  if ((flags & ~(FLAG_SNAPSHOT | FLAG_FINAL)) !== 0) throw reader.invalid(`flags ${flags}`);
  reader.u8();
  const part = reader.u32();
  const attempt = reader.u32();
  const xid = reader.u32();
  const commitLsn = lsn(reader.u64());
  const endLsn = lsn(reader.u64());
  const commitTime = reader.u64();
  const source = memory.read(reader);
  reader.end();
  const final = (flags & FLAG_FINAL) !== 0;
  if (final !== endLsn > 0) throw reader.invalid('an end LSN and the final part go together');
  const snapshot = (flags & FLAG_SNAPSHOT) !== 0;
  const place = { part, final, attempt };
  return {
    kind: 'transaction',
    source,
    snapshot,
    ...place,
    xid,
    commitLsn,
    endLsn,
    commitTime,
  };
}

function decodeWatermark(reader: ByteReader): Watermark {
  reader.u16();
  const at = lsn(reader.u64());
  const source = decodeSource(reader);
  reader.end();
  return { kind: 'watermark', source, lsn: at };
}

function decodeHandover(reader: ByteReader): Handover {
  reader.u16();
  const begins = lsn(reader.u64());
  const [source, from] = [decodeSource(reader), decodeSource(reader)];
  reader.end();
  if (sameSource(source, from)) throw reader.invalid('a handover of a source to itself');
  return { kind: 'handover', source, lsn: begins, from };
}

function decodeSource(reader: ByteReader): Source {
  const systemId = reader.u64Text();
  const timeline = reader.u32();
  const database = reader.text(reader.u16());
  return { systemId, timeline, database };
}

function writeU64(out: Buffer, value: number, at: number): void {
  out.writeUInt32BE(Math.floor(value / 0x1_0000_0000), at);
  out.writeUInt32BE(value % 0x1_0000_0000, at + 4);
}
