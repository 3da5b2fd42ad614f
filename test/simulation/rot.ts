/**
 * Blocks of one disk that do not give back what was written: rotten (D2), or with another block in their place, whole and
 * with a right checksum (D5). The log knows the one by its checksum and the other by its identity, so such an entry is not
 * had at the moment, which is not the same as never had. Owns which they are; who reads them, and what a scrub makes
 * good, is the disk's and the housekeeping's business.
 */
import type { Entry } from '../../libs/lane/types.ts';
import type { Content } from './operations.ts';

export type Decay = 'rot' | 'misdirected';

const NONE: readonly Entry<Content>[] = [];

export class Rot {
  /** Reads that met either, and entries that were made good from a peer. */
  metRotten = 0;
  metMisdirected = 0;
  repaired = 0;
  private readonly entries = new Map<Entry<Content>, Decay>();

  add(entry: Entry<Content>, decay: Decay): void {
    this.entries.set(entry, decay);
  }

  has(entry: Entry<Content>): boolean {
    return this.entries.has(entry);
  }

  /** What a read finds in the place of the entry; null: the entry. */
  meet(entry: Entry<Content>): Decay | null {
    const decay = this.entries.get(entry) ?? null;
    if (decay === 'rot') this.metRotten++;
    if (decay === 'misdirected') this.metMisdirected++;
    return decay;
  }

  get all(): readonly Entry<Content>[] {
    return this.entries.size === 0 ? NONE : [...this.entries.keys()];
  }

  repair(entry: Entry<Content>): void {
    if (this.entries.delete(entry)) this.repaired++;
  }

  /** It is not in the log any more. */
  forget(entry: Entry<Content>): void {
    this.entries.delete(entry);
  }

  /** Another directory. */
  clear(): void {
    this.entries.clear();
  }
}
