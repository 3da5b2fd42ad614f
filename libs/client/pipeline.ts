/**
 * Appends that are not answered, oldest first, in three parts: on the current session (`sent`),
 * encoded but not on it because a session died with them (`encoded`), and never sent. An append gets
 * its place in the writer's chain when it is encoded, so that one that never left, or certainly had
 * no effect, leaves no hole.
 */
import { assert, at } from '../values/assert.ts';
import type { MeridianError } from '../errors/errors.ts';
import type { BatchWriter, RecordInput } from '../frames/batch.ts';
import type { AppendResult } from './types.ts';

export interface AppendInput {
  readonly stream: string;
  readonly records: readonly RecordInput[];
  readonly matchSeqNum?: number | undefined;
  readonly fencingToken?: number | undefined;
  readonly mustExist?: boolean | undefined;
  /** The append gets a timestamp above this. */
  readonly minTimestamp?: number | undefined;
  /** Of the caller's span, for the tracer. */
  readonly traceparent?: string | undefined;
  /** Context of the append's own span, when it is traced. */
  readonly trace?: Uint8Array | undefined;
  /** Explicit place in the writer's sequence, above all before; default: one more than the last. */
  readonly seq?: number | undefined;
}

/** Only the order decides whether it takes effect: it is answered when its place is final. */
export function isConditional({ matchSeqNum, fencingToken, mustExist }: Conditions): boolean {
  return matchSeqNum !== undefined || fencingToken !== undefined || mustExist === true;
}

type Conditions = Pick<AppendInput, 'matchSeqNum' | 'fencingToken' | 'mustExist'>;

export type { AppendResult } from './types.ts';
/** Called once; exactly one of the two is not null. */
export type Done = (error: MeridianError | null, result: AppendResult | null) => void;

export interface Pending {
  readonly input: AppendInput;
  /** Bytes it counts for in the queue. */
  readonly size: number;
  /** Milliseconds on the process's monotonic clock. */
  readonly deadline: number;
  /** null once the caller has been told. */
  done: Done | null;
  /** Set while encoded. */
  frame: Uint8Array | null;
  link: BatchWriter | null;
  /** A session that held it ended without saying that it had no effect. */
  uncertain: boolean;
}

export class Pipeline {
  #items: Pending[] = [];
  #head = 0;
  /** How many, from the oldest, are on the current session. */
  sent = 0;
  /** How many, from the oldest, are encoded. */
  encoded = 0;
  /** How many are uncertain; they are the oldest. */
  uncertain = 0;
  /** Bytes of frames on the current session. */
  sentBytes = 0;
  /** Bytes of all. */
  bytes = 0;
  /** How many callers still wait. */
  waiting = 0;

  get count(): number {
    return this.#items.length - this.#head;
  }

  at(index: number): Pending {
    return at(this.#items, this.#head + index);
  }

  push(pending: Pending): void {
    this.#items.push(pending);
    this.bytes += pending.size;
    this.waiting += 1;
  }

  markEncoded(pending: Pending, frame: Uint8Array, link: BatchWriter): void {
    pending.frame = frame;
    pending.link = link;
    this.encoded += 1;
  }

  markSent(frame: Uint8Array): void {
    this.sent += 1;
    this.sentBytes += frame.length;
  }

  /** The oldest is answered. */
  answered(): Pending {
    const oldest = this.at(0);
    assert(this.sent > 0 && oldest.frame !== null, 'only a sent append is answered');
    this.#head += 1;
    this.sent -= 1;
    this.encoded -= 1;
    this.sentBytes -= oldest.frame.length;
    if (oldest.uncertain) this.uncertain -= 1;
    this.bytes -= oldest.size;
    if (this.#head >= 1024 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return oldest;
  }

  /** Removes one that is not encoded. */
  remove(index: number): Pending {
    assert(index >= this.encoded, 'an encoded append keeps its place');
    const removed = this.at(index);
    this.#items.splice(this.#head + index, 1);
    this.bytes -= removed.size;
    return removed;
  }

  /** Tells the caller, who is told once. */
  settle(pending: Pending, error: MeridianError | null, result: AppendResult | null): void {
    const { done } = pending;
    if (done === null) return;
    pending.done = null;
    this.waiting -= 1;
    done(error, result);
  }

  /** The session is gone, and what it held may have taken effect. */
  goBackUncertain(): void {
    for (let index = this.uncertain; index < this.sent; index += 1) this.at(index).uncertain = true;
    this.uncertain = Math.max(this.uncertain, this.sent);
    this.sent = 0;
    this.sentBytes = 0;
  }

  /** The session is gone, and what it held had no effect: returns the links to be given out again. */
  goBackUndone(): BatchWriter[] {
    const links: BatchWriter[] = [];
    for (let index = this.uncertain; index < this.encoded; index += 1) {
      const pending = this.at(index);
      if (pending.link !== null) links.push(pending.link);
      pending.frame = pending.link = null;
    }
    this.encoded = this.uncertain;
    this.sent = 0;
    this.sentBytes = 0;
    return links;
  }
}
