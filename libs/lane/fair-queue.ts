/**
 * What waits to be stamped, by whose it is: sources take turns, each with as many bytes (deficit round
 * robin, Shreedhar and Varghese 1995), so that one that has a thousand appends waiting delays another's
 * one by a turn, and not by a thousand. The appends of one source keep their order.
 *
 * A turn may overdraw, and the debt is paid out of the next ones: so a turn is shorter than the largest
 * append, and taking one costs a step, plus one per turn's worth of bytes.
 * Does not bound anything: what may wait at all is decided before (home.ts).
 */
import type { Append } from './types.ts';

/** Of one turn. */
export const TURN_BYTES = 64 * 1024;
/** Taken appends that may stay at the front of a list before it is made shorter. */
const SLACK = 1024;

export class FairQueue<A extends Append> {
  /** Before all others: what was stamped once and came back (L6). */
  private readonly again = new Fifo<A>();
  private readonly sources = new Map<number, Source<A>>();
  /** Sources with something waiting, by turn. */
  private readonly turns = new Fifo<Source<A>>();
  length = 0;
  bytes = 0;

  push(append: A): void {
    const id = append.source ?? 0;
    let source = this.sources.get(id);
    if (source === undefined) {
      source = new Source(id);
      this.sources.set(id, source);
      this.turns.push(source);
    }
    source.waiting.push(append);
    this.add(append);
  }

  /** They are taken next, in this order. */
  putBack(appends: readonly A[]): void {
    this.again.putBack(appends);
    for (const append of appends) this.add(append);
  }

  /** What `take` would return; null: nothing waits. */
  peek(): A | null {
    return this.again.first ?? this.chosen()?.waiting.first ?? null;
  }

  take(): A | null {
    const back = this.again.take();
    if (back !== null) return this.taken(back);
    const source = this.chosen();
    const append = source?.waiting.take() ?? null;
    if (source === null || append === null) return null;
    source.credit -= append.bytes;
    if (source.waiting.length === 0) {
      this.turns.take();
      this.sources.delete(source.id);
    }
    return this.taken(append);
  }

  /** Empties it; the appends of each source in their order. */
  takeAll(): A[] {
    const all = [
      ...this.again.list(),
      ...this.turns.list().flatMap(({ waiting }) => waiting.list()),
    ];
    this.again.clear();
    this.turns.clear();
    this.sources.clear();
    this.length = 0;
    this.bytes = 0;
    return all;
  }

  /** The source whose turn it is. */
  private chosen(): Source<A> | null {
    for (;;) {
      const source = this.turns.first;
      if (source === null || source.credit > 0) return source;
      source.credit += TURN_BYTES;
      // Alone it waits for nobody, and saves up no debt.
      if (this.turns.length === 1) source.credit = TURN_BYTES;
      else {
        this.turns.take();
        this.turns.push(source);
      }
    }
  }

  private add({ bytes }: A): void {
    this.length += 1;
    this.bytes += bytes;
  }

  private taken(append: A): A {
    this.length -= 1;
    this.bytes -= append.bytes;
    return append;
  }
}

class Source<A> {
  readonly id: number;
  readonly waiting = new Fifo<A>();
  /** Bytes it may take in this turn; not above 0: its turn is over. */
  credit = TURN_BYTES;

  constructor(id: number) {
    this.id = id;
  }
}

/** A list that is taken from at the front without moving the rest each time. */
class Fifo<T> {
  private items: T[] = [];
  private head = 0;

  get length(): number {
    return this.items.length - this.head;
  }

  get first(): T | null {
    return this.items[this.head] ?? null;
  }

  push(item: T): void {
    this.items.push(item);
  }

  take(): T | null {
    const item = this.items[this.head];
    if (item === undefined) return null;
    this.head += 1;
    if (this.head === this.items.length) this.clear();
    else if (this.head >= SLACK && this.head * 2 > this.items.length) {
      this.items = this.items.slice(this.head);
      this.head = 0;
    }
    return item;
  }

  putBack(items: readonly T[]): void {
    this.items = [...items, ...this.list()];
    this.head = 0;
  }

  list(): T[] {
    return this.items.slice(this.head);
  }

  clear(): void {
    this.items = [];
    this.head = 0;
  }
}
