/**
 * One lane's log in memory: what is in it, how far it is synced, how far committed. Entries are
 * the driver's; this keeps their order and knows nothing of epochs' meaning.
 */
import { assert, at } from '../values/assert.ts';
import type { Epoch, Index } from '../values/numbers.ts';
import type { Entry, Tail } from './types.ts';

export class LaneLog<Content> {
  private readonly entries: Entry<Content>[] = [];
  /** Per entry, the write that carries it. */
  private readonly seqs: number[] = [];
  private syncedTo = 0;
  private committedTo = 0;

  constructor(entries: readonly Entry<Content>[]) {
    for (const entry of entries) this.append(entry, 0);
    this.syncedTo = this.entries.length;
  }

  get last(): Index {
    return this.entries.length as Index;
  }
  get synced(): Index {
    return this.syncedTo as Index;
  }
  get committed(): Index {
    return this.committedTo as Index;
  }
  /** Committed and held synced here (L3). */
  get final(): Index {
    return Math.min(this.committedTo, this.syncedTo) as Index;
  }

  get tail(): Tail {
    return { epoch: this.epochAt(this.last), index: this.last };
  }
  get syncedTail(): Tail {
    return { epoch: this.epochAt(this.synced), index: this.synced };
  }
  get lastEpoch(): Epoch {
    return this.epochAt(this.last);
  }

  entry(index: number): Entry<Content> {
    return at(this.entries, index - 1);
  }

  /** 0 before the first entry. */
  epochAt(index: number): Epoch {
    return index === 0 ? (0 as Epoch) : this.entry(index).epoch;
  }
  timestampAt(index: number): number {
    return index === 0 ? 0 : this.entry(index).timestamp;
  }

  has(tail: Tail): boolean {
    return tail.index <= this.last && this.epochAt(tail.index) === tail.epoch;
  }

  append(entry: Entry<Content>, seq: number): void {
    assert(entry.index === this.entries.length + 1, 'entries are contiguous');
    assert(entry.timestamp > this.timestampAt(this.last), 'timestamps of a lane increase (T2)');
    assert(entry.epoch >= this.lastEpoch, 'epochs of a lane never fall');
    this.entries.push(entry);
    this.seqs.push(seq);
  }

  /** Removes the entries at and above `from`, and returns them. */
  truncate(from: Index): Entry<Content>[] {
    assert(from > this.committedTo, `a committed entry is never removed (index ${String(from)})`);
    this.seqs.length = from - 1;
    this.syncedTo = Math.min(this.syncedTo, from - 1);
    return this.entries.splice(from - 1);
  }

  /** Everything written up to `seq` is on disk; true when the synced prefix grew. */
  persisted(seq: number): boolean {
    const before = this.syncedTo;
    while (this.syncedTo < this.entries.length && at(this.seqs, this.syncedTo) <= seq) {
      this.syncedTo += 1;
    }
    return this.syncedTo > before;
  }

  /** True when the committed prefix grew. */
  commit(index: number): boolean {
    const target = Math.min(index, this.entries.length);
    if (target <= this.committedTo) return false;
    this.committedTo = target;
    return true;
  }

  /** The highest position at or below `tail` where another log with that tail may agree with this one. */
  agreement(tail: Tail): Tail {
    let low = 0;
    let high = Math.min(tail.index, this.last);
    // Epochs never fall along a log, so the last entry with an epoch at or below is found by halves.
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.epochAt(middle) <= tail.epoch) low = middle;
      else high = middle - 1;
    }
    return { epoch: this.epochAt(low), index: low as Index };
  }

  /** Entries from `from` on, as many as fit into `bytesMax`, at least one if there is one. */
  slice(from: number, bytesMax: number): Entry<Content>[] {
    const out: Entry<Content>[] = [];
    let bytes = 0;
    for (let index = from; index <= this.entries.length; index += 1) {
      const entry = this.entry(index);
      bytes += entry.bytes;
      if (out.length > 0 && bytes > bytesMax) break;
      out.push(entry);
    }
    return out;
  }

  bytesBetween(after: number, to: number): number {
    let bytes = 0;
    for (let index = after + 1; index <= to; index += 1) bytes += this.entry(index).bytes;
    return bytes;
  }
}
