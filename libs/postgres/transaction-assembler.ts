/**
 * From batches of the journal back to transactions: puts parts and fragments together again, and
 * keeps only what belongs together. Pure; the executor runs what comes out.
 *
 * Parts that are not final are appended without a writer sequence, so a shipper that died leaves
 * unfinished ones, a retry may leave doubles, and one that was superseded may add some late. All are
 * told apart by (attempt, commit LSN, part) and dropped. The final part is exactly once, by its
 * writer sequence; when it comes, everything before it must have been there.
 *
 * Behind a handover, what the source before it has still appended is dropped, whatever it is. The
 * journal's fencing keeps it out already; this is for the day on which somebody turns that off.
 */
import { MeridianError } from '../errors/errors.ts';
import { SourceMemory, decodeChangeBatch, fragmentOf, sameSource } from './change-format.ts';
import type {
  ChangeBatch,
  Handover,
  Source,
  TransactionHeader,
  Watermark,
} from './change-format.ts';
import { formatLsn } from './lsn.ts';
import { CODE, decodeMessage } from './pgoutput.ts';
import type { Message, Relation } from './pgoutput.ts';

/** What a batch contributes, in order. */
export type Assembled =
  | { readonly kind: 'watermark'; readonly watermark: Watermark }
  /** Whatever was unfinished is void. */
  | { readonly kind: 'handover'; readonly handover: Handover }
  /** Left over from a shipper that died, or a double: nothing to do. */
  | { readonly kind: 'dropped' }
  | {
      readonly kind: 'part';
      readonly header: TransactionHeader;
      /** true: whatever was unfinished is void. */
      readonly first: boolean;
      readonly messages: readonly Message[];
    };

/** A single message (one row) larger than this is refused. */
export const MESSAGE_BYTES_MAX = 256 * 1024 * 1024;

/** Tables remembered; one more and all are forgotten. */
const RELATIONS_MAX = 4_096;

const DROPPED: Assembled = { kind: 'dropped' };

export class TransactionAssembler {
  #open: TransactionHeader | null = null;
  #last: TransactionHeader | null = null;
  #past: readonly Source[];
  #fragments: Uint8Array[] = [];
  #fragmentBytes = 0;
  readonly #sources = new SourceMemory();
  /** As last described; by the source's oid. */
  readonly #relations = new Map<
    number,
    { readonly bytes: Uint8Array; readonly message: Relation }
  >();

  /** `past`: sources that have handed over. */
  constructor(past: readonly Source[] = []) {
    this.#past = past;
  }

  get past(): readonly Source[] {
    return this.#past;
  }

  /** true: a transaction has begun whose final part has not come. */
  get unfinished(): boolean {
    return this.#open !== null;
  }

  /** Forgets an unfinished transaction; it will be read again. */
  reset(): void {
    this.#open = null;
    this.#fragments = [];
    this.#fragmentBytes = 0;
  }

  push(records: readonly Uint8Array[]): Assembled {
    const batch: ChangeBatch = decodeChangeBatch(records, this.#sources);
    if (batch.header.kind === 'handover') return this.#handover(batch.header);
    if (this.#past.some((past) => sameSource(past, batch.header.source))) return DROPPED;
    if (!('messages' in batch)) return { kind: 'watermark', watermark: batch.header };
    const { header } = batch;
    const open = this.#open;
    if (!header.final && this.#isLate(header)) return DROPPED;
    if (header.part === 0) {
      if (open !== null && header.attempt < open.attempt) return DROPPED;
      if (open !== null && sameTransaction(header, open)) return DROPPED;
      this.reset();
    } else if (open === null || !sameTransaction(header, open)) {
      if (header.final) throw missing(header);
      return DROPPED;
    } else {
      if (header.part <= open.part) return DROPPED;
      if (header.part > open.part + 1) {
        if (header.final) throw missing(header);
        return DROPPED; // one before it failed: this attempt will not complete
      }
    }
    const messages = this.#messages(batch.messages);
    this.#open = header.final ? null : header;
    if (header.final) this.#last = header;
    if (header.final && this.#fragments.length > 0) {
      throw new MeridianError('CORRUPT', `${describe(header)} ends inside a message`);
    }
    return { kind: 'part', header, first: header.part === 0, messages };
  }

  #handover(handover: Handover): Assembled {
    const { source, from } = handover;
    // It may have been the source before: its past is over, what comes is new.
    this.#past = [
      ...this.#past.filter((past) => !sameSource(past, source) && !sameSource(past, from)),
      from,
    ];
    this.reset();
    this.#last = null; // attempts of another source are counted anew
    return { kind: 'handover', handover };
  }

  /** A double of a part whose transaction is complete, or the part of a superseded shipper. */
  #isLate(header: TransactionHeader): boolean {
    const last = this.#last;
    if (last === null || header.attempt > last.attempt) return false;
    // By the end, not the start: a commit record may begin where the initial copy stands.
    const before = header.commitLsn < last.endLsn || sameTransaction(header, last);
    return header.attempt < last.attempt || before;
  }

  #messages(records: readonly Uint8Array[]): Message[] {
    const messages: Message[] = [];
    for (const record of records) {
      const fragment = fragmentOf(record);
      if (fragment === null) {
        if (this.#fragments.length > 0) throw new MeridianError('CORRUPT', 'a fragment is missing');
        messages.push(this.#decode(record));
        continue;
      }
      this.#fragments.push(fragment.bytes);
      this.#fragmentBytes += fragment.bytes.length;
      if (this.#fragmentBytes > MESSAGE_BYTES_MAX) {
        throw new MeridianError('TOO_LARGE', `a row of more than ${MESSAGE_BYTES_MAX} bytes`, {
          details: { bytes: this.#fragmentBytes, limit: MESSAGE_BYTES_MAX },
        });
      }
      if (!fragment.last) continue;
      messages.push(decodeMessage(Buffer.concat(this.#fragments)));
      this.#fragments = [];
      this.#fragmentBytes = 0;
    }
    return messages;
  }

  /**
   * Every transaction describes its tables again, mostly in the same bytes: the same object is given then, by
   * which whoever executes knows that nothing has changed.
   */
  #decode(record: Uint8Array): Message {
    if (record[0] !== CODE.relation) return decodeMessage(record);
    const known = this.#relations.get(relationIdOf(record));
    if (known !== undefined && Buffer.compare(known.bytes, record) === 0) return known.message;
    const message = decodeMessage(record);
    if (this.#relations.size >= RELATIONS_MAX) this.#relations.clear();
    // A copy: the record is a view on what was received.
    const bytes = Uint8Array.from(record);
    if (message.kind === 'relation') this.#relations.set(message.id, { bytes, message });
    return message;
  }
}

/** Big-endian, behind the code of the message. */
function relationIdOf(record: Uint8Array): number {
  const [, a = 0, b = 0, c = 0, d = 0] = record;
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

function sameTransaction(a: TransactionHeader, b: TransactionHeader): boolean {
  return a.attempt === b.attempt && a.commitLsn === b.commitLsn && a.xid === b.xid;
}

function missing(header: TransactionHeader): MeridianError {
  return new MeridianError(
    'CORRUPT',
    `${describe(header)}: parts before ${header.part} are missing`,
  );
}

function describe(header: TransactionHeader): string {
  return `transaction ${header.xid} at ${formatLsn(header.commitLsn)}`;
}
