/**
 * By which path this replica's own entries were committed: directly, or through the region that forwards.
 * Paths change seldom, so only the changes are kept, the newest `KEPT` of them; what was committed
 * before those, or in an earlier life of the process, is not known any more.
 */
interface Change {
  /** The first entry that went this way. */
  readonly timestamp: number;
  /** Empty: directly. */
  readonly via: string;
}

const KEPT = 64;

export class PathHistory {
  readonly #changes: Change[] = [];

  /** An own entry was executed, shortly after it was committed; timestamps grow. */
  note(timestamp: number, via: string): void {
    if (this.#changes.at(-1)?.via === via) return;
    this.#changes.push({ timestamp, via });
    if (this.#changes.length > KEPT) this.#changes.shift();
  }

  /** Region that forwarded for the own entry of this timestamp, empty for none; null: not known. */
  at(timestamp: number): string | null {
    return this.#changes.findLast((change) => change.timestamp <= timestamp)?.via ?? null;
  }
}
