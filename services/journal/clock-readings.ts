/**
 * How wrong this machine's wall clock may be, as those say who know (T5): chrony's tracking report, and
 * the shared memory of AWS ClockBound. Both are read from the outside, as text and as bytes; whatever
 * is not well formed, or says that the clock is not synchronised, is an error and never a bound.
 */
import { MeridianError } from '../../libs/errors/errors.ts';

const CHRONY_FIELDS = 14;

/**
 * Microseconds, from the line of `chronyc -c tracking`: offset + root dispersion + half the root delay
 * (chrony's own definition of the largest error). Throws `UNAVAILABLE`.
 */
export function chronyError(report: string): number {
  const fields = report.trim().split(',');
  if (fields.length !== CHRONY_FIELDS) {
    throw unreadable(`chronyc answered ${fields.length} fields, expected ${CHRONY_FIELDS}`);
  }
  const leap = fields[13] ?? '';
  if (leap === 'Not synchronised')
    throw unreadable('chrony says that the clock is not synchronised');
  const [offset, delay, dispersion] = [4, 10, 11].map((field) => Number(fields[field]));
  const seconds = Math.abs(offset ?? NaN) + (dispersion ?? NaN) + Math.abs(delay ?? NaN) / 2;
  if (!Number.isFinite(seconds) || seconds < 0) {
    throw unreadable(`chronyc answered no numbers: ${report.trim()}`);
  }
  return Math.ceil(seconds * 1e6);
}

/** Size of the part of the segment that version 2 defines. */
export const CLOCK_BOUND_BYTES = 72;
const MAGIC = Buffer.from([0x41, 0x4d, 0x5a, 0x4e, 0x43, 0x42, 0x02, 0x00]);
const VERSION = 2;
const SYNCHRONIZED = 1;
const FREE_RUNNING = 2;
const BILLION = 1_000_000_000n;

/**
 * Microseconds, from the bytes of ClockBound's segment (protocol version 2, native byte order) read at
 * `monotonic` (CLOCK_MONOTONIC, nanoseconds): the bound, grown by the drift since it was made. null:
 * it is being written at this moment, read again. Throws `UNAVAILABLE`.
 *
 *   0 magic · 8 u32 size · 12 u16 version · 14 u16 generation (odd while written)
 *   16 as of (s, ns) · 32 void after (s, ns) · 48 i64 bound ns · 56 u64 disruption marker
 *   64 u32 drift ppb · 68 i32 status: 0 unknown, 1 synchronized, 2 free running, 3 disrupted
 */
export function clockBoundError(segment: Buffer, monotonic: bigint): number | null {
  if (segment.length < CLOCK_BOUND_BYTES || !segment.subarray(0, 8).equals(MAGIC)) {
    throw unreadable('this is no segment of ClockBound, protocol 2');
  }
  const version = segment.readUInt16LE(12);
  if (version !== VERSION) throw unreadable(`segment version ${version}, expected ${VERSION}`);
  const generation = segment.readUInt16LE(14);
  if (generation === 0) throw unreadable('ClockBound has not written its segment yet');
  if (generation % 2 === 1) return null;
  const status = segment.readInt32LE(68);
  if (status !== SYNCHRONIZED && status !== FREE_RUNNING) {
    throw unreadable(`ClockBound says that the clock is in status ${status}`);
  }
  if (monotonic > timeAt(segment, 32)) throw unreadable("ClockBound's bound has run out");
  const age = monotonic - timeAt(segment, 16);
  const bound = segment.readBigInt64LE(48);
  if (age < 0n || bound < 0n) throw unreadable("ClockBound's bound lies in the future, or is none");
  const drift = (age * BigInt(segment.readUInt32LE(64))) / BILLION;
  return Math.ceil(Number(bound + drift) / 1000);
}

/** A timespec. */
function timeAt(segment: Buffer, offset: number): bigint {
  return segment.readBigInt64LE(offset) * BILLION + segment.readBigInt64LE(offset + 8);
}

function unreadable(what: string): MeridianError {
  return new MeridianError('UNAVAILABLE', what);
}
