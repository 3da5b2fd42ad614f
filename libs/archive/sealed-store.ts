/**
 * A store whose objects are sealed on their way in and opened on their way out, so that whoever has the bucket
 * and not the key learns names, sizes and times, and no content. Everything else of an archive works on what
 * was sealed and does not know of it: hashes, the comparison of what two replicas made, the chain of manifests.
 *
 * The root and the hint stay in the clear: they say whose archive it is and a number. What was written before
 * there was a key is read as it is, so an archive may be sealed from some day on.
 */
import { HINT_KEY, ROOT_KEY } from './keys.ts';
import type { ListingStore, StoredObject } from './object-store.ts';
import { isSealed, open, seal, sealedBytes } from './sealing.ts';
import type { SealingKey } from './sealing.ts';

export class SealedStore implements ListingStore {
  readonly url: string;
  readonly #inner: ListingStore;
  readonly #keys: readonly SealingKey[];

  /** Seals with the first key; without one it seals nothing, and what is sealed is refused by its key's name. */
  constructor(inner: ListingStore, keys: readonly SealingKey[]) {
    this.url = inner.url;
    this.#inner = inner;
    this.#keys = keys;
  }

  async create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const [sealing] = this.#keys;
    const isOpen = sealing === undefined || key === ROOT_KEY || key === HINT_KEY;
    return this.#inner.create(key, isOpen ? bytes : await seal(bytes, key, sealing));
  }

  replace(key: string, bytes: Uint8Array): Promise<void> {
    return this.#inner.replace(key, bytes);
  }

  async read(key: string, bytesMax: number): Promise<Uint8Array | null> {
    const bytes = await this.#inner.read(key, sealedBytes(bytesMax));
    return bytes === null || !isSealed(bytes) ? bytes : open(bytes, key, this.#keys, bytesMax);
  }

  remove(key: string): Promise<void> {
    return this.#inner.remove(key);
  }

  list(folder: string): AsyncIterable<StoredObject> {
    return this.#inner.list(folder);
  }

  close(): void {
    this.#inner.close();
  }
}
