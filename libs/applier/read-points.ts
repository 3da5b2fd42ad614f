/**
 * Linearizable read points, shared: a round serves everybody who asked before it began and nobody who
 * asked later, because an append may have completed in between. So at most one runs and one waits.
 */
export class ReadPoints {
  readonly #ask: (deadlineMs: number) => Promise<number>;
  #running: Promise<number> | null = null;
  #next: Promise<number> | null = null;

  constructor(ask: (deadlineMs: number) => Promise<number>) {
    this.#ask = ask;
  }

  ask(deadlineMs: number): Promise<number> {
    if (this.#running === null) return this.#begin(deadlineMs);
    const begin = (): Promise<number> => this.#begin(deadlineMs);
    this.#next ??= this.#running.then(begin, begin);
    return this.#next;
  }

  #begin(deadlineMs: number): Promise<number> {
    this.#next = null;
    const round = this.#ask(deadlineMs);
    this.#running = round;
    const over = (): void => {
      if (this.#running === round) this.#running = null;
    };
    round.then(over, over);
    return round;
  }
}
