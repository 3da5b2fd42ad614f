/**
 * The trace context of an append inside its batch frame (SPEC.md, Batch): 16 bytes of trace id and 8 of
 * the client's span id, as W3C traceparent has them. It travels with the batch through session, log and
 * peers, so everybody who handles the batch can tell its part of the story, and nobody has to keep or
 * send anything beside. Only sampled appends carry one; whoever does not look skips it.
 */
import { readU16, readU32, readU8 } from './ints.ts';

export const TRACE_CONTEXT_BYTES = 24;
/** Type, length, context. */
export const TRACE_BYTES = 2 + TRACE_CONTEXT_BYTES;
const TRACE_TYPE = 1;

const HAS_WRITER = 1;
const CONDITIONS = [2, 4];
const IS_CONTROL = 8;
const FIXED_BYTES = 20;
const WRITER_FIXED_BYTES = 21;

export function writeTrace(frame: Uint8Array, offset: number, context: Uint8Array): void {
  frame[offset] = TRACE_TYPE;
  frame[offset + 1] = TRACE_CONTEXT_BYTES;
  frame.set(context, offset + 2);
}

/** Of the batch at `offset`, which was verified before; null: not traced. */
export function traceOf(bytes: Uint8Array, offset = 0): Uint8Array | null {
  const flags = readU8(bytes, offset + 9);
  if ((flags & IS_CONTROL) !== 0) return null;
  let at = FIXED_BYTES + readU16(bytes, offset + 10);
  if ((flags & HAS_WRITER) !== 0) at += WRITER_FIXED_BYTES + readU8(bytes, offset + at);
  for (const flag of CONDITIONS) if ((flags & flag) !== 0) at += 8;
  if (readU32(bytes, offset + 16) - at < TRACE_BYTES) return null;
  if (readU8(bytes, offset + at) !== TRACE_TYPE) return null;
  if (readU8(bytes, offset + at + 1) !== TRACE_CONTEXT_BYTES) return null;
  return bytes.subarray(offset + at + 2, offset + at + TRACE_BYTES);
}
