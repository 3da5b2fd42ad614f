/** What is wrong with an append before it is queued, and how much room it takes there. */
import { MeridianError } from '../errors/errors.ts';
import type { RecordInput } from '../frames/batch.ts';
import type { AppendInput } from './pipeline.ts';

/** An append costs memory beyond its records. */
const OVERHEAD_BYTES = 128;

/** What would otherwise fail late, or silently: `set` of a typed array takes a string for zeros. */
export function mistakeIn(input: AppendInput, deadlineMs: number): MeridianError | null {
  const { minTimestamp = 0 } = input;
  if (!Number.isSafeInteger(minTimestamp) || minTimestamp < 0) {
    return new MeridianError('INVALID', `minTimestamp ${minTimestamp} is not a timestamp`);
  }
  if (!(deadlineMs > 0)) {
    return new MeridianError('INVALID', `deadlineMs ${deadlineMs} is not a time to wait`);
  }
  return input.records.every(isMadeOfBytes)
    ? null
    : new MeridianError('INVALID', 'body, key and header values of a record are Uint8Arrays');
}

export function queueBytes(records: readonly RecordInput[]): number {
  return records.reduce((sum, record) => sum + bytesOf(record), OVERHEAD_BYTES);
}

function isMadeOfBytes({ body, key, headers }: RecordInput): boolean {
  const isBytes = (value: unknown): boolean => value instanceof Uint8Array;
  if (!isBytes(body) || (key !== undefined && !isBytes(key))) return false;
  return headers === undefined || headers.every(([, value]) => isBytes(value));
}

function bytesOf({ body, key, headers }: RecordInput): number {
  let bytes = body.length + (key?.length ?? 0);
  if (headers !== undefined) {
    for (const [name, value] of headers) bytes += name.length + value.length;
  }
  return bytes;
}
