/**
 * One lane's log: what is in it, how far it is synced, committed, released. Entries are the driver's;
 * this keeps their order and knows nothing of epochs' meaning.
 *
 *   … gone │ base │ on disk only │ in memory │ last
 *
 * A log begins behind its base: what is at or below it has left (SPEC.md §8, C1–C3). Released entries
 * that no peer is likely to want are on disk only, and read back when one does; of them only the
 * epochs are known here, as runs. So the memory of a log does not grow with it.
 */
import { assert, AssertionError, at } from '../values/assert.ts';
import type { Epoch, Index, Timestamp } from '../values/numbers.ts';
import type { Entry, EpochRun, LaneStart, Mark, Tail } from './types.ts';

export const ORIGIN: Mark = { epoch: 0 as Epoch, index: 0 as Index, timestamp: 0 as Timestamp };

/** A log without a checkpoint that holds these entries. */
export function wholeLog<Content>(entries: readonly Entry<Content>[]): LaneStart<Content> {
  return { base: ORIGIN, released: ORIGIN, epochs: [], entries };
}

export class LaneLog<Content> {
  private readonly readBack: (index: Index) => Entry<Content> | null;
  private baseMark: Mark;
  /** The last entry that is on disk only; `base` when there is none. */
  private cold: Mark;
  private releasedMark: Mark;
  /** The last entry, or what stands for it: asked for in every step. */
  private newest: Mark;
  /** The entries above `cold`, from `head` on. */
  private entries: Entry<Content>[] = [];
  /** Per entry, the write that carries it. */
  private seqs: number[] = [];
  private head = 0;
  /** Of the entries above the base, ascending. */
  private epochs: EpochRun[];
  private syncedTo: number;
  private committedTo: number;

  constructor(start: LaneStart<Content>, readBack: (index: Index) => Entry<Content> | null) {
    const { base, released, epochs, entries } = start;
    assert(released.index >= base.index, 'what has left the log was released');
    this.readBack = readBack;
    this.baseMark = base;
    this.cold = released;
    this.releasedMark = released;
    this.newest = released;
    this.epochs = [...epochs];
    // C1: what a checkpoint covers is committed and stands on disk.
    this.syncedTo = released.index;
    this.committedTo = released.index;
    for (const entry of entries) this.append(entry, 0);
    this.syncedTo = this.last;
  }

  /** Entries at or below have left the log. */
  get base(): Mark {
    return this.baseMark;
  }
  /** Everything up to here was released; the rest may wait in the order. */
  get released(): Mark {
    return this.releasedMark;
  }
  get last(): Index {
    return this.newest.index;
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
  /** Entries in memory. */
  get hotCount(): number {
    return this.entries.length - this.head;
  }

  get tail(): Tail {
    return { epoch: this.newest.epoch, index: this.newest.index };
  }
  get syncedTail(): Tail {
    return { epoch: this.epochAt(this.synced), index: this.synced };
  }
  get lastEpoch(): Epoch {
    return this.newest.epoch;
  }

  entry(index: number): Entry<Content> {
    const entry = this.find(index);
    // The message is built only on failure: this runs for every entry.
    if (entry === null) throw new AssertionError(`entry ${String(index)} can be read back`);
    return entry;
  }

  /** null: it is on disk only, and the disk does not give it back. */
  private find(index: number): Entry<Content> | null {
    if (index > this.cold.index) {
      const entry = this.entries[this.head + index - this.cold.index - 1];
      if (entry === undefined) throw new AssertionError(`entry ${String(index)} is above the last`);
      return entry;
    }
    if (index <= this.baseMark.index) throw gone(index);
    const entry = this.readBack(index as Index);
    if (entry === null) return null;
    assert(entry.epoch === this.epochAt(index), 'what is read back was written in this epoch');
    return entry;
  }

  /** Of an entry in the log, or of the base; 0 before the first entry. */
  epochAt(index: number): Epoch {
    if (index === this.newest.index) return this.newest.epoch;
    if (index > this.cold.index) return this.entry(index).epoch;
    if (index === this.cold.index) return this.cold.epoch;
    if (index === this.baseMark.index) return this.baseMark.epoch;
    if (index < this.baseMark.index) throw gone(index);
    return at(this.epochs, this.runOf(index)).epoch;
  }

  timestampAt(index: number): number {
    if (index === this.newest.index) return this.newest.timestamp;
    if (index === this.cold.index) return this.cold.timestamp;
    if (index === this.baseMark.index) return this.baseMark.timestamp;
    return this.entry(index).timestamp;
  }

  /** The log holds this position. What has left it agrees with every log that may be taken from (C3). */
  has(tail: Tail): boolean {
    if (tail.index < this.baseMark.index) return true;
    return tail.index <= this.last && this.epochAt(tail.index) === tail.epoch;
  }

  append(entry: Entry<Content>, seq: number): void {
    assert(entry.index === this.last + 1, 'entries are contiguous');
    assert(entry.timestamp > this.timestampAt(this.last), 'timestamps of a lane increase (T2)');
    assert(entry.epoch >= this.lastEpoch, 'epochs of a lane never fall');
    this.entries.push(entry);
    this.seqs.push(seq);
    this.newest = entry;
    if (this.epochs.at(-1)?.epoch !== entry.epoch) {
      this.epochs.push({ epoch: entry.epoch, from: entry.index });
    }
  }

  /** Removes the entries at and above `from`, and returns them. */
  truncate(from: Index): Entry<Content>[] {
    if (from <= this.committedTo) {
      throw new AssertionError(`a committed entry is never removed (index ${String(from)})`);
    }
    const kept = this.head + from - this.cold.index - 1;
    this.seqs.length = kept;
    this.syncedTo = Math.min(this.syncedTo, from - 1);
    while ((this.epochs.at(-1)?.from ?? 0) >= from) this.epochs.pop();
    const removed = this.entries.splice(kept);
    this.newest = this.hotCount > 0 ? at(this.entries, kept - 1) : this.cold;
    return removed;
  }

  /** Everything written up to `seq` is on disk; true when the synced prefix grew. */
  persisted(seq: number): boolean {
    const before = this.syncedTo;
    const { seqs, last } = this;
    const first = this.head - this.cold.index;
    while (this.syncedTo < last && at(seqs, first + this.syncedTo) <= seq) this.syncedTo += 1;
    return this.syncedTo > before;
  }

  /** True when the committed prefix grew. */
  commit(index: number): boolean {
    const target = Math.min(index, this.last);
    if (target <= this.committedTo) return false;
    this.committedTo = target;
    return true;
  }

  /** Everything final up to the watermark has been released. */
  release(watermark: number): void {
    let next: Entry<Content> | null = null;
    for (let { index } = this.releasedMark; index < this.final; index = next.index) {
      const entry = this.entry(index + 1);
      if (entry.timestamp > watermark) break;
      next = entry;
    }
    if (next !== null) this.releasedMark = markOf(next);
  }

  /** Of what is released, keeps no more than `count` entries in memory; the rest is on disk (C2). */
  cool(count: number): void {
    const index = Math.min(this.releasedMark.index, this.last - count);
    if (index <= this.cold.index) return;
    const entry = this.entry(index);
    this.head += index - this.cold.index;
    this.cold = markOf(entry);
    // What is in memory no longer must not be held by this either.
    if (index === this.last) this.newest = this.cold;
    if (this.head > 256 && this.head * 2 > this.entries.length) {
      this.entries = this.entries.slice(this.head);
      this.seqs = this.seqs.slice(this.head);
      this.head = 0;
    }
  }

  /** Entries at or below `base` have left the log (C2). */
  trim(base: Mark): void {
    if (base.index <= this.baseMark.index) return;
    assert(base.index <= this.releasedMark.index, 'only what is released leaves the log');
    assert(base.epoch === this.epochAt(base.index), 'a base is a position of this log');
    this.cool(this.last - base.index);
    this.baseMark = base;
    const run = this.last === base.index ? this.epochs.length : this.runOf(base.index + 1);
    const { epoch } = this.epochs[run] ?? base;
    this.epochs.splice(0, run + 1);
    if (this.last > base.index) this.epochs.unshift({ epoch, from: (base.index + 1) as Index });
  }

  /** Epochs of the entries above the base up to `index`. */
  epochsUpTo(index: number): EpochRun[] {
    return this.epochs.filter(({ from }) => from <= index);
  }

  /** The highest position at or below `tail`, and not below the base, where another log may agree. */
  agreement(tail: Tail): Tail {
    let low = this.baseMark.index as number;
    let high = Math.min(tail.index, this.last);
    // Nearly always the logs agree as far as both go, and the halves need not be searched.
    if (high > low && this.epochAt(high) <= tail.epoch) low = high;
    // Epochs never fall along a log, so the last entry with an epoch at or below is found by halves.
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (this.epochAt(middle) <= tail.epoch) low = middle;
      else high = middle - 1;
    }
    return { epoch: this.epochAt(low), index: low as Index };
  }

  /** Entries from `from` on, as many as fit into `bytesMax`, at least one if there is one to be had. */
  slice(from: number, bytesMax: number): Entry<Content>[] {
    const out: Entry<Content>[] = [];
    let bytes = 0;
    for (let index = from; index <= this.last; index += 1) {
      const entry = this.find(index);
      if (entry === null) break;
      bytes += entry.bytes;
      if (out.length > 0 && bytes > bytesMax) break;
      out.push(entry);
    }
    return out;
  }

  /** Number of the run that holds `index`, which is above the base and not above `last`. */
  private runOf(index: number): number {
    let low = 0;
    let high = this.epochs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (at(this.epochs, middle).from <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

function gone(index: number): AssertionError {
  return new AssertionError(`entry ${String(index)} has left the log`);
}

function markOf<Content>({ epoch, index, timestamp }: Entry<Content>): Mark {
  return { epoch, index, timestamp };
}
