/**
 * What a writer has under way, in order: queued, then sent and unanswered. Owns the writer's chain of
 * sequence numbers, which are given out at the moment of sending, so that an append that never left
 * leaves no hole in it.
 */
import { assert } from '../values/assert.ts';
import { MeridianError } from '../errors/errors.ts';
import { encodeBatch } from '../frames/batch.ts';
import type { RecordInput } from '../frames/batch.ts';

export interface AppendInput {
  readonly stream: string;
  readonly records: readonly RecordInput[];
  readonly matchSeqNum?: number | undefined;
  readonly fencingToken?: number | undefined;
  /** Explicit place in the writer's sequence, above all before; default: one more than the last. */
  readonly seq?: number | undefined;
}

export interface AppendResult {
  /** Microseconds since 1970, on the journal's clock. */
  readonly timestamp: number;
  /** Number of the first record in its stream; null for a QUORUM acknowledgement. */
  readonly firstSeqNum: number | null;
  /** An earlier attempt had taken effect; this is its outcome. */
  readonly duplicate: boolean;
  /** The region that answered. */
  readonly region: string;
}

export type Done = (error: MeridianError | null, result: AppendResult | null) => void;

export interface Pending {
  readonly input: AppendInput;
  /** Milliseconds on the process's monotonic clock. */
  readonly deadline: number;
  /** Bytes of the records, before encoding: for the bound of the queue. */
  readonly size: number;
  /** null once the caller has been told. */
  done: Done | null;
  /** Set when it was first sent. */
  frame: Uint8Array | null;
  seq: number;
  /** It was sent on a session that ended before answering, so it may have taken effect. */
  uncertain: boolean;
}

export class Pipeline {
  readonly writerId: string;
  readonly epoch: number;
  /** Sent on the present session and not answered. */
  unanswered: Pending[] = [];
  unansweredBytes = 0;
  /** Not sent on the present session. */
  queue: Pending[] = [];
  queueBytes = 0;
  private head = 0;
  private answeredHead = 0;
  private lastSeq: number;
  /** Seq of the last answered append: where the chain stands in the journal. */
  private lastAnswered: number;

  constructor(writer: { id: string; epoch: number; lastSeq: number }) {
    this.writerId = writer.id;
    this.epoch = writer.epoch;
    this.lastSeq = writer.lastSeq;
    this.lastAnswered = writer.lastSeq;
  }

  get empty(): boolean {
    return this.waiting === 0 && this.outstanding === 0;
  }
  get waiting(): number {
    return this.queue.length - this.head;
  }
  get outstanding(): number {
    return this.unanswered.length - this.answeredHead;
  }
  get oldest(): Pending | undefined {
    return this.unanswered[this.answeredHead];
  }
  get next(): Pending | undefined {
    return this.queue[this.head];
  }

  push(pending: Pending): void {
    this.queue.push(pending);
    this.queueBytes += pending.size;
  }

  /** Removes the next one from the queue. */
  shift(): Pending {
    const pending = this.queue[this.head];
    assert(pending !== undefined, 'the queue is not empty');
    this.head += 1;
    this.queueBytes -= pending.size;
    if (this.head > 1024 && this.head * 2 > this.queue.length) {
      this.queue = this.queue.slice(this.head);
      this.head = 0;
    }
    return pending;
  }

  /** Encodes at the first sending; throws what is wrong with the batch, which then has no place in the chain. */
  encode(pending: Pending): Uint8Array {
    if (pending.frame !== null) return pending.frame;
    const { input } = pending;
    const seq = input.seq ?? this.lastSeq + 1;
    if (seq <= this.lastSeq || !Number.isSafeInteger(seq)) {
      throw new MeridianError(
        'INVALID',
        `seq ${seq} is not above the writer's last, ${this.lastSeq}`,
      );
    }
    pending.frame = encodeBatch({
      stream: input.stream,
      records: input.records,
      matchSeqNum: input.matchSeqNum,
      fencingToken: input.fencingToken,
      writer: { id: this.writerId, epoch: this.epoch, seq, previous: this.lastSeq },
    });
    pending.seq = seq;
    this.lastSeq = seq;
    return pending.frame;
  }

  sent(pending: Pending): void {
    this.unanswered.push(pending);
    this.unansweredBytes += pending.frame?.length ?? 0;
  }

  /** The oldest unanswered one, answered now. */
  answered(): Pending {
    const pending = this.unanswered[this.answeredHead];
    assert(pending !== undefined, 'an answer without a question');
    this.answeredHead += 1;
    this.lastAnswered = pending.seq;
    this.unansweredBytes -= pending.frame?.length ?? 0;
    if (this.answeredHead > 1024 && this.answeredHead * 2 > this.unanswered.length) {
      this.unanswered = this.unanswered.slice(this.answeredHead);
      this.answeredHead = 0;
    }
    return pending;
  }

  /** Goes back to the oldest unanswered one: everything from there is to be sent again. */
  goBack(uncertain: boolean): void {
    const again = this.unanswered.slice(this.answeredHead);
    for (const pending of again) {
      pending.uncertain ||= uncertain;
      this.queueBytes += pending.size;
    }
    this.queue = [...again, ...this.queue.slice(this.head)];
    this.head = 0;
    this.unanswered = [];
    this.answeredHead = 0;
    this.unansweredBytes = 0;
  }

  /** After `goBack`: takes the first out of the chain; those after it get new places. */
  dropFirst(): Pending {
    const first = this.shift();
    assert(first.frame !== null, 'what was refused had been sent');
    for (let i = this.head; i < this.queue.length; i += 1) {
      const pending = this.queue[i];
      if (pending !== undefined) pending.frame = null;
    }
    this.lastSeq = this.lastAnswered;
    return first;
  }

  /** Those whose callers wait beyond their deadline; they keep their place in the chain. */
  overdue(now: number): Pending[] {
    const late = (pending: Pending): boolean => pending.done !== null && pending.deadline <= now;
    return [
      ...this.unanswered.slice(this.answeredHead).filter(late),
      ...this.queue.slice(this.head).filter(late),
    ];
  }

  /** Everything that has not been told, in order; the pipeline is empty afterwards. */
  takeAll(): Pending[] {
    this.goBack(false);
    const all = this.queue;
    this.queue = [];
    this.queueBytes = 0;
    return all;
  }
}
