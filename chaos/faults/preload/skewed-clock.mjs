/**
 * Loaded into a replica before its own code: its wall clock is wrong as a file says, and changes when
 * the file does: `{ "offsetMs": 3600000, "driftPpm": 200000 }`. A drift counts from the change on. The
 * monotonic clock stays right, as it does in a kernel whose clock is set.
 */
import { watchFile } from './watched.mjs';

const now = Date.now.bind(Date);

let skew = { offsetMs: 0, driftPpm: 0 };
let since = now();

watchFile('.json', (latest) => {
  skew = { offsetMs: 0, driftPpm: 0, ...latest };
  since = now();
});
Date.now = () => {
  const time = now();
  return Math.floor(time + skew.offsetMs + ((time - since) * skew.driftPpm) / 1e6);
};
