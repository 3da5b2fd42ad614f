/**
 * LSN: a byte position in the write-ahead log of one Postgres cluster on one timeline.
 *
 * A safe integer, as all our numbers are: it is also the writer sequence under which a transaction
 * is appended, and those are safe integers. 2^53 bytes are 9 PB of log; a cluster that writes
 * 100 MB/s without a pause gets there after 2.8 years, and then the decoder refuses to go on.
 */
import { MeridianError } from '../errors/errors.ts';

declare const brand: unique symbol;
export type Lsn = number & { readonly [brand]: 'Lsn' };

/** Before everything; Postgres calls it InvalidXLogRecPtr. */
export const LSN_ZERO = 0 as Lsn;
/** Logs start with the second 16 MiB segment ; smaller segments are possible, but none below 1 MiB. */
export const LSN_FIRST = 0x10_0000 as Lsn;

/** Records of the log start at multiples of this, so the numbers in between name no place. */
const ALIGNMENT = 8;

/** The place at or before. */
export function alignLsn(value: number): Lsn {
  return lsn(value - (value % ALIGNMENT));
}

export function lsn(value: number): Lsn {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new MeridianError('INVALID', `${value} is not an LSN: it is none of 0 to 2^53 - 1`);
  }
  return value as Lsn;
}

/** Reads what Postgres prints: `16/B374D848`. */
export function parseLsn(text: string): Lsn {
  const match = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/.exec(text);
  if (match?.[1] === undefined || match[2] === undefined) {
    throw new MeridianError('INVALID', `${JSON.stringify(text)} is not an LSN such as 16/B374D848`);
  }
  return lsn(parseInt(match[1], 16) * 0x1_0000_0000 + parseInt(match[2], 16));
}

export function formatLsn(value: Lsn): string {
  const high = Math.floor(value / 0x1_0000_0000);
  return `${high.toString(16)}/${(value % 0x1_0000_0000).toString(16)}`.toUpperCase();
}
