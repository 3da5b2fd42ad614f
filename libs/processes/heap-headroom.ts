/**
 * Room for the garbage collector of a process through whose buffers much passes. V8 counts bytes of
 * buffers as heap, and after many cheap collections lets the heap grow only a few MiB beyond what is
 * alive: with 16 MiB of objects and 30 MiB/s of messages it then collected in full several times a
 * second, which took 16 to 39 % of an appending client's processor time and up to 24 % of a replica's
 * (`npm run bench -- append`). With room for `HEADROOM_BYTES` it is 6 to 9 % and below 3 %.
 *
 * A large heap gets enough room from V8 itself, so the memory this costs is bounded by the headroom.
 */
import v8 from 'node:v8';

export const HEADROOM_BYTES = 96 * 1024 * 1024;
const PERCENT_MAX = 800;
const ADJUST_MS = 1000;

/** From now on until the process ends; needs no stopping and keeps nothing alive. */
export function keepHeapHeadroom(): void {
  let current = 0;
  const adjust = (): void => {
    const percent = growingPercent(v8.getHeapStatistics().used_heap_size);
    if (percent === current) return;
    current = percent;
    // Read at the end of every full collection, when V8 decides how far the next one is.
    v8.setFlagsFromString(`--heap-growing-percent=${percent}`);
  };
  adjust();
  setInterval(adjust, ADJUST_MS).unref();
}

/** How far a heap of so many bytes may grow, in steps, so that it changes seldom; 0: as V8 likes. */
export function growingPercent(usedBytes: number): number {
  const percent = Math.floor(HEADROOM_BYTES / Math.max(1, usedBytes)) * 100;
  return Math.min(PERCENT_MAX, percent);
}
