/**
 * Virtual time: a binary heap of events, earliest first, equal times in the order they were
 * scheduled (so that a seed means one run). An event cannot be cancelled; what it belongs to carries
 * a generation and the event finds itself outdated.
 */
interface Event {
  readonly time: number;
  readonly order: number;
  readonly action: () => void;
}

export class Scheduler {
  /** Microseconds of true time since the run began. */
  now = 0;
  executed = 0;
  private readonly heap: Event[] = [];
  private order = 0;

  after(delay: number, action: () => void): void {
    this.at(this.now + Math.max(0, delay), action);
  }

  at(time: number, action: () => void): void {
    const heap = this.heap;
    const event: Event = { time: Math.max(time, this.now), order: this.order++, action };
    let slot = heap.length;
    heap.push(event);
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      const other = heap[parent];
      if (other === undefined || !before(event, other)) break;
      heap[slot] = other;
      slot = parent;
    }
    heap[slot] = event;
  }

  /** Runs events until `done()` or until `end`; false when the time ran out first. */
  runUntil(end: number, done: () => boolean): boolean {
    for (;;) {
      if (done()) return true;
      if (!this.runNext(end)) return done();
    }
  }

  /** One event; false: there is none until `end`, which it is now. */
  runNext(end: number): boolean {
    const next = this.heap[0];
    if (next === undefined || next.time > end) {
      this.now = end;
      return false;
    }
    this.removeFirst();
    this.now = next.time;
    this.executed++;
    next.action();
    return true;
  }

  private removeFirst(): void {
    const heap = this.heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let slot = 0;
    for (;;) {
      let child = 2 * slot + 1;
      let smaller = heap[child];
      if (smaller === undefined) break;
      const right = heap[child + 1];
      if (right !== undefined && before(right, smaller)) {
        smaller = right;
        child++;
      }
      if (!before(smaller, last)) break;
      heap[slot] = smaller;
      slot = child;
    }
    heap[slot] = last;
  }
}

function before(a: Event, b: Event): boolean {
  return a.time < b.time || (a.time === b.time && a.order < b.order);
}
