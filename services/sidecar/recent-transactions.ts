/**
 * Which transactions were shipped lately, by their number in Postgres (xid). A reader of the primary needs
 * it: a transaction that a replica may show already is visible here only when its COMMIT has been let go,
 * and until then it counts as being in progress. Bounded: a COMMIT that was let go and is not over while so
 * many others were shipped is not looked for.
 */

const COUNT = 16_384;

export class RecentTransactions {
  readonly #xids = new Uint32Array(COUNT);
  #next = 0;

  add(xid: number): void {
    this.#xids[this.#next % COUNT] = xid;
    this.#next += 1;
  }

  /**
   * Those that were shipped and are in progress by a snapshot (`pg_current_snapshot()` as text): listed in
   * it, or not below its end.
   */
  inProgress(snapshot: string): ReadonlySet<number> {
    const [, end = '', running = ''] = snapshot.split(':');
    // Of the 64 bits of a number the log carries the lower half.
    const numbers = new Set(running.split(',').map((xid) => Number(xid) % 2 ** 32));
    const first = Number(end) % 2 ** 32;
    const found = new Set<number>();
    for (const xid of this.#xids.subarray(0, Math.min(this.#next, COUNT))) {
      if (((xid - first) | 0) >= 0 || numbers.has(xid)) found.add(xid);
    }
    return found;
  }
}
