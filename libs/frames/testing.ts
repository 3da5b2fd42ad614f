/** For the tests of the frames: what a decoder says of bytes that somebody has changed. */
import { crc32 } from 'node:zlib';
import { MeridianError } from '../errors/errors.ts';
import { writeU32 } from './ints.ts';

/** Runs it and lets nothing but a MeridianError through; returns the reason, or null when it went well. */
export function reasonOf(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof MeridianError) return error.reason;
    throw error;
  }
}

/** Changes the frame so that its checksum holds: what is found is found behind it. */
export function sealed(frame: Uint8Array): Uint8Array {
  writeU32(frame, 4, crc32(frame.subarray(8)));
  return frame;
}
