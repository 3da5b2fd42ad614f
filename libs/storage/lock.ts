/**
 * The lock of a data directory (S4): flock(2), which the kernel gives back when the holder dies in
 * whatever way, and which holds between containers that share the directory. Names with process
 * ids do not: two containers both run as process 1, and each would think the other's lock stale.
 *
 * Node cannot call flock. A lock of that kind belongs to the open file and not to the process, so a
 * short-lived helper program takes it on the descriptor that it inherits from us, and ends; the
 * lock stays with our descriptor. Node opens with O_CLOEXEC: no other child keeps it alive.
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { MeridianError } from '../errors/errors.ts';

/** Programs that lock their standard input or exit with HELD; the first that exists is used. */
const HELD = 75;
const PERL = `use Fcntl ":flock"; flock(STDIN, LOCK_EX | LOCK_NB) and exit 0; exit ${HELD} if $!{EWOULDBLOCK}; die $!`;
const HELPERS: readonly (readonly [string, readonly string[]])[] = [
  ['flock', ['-x', '-n', '-E', String(HELD), '0']],
  ['perl', ['-e', PERL]],
  // busybox knows no -E and exits with 1 when the lock is held.
  ['flock', ['-x', '-n', '0']],
];

/** Takes the lock and writes our process id into the file; the lock ends with the descriptor. */
export function lockFile(path: string): number {
  const file = open(path);
  try {
    take(file, path);
    fs.ftruncateSync(file, 0);
    fs.writeSync(file, `${process.pid}\n`, 0);
    return file;
  } catch (error) {
    fs.closeSync(file);
    throw error;
  }
}

function open(path: string): number {
  try {
    return fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
  } catch (cause) {
    throw new MeridianError('REFUSED', `cannot open the lock ${path}: ${String(cause)}`, {
      details: { file: path },
      cause,
    });
  }
}

function take(file: number, path: string): void {
  const failures: string[] = [];
  for (const [program, args] of HELPERS) {
    const result = spawnSync(program, args, { stdio: [file, 'ignore', 'pipe'] });
    if (result.status === 0) return;
    const stderr = result.error?.message ?? result.stderr.toString().trim();
    if (result.status === HELD || (result.status === 1 && stderr === '')) throw held(path);
    failures.push(`${program}: ${stderr === '' ? `status ${result.status ?? '?'}` : stderr}`);
  }
  throw new MeridianError(
    'REFUSED',
    `cannot lock ${path}: this needs the program flock (util-linux, busybox) or perl on the PATH ` +
      `and a file system that supports it; ${failures.join('; ')}`,
    { details: { file: path } },
  );
}

function held(path: string): MeridianError {
  const holder = fs.readFileSync(path, 'utf8').trim();
  return new MeridianError(
    'REFUSED',
    `the data directory is in use by process ${holder === '' ? '(unknown)' : holder}; one process ` +
      `only may have ${path}`,
    { details: { file: path, holder } },
  );
}
