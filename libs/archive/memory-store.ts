/**
 * A store in memory, for tests, that fails when told to: before the write took effect, after it, or by
 * returning other bytes. A misbehaving server on a socket is faulty-s3.ts.
 */
import { MeridianError } from '../errors/errors.ts';
import { checkKey } from './keys.ts';
import type { ListingStore, StoredObject } from './object-store.ts';

export type Fault = 'before' | 'after';

export class MemoryStore implements ListingStore {
  readonly url = 'memory:';
  readonly objects = new Map<string, Uint8Array>();
  readonly calls: string[] = [];
  /** When each was written, for `list`. */
  readonly modified = new Map<string, number>();
  now: () => number = () => 0;
  /** Asked before every call; what it says goes wrong. */
  fault: (call: string, key: string) => Fault | null = () => null;
  /** What a read returns instead, also of what is not there (null). */
  corrupt: (key: string, bytes: Uint8Array | null) => Uint8Array | null = (_, bytes) => bytes;

  create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#call('create', key, () => {
      if (this.objects.has(key)) return 'exists';
      this.objects.set(key, Uint8Array.from(bytes));
      this.modified.set(key, this.now());
      return 'created';
    });
  }

  replace(key: string, bytes: Uint8Array): Promise<void> {
    return this.#call('replace', key, () => {
      this.objects.set(key, Uint8Array.from(bytes));
    });
  }

  read(key: string): Promise<Uint8Array | null> {
    return this.#call('read', key, () => this.corrupt(key, this.objects.get(key) ?? null));
  }

  remove(key: string): Promise<void> {
    return this.#call('remove', key, () => {
      this.objects.delete(key);
    });
  }

  async *list(folder: string): AsyncIterable<StoredObject> {
    await Promise.resolve();
    for (const key of [...this.objects.keys()]) {
      if (key.startsWith(`${folder}/`)) yield { key, modifiedAt: this.modified.get(key) ?? 0 };
    }
  }

  close(): void {
    // Nothing is open.
  }

  async #call<T>(call: string, key: string, action: () => T): Promise<T> {
    checkKey(key);
    await Promise.resolve();
    this.calls.push(`${call} ${key}`);
    const fault = this.fault(call, key);
    const failure = new MeridianError('UNAVAILABLE', `${call} ${key}: the store is told to fail`);
    if (fault === 'before') throw failure;
    const result = action();
    if (fault === 'after') throw failure;
    return result;
  }
}
