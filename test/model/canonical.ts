/**
 * A core's state as text: equal texts mean equal futures. It walks everything the core owns, so a
 * field that somebody adds tomorrow counts without being named here. Moments of the monotonic clock
 * (recognised by their size) become ages; functions and what never changes are left out.
 */
import { Merge } from '../../libs/merge/merge.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';

/** Where every monotonic clock begins: far above any timestamp, epoch or index of a small scope. */
export const CLOCK_START = 4e15;
const CONSTANT = new Set(['options', 'settings', 'context', 'broken']);

export function canonical(core: object, now: number): string {
  const out: string[] = [];
  const seen = new Map<object, number>();
  const walk = (value: unknown): void => {
    if (typeof value === 'number') {
      out.push(value >= CLOCK_START ? `t${String(now - value)}` : String(value));
    } else if (typeof value === 'object' && value !== null) {
      const known = seen.get(value);
      if (known === undefined) {
        seen.set(value, seen.size);
        inside(value);
      } else out.push(`#${String(known)}`);
    } else if (typeof value !== 'function') out.push(String(value));
  };
  const inside = (value: object): void => {
    if (value instanceof Merge) {
      // What waits in it stands in the logs, from what was closed up to what is final.
      out.push(`m${String(value.watermark)}`, String(value.size));
      for (const lane of REPLICAS) out.push(String(value.closed(lane)));
      return;
    }
    out.push('(');
    if (value instanceof Map || value instanceof Set || Array.isArray(value)) {
      for (const item of value as Iterable<unknown>) walk(item);
    } else {
      for (const [name, field] of Object.entries(value)) {
        if (!CONSTANT.has(name)) walk(field);
      }
    }
    out.push(')');
  };
  walk(core);
  return out.join(' ');
}
