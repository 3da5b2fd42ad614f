/**
 * The hybrid logical clock of a replica (SPEC.md §2): never goes back, restarts included (T1), is
 * merged from every message within a bound, and follows the median of three wall clocks when its
 * own is the odd one out (T4). It reads no clock itself; the driver hands both clocks to each step.
 */
import { assert } from '../values/assert.ts';
import type { LaneId, Micros, ReplicaId, Timestamp } from '../values/numbers.ts';
import { nextTimestamp } from '../values/numbers.ts';

export interface ClockOptions {
  readonly reservation: Timestamp;
  readonly reserve: number;
  readonly maxClockOffset: number;
  /** T5: nobody's wall clock is further from the truth than this; null: not promised. */
  readonly maxClockError: number | null;
  /** The own error is measured: without a reading within `maxClockError` the clock is unsafe. */
  readonly clockErrorMeasured: boolean;
  /** Uses timestamps beyond the reservation (rule T1 switched off). */
  readonly unreserved: boolean;
}

/** A peer's wall clock minus our monotonic one, known to within `error`. */
interface Sample {
  offset: number;
  error: number;
  at: number;
  /** Another one said the same: one alone, of a slow round trip, is not taken at a start. */
  confirmed: boolean;
}

/** Assumed worst drift between two clocks: 0.1 %, ten times what NTP tolerates. */
const DRIFT = 1e-3;
/** Speed of the hybrid clock while it is ahead of the wall clock, which so catches up. */
const CREEP = 1e-3;

export class Clock {
  /** Highest timestamp issued, closed or merged. */
  last: number;
  /** On disk: everything up to here may be used. */
  reserved: number;
  private agrees = true;
  /** How far the wall clock was from the truth at most, when somebody last knew (T5). */
  private reading: { readonly error: number; readonly at: number } | null = null;
  private readonly options: ClockOptions;
  private requested: number;
  private readonly pending: { seq: number; timestamp: number }[] = [];
  /** By replica; of oneself there is none. */
  private readonly samples: (Sample | null)[] = [null, null, null];
  /** Highest clock heard of each peer, by replica. */
  private readonly peers: (number | null)[] = [null, null, null];
  private now = 0;
  private wall = 0;
  /** The wall clock after correction by the peers; null while nothing is known of theirs. */
  private effective: number | null = null;

  constructor(options: ClockOptions) {
    this.options = options;
    this.last = options.unreserved ? 0 : options.reservation;
    this.reserved = options.reservation;
    this.requested = options.reservation;
  }

  /** May it stamp? It is not the odd one out (T4), and its error is known where that is promised (T5). */
  get safe(): boolean {
    const { maxClockError, clockErrorMeasured } = this.options;
    if (!this.agrees) return false;
    return !clockErrorMeasured || maxClockError === null || this.error <= maxClockError;
  }

  /** The last reading, aged by the worst drift; Infinity before the first. */
  private get error(): number {
    const { reading } = this;
    return reading === null ? Infinity : reading.error + (this.now - reading.at) * DRIFT;
  }

  /** Somebody knows how far the wall clock is from the truth at most. */
  measured(error: number): void {
    this.reading = { error, at: this.now };
  }

  advance(now: Micros, wall: number): void {
    // Ahead of the wall clock it creeps: a writer that says nothing new counts as silent (L7).
    if (now > this.now && this.effective !== null) this.last += Math.ceil((now - this.now) * CREEP);
    this.now = now;
    this.wall = Math.floor(wall);
    this.judge();
    if (this.effective !== null) this.last = Math.max(this.last, Math.floor(this.effective));
    if (this.options.unreserved) this.last = Math.max(this.last, this.wall);
  }

  /** The reservation to write now, if the present one runs low. */
  reservation(seq: number): Timestamp | null {
    // Ahead of the wall clock little is needed. A whole reservation on top of the last one, which a
    // restart begins with, would let a crash loop carry the clock away.
    const little = Math.ceil(this.options.reserve / 16);
    const much = this.effective === null ? 0 : Math.floor(this.effective) + this.options.reserve;
    const enough = Math.max(this.last + little / 2, much - this.options.reserve / 2);
    if (enough <= this.requested) return null;
    this.requested = Math.max(this.last + little, much);
    this.pending.push({ seq, timestamp: this.requested });
    return this.requested as Timestamp;
  }

  persisted(seq: number): void {
    while (this.pending[0] !== undefined && this.pending[0].seq <= seq) {
      this.reserved = Math.max(this.reserved, this.pending[0].timestamp);
      this.pending.shift();
    }
  }

  /** Highest timestamp that may be closed, known or released up to: it survives a restart. */
  get ceiling(): Timestamp {
    return (this.options.unreserved ? this.last : Math.min(this.last, this.reserved)) as Timestamp;
  }

  /** Takes the next timestamp of the lane above `above`; null until a reservation covers it. */
  take(lane: LaneId, above: number): Timestamp | null {
    const next = nextTimestamp(Math.max(this.last, above), lane);
    if (next > this.reserved && !this.options.unreserved) {
      // The reservation that covers it is requested with the next writes.
      this.last = Math.max(this.last, above);
      return null;
    }
    this.last = next;
    return next;
  }

  /** Merges a timestamp of a message, unless it would carry this replica into a far future (T4). */
  merge(timestamp: number): void {
    if (timestamp <= this.horizon) this.last = Math.max(this.last, timestamp);
  }

  /**
   * A peer's clock. What two of three have passed is not a far future but the present, however far
   * ahead: who stayed behind would hold the watermark back until its wall clock had caught up.
   */
  hear(peer: ReplicaId, timestamp: number): void {
    this.peers[peer] = Math.max(timestamp, this.peers[peer] ?? 0);
    this.merge(timestamp);
    let heard = 0;
    let least = Infinity;
    for (const clock of this.peers) {
      if (clock === null) continue;
      heard += 1;
      least = Math.min(least, clock);
    }
    if (heard === 2) this.raise(least);
  }

  /** Merges what safety needs, however far: promised clocks (L8), timestamps of adopted entries (T2). */
  raise(timestamp: number): void {
    this.last = Math.max(this.last, timestamp);
  }

  /** Timestamps above are not followed. */
  get horizon(): number {
    return Math.max(this.effective ?? 0, this.last) + this.options.maxClockOffset;
  }

  /** No wish of a client takes the clock above: wish by wish, it could carry it away (T4). */
  get wishLimit(): number {
    if (this.effective === null) return this.horizon;
    return Math.max(this.effective + this.options.maxClockOffset, this.last);
  }

  /** A round trip: the peer's wall clock was `wall` at some moment of the last `roundTrip`. */
  sample(peer: ReplicaId, wall: number, roundTrip: number): void {
    assert(roundTrip >= 0, 'a round trip takes time');
    const error = roundTrip / 2;
    const offset = wall + error - this.now;
    const old = this.samples[peer] ?? null;
    if (old !== null) {
      const oldError = old.error + (this.now - old.at) * DRIFT;
      const consistent = Math.abs(offset - old.offset) <= error + oldError;
      if (consistent) old.confirmed = true;
      if (consistent && error > oldError) return;
    }
    const confirmed = old !== null || error <= this.options.maxClockOffset;
    this.samples[peer] = { offset, error, at: this.now, confirmed };
  }

  /** A peer's wall clock minus ours, microseconds; null while unknown. */
  offsetOf(peer: ReplicaId): number | null {
    const sample = this.samples[peer] ?? null;
    return sample === null ? null : sample.offset - (this.wall - this.now);
  }

  /** Is true time surely past the timestamp, and past every clock that could stamp lower (T5)? */
  surelyPast(timestamp: number): boolean {
    const { maxClockError, clockErrorMeasured } = this.options;
    if (maxClockError === null) return true;
    const own = clockErrorMeasured ? Math.min(this.error, maxClockError) : maxClockError;
    return this.wall >= timestamp + own + maxClockError;
  }

  /** T4: the median of three decides; of two, the later one yields, since being behind harms nobody. */
  private judge(): void {
    const { maxClockOffset } = this.options;
    let fresh = false;
    for (const sample of this.samples) fresh ||= sample?.confirmed === true && this.isFresh(sample);
    // At most two, and no list of them: this runs in every step.
    let count = 0;
    let low = Infinity;
    let high = -Infinity;
    let agrees = false;
    let slack = 0;
    for (const sample of this.samples) {
      // Who fell silent long ago vouches for nothing, as long as somebody else speaks.
      if (sample?.confirmed !== true || (fresh && !this.isFresh(sample))) continue;
      const difference = sample.offset - (this.wall - this.now);
      const error = sample.error + (this.now - sample.at) * DRIFT;
      if (Math.abs(difference) <= maxClockOffset + error) agrees = true;
      slack = Math.max(slack, error);
      low = Math.min(low, difference);
      high = Math.max(high, difference);
      count += 1;
    }
    if (count === 0) {
      this.effective = null;
      return;
    }
    const median = count === 1 ? Math.min(0, low) : Math.max(low, Math.min(0, high));
    this.agrees = agrees || Math.abs(median) <= maxClockOffset + slack;
    this.effective = this.agrees ? this.wall : this.wall + median;
  }

  private isFresh(sample: Sample): boolean {
    return (this.now - sample.at) * DRIFT <= this.options.maxClockOffset;
  }
}
