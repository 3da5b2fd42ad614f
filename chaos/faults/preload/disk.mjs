/**
 * Loaded into a replica before its own code: its disk is slow, full or broken as a file says, and changes
 * when the file does: `{ "writeDelayMs": 200, "failWrites": "ENOSPC", "freeBytes": 1000 }`. Every way in which the log
 * reaches the disk is concerned (libs/storage/files.ts). A slow write is on disk before it is
 * confirmed, a failed one has not been made.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { watchFile } from './watched.mjs';

let behaviour = {};

/** Standard output and error are no disk. */
const isDisk = (descriptor) => descriptor > 2;

function failure(operation) {
  const code = behaviour.failWrites;
  if (code === undefined) return null;
  const words = code === 'ENOSPC' ? 'no space left on device' : 'i/o error';
  return Object.assign(new Error(`${code}: ${words}, ${operation}`), { code, syscall: operation });
}

for (const name of ['write', 'writev', 'fsync']) {
  const real = fs[name];
  fs[name] = (...args) => {
    if (!isDisk(args[0])) {
      real(...args);
      return;
    }
    const done = args.pop();
    const error = failure(name);
    if (error !== null) {
      setTimeout(done, behaviour.writeDelayMs ?? 0, error);
      return;
    }
    real(...args, (...result) => {
      if (behaviour.writeDelayMs === undefined) done(...result);
      else setTimeout(done, behaviour.writeDelayMs, ...result);
    });
  };
}

for (const name of ['writeSync', 'fsyncSync']) {
  const real = fs[name];
  fs[name] = (...args) => {
    const error = failure(name);
    if (error !== null && isDisk(args[0])) throw error;
    return real(...args);
  };
}

const { statfs } = fs.promises;
fs.promises.statfs = async (...args) => {
  const real = await statfs(...args);
  const { freeBytes } = behaviour;
  return freeBytes === undefined ? real : { ...real, bavail: freeBytes / real.bsize };
};
syncBuiltinESMExports();

watchFile('.disk.json', (latest) => {
  behaviour = latest;
});
