/** What the parts of a core share, for tests of one part alone: nothing is sent, everything is assembled to null. */
import type { Micros, Timestamp } from '../values/numbers.ts';
import { Clock } from './clock.ts';
import type { Context } from './context.ts';
import { defaultSettings } from './settings.ts';
import type { Append, Control } from './types.ts';

/** Of replica 0; `said` takes what it says to the others. Writes are numbered from 1. */
export function contextOf(said: Control[] = []): Context<null, Append> {
  let seq = 0;
  return {
    self: 0,
    settings: defaultSettings,
    clock: new Clock({
      clockErrorMeasured: false,
      ...defaultSettings,
      reservation: 0 as Timestamp,
      unreserved: true,
    }),
    broken: new Set(),
    assemble: () => ({ content: null, bytes: 0 }),
    now: 0 as Micros,
    space: 'ample',
    write: () => (seq += 1),
    letter: (_to, control) => void said.push(control),
    wake: () => undefined,
    nudge: () => undefined,
  };
}
