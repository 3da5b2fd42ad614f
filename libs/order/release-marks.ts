/**
 * The running hash of the release at round numbers of entries, so that replicas which stand at
 * different entries, or run on while they are asked, can still be compared: the newest number that
 * both remember decides. Dense for what is new and sparse for what is old: level k keeps the last
 * `KEPT` multiples of `STEP * KEPT^k`, so a few hundred marks reach back over any journal.
 *
 * Only who executes the release writes, once an entry. Not checkpointed: after a restart the marks begin anew.
 */
import { at } from '../values/assert.ts';

export interface ReleaseMark {
  /** Released entries that the hash covers. */
  readonly entries: number;
  /** Of the last of them. */
  readonly timestamp: number;
  readonly hash: string;
}

const STEP = 16;
const KEPT = 64;
const LEVELS = 6;

export class ReleaseMarks {
  readonly #levels: ReleaseMark[][] = Array.from({ length: LEVELS }, () => []);
  readonly #step: number;

  /** `step`: the least distance of two marks; the same on all replicas. */
  constructor(step = STEP) {
    this.#step = step;
  }

  /** `entries` have been executed; `hash` is asked for only at a round number. */
  released(entries: number, timestamp: number, hash: () => string): void {
    if (entries % this.#step !== 0) return;
    const mark = { entries, timestamp, hash: hash() };
    for (let level = 0, step = this.#step; level < LEVELS; level += 1, step *= KEPT) {
      if (entries % step !== 0) return;
      const kept = at(this.#levels, level);
      kept.push(mark);
      if (kept.length > KEPT) kept.shift();
    }
  }

  /** null: there is none yet. */
  get newest(): ReleaseMark | null {
    return this.#levels[0]?.at(-1) ?? null;
  }

  /** Ascending, each number once. */
  list(): readonly ReleaseMark[] {
    const marks: ReleaseMark[] = [];
    let from = Infinity;
    for (const level of this.#levels) {
      // What a coarser level remembers of the same stretch stands in the finer one too.
      for (let i = level.length - 1; i >= 0; i -= 1) {
        const mark = at(level, i);
        if (mark.entries < from) marks.push(mark);
      }
      from = marks.at(-1)?.entries ?? from;
    }
    return marks.reverse();
  }
}
