/**
 * The narrow face of the file system that the log needs, its one production implementation, and
 * the one place where file errors become MeridianErrors. Set-up and recovery are synchronous: they
 * run before the replica serves anybody. The commit path has callbacks, one thread-pool hop each;
 * promises cost 30 µs and a long tail there.
 *
 * A short write is the caller's business (`writeFully`), because only he knows what to do about it.
 */
import fs from 'node:fs';
import { MeridianError } from '../errors/errors.ts';
import { lockFile } from './lock.ts';

/** `durable`: read and write, creating; `writeDurably` returns when the bytes are on disk. */
export type OpenMode = 'read' | 'write' | 'create' | 'durable';

/** Also of a read. */
export type WriteDone = (error: Error | null, bytes: number) => void;
export type SyncDone = (error: Error | null) => void;

export interface Files {
  /** Creates the directory, mode 0700, or gives an existing one that mode. */
  makeDirectory(path: string): void;
  /** Names in the directory, sorted; null when it does not exist. */
  list(path: string): readonly string[] | null;
  /** Opens a file (mode 0600 when created) or, for `read`, also a directory. */
  open(path: string, mode: OpenMode): number;
  close(file: number): void;
  size(file: number): number;
  /** Bytes read; fewer than asked for only at the end of the file. */
  read(file: number, target: Uint8Array, position: number): number;
  /** Bytes written, perhaps fewer than given. */
  write(file: number, data: Uint8Array, position: number): number;
  truncate(file: number, bytes: number): void;
  sync(file: number): void;
  syncDirectory(path: string): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Takes the exclusive lock that ends with `close` or with the process; REFUSED when held. */
  lock(path: string): number;

  /** Writes to a file opened `durable`; what `bytes` counts is on disk when `done` runs. */
  writeDurably(file: number, parts: readonly Uint8Array[], position: number, done: WriteDone): void;
  /** Reads without blocking; fewer bytes than asked for at the end of the file, or perhaps before. */
  readLater(file: number, target: Uint8Array, position: number, done: WriteDone): void;
  /** Syncs a file or directory without blocking. */
  syncLater(file: number, done: SyncDone): void;
}

const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_DSYNC } = fs.constants;
const FLAGS: Record<OpenMode, number> = {
  read: O_RDONLY,
  write: O_RDWR,
  create: O_RDWR | O_CREAT | O_EXCL,
  durable: O_RDWR | O_CREAT | O_DSYNC,
};

export const nodeFiles: Files = {
  makeDirectory: (path) => {
    attempt('create directory', path, () => {
      fs.mkdirSync(path, { recursive: true, mode: 0o700 });
      fs.chmodSync(path, 0o700);
    });
  },
  list: (path) =>
    attempt('list', path, () => {
      try {
        return fs.readdirSync(path).sort();
      } catch (error) {
        if (codeOf(error) === 'ENOENT') return null;
        throw error;
      }
    }),
  open: (path, mode) => attempt('open', path, () => fs.openSync(path, FLAGS[mode], 0o600)),
  close: (file) => {
    fs.closeSync(file);
  },
  size: (file) => attempt('stat', '', () => fs.fstatSync(file).size),
  read: (file, target, position) =>
    attempt('read', '', () => {
      let bytes = 0;
      while (bytes < target.length) {
        const count = fs.readSync(file, target, bytes, target.length - bytes, position + bytes);
        if (count === 0) break;
        bytes += count;
      }
      return bytes;
    }),
  write: (file, data, position) =>
    attempt('write', '', () => fs.writeSync(file, data, 0, data.length, position)),
  truncate: (file, bytes) => {
    attempt('truncate', '', () => {
      fs.ftruncateSync(file, bytes);
    });
  },
  sync: (file) => {
    attempt('sync', '', () => {
      fs.fsyncSync(file);
    });
  },
  syncDirectory: (path) => {
    attempt('sync directory', path, () => {
      const file = fs.openSync(path, O_RDONLY);
      try {
        fs.fsyncSync(file);
      } finally {
        fs.closeSync(file);
      }
    });
  },
  rename: (from, to) => {
    attempt('rename', from, () => {
      fs.renameSync(from, to);
    });
  },
  remove: (path) => {
    attempt('remove', path, () => {
      fs.unlinkSync(path);
    });
  },
  lock: (path) => lockFile(path),
  writeDurably: (file, parts, position, done) => {
    const [first] = parts;
    if (first !== undefined && parts.length === 1) {
      fs.write(file, first, 0, first.length, position, done);
    } else {
      fs.writev(file, parts, position, done);
    }
  },
  readLater: (file, target, position, done) => {
    fs.read(file, target, 0, target.length, position, done);
  },
  syncLater: (file, done) => {
    fs.fsync(file, done);
  },
};

/** Writes all of it, completing short writes. */
export function writeFully(files: Files, file: number, data: Uint8Array, position: number): void {
  for (let bytes = 0; bytes < data.length;) {
    const count = files.write(file, data.subarray(bytes), position + bytes);
    if (count <= 0) throw fileError('write', '', new Error('nothing was written'));
    bytes += count;
  }
}

/** An error of the file system as the operating error that start-up reports. */
export function fileError(operation: string, path: string, cause: unknown): MeridianError {
  const code = codeOf(cause);
  return new MeridianError(
    code === 'EIO' ? 'CORRUPT' : 'REFUSED',
    `cannot ${operation}${path === '' ? '' : ` ${path}`}: ${describe(cause)}`,
    { details: { operation, file: path, code }, cause },
  );
}

/** What a failed write or sync means for the process (S1): staged frames may be on disk or not. */
export function fatalError(operation: string, path: string, cause: unknown): MeridianError {
  const code = codeOf(cause);
  return new MeridianError(
    'INDEFINITE',
    `the log cannot ${operation} ${path}: ${describe(cause)}; what was not yet confirmed may be on ` +
      'disk or not, so the process must end and read the log again',
    { details: { operation, file: path, code }, cause },
  );
}

/** The disk is full for the moment: nothing is lost, and the same write may succeed later. */
export function noSpaceError(path: string, cause: unknown): MeridianError {
  return new MeridianError('DISK_FULL', `the log waits: ${path}: ${describe(cause)}`, {
    details: { file: path, code: codeOf(cause) },
    cause,
  });
}

/** Also as an error of the set-up calls, which keep the code. */
export function isNoSpace(error: unknown): boolean {
  const code = error instanceof MeridianError ? error.details['code'] : codeOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function describe(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause);
  switch (codeOf(cause)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return `the disk is full (${text}); make room`;
    case 'EIO':
      return `the disk reports an error (${text})`;
    case 'EACCES':
    case 'EPERM':
      return `no permission (${text}); the directory must belong to the user of the process`;
    case 'EROFS':
      return `the file system is read-only (${text})`;
    default:
      return text;
  }
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : '';
}

function attempt<T>(operation: string, path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof MeridianError ? error : fileError(operation, path, error);
  }
}
