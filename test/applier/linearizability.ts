/**
 * A register for the search of Wing and Gong (chaos/checkers/wing-gong.ts): put, get, and a swap that
 * expects a value. Every value is written at most once, so a swap that expects a revision is one that
 * expects a value.
 */
import { search } from '../../chaos/checkers/wing-gong.ts';
import type { Model } from '../../chaos/checkers/wing-gong.ts';

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
  return [...byKey]
    .filter(([, operations]) => search(operations, register).kind !== 'legal')
    .map(([key]) => key);
}

const register: Model<string | null, Action> = {
  initial: null,
  step(state, action) {
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
  },
  key: (state) => (state === null ? 'none' : `value ${state}`),
};
