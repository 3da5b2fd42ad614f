/** A file that says how a replica misbehaves, looked at again and again; a half-written one is not believed. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const { MERIDIAN_TEST_CLOCKS: folder = '.', MERIDIAN_TEST_REPLICA: replica = '0' } = process.env;
const LOOK_MS = 10;

/** Calls `onChange` with what `<replica><suffix>` holds, at once and whenever it changes. */
export function watchFile(suffix, onChange) {
  const file = join(folder, `${replica}${suffix}`);
  let text = '';
  const look = () => {
    let latest;
    try {
      latest = readFileSync(file, 'utf8');
    } catch {
      return;
    }
    if (latest === text || !latest.endsWith('}')) return;
    text = latest;
    onChange(JSON.parse(latest));
  };
  look();
  setInterval(look, LOOK_MS).unref();
}
