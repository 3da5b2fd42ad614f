/** For tests: an order in memory that its subscribers are given when they are told to, and no sooner. */
import type { MeridianError } from '../errors/errors.ts';
import { encodeBatch } from '../frames/batch.ts';
import type { RecordInput } from '../frames/batch.ts';
import { encodeDeliveries } from '../frames/delivery.ts';
import { seqNum, timestamp } from '../values/numbers.ts';
import type { Source, SourceGap, SourceHandler, SourceSubscription, Wish } from './source.ts';

export class FakeSource implements Source {
  readonly log: { readonly at: number; readonly frames: Uint8Array }[] = [];
  readonly subscriptions: FakeSubscription[] = [];
  /** How many read points were asked for. */
  asked = 0;
  #seqNum = 0;

  /** At the next timestamp: 10, 20, 30, … */
  append(stream: string, records: readonly RecordInput[]): number {
    const at = (this.log.length + 1) * 10;
    const delivery = {
      timestamp: timestamp(at),
      recordOffset: 0,
      firstSeqNum: seqNum(this.#seqNum),
      instance: 0,
      batch: encodeBatch({ stream, records }),
    };
    this.#seqNum += records.length;
    this.log.push({ at, frames: encodeDeliveries([delivery]) });
    return at;
  }

  subscribe(wish: Wish, handler: SourceHandler): SourceSubscription {
    const subscription = new FakeSubscription(this, wish, handler);
    this.subscriptions.push(subscription);
    return subscription;
  }

  readPoint(): Promise<number> {
    this.asked += 1;
    return Promise.resolve(this.log.length * 10);
  }

  /** Gives the current subscriber everything, and the watermark. */
  settle(): void {
    this.subscriptions.at(-1)?.give(Infinity);
  }
}

export class FakeSubscription implements SourceSubscription {
  readonly source = 'fake';
  readonly wish: Wish;
  readonly #source: FakeSource;
  readonly #handler: SourceHandler;
  #next: number;
  paused = false;
  cancelled = false;

  constructor(source: FakeSource, wish: Wish, handler: SourceHandler) {
    this.#source = source;
    this.wish = wish;
    this.#handler = handler;
    this.#next = wish.after === null ? 0 : Number(Buffer.from(wish.after).toString());
  }

  /** Up to `most` batches, then progress. */
  give(most: number): void {
    for (let i = 0; i < most && !this.paused && !this.cancelled; i += 1) {
      const item = this.#source.log[this.#next];
      if (item === undefined) break;
      this.#next += 1;
      this.#handler.onBatches(item.frames, this.#cursor());
    }
    if (!this.cancelled) this.#handler.onProgress(this.#next * 10, this.#cursor(), []);
  }

  miss(gap: SourceGap): void {
    this.#handler.onGap(gap);
  }

  end(error: MeridianError): void {
    this.cancelled = true;
    this.#handler.onEnd(error);
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
  }

  cancel(): void {
    this.cancelled = true;
  }

  #cursor(): Uint8Array {
    return Buffer.from(String(this.#next));
  }
}
