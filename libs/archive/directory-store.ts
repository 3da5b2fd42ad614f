/**
 * A directory as a store of objects: the default of `npm start`, and for whoever mounts something. An
 * object is written under a temporary name, synced, and linked to its own name, which fails when there
 * is one: so creation is atomic and happens once, also between processes on one file system.
 */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, opendir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MeridianError } from '../errors/errors.ts';
import { checkKey, isKey } from './keys.ts';
import type { ListingStore, StoredObject } from './object-store.ts';

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;

export class DirectoryStore implements ListingStore {
  readonly url: string;
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = resolve(directory);
    this.url = pathToFileURL(this.#directory).href;
  }

  async create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#attempt('create', key, async (path) => {
      const temporary = await this.#write(path, bytes);
      try {
        await link(temporary, path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EEXIST') return 'exists';
        throw error;
      } finally {
        await rm(temporary, { force: true });
      }
      await syncDirectory(dirname(path));
      return 'created';
    });
  }

  async replace(key: string, bytes: Uint8Array): Promise<void> {
    await this.#attempt('replace', key, async (path) => {
      await rename(await this.#write(path, bytes), path);
      await syncDirectory(dirname(path));
    });
  }

  async read(key: string, bytesMax: number): Promise<Uint8Array | null> {
    return this.#attempt('read', key, async (path) => {
      try {
        const { size } = await stat(path);
        if (size > bytesMax) throw tooLarge(`${this.url}/${key}`, size, bytesMax);
        return await readFile(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
        throw error;
      }
    });
  }

  async remove(key: string): Promise<void> {
    await this.#attempt('remove', key, (path) => rm(path, { force: true }));
  }

  /** A file under a temporary name is no object yet. */
  async *list(folder: string): AsyncIterable<StoredObject> {
    try {
      for await (const { name } of await opendir(join(this.#directory, folder))) {
        const key = `${folder}/${name}`;
        if (!isKey(key)) continue;
        const { mtimeMs } = await stat(join(this.#directory, key));
        yield { key, modifiedAt: mtimeMs };
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw this.#translated('list', folder, error);
    }
  }

  close(): void {
    // Nothing is held open between calls.
  }

  /** Under a temporary name beside `path`, on disk. */
  async #write(path: string, bytes: Uint8Array): Promise<string> {
    await mkdir(dirname(path), { recursive: true, mode: DIRECTORY_MODE });
    const temporary = `${path}.${randomBytes(6).toString('hex')}.new`;
    const file = await open(temporary, 'wx', FILE_MODE);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } catch (error) {
      await file.close();
      await rm(temporary, { force: true });
      throw error;
    }
    await file.close();
    return temporary;
  }

  async #attempt<T>(what: string, key: string, action: (path: string) => Promise<T>): Promise<T> {
    checkKey(key);
    try {
      return await action(join(this.#directory, key));
    } catch (error) {
      throw error instanceof MeridianError ? error : this.#translated(what, key, error);
    }
  }

  /** The one place where errors of files become ours. */
  #translated(what: string, key: string, error: unknown): MeridianError {
    const { code = '', message } = error as NodeJS.ErrnoException;
    const denied = code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
    return new MeridianError(
      denied ? 'PERMISSION_DENIED' : 'UNAVAILABLE',
      `cannot ${what} ${this.url}/${key}: ${message}`,
      { details: { key, code }, cause: error },
    );
  }
}

export function tooLarge(where: string, bytes: number, limit: number): MeridianError {
  return new MeridianError(
    'TOO_LARGE',
    `${where} has ${bytes} bytes, at most ${limit} were expected`,
    {
      details: { bytes, limit },
    },
  );
}

async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
