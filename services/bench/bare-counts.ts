/** Counts of confirmed bytes, eight bytes each, as the yardstick's processes send them. */
import { readU64 } from '../../libs/frames/ints.ts';
import type { Pipe } from './bare-pipe.ts';

/** Calls with the newest of the counts that arrived together: they only grow. */
export function onCounts(pipe: Pipe, onCount: (count: number) => void): void {
  let rest: Buffer = Buffer.alloc(0);
  pipe.onBytes((data) => {
    const all = rest.length === 0 ? data : Buffer.concat([rest, data]);
    const whole = all.length - (all.length % 8);
    rest = all.subarray(whole);
    if (whole > 0) onCount(readU64(all, whole - 8));
  });
}
