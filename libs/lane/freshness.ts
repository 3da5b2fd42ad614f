/**
 * Is the direct link to a peer so slow that it might as well be cut (design §9)? Measured without any
 * clock but the own: the third replica says which statement of the peer it has heard last. From the
 * moment this replica knows that a statement exists until it arrives by itself, the direct link is
 * that much slower than the way through the third. A link is slow when that is more than `detour`,
 * and good again when it was less than half of it for a while. The while doubles when the link fails
 * again soon after its return: one that is too narrow looks good as soon as nothing goes over it.
 *
 * Deliberately not here: silence (hearing.ts). Only an alternative makes a link slow; without a third
 * that hears the peer, every link is good enough.
 */
import type { LaneSettings } from './types.ts';

/** Longest trial of a link before it is used again, in units of `detour`: ten seconds by default. */
const TRIAL_MAX = 64;

export class Freshness {
  slow = false;
  private readonly detour: number;
  /** Newest statement that came directly. */
  private version = 0;
  private incarnation = 0;
  /** A statement that the third has heard and this replica has not, and since when that is known. */
  private missing: { readonly version: number; since: number } | null = null;
  private comparable = false;
  private goodSince = 0;
  private returnedAt = -Infinity;
  private trial: number;

  constructor(settings: LaneSettings) {
    this.detour = settings.detour;
    this.trial = settings.detour;
  }

  /** Newest statement of the peer that came directly; 0 before any. */
  get heard(): number {
    return this.version;
  }

  /** A statement has come directly. */
  arrived(incarnation: number, version: number): void {
    if (incarnation !== this.incarnation) {
      this.incarnation = incarnation;
      this.version = 0;
      this.missing = null;
    }
    this.version = Math.max(this.version, version);
    if (this.missing !== null && this.missing.version <= this.version) this.missing = null;
  }

  /** The third says what it has heard last of the peer; 0 when it does not hear it. */
  compare(version: number, now: number): void {
    this.comparable = version > 0;
    if (version <= this.version) this.missing = null;
    // A lower one than before belongs to a new life of the peer.
    else if (this.missing === null || version < this.missing.version) {
      this.missing = { version, since: now };
    }
  }

  /** Whoever was paused knows nothing of how long the others have waited. */
  forgive(now: number): void {
    if (this.missing !== null) this.missing.since = now;
  }

  /** `heard`: the peer is not silent. `alternative`: the third is there to take its place. */
  judge(now: number, heard: boolean, alternative: boolean): void {
    const behind = this.missing === null ? 0 : now - this.missing.since;
    if (!alternative || !this.comparable) {
      this.missing = null;
      this.slow = false;
      return;
    }
    if (!this.slow) {
      if (behind > this.detour) this.becomeSlow(now);
      return;
    }
    if (!heard || behind > this.detour / 2) this.goodSince = now;
    else if (now - this.goodSince >= this.trial) {
      this.slow = false;
      this.returnedAt = now;
    }
  }

  private becomeSlow(now: number): void {
    const again = now - this.returnedAt <= 2 * this.trial + 8 * this.detour;
    this.trial = again ? Math.min(this.trial * 2, TRIAL_MAX * this.detour) : this.detour;
    this.slow = true;
    this.goodSince = now;
  }
}
