/**
 * Is there an order of these operations that respects real time and explains every answer? The search of
 * Wing and Gong with Lowe's memory (http://www.cs.ox.ac.uk/people/gavin.lowe/LinearizabiltyTesting/): take any
 * operation that nothing else had to precede, apply it to the model, go back where that fails, and never
 * try the same set of operations in the same state twice. It knows nothing of positions, so it is a
 * second opinion on the checker of the known order.
 *
 * A set is remembered by the exclusive or of 64 random bits of each member. Two different sets are
 * taken for one with a probability below 10^-9 in 10^5 operations; that could only make it object.
 */

import { at } from '../../libs/values/assert.ts';

export interface Model<State, Action> {
  readonly initial: State;
  /**
   * States that the action may lead to from this one; none when it cannot have happened here. The very
   * same object where it changes nothing.
   */
  step(state: State, action: Action): readonly State[];
  /** The same for the same states only. */
  key(state: State): string;
}

export interface Timed<Action> {
  readonly action: Action;
  readonly began: number;
  /** Infinity: no answer; it may have taken effect at any time since, or never. */
  readonly ended: number;
}

export type SearchResult<Action> =
  | { readonly kind: 'legal' }
  /** `stuck`: what could have come next, and could not, where the search came furthest. */
  | { readonly kind: 'illegal'; readonly stuck: readonly Timed<Action>[] }
  /** The budget was used up: no verdict. */
  | { readonly kind: 'undecided' };

/** Tried steps before the search gives up: so many, and so many more per operation. */
const STEPS_MAX = 2_000_000;
const STEPS_PER_OPERATION = 20;

interface Step<State> {
  /** Place of the operation in `all`. */
  readonly taken: number;
  /** Which of its outcomes. */
  readonly branch: number;
  readonly before: State;
  /** It left the state as it was: nothing is gained by taking it later. */
  readonly forced: boolean;
}

export function search<State, Action>(
  operations: readonly Timed<Action>[],
  model: Model<State, Action>,
): SearchResult<Action> {
  return new Search(operations, model).run();
}

class Search<State, Action> {
  readonly #model: Model<State, Action>;
  /** Those with an end in the order of their beginnings, then those without. */
  readonly #all: readonly Timed<Action>[];
  readonly #ended: number;
  readonly #done: Uint8Array;
  readonly #bits: Uint32Array;
  readonly #tried = new Set<string>();
  readonly #path: Step<State>[] = [];
  #high = 0;
  #low = 0;
  #state: State;
  /** The first with an end that is not done. */
  #first = 0;
  #remaining: number;
  #steps = 0;

  constructor(operations: readonly Timed<Action>[], model: Model<State, Action>) {
    const byBegin = [...operations].sort((a, b) => a.began - b.began);
    const closed = byBegin.filter(({ ended }) => ended !== Infinity);
    this.#model = model;
    this.#all = [...closed, ...byBegin.filter(({ ended }) => ended === Infinity)];
    this.#ended = closed.length;
    this.#remaining = closed.length;
    this.#done = new Uint8Array(this.#all.length);
    this.#bits = randomBits(2 * this.#all.length);
    this.#state = model.initial;
  }

  run(): SearchResult<Action> {
    const budget = STEPS_MAX + STEPS_PER_OPERATION * this.#all.length;
    let deepest = -1;
    let stuck: readonly Timed<Action>[] = [];
    let from = 0;
    let branch = 0;
    while (this.#remaining > 0) {
      if (this.#steps > budget) return { kind: 'undecided' };
      const candidates = this.#candidates();
      if (this.#advance(candidates, from, branch)) {
        from = 0;
        branch = 0;
        continue;
      }
      if (this.#path.length > deepest) {
        deepest = this.#path.length;
        stuck = candidates.map((i) => this.#at(i));
      }
      const last = this.#back();
      if (last === null) return { kind: 'illegal', stuck };
      from = last.taken;
      branch = last.branch + 1;
    }
    return { kind: 'legal' };
  }

  /** Takes the first step, from this one on, that leads to something untried. */
  #advance(candidates: readonly number[], from: number, fromBranch: number): boolean {
    if (from === 0 && fromBranch === 0 && this.#takeIdle(candidates)) return true;
    for (const candidate of candidates) {
      if (candidate < from) continue;
      const after = this.#model.step(this.#state, this.#at(candidate).action);
      const start = candidate === from ? fromBranch : 0;
      for (let branch = start; branch < after.length; branch += 1) {
        const next = after[branch] as State;
        this.#steps += 1;
        this.#flip(candidate);
        const memo = `${this.#high},${this.#low},${this.#model.key(next)}`;
        if (this.#tried.has(memo)) {
          this.#flip(candidate);
          continue;
        }
        this.#tried.add(memo);
        this.#take(candidate, branch, next, false);
        return true;
      }
    }
    return false;
  }

  /**
   * What may come now and leaves the state as it is, comes now: it cannot stand in the way of anything,
   * and without this rule a few dozen reads at once are as many reads in every order.
   */
  #takeIdle(candidates: readonly number[]): boolean {
    const depth = this.#path.length;
    for (const candidate of candidates) {
      if (candidate >= this.#ended) break;
      const after = this.#model.step(this.#state, this.#at(candidate).action);
      const branch = after.indexOf(this.#state);
      if (branch === -1) continue;
      this.#flip(candidate);
      this.#take(candidate, branch, this.#state, true);
    }
    return this.#path.length > depth;
  }

  #take(candidate: number, branch: number, next: State, forced: boolean): void {
    this.#path.push({ taken: candidate, branch, before: this.#state, forced });
    this.#state = next;
    this.#done[candidate] = 1;
    if (candidate < this.#ended) this.#remaining -= 1;
    while (this.#first < this.#ended && this.#done[this.#first] === 1) this.#first += 1;
  }

  /** Undoes steps up to the last one that had a choice; null: there is none. */
  #back(): Step<State> | null {
    for (let last = this.#path.pop(); last !== undefined; last = this.#path.pop()) {
      this.#undo(last);
      if (!last.forced) return last;
    }
    return null;
  }

  #undo({ taken, before }: Step<State>): void {
    this.#flip(taken);
    this.#done[taken] = 0;
    this.#state = before;
    if (taken >= this.#ended) return;
    this.#remaining += 1;
    this.#first = Math.min(this.#first, taken);
  }

  /** What may come next, ascending: nothing that is still to come was over before it began. */
  #candidates(): number[] {
    let earliest = Infinity;
    const found: number[] = [];
    for (let i = this.#first; i < this.#ended; i += 1) {
      const { began, ended } = this.#at(i);
      if (began > earliest) break;
      if (this.#done[i] === 1) continue;
      found.push(i);
      earliest = Math.min(earliest, ended);
    }
    const candidates = found.filter((i) => this.#at(i).began <= earliest);
    for (let i = this.#ended; i < this.#all.length; i += 1) {
      if (this.#at(i).began > earliest) break;
      if (this.#done[i] === 0) candidates.push(i);
    }
    return candidates;
  }

  #at(i: number): Timed<Action> {
    return at(this.#all, i);
  }

  #flip(i: number): void {
    this.#high = (this.#high ^ (this.#bits[2 * i] ?? 0)) >>> 0;
    this.#low = (this.#low ^ (this.#bits[2 * i + 1] ?? 0)) >>> 0;
  }
}

/** The same every time: a verdict must not depend on luck. splitmix32. */
function randomBits(count: number): Uint32Array {
  const bits = new Uint32Array(count);
  let state = 0x9e3779b9;
  for (let i = 0; i < count; i += 1) {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    bits[i] = (mixed ^ (mixed >>> 15)) >>> 0;
  }
  return bits;
}
