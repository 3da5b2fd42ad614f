/** What a checker says of a history. */

export interface Anomaly {
  /** What is wrong, in a sentence. */
  readonly what: string;
  /** Ids of the operations that show it, the most telling first. */
  readonly operations: readonly number[];
}

export interface Verdict {
  readonly checker: string;
  /** The workload whose operations it looked at; absent for one of the whole run. */
  readonly workload?: string;
  /** Which invariants it stands for: 'I5', 'I1 I8'. */
  readonly invariants: string;
  /** How many things it has looked at; a checker that saw nothing proves nothing. */
  readonly checked: number;
  /** The first ones; none: the history is legal. */
  readonly anomalies: readonly Anomaly[];
  /** How many there are in all. */
  readonly anomalyCount: number;
  readonly elapsedMs: number;
}

export const ANOMALIES_SHOWN = 20;

/** Collects what one checker finds. */
export class Findings {
  readonly #began = performance.now();
  readonly #checker: string;
  readonly #invariants: string;
  readonly #anomalies: Anomaly[] = [];
  #count = 0;
  checked = 0;

  constructor(checker: string, invariants: string) {
    this.#checker = checker;
    this.#invariants = invariants;
  }

  object(what: string, operations: readonly number[] = []): void {
    this.#count += 1;
    if (this.#anomalies.length < ANOMALIES_SHOWN) this.#anomalies.push({ what, operations });
  }

  verdict(): Verdict {
    return {
      checker: this.#checker,
      invariants: this.#invariants,
      checked: this.checked,
      anomalies: this.#anomalies,
      anomalyCount: this.#count,
      elapsedMs: performance.now() - this.#began,
    };
  }
}

export function isLegal(verdict: Verdict): boolean {
  return verdict.anomalyCount === 0;
}
