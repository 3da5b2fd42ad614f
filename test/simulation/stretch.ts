/**
 * Which instructions of a step are carried out: all of them, or those before a replica dies or stalls, or the ones
 * that a stall has left. They are asked for in their order, each once. (A closure over a counter reads shorter, and
 * costs more than the instructions of most steps.)
 */
export class Stretch {
  private readonly from: number;
  private readonly stop: number;
  private n = 0;

  constructor(from: number, stop: number) {
    this.from = from;
    this.stop = stop;
  }

  /** Is the next one? */
  due(): boolean {
    return this.n++ >= this.from && this.n <= this.stop;
  }
}
