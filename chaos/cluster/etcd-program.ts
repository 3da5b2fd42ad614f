/**
 * Where etcd comes from, for comparison: the PATH, or Debian's package `etcd-server`, fetched by name (apt
 * checks it against its signed lists) and unpacked into the user's cache without installing it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { MeridianError } from '../../libs/errors/errors.ts';
import { cacheDirectory, onPath } from './toxiproxy-program.ts';

const PACKAGE = 'etcd-server';

export function findEtcd(): string {
  const installed = onPath('etcd');
  if (installed !== null) return installed;
  const directory = join(cacheDirectory(), PACKAGE);
  const program = join(directory, 'usr', 'bin', 'etcd');
  if (!existsSync(program)) fetchPackage(directory);
  return program;
}

export function etcdVersion(program: string): string {
  const { stdout } = spawnSync(program, ['--version'], { encoding: 'utf8' });
  return /etcd Version: (\S+)/.exec(stdout)?.[1] ?? 'unknown';
}

function fetchPackage(directory: string): void {
  const draft = mkdtempSync(`${directory}-`);
  const run = (command: string, args: readonly string[]): void => {
    const { status, stderr, error } = spawnSync(command, args, { cwd: draft, encoding: 'utf8' });
    if (status !== 0) throw unavailable(`${command}: ${error?.message ?? stderr}`);
  };
  try {
    run('apt-get', ['download', PACKAGE]);
    const file = readdirSync(draft).find((name) => name.endsWith('.deb'));
    if (file === undefined) throw unavailable('apt-get brought no package');
    run('dpkg-deb', ['-x', file, 'unpacked']);
    rmSync(directory, { recursive: true, force: true });
    renameSync(join(draft, 'unpacked'), directory);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

function unavailable(why: string): MeridianError {
  return new MeridianError(
    'REFUSED',
    `no etcd to compare with: ${why}\n` +
      'Put etcd (3.4 or newer) on the PATH, or run on Debian after apt-get update.',
  );
}
