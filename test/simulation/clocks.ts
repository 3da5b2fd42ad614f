/**
 * The clocks of one replica. True time is the scheduler's. The wall clock may be hours off, drift
 * and jump; the monotonic one only drifts, and starts anywhere in each life of the process.
 */
import { micros, type Micros } from '../../libs/values/numbers.ts';

/** Wall-clock time at which every run begins: 2027-01-15 08:00 UTC. */
export const EPOCH_MICROS = 1_800_000_000_000_000;

export class Clocks {
  /** Microseconds the wall clock is ahead of true time at `since`. */
  private offset = 0;
  private since = 0;
  private driftPpm = 0;
  private base = 0;
  private bootedAt = 0;
  /** The wall clock knows milliseconds only. */
  coarse = false;

  wall(now: number): number {
    const wall = EPOCH_MICROS + now + this.offsetAt(now);
    return this.coarse ? wall - (wall % 1_000) : wall;
  }

  monotonic(now: number): Micros {
    const elapsed = now - this.bootedAt;
    return micros(this.base + elapsed + Math.floor((elapsed * this.driftPpm) / 1e6));
  }

  offsetAt(now: number): number {
    return this.offset + Math.floor(((now - this.since) * this.driftPpm) / 1e6);
  }

  set(now: number, offset: number): void {
    this.offset = offset;
    this.since = now;
  }

  /** Drift bends both clocks from now on; the monotonic one stays continuous. */
  setDrift(now: number, driftPpm: number): void {
    this.base = this.monotonic(now);
    this.bootedAt = now;
    this.set(now, this.offsetAt(now));
    this.driftPpm = driftPpm;
  }

  boot(now: number, base: number): void {
    this.base = base;
    this.bootedAt = now;
  }
}
