/**
 * Loaded into a replica before its own code: its wall clock is wrong as a file says, and changes when
 * the file does: `{ "offsetMs": 3600000, "driftPpm": 200000 }`. A drift counts from the change on. The
 * monotonic clock stays right, as it does in a kernel whose clock is set.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const { MERIDIAN_TEST_CLOCKS: folder = '.', MERIDIAN_TEST_REPLICA: replica = '0' } = process.env;
const file = join(folder, `${replica}.json`);
const now = Date.now.bind(Date);
const LOOK_MS = 10;

let text = '';
let skew = { offsetMs: 0, driftPpm: 0 };
let since = now();

function look() {
  let latest;
  try {
    latest = readFileSync(file, 'utf8');
  } catch {
    return;
  }
  if (latest === text || !latest.endsWith('}')) return;
  text = latest;
  skew = { offsetMs: 0, driftPpm: 0, ...JSON.parse(latest) };
  since = now();
}

look();
setInterval(look, LOOK_MS).unref();
Date.now = () => {
  const time = now();
  return Math.floor(time + skew.offsetMs + ((time - since) * skew.driftPpm) / 1e6);
};
