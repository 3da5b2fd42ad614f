/**
 * The directory that `npm start` keeps its state in: data of replicas and databases, configuration,
 * logs. It belongs to one process at a time, remembers its ports, and is recognised by a file of its
 * own, so that `--fresh` never deletes a directory that is something else.
 */
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Ports } from './topology.ts';

const MARK = 'meridian-local.json';
const LOCK = 'lock';
const FORMAT = 1;

export interface StateDirectory {
  readonly path: string;
  /** What an earlier run used; null when this is the first. */
  readonly ports: Ports | null;
  savePorts(ports: Ports): void;
  /** Lets the next run have it. */
  unlock(): void;
}

/**
 * `.meridian` beside package.json, unless Postgres could not get there: it refuses to run as root,
 * and runs as another user who has to pass through every folder above.
 */
export function defaultDirectory(root: string): string {
  const usual = join(root, '.meridian');
  if (process.getuid?.() !== 0 || passable(root)) return usual;
  const name = createHash('sha256').update(root).digest('hex').slice(0, 8);
  return join(tmpdir(), `meridian-${name}`);
}

/** Opens or makes the directory and locks it; REFUSED when it is in use or is something else. */
export function openStateDirectory(path: string, fresh: boolean): StateDirectory {
  const directory = resolve(path);
  const mark = join(directory, MARK);
  if (existsSync(directory) && !existsSync(mark) && contentsOf(directory).length > 0) {
    throw new MeridianError(
      'REFUSED',
      `${directory} is not empty and not a state directory of Meridian: choose another --directory`,
    );
  }
  mkdirSync(directory, { recursive: true });
  lock(directory);
  if (fresh) {
    for (const name of contentsOf(directory)) {
      if (name !== LOCK) rmSync(join(directory, name), { recursive: true, force: true });
    }
  }
  const ports = existsSync(mark) ? readMark(mark) : null;
  if (ports === null) writeMark(mark, null);
  return {
    path: directory,
    ports,
    savePorts: (chosen) => {
      writeMark(mark, chosen);
    },
    unlock: () => {
      rmSync(join(directory, LOCK), { force: true });
    },
  };
}

function lock(directory: string): void {
  const file = join(directory, LOCK);
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(readFileSync(file, 'utf8'));
    if (isAlive(holder) && holder !== process.pid) {
      throw new MeridianError(
        'REFUSED',
        `${directory} is in use by process ${String(holder)}: stop that one, or choose another --directory`,
        { details: { pid: holder } },
      );
    }
    rmSync(file, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    if (pid <= 0) return false;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function readMark(file: string): Ports | null {
  const { format, ports } = JSON.parse(readFileSync(file, 'utf8')) as {
    format: number;
    ports: Ports | null;
  };
  if (format === FORMAT) return ports === null || isWhole(ports) ? ports : null;
  throw new MeridianError(
    'REFUSED',
    `${dirname(file)} has format ${String(format)}, this version reads ${String(FORMAT)}: ` +
      'start over with --fresh, or choose another --directory',
  );
}

/** An earlier version knew fewer: then all are chosen anew. */
function isWhole(ports: Ports): boolean {
  const known: Partial<Ports['a']> = ports.a;
  return known.http !== undefined;
}

function writeMark(file: string, ports: Ports | null): void {
  writeFileSync(file, `${JSON.stringify({ format: FORMAT, ports }, null, 2)}\n`);
}

function contentsOf(directory: string): string[] {
  return existsSync(directory) ? readdirSync(directory) : [];
}

/** Whether users who are neither owner nor group may pass through it and everything above. */
function passable(directory: string): boolean {
  for (let folder = resolve(directory); ; folder = dirname(folder)) {
    accessSync(folder, constants.X_OK);
    if ((statSync(folder).mode & 0o001) === 0) return false;
    if (dirname(folder) === folder) return true;
  }
}
