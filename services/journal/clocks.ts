/**
 * The replica's two clocks in whole microseconds. The monotonic one drives every timeout; the wall
 * clock only feeds the hybrid clock, and agreement never depends on it (T3).
 */
import type { Micros } from '../../libs/values/numbers.ts';

export interface Clocks {
  monotonic(): Micros;
  wall(): number;
}

const WALL_STEP = 1000;

/**
 * `Date.now` knows milliseconds only. Between its steps the monotonic clock tells the microseconds;
 * whenever the two disagree by a step, `Date.now` is right: somebody has set the clock.
 */
export function systemClocks(): Clocks {
  let anchor = Date.now() * 1000 - now();
  return {
    monotonic: now,
    wall: () => {
      const floor = Date.now() * 1000;
      const estimate = anchor + now();
      if (estimate >= floor && estimate < floor + WALL_STEP) return estimate;
      const corrected = estimate < floor ? floor : floor + WALL_STEP - 1;
      anchor += corrected - estimate;
      return corrected;
    },
  };
}

function now(): Micros {
  return Math.floor(performance.now() * 1000) as Micros;
}
