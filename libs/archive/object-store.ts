/**
 * What an archive needs of a store of objects, and no more: create once, read whole, replace a hint,
 * remove by name. A bucket (s3-store.ts) and a directory (directory-store.ts) are two of them.
 *
 * There is no listing: what exists is what the manifest names (SPEC.md). Only the janitor sees a store that
 * can list, to find what was never named. Every call ends, well or with
 * a `MeridianError`: UNAVAILABLE (ask again later), PERMISSION_DENIED (credentials or rights; may heal
 * too), TOO_LARGE, REFUSED.
 */
export interface ObjectStore {
  /** For messages: where this is. */
  readonly url: string;

  /**
   * Writes the object unless there is one under this key. `exists` says only that something is there:
   * after a lost answer it may be our own bytes, so the caller reads and compares.
   */
  create(key: string, bytes: Uint8Array): Promise<'created' | 'exists'>;

  /** Writes the object whatever is there. For hints alone: nothing may depend on what it says. */
  replace(key: string, bytes: Uint8Array): Promise<void>;

  /** The whole object; null: there is none. TOO_LARGE beyond `bytesMax`, before memory is taken. */
  read(key: string, bytesMax: number): Promise<Uint8Array | null>;

  /** Afterwards there is no such object; it is no error if there was none. */
  remove(key: string): Promise<void>;

  close(): void;
}

export interface StoredObject {
  readonly key: string;
  /** When it was written, by the store's clock, milliseconds since 1970. */
  readonly modifiedAt: number;
}

export interface ListingStore extends ObjectStore {
  /** What has a key of an archive under this folder, `segments` for example, in any order. */
  list(folder: string): AsyncIterable<StoredObject>;
}
