/**
 * Files that a process is given: certificates, keys, tokens. What cannot be used is REFUSED, by name and with what
 * to do about it. A secret that others may read is refused too: whoever can read it is this process.
 */
import { readFileSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { MeridianError } from '../errors/errors.ts';

/** A file that only its owner may read. `what`: what it holds, as in `the key`. */
export function readSecretFile(file: string, what: string): Buffer {
  const { mode } = statGivenFile(file, what);
  if ((mode & 0o077) !== 0) {
    const shown = (mode & 0o777).toString(8).padStart(4, '0');
    const message = `${what} ${file} has mode ${shown}: others may read it; chmod 0600 ${file}`;
    throw new MeridianError('REFUSED', message);
  }
  return readGivenFile(file, what);
}

export function readGivenFile(file: string, what: string): Buffer {
  return orRefused(file, what, () => readFileSync(file));
}

export function statGivenFile(file: string, what: string): Stats {
  return orRefused(file, what, () => statSync(file));
}

function orRefused<T>(file: string, what: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    const message = `${what} ${file} cannot be read (${code})`;
    throw new MeridianError('REFUSED', message, { cause });
  }
}
