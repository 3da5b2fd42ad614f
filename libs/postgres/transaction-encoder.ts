/**
 * From the stream of pgoutput messages to batches for the journal: what belongs to a transaction,
 * with the descriptions of the tables it touches, cut into parts where a batch would be too large.
 *
 * It leaves out: transactions the journal already holds, those that came here by replication (their
 * origin says so: no loops), and the tables of the schema `meridian`. It does not talk to anyone.
 */
import { MeridianError } from '../errors/errors.ts';
import { assert } from '../values/assert.ts';
import { encodeFragments, encodeHeader } from './change-format.ts';
import type { Source, TransactionHeader } from './change-format.ts';
import { DEFINITION_PREFIX } from './definitions.ts';
import { LSN_ZERO } from './lsn.ts';
import type { Lsn } from './lsn.ts';
import { CODE, decodeMessage } from './pgoutput.ts';
import type { Begin, Commit, Relation } from './pgoutput.ts';
import { SEQUENCES_PREFIX } from './sequences.ts';

export interface EncoderOptions {
  readonly source: Source;
  /** The shipper's writer epoch. */
  readonly attempt: number;
  /** Transactions that end at or before this are in the journal already. */
  readonly after: Lsn;
  readonly limits?: PartLimits;
  /** Transactions with an origin of this beginning came from the journal. Default `meridian`. */
  readonly originPrefix?: string;
}

/** Bounds of one batch. */
export interface PartLimits {
  readonly bytesMax: number;
  readonly recordsMax: number;
}

/** Below the journal's 1 MiB and 10,000 records, with room for the frame around them. */
export const PART_LIMITS: PartLimits = { bytesMax: 1024 * 1024 - 4096, recordsMax: 10_000 };

/** One batch: its header and its records, the encoded header first. */
export interface Part {
  readonly kind: 'part';
  readonly header: TransactionHeader;
  readonly records: readonly Uint8Array[];
}

/** A transaction of which nothing is to be shipped. */
export interface Skipped {
  readonly kind: 'skipped';
  readonly endLsn: Lsn;
}

/** The schema of our own tables: never shipped, never applied. */
export const OWN_SCHEMA = 'meridian';

const OUR_MESSAGES: ReadonlySet<string> = new Set([DEFINITION_PREFIX, SEQUENCES_PREFIX]);
const NOTHING: readonly (Part | Skipped)[] = Object.freeze([]);
const RECORD_OVERHEAD = 8;
const FIRST_USER_TYPE = 16_384;

export class TransactionEncoder {
  readonly #options: EncoderOptions;
  /** What Postgres has described on this connection; it does so once, not in each transaction. */
  readonly #relations = new Map<
    number,
    { readonly relation: Relation; readonly bytes: Uint8Array }
  >();
  readonly #types = new Map<number, Uint8Array>();
  #open: { begin: Begin; skip: boolean; parts: PartBuilder; described: Set<number> } | null = null;

  constructor(options: EncoderOptions) {
    this.#options = options;
  }

  /** true between Begin and Commit. */
  get inTransaction(): boolean {
    return this.#open !== null;
  }

  /** Takes one message (keeps the bytes) and returns the batches that became complete with it. */
  push(bytes: Uint8Array): readonly (Part | Skipped)[] {
    const code = bytes[0];
    if (code === CODE.insert || code === CODE.update || code === CODE.delete) {
      return this.#change(bytes, [relationOf(bytes)]);
    }
    const message = decodeMessage(bytes);
    switch (message.kind) {
      case 'begin':
        return this.#begin(message);
      case 'commit':
        return this.#commit(message);
      case 'truncate':
        return this.#truncate(bytes, message.relations);
      case 'relation':
        this.#relations.set(message.id, { relation: message, bytes });
        this.#open?.described.delete(message.id);
        return NOTHING;
      case 'type':
        this.#types.set(message.id, bytes);
        return NOTHING;
      case 'origin':
        if (message.name.startsWith(this.#options.originPrefix ?? OWN_SCHEMA)) this.#skip();
        return NOTHING;
      case 'message':
        // Somebody else's messages mean nothing to an applier.
        return message.transactional && OUR_MESSAGES.has(message.prefix)
          ? this.#change(bytes, [])
          : NOTHING;
      case 'insert':
      case 'update':
      case 'delete':
        return NOTHING;
    }
  }

  #begin(begin: Begin): readonly (Part | Skipped)[] {
    if (this.#open !== null) throw outOfPlace('a Begin inside a transaction');
    const { source, attempt, limits } = this.#options;
    const parts = new PartBuilder(
      {
        source,
        snapshot: false,
        attempt,
        xid: begin.xid,
        commitLsn: begin.commitLsn,
        commitTime: begin.commitTime,
      },
      limits ?? PART_LIMITS,
    );
    // The commit record starts before the end of what the journal holds: it is that, or older.
    const skip = begin.commitLsn < this.#options.after;
    this.#open = { begin, skip, parts, described: new Set() };
    return NOTHING;
  }

  #commit(commit: Commit): readonly (Part | Skipped)[] {
    const open = this.#open;
    if (open?.begin.commitLsn !== commit.commitLsn) {
      throw outOfPlace('a Commit without its Begin');
    }
    this.#open = null;
    if (open.skip || open.parts.empty) return [{ kind: 'skipped', endLsn: commit.endLsn }];
    return [open.parts.finish(commit.endLsn)];
  }

  #truncate(bytes: Uint8Array, relations: readonly number[]): readonly (Part | Skipped)[] {
    const own = relations.filter((id) => this.#relation(id).relation.schema === OWN_SCHEMA);
    if (own.length > 0 && own.length < relations.length) {
      throw new MeridianError(
        'REFUSED',
        `one TRUNCATE of tables of the schema ${OWN_SCHEMA} together with others cannot be shipped`,
      );
    }
    return this.#change(bytes, relations);
  }

  #change(bytes: Uint8Array, relations: readonly number[]): readonly (Part | Skipped)[] {
    const open = this.#open;
    if (open === null) throw outOfPlace('a change outside a transaction');
    if (open.skip) return NOTHING;
    let out: Part[] | null = null;
    for (const id of relations) {
      const { relation, bytes: description } = this.#relation(id);
      if (relation.schema === OWN_SCHEMA) return NOTHING;
      if (open.described.has(id)) continue;
      open.described.add(id);
      for (const column of relation.columns) {
        const type = column.typeId < FIRST_USER_TYPE ? undefined : this.#types.get(column.typeId);
        if (type !== undefined) out = append(out, open.parts.add(type));
      }
      out = append(out, open.parts.add(description));
    }
    return append(out, open.parts.add(bytes)) ?? NOTHING;
  }

  #relation(id: number): { readonly relation: Relation; readonly bytes: Uint8Array } {
    const known = this.#relations.get(id);
    if (known === undefined) throw outOfPlace(`a change of table ${id}, which was not described`);
    return known;
  }

  #skip(): void {
    if (this.#open === null) throw outOfPlace('an Origin outside a transaction');
    this.#open.skip = true;
  }
}

/** Cuts the messages of one transaction into batches. */
export class PartBuilder {
  readonly #header: Omit<TransactionHeader, 'kind' | 'part' | 'final' | 'endLsn'>;
  readonly #limits: PartLimits;
  readonly #headerBytes: number;
  #part = 0;
  #records: Uint8Array[] = [];
  #bytes = 0;

  constructor(
    header: Omit<TransactionHeader, 'kind' | 'part' | 'final' | 'endLsn'>,
    limits: PartLimits,
  ) {
    this.#header = header;
    this.#limits = limits;
    this.#headerBytes = this.#encode(false, LSN_ZERO).header.length + RECORD_OVERHEAD;
    assert(limits.bytesMax >= 2 * this.#headerBytes && limits.recordsMax >= 2, 'part limits');
  }

  get empty(): boolean {
    return this.#part === 0 && this.#records.length === 0;
  }

  /** Returns the batches that are full now. */
  add(message: Uint8Array): Part[] | null {
    if (this.#fits(message)) {
      this.#put(message);
      return null;
    }
    const full: Part[] = [];
    if (this.#records.length > 0) full.push(this.#cut(false, LSN_ZERO));
    if (this.#fits(message)) {
      this.#put(message);
      return full;
    }
    const room = this.#limits.bytesMax - this.#headerBytes - RECORD_OVERHEAD;
    for (const fragment of encodeFragments(message, room)) {
      if (!this.#fits(fragment)) full.push(this.#cut(false, LSN_ZERO));
      this.#put(fragment);
    }
    return full;
  }

  finish(endLsn: Lsn): Part {
    return this.#cut(true, endLsn);
  }

  #fits(message: Uint8Array): boolean {
    const bytes = this.#headerBytes + this.#bytes + message.length + RECORD_OVERHEAD;
    return bytes <= this.#limits.bytesMax && this.#records.length + 2 <= this.#limits.recordsMax;
  }

  #put(message: Uint8Array): void {
    this.#records.push(message);
    this.#bytes += message.length + RECORD_OVERHEAD;
  }

  #cut(final: boolean, endLsn: Lsn): Part {
    const { decoded, header } = this.#encode(final, endLsn);
    const records = [header, ...this.#records];
    this.#part += 1;
    this.#records = [];
    this.#bytes = 0;
    return { kind: 'part', header: decoded, records };
  }

  #encode(final: boolean, endLsn: Lsn): { decoded: TransactionHeader; header: Uint8Array } {
    const decoded = {
      kind: 'transaction' as const,
      ...this.#header,
      part: this.#part,
      final,
      endLsn,
    };
    return { decoded, header: encodeHeader(decoded) };
  }
}

function relationOf(bytes: Uint8Array): number {
  if (bytes.length < 6) throw outOfPlace('a change without a table');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32BE(1);
}

function append(out: Part[] | null, more: Part[] | null): Part[] | null {
  if (out === null || more === null) return out ?? more;
  out.push(...more);
  return out;
}

function outOfPlace(what: string): MeridianError {
  return new MeridianError('INVALID', `the replication stream has ${what}`);
}
