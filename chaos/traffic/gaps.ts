/**
 * Availability as a number: the longest time in which no operation of a kind succeeded in a region. From a
 * history alone, so that a run of another system that was recorded alike is measured alike.
 */
import type { History } from '../model/history.ts';
import type { Operation } from '../model/operation.ts';

export interface Span {
  readonly fromUs: number;
  readonly untilUs: number;
}

export type Kind = 'append' | 'read';

const READS: ReadonlySet<string> = new Set(['tail', 'read', 'heartbeat', 'balances']);

export function kindOf({ action }: Operation): Kind | null {
  if (action.kind === 'append') return 'append';
  return READS.has(action.kind) ? 'read' : null;
}

/**
 * Microseconds between two successes of the kind, one after the other, of which some part lies in the span;
 * the span's ends count as successes where there is none before or after. The whole span where none is.
 */
export function longestGapUs(
  history: History,
  span: Span,
  kind: Kind,
  isCounted: (operation: Operation) => boolean,
): number {
  const times = history.operations
    .filter((each) => each.outcome.kind === 'ok' && kindOf(each) === kind && isCounted(each))
    .map(({ completedUs }) => completedUs ?? Infinity)
    .sort((a, b) => a - b);
  const before = times.findLast((us) => us <= span.fromUs) ?? span.fromUs;
  const after = times.find((us) => us >= span.untilUs) ?? span.untilUs;
  const inside = times.filter((us) => us > before && us < after);
  let last = before;
  let longest = 0;
  for (const us of [...inside, after]) {
    longest = Math.max(longest, us - last);
    last = us;
  }
  return longest;
}
