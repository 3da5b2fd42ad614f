/**
 * Appends that are not answered, oldest first, in three parts: on the current session, encoded but
 * not on it (after a session has died), and not yet encoded. An append gets its sequence number when
 * it is encoded, so one that was never sent can be given up without breaking the chain.
 */
import type { BatchInput } from '../frames/batch.ts';
import { assert, at } from '../values/assert.ts';
import type { MeridianError } from '../errors/errors.ts';
import type { AppendResult } from './types.ts';

export interface PendingAppend {
  readonly input: Omit<BatchInput, 'writer'>;
  /** Wished sequence number; null: the next. */
  readonly seq: number | null;
  /** Bytes it counts for in the queue. */
  readonly bytes: number;
  readonly minTimestamp: number;
  /** On the monotonic clock, ms. */
  readonly expiresAt: number;
  readonly resolve: (result: AppendResult) => void;
  readonly reject: (error: MeridianError) => void;
  /** null until it is first sent. */
  frame: Uint8Array | null;
  /** The writer's seq before it, once encoded. */
  previous: number;
  /** A session that held it ended without saying that it had no effect. */
  unknown: boolean;
  /** The caller has been told (its deadline passed); the append goes on for the chain's sake. */
  settled: boolean;
}

export class PendingAppends {
  #items: PendingAppend[] = [];
  #head = 0;
  /** How many, from the oldest, are on the current session. */
  sent = 0;
  /** How many, from the oldest, are encoded. */
  encoded = 0;
  /** How many are marked unknown; they are the oldest. */
  unknown = 0;
  /** Bytes of frames on the current session. */
  sentBytes = 0;
  /** Bytes of all. */
  bytes = 0;
  /** How many callers still wait. */
  waiting = 0;

  get count(): number {
    return this.#items.length - this.#head;
  }

  at(index: number): PendingAppend {
    return at(this.#items, this.#head + index);
  }

  push(append: PendingAppend): void {
    this.#items.push(append);
    this.bytes += append.bytes;
    this.waiting += 1;
  }

  /** The oldest is answered. */
  shift(): PendingAppend {
    const oldest = this.at(0);
    assert(this.sent > 0 && oldest.frame !== null, 'only a sent append is answered');
    this.#head += 1;
    this.sent -= 1;
    this.encoded -= 1;
    this.sentBytes -= oldest.frame.length;
    if (oldest.unknown) this.unknown -= 1;
    this.#left(oldest);
    if (this.#head >= 1024 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return oldest;
  }

  /** Removes one that was never sent, or whose chain has been undone. */
  remove(index: number): void {
    const [removed] = this.#items.splice(this.#head + index, 1);
    assert(removed !== undefined && index >= this.encoded, 'only unsent appends are removed');
    this.#left(removed);
  }

  markSent(append: PendingAppend): void {
    this.sent += 1;
    this.sentBytes += append.frame?.length ?? 0;
  }

  markSettled(append: PendingAppend): void {
    append.settled = true;
    this.waiting -= 1;
  }

  /** The session is gone; `unknown`: it did not say that what it held had no effect. */
  sessionLost(unknown: boolean): void {
    if (unknown) {
      for (let index = 0; index < this.sent; index += 1) this.at(index).unknown = true;
      this.unknown = Math.max(this.unknown, this.sent);
    }
    this.sent = 0;
    this.sentBytes = 0;
  }

  /** Forgets the encoding of everything from `index`: certainly without effect, to be sent anew. */
  undoFrom(index: number): void {
    assert(index >= this.unknown && this.sent <= index, 'only what had no effect is undone');
    for (let later = index; later < this.encoded; later += 1) this.at(later).frame = null;
    this.encoded = Math.min(this.encoded, index);
  }

  #left(append: PendingAppend): void {
    this.bytes -= append.bytes;
    if (!append.settled) this.waiting -= 1;
    append.settled = true;
  }
}
