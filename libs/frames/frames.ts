/** Frames one after the other in one `bytes` field: batches, entries and deliveries alike. */
import { BATCH_BYTES_MIN, frameSize } from './batch.ts';

/** Views of consecutive frames, each as long as its first u32 says; INVALID when they do not fit exactly. */
export function splitFrames(bytes: Uint8Array): Uint8Array[] {
  const frames: Uint8Array[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const size = frameSize(bytes, offset, BATCH_BYTES_MIN, 'frame');
    frames.push(bytes.subarray(offset, offset + size));
    offset += size;
  }
  return frames;
}
