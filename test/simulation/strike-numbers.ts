/** Of all adversaries of a run, in the order of their strikes: a strike means the same wherever it is left out. */
export class StrikeNumbers {
  /** So far, those left out included. */
  last = 0;

  next(): number {
    return ++this.last;
  }
}
