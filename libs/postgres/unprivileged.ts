/**
 * Postgres refuses to run as root. When we are root, its programs run as an unprivileged user who
 * owns the cluster's directory; otherwise as ourselves. This file finds that user, and makes sure
 * that the user can get to the directory and to the programs.
 *
 * It changes permissions only inside the system's directory for temporary files; anywhere else it
 * says what stands in the way.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, realpathSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, sep } from 'node:path';
import { MeridianError } from '../errors/errors.ts';
import type { Programs } from './programs.ts';

export interface Account {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** Who runs Postgres: null for ourselves. */
export function accountForPostgres(): Account | null {
  if (process.getuid?.() !== 0) return null;
  for (const name of ['postgres', 'nobody']) {
    const uid = idOf('-u', name);
    const gid = idOf('-g', name);
    if (uid !== null && gid !== null && uid !== 0) return { name, uid, gid };
  }
  throw new MeridianError(
    'REFUSED',
    'Postgres does not run as root, and this machine has neither a user postgres nor a user ' +
      'nobody: start as another user',
  );
}

/** Makes every folder above `directory` passable for the account. */
export function openWay(directory: string, account: Account): void {
  const temporary = realpathSync(tmpdir());
  for (const folder of above(directory)) {
    if (passable(folder, account)) continue;
    if (!folder.startsWith(temporary + sep)) {
      throw new MeridianError(
        'REFUSED',
        `Postgres runs as the user ${account.name} here, who may not pass through ${folder}: ` +
          `choose another directory, or chmod o+x ${folder}`,
      );
    }
    chmodSync(folder, statSync(folder).mode | 0o011);
  }
}

/** The same programs where the account can run them: a copy in `directory` when it cannot now. */
export function reachablePrograms(
  programs: Programs,
  account: Account,
  directory: string,
): Programs {
  const blocked = above(join(programs.bin, 'postgres')).find((it) => !passable(it, account));
  if (blocked === undefined) return programs;
  if (programs.root === null) {
    throw new MeridianError(
      'REFUSED',
      `the user ${account.name} cannot run ${programs.bin}/postgres: no way through ${blocked}`,
    );
  }
  const root = join(directory, 'programs');
  if (!existsSync(root)) cpSync(programs.root, root, { recursive: true, verbatimSymlinks: true });
  return { bin: join(root, 'bin'), root };
}

function idOf(flag: string, name: string): number | null {
  const answer = spawnSync('id', [flag, name], { encoding: 'utf8' });
  const id = Number(answer.stdout.trim());
  return answer.status === 0 && Number.isInteger(id) ? id : null;
}

function above(path: string): string[] {
  const folders: string[] = [];
  for (let at = dirname(realpathSync(dirname(path)) + sep + 'x'); ; at = dirname(at)) {
    folders.unshift(at);
    if (dirname(at) === at) return folders;
  }
}

function passable(folder: string, account: Account): boolean {
  const { mode, uid, gid } = statSync(folder);
  if (uid === account.uid) return (mode & 0o100) !== 0;
  if (gid === account.gid) return (mode & 0o010) !== 0;
  return (mode & 0o001) !== 0;
}
