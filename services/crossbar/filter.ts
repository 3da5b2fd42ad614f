/**
 * What one subscriber wants: some streams, some key ranges, or both. Decided batch by batch, since
 * batches are atomic: one with a single wanted record goes out whole. The matcher of keys is the one
 * that replicas and the client library use.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeBatchHeader, STREAM_BYTES_MAX } from '../../libs/frames/batch.ts';
import { DeliveryWalker } from '../../libs/frames/delivery-walker.ts';
import { KeyFilter } from '../../libs/frames/key-filter.ts';
import type { KeyRange } from '../../libs/frames/key-filter.ts';

export interface FilterWish {
  readonly streams: readonly string[];
  /** Empty bounds are open ones. */
  readonly keyRanges: readonly { readonly from: Uint8Array; readonly to: Uint8Array }[];
}

export class Filter {
  readonly #streams: ReadonlySet<string> | null;
  readonly #keys: KeyFilter | null;
  /** What the instances may be asked to leave out already. */
  readonly keyRanges: readonly KeyRange[];

  private constructor(streams: readonly string[], keyRanges: readonly KeyRange[]) {
    this.#streams = streams.length === 0 ? null : new Set(streams);
    this.#keys = keyRanges.length === 0 ? null : new KeyFilter(keyRanges);
    this.keyRanges = keyRanges;
  }

  get streamCount(): number {
    return this.#streams?.size ?? 0;
  }

  /** null: everything is wanted. Throws INVALID or TOO_LARGE. */
  static from({ streams, keyRanges }: FilterWish, streamsMax: number): Filter | null {
    checkStreams(streams, streamsMax);
    if (streams.length === 0 && keyRanges.length === 0) return null;
    const ranges = keyRanges.map(({ from, to }) => ({
      ...(from.length === 0 ? {} : { from }),
      ...(to.length === 0 ? {} : { to }),
    }));
    return new Filter(streams, ranges);
  }

  /** The wanted ones of these delivery frames, as views; neighbours together. */
  select(frames: Uint8Array): readonly Uint8Array[] {
    const selected: Uint8Array[] = [];
    const walker = new DeliveryWalker(frames);
    let start = -1;
    while (walker.next()) {
      if (this.#wants(walker.batch)) {
        if (start < 0) ({ start } = walker);
      } else if (start >= 0) {
        selected.push(frames.subarray(start, walker.start));
        start = -1;
      }
    }
    if (start >= 0) selected.push(frames.subarray(start, walker.end));
    return selected;
  }

  #wants(batch: Uint8Array): boolean {
    const { stream, recordsOffset, recordCount } = decodeBatchHeader(batch);
    if (this.#streams !== null && !this.#streams.has(stream)) return false;
    return this.#keys === null || this.#keys.countIn(batch, recordsOffset, recordCount) > 0;
  }
}

function checkStreams(names: readonly string[], limit: number): void {
  if (names.length > limit) {
    throw new MeridianError(
      'TOO_LARGE',
      `${names.length} streams; a subscriber may name ${limit}, or none for all`,
      { details: { streams: names.length, limit } },
    );
  }
  for (const name of names) {
    const bytes = Buffer.byteLength(name);
    if (bytes >= 1 && bytes <= STREAM_BYTES_MAX) continue;
    throw new MeridianError(
      'INVALID',
      `stream name of ${bytes} bytes; 1 to ${STREAM_BYTES_MAX} are allowed`,
    );
  }
}
