import { describe, expect, it } from 'vitest';
import type { Micros, Timestamp } from '../values/numbers.ts';
import { Clock } from './clock.ts';
import type { ClockOptions } from './clock.ts';

const WALL = 1_800_000_000_000_000;
const HOUR = 3_600_000_000;

function newClock(reservation = 0, more: Partial<ClockOptions> = {}): Clock {
  return new Clock({
    reserve: 1_000_000,
    maxClockOffset: 500_000,
    maxClockError: null,
    clockErrorMeasured: false,
    unreserved: false,
    reservation: reservation as Timestamp,
    ...more,
  });
}

/** A clock that knows both peers, whose wall clocks are ahead of its own by so much. */
function amongPeers(...ahead: readonly [number, number]): Clock {
  const clock = newClock();
  advance(clock, 0);
  ahead.forEach((offset, i) => {
    clock.sample(i === 0 ? 1 : 2, WALL + offset, 10_000);
  });
  advance(clock, 10_000);
  return clock;
}

function advance(clock: Clock, now: number, wall = WALL + now): void {
  clock.advance(now as Micros, wall);
}

/** Writes and syncs the reservation that is due. */
function reserve(clock: Clock, seq = 1): number {
  const timestamp = clock.reservation(seq);
  clock.persisted(seq);
  return timestamp ?? 0;
}

describe('the hybrid clock', () => {
  it('T1: stamps nothing before a reservation that covers it is on disk', () => {
    const clock = amongPeers(0, 0);
    expect(clock.take(0, 0)).toBeNull();
    const reserved = clock.reservation(7);
    expect(reserved).toBeGreaterThan(WALL);
    clock.persisted(6);
    expect(clock.take(0, 0)).toBeNull();
    clock.persisted(7);
    expect(clock.take(0, 0)).toBeGreaterThan(WALL);
  });

  it('T1: a restart begins above everything an earlier life stamped, whatever its wall clock says', () => {
    const before = amongPeers(0, 0);
    const reserved = reserve(before);
    const stamped = before.take(0, 0) ?? 0;
    const after = newClock(reserved);
    advance(after, 0, WALL - HOUR);
    reserve(after);
    expect(after.take(0, 0)).toBeGreaterThan(stamped);
  });

  it('T1: never states a clock that a restart would not begin with', () => {
    const clock = amongPeers(0, 0);
    clock.raise(WALL + HOUR);
    expect(clock.ceiling).toBe(0);
    const reserved = reserve(clock);
    expect(clock.ceiling).toBeLessThanOrEqual(reserved);
    expect(clock.ceiling).toBe(clock.last);
  });

  it('T2: stamps above whatever it is told to, in its own lane', () => {
    const clock = amongPeers(0, 0);
    reserve(clock);
    const floor = clock.last + 100;
    const stamped = clock.take(2, floor) ?? 0;
    expect(stamped).toBeGreaterThan(floor);
    expect(stamped % 8).toBe(2);
  });

  it('T4: does not use the wall clock before it knows of another one', () => {
    const clock = newClock();
    advance(clock, 0);
    advance(clock, 1_000_000);
    expect(clock.last).toBeLessThan(WALL);
  });

  it('T4: the odd one of three is unsafe and follows the median', () => {
    const ahead = amongPeers(-HOUR, -HOUR);
    expect(ahead.safe).toBe(false);
    expect(ahead.last).toBeLessThan(WALL - HOUR + 1_000_000);
    const behind = amongPeers(HOUR, HOUR);
    expect(behind.safe).toBe(false);
    expect(behind.last).toBeGreaterThan(WALL + HOUR - 1_000_000);
  });

  it('T4: two that agree are safe, whatever the third says', () => {
    expect(amongPeers(0, HOUR).safe).toBe(true);
    expect(amongPeers(-HOUR, 100_000).safe).toBe(true);
  });

  it('T4: of two clocks the later one yields', () => {
    for (const [offset, safe] of [
      [HOUR, true],
      [-HOUR, false],
    ] as const) {
      const clock = newClock();
      advance(clock, 0);
      clock.sample(1, WALL + offset, 10_000);
      advance(clock, 10_000);
      expect(clock.safe).toBe(safe);
    }
  });

  it('T4: notices its own jump at the next step, before any peer speaks', () => {
    const clock = amongPeers(0, 0);
    const before = clock.last;
    advance(clock, 20_000, WALL + HOUR);
    expect(clock.safe).toBe(false);
    expect(clock.last).toBeLessThan(before + 1_000_000);
  });

  it('T4: a peer that fell silent long ago does not vouch for a clock that jumps today', () => {
    const clock = amongPeers(0, 0);
    const day = 86_400_000_000;
    clock.advance(day as Micros, WALL + day);
    clock.sample(1, WALL + day, 10_000);
    // Peer 2 is gone; by now its sample could be off by more than a minute.
    advance(clock, day + 1_000, WALL + day + 60_000_000);
    expect(clock.safe).toBe(false);
  });

  it('T4: a message from the far future is not followed; what two of three have passed is', () => {
    const clock = amongPeers(0, 0);
    clock.hear(1, WALL + HOUR);
    expect(clock.last).toBeLessThan(WALL + 1_000_000);
    clock.hear(2, WALL + HOUR - 5);
    expect(clock.last).toBe(WALL + HOUR - 5);
  });

  it('T4: goes on creeping while it is ahead of the wall clock, so that a writer is never silent', () => {
    const clock = amongPeers(0, 0);
    clock.raise(WALL + HOUR);
    const before = clock.last;
    advance(clock, 1_000_000);
    expect(clock.last).toBeGreaterThan(before);
    expect(clock.last).toBeLessThan(before + 100_000);
  });

  it('L8: a promised clock is taken over however far it is', () => {
    const clock = amongPeers(0, 0);
    clock.raise(WALL + HOUR);
    expect(clock.last).toBe(WALL + HOUR);
  });

  it('T5: a timestamp has surely passed once the wall clock shows twice the error beyond it', () => {
    const clock = newClock(0, { maxClockError: 1_000 });
    advance(clock, 0);
    const timestamp = WALL + 10_000;
    expect(clock.surelyPast(timestamp)).toBe(false);
    advance(clock, 11_999);
    expect(clock.surelyPast(timestamp)).toBe(false);
    advance(clock, 12_000);
    expect(clock.surelyPast(timestamp)).toBe(true);
  });

  it('T5: a measured error shortens the wait, ages, and beyond the bound stamps nothing', () => {
    const clock = newClock(0, { maxClockError: 10_000, clockErrorMeasured: true });
    advance(clock, 0);
    expect(clock.safe).toBe(false);
    clock.measured(1_000);
    expect(clock.safe).toBe(true);
    expect(clock.surelyPast(WALL - 10_999)).toBe(false);
    expect(clock.surelyPast(WALL - 11_000)).toBe(true);
    // 0.1 % of 9 seconds are the 9 ms that were left.
    advance(clock, 9_000_000);
    expect(clock.safe).toBe(true);
    advance(clock, 9_001_000);
    expect(clock.safe).toBe(false);
    clock.measured(10_001);
    expect(clock.safe).toBe(false);
    clock.measured(9_999);
    expect(clock.safe).toBe(true);
  });

  /** A peer whose machine is as busy as ours at a start answers late: half its round trip is 3 s of slack. */
  it('T4: at a start, one round trip that took long is not taken for the time', () => {
    const clock = newClock();
    advance(clock, 0);
    clock.sample(1, WALL - 2_000_000, 6_000_000);
    advance(clock, 1_000);
    expect(clock.offsetOf(1)).not.toBeNull();
    expect(clock.last).toBe(0);
    clock.sample(1, WALL - 4_999_000, 10_000);
    advance(clock, 2_000);
    expect(clock.safe).toBe(false);
    expect(clock.last).toBeLessThan(WALL - 4_000_000);
  });

  it('T4: a link that is always slow tells the time when it has told it twice', () => {
    const clock = newClock();
    advance(clock, 0);
    clock.sample(1, WALL - 1_000_000, 2_000_000);
    clock.sample(1, WALL - 1_000_000, 2_000_000);
    advance(clock, 1_000);
    expect(clock.safe).toBe(true);
    expect(clock.last).toBeGreaterThan(WALL);
  });
});
