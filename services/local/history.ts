/**
 * What linearizable reads must contain: the check's model. Writers number their rows from 1 without
 * holes; a read reports, per writer, how many rows it saw and the highest number among them.
 *
 * Rules, each of which a violation names:
 *  - fresh: a read contains every row whose COMMIT returned before the read began, and every row
 *    that any read saw that ended before this one began, in whatever region;
 *  - dense: no row is missing below one that is there;
 *  - real: no row is there that nobody has tried to write;
 *  - whole: what one transaction changed together is seen together (the reader's own finding).
 */

/** Per writer, the highest row. */
export type Heights = readonly number[];

/** What a read saw. */
export interface Seen {
  readonly heights: Heights;
  readonly counts: readonly number[];
  /** Accounts whose balance is not what the transfers that were seen make it. */
  readonly tornAccounts: number;
}

const VIOLATIONS_MAX = 50;

export class History {
  readonly violations: string[] = [];
  readonly #tried: number[];
  /** What every read that begins now has to contain. */
  readonly #known: number[];
  #reads = 0;
  #commits = 0;

  /** What the tables hold already, per writer. */
  constructor(heights: Heights) {
    this.#tried = heights.slice();
    this.#known = heights.slice();
  }

  get commits(): number {
    return this.#commits;
  }

  get reads(): number {
    return this.#reads;
  }

  get known(): Heights {
    return this.#known.slice();
  }

  /** Before the COMMIT is sent. Returns the number of the row. */
  try(writer: number): number {
    const row = (this.#tried[writer] ?? 0) + 1;
    this.#tried[writer] = row;
    return row;
  }

  /** The COMMIT of the row has returned. */
  committed(writer: number, row: number): void {
    this.#commits++;
    this.#raise(writer, row);
  }

  /** Called before the read is sent; what it returns goes to `readEnded`. */
  readBegins(): Heights {
    return this.known;
  }

  readEnded(where: string, required: Heights, seen: Seen): void {
    this.#reads++;
    required.forEach((needed, writer) => {
      const height = seen.heights[writer] ?? 0;
      const count = seen.counts[writer] ?? 0;
      const tried = this.#tried[writer] ?? 0;
      const who = `read in ${where}, writer ${String(writer)}`;
      if (height < needed) {
        this.#violation(`${who}: stale, has row ${String(height)}, must have ${String(needed)}`);
      }
      if (count !== height) {
        this.#violation(`${who}: not dense, ${String(count)} rows up to row ${String(height)}`);
      }
      if (height > tried) {
        this.#violation(`${who}: not real, has row ${String(height)} of ${String(tried)} tried`);
      }
      this.#raise(writer, height);
    });
    if (seen.tornAccounts > 0) {
      this.#violation(
        `read in ${where}: ${String(seen.tornAccounts)} accounts show half a transfer`,
      );
    }
  }

  #raise(writer: number, row: number): void {
    this.#known[writer] = Math.max(this.#known[writer] ?? 0, row);
  }

  #violation(text: string): void {
    if (this.violations.length < VIOLATIONS_MAX) this.violations.push(text);
  }
}
