/**
 * Is there an order of these operations on one register that respects real time and explains every answer?
 * The search of Wing and Gong with Lowe's memory (http://www.cs.ox.ac.uk/people/gavin.lowe/LinearizabiltyTesting/):
 * take any operation that nothing else had to precede, apply it to the model, go back where that fails,
 * and never try the same set of operations in the same state twice.
 *
 * Every value is written at most once, so a swap that expects a revision is one that expects a value.
 */

export type Action =
  | { readonly kind: 'put'; readonly value: string }
  | { readonly kind: 'get'; readonly result: string | null }
  | {
      readonly kind: 'swap';
      readonly expected: string | null;
      readonly value: string;
      /** null: not known. */
      readonly changed: boolean | null;
    };

export interface Operation {
  readonly key: string;
  readonly began: number;
  /** Infinity: no answer; it may have taken effect at any time since, or never. */
  readonly ended: number;
  readonly action: Action;
}

/** Keys whose operations no order explains. */
export function violations(history: readonly Operation[]): string[] {
  const byKey = new Map<string, Operation[]>();
  for (const operation of history) {
    // A read without an answer says nothing.
    if (operation.ended === Infinity && operation.action.kind === 'get') continue;
    byKey.set(operation.key, [...(byKey.get(operation.key) ?? []), operation]);
  }
  return [...byKey].filter(([, operations]) => !isLinearizable(operations)).map(([key]) => key);
}

interface Step {
  readonly index: number;
  readonly state: string | null;
}

function isLinearizable(operations: readonly Operation[]): boolean {
  const sorted = [...operations].sort((a, b) => a.began - b.began);
  const done = new Uint8Array(sorted.length);
  const tried = new Set<string>();
  const path: Step[] = [];
  let state: string | null = null;
  let from = 0;
  let first = 0;
  for (;;) {
    while (done[first] === 1) first += 1;
    if (sorted.every(({ ended }, i) => i < first || done[i] === 1 || ended === Infinity))
      return true;
    const next = nextStep(sorted, done, first, from, state, tried);
    if (next !== null) {
      path.push({ index: next.index, state });
      done[next.index] = 1;
      ({ state } = next);
      from = 0;
      continue;
    }
    const last = path.pop();
    if (last === undefined) return false;
    done[last.index] = 0;
    ({ state } = last);
    first = Math.min(first, last.index);
    from = last.index + 1;
  }
}

/** The first operation, by index, that may come next and leads to something untried. */
function nextStep(
  sorted: readonly Operation[],
  done: Uint8Array,
  first: number,
  from: number,
  state: string | null,
  tried: Set<string>,
): Step | null {
  let earliestEnd = Infinity;
  for (let i = first; i < sorted.length; i += 1) {
    const operation = sorted[i];
    if (operation === undefined || operation.began > earliestEnd) break;
    if (done[i] === 1) continue;
    earliestEnd = Math.min(earliestEnd, operation.ended);
  }
  for (let i = Math.max(first, from); i < sorted.length; i += 1) {
    const operation = sorted[i];
    if (operation === undefined || operation.began > earliestEnd) break;
    if (done[i] === 1) continue;
    for (const after of outcomes(operation.action, state)) {
      done[i] = 1;
      const key = `${first} ${remaining(done, first)} ${String(after)}`;
      done[i] = 0;
      if (tried.has(key)) continue;
      tried.add(key);
      return { index: i, state: after };
    }
  }
  return null;
}

/** States that the action may lead to from this one; none when it cannot have happened here. */
function outcomes(action: Action, state: string | null): readonly (string | null)[] {
  switch (action.kind) {
    case 'put':
      return [action.value];
    case 'get':
      return action.result === state ? [state] : [];
    case 'swap': {
      const holds = action.expected === state;
      if (action.changed !== null && action.changed !== holds) return [];
      return [holds ? action.value : state];
    }
  }
}

/** What is done behind the first that is not; beyond the last one done nothing needs to be said. */
function remaining(done: Uint8Array, first: number): string {
  const last = done.lastIndexOf(1);
  return last < first ? '' : Buffer.from(done.subarray(first, last + 1)).toString('latin1');
}
