/**
 * A lease that renews itself, and says when it is lost. Time is counted on this process's own clock from
 * when a renewal was asked for, so that the lease is never believed in for longer than the journal
 * keeps it, whatever the clocks say. Owns the timer; the journal owns who holds what.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { MeridianError } from '../errors/errors.ts';
import type { AcquireLeaseOptions, LeaseGrant, StreamCalls } from './streams.ts';

/** Of the time to live: renewed after a third, given up when a tenth is left. */
const RENEW_SHARE = 1 / 3;
const KEPT_SHARE = 9 / 10;
const RETRY_MS = 100;

export class HeldLease {
  readonly stream: string;
  readonly holder: string;
  /** The fencing token to append with. */
  readonly token: number;
  /** Aborted when the lease is lost or released; `signal.reason` is then why: a MeridianError. */
  readonly signal: AbortSignal;
  readonly #calls: StreamCalls;
  readonly #ttlMs: number;
  readonly #over = new AbortController();
  #heldSince: number;
  #released: Promise<boolean> | null = null;

  private constructor(calls: StreamCalls, stream: string, grant: LeaseGrant, ttlMs: number) {
    this.stream = stream;
    this.holder = grant.holder;
    this.token = grant.token;
    this.signal = this.#over.signal;
    this.#calls = calls;
    this.#ttlMs = ttlMs;
    this.#heldSince = performance.now();
  }

  /** Use `journal.holdLease`. */
  static async acquire(
    calls: StreamCalls,
    stream: string,
    options: AcquireLeaseOptions,
  ): Promise<HeldLease> {
    const askedAt = performance.now();
    const grant = await calls.acquire(stream, options);
    const lease = new HeldLease(calls, stream, grant, options.ttlMs);
    // Asked for several times, the grant may be older than its answer: nobody knows how old.
    if (performance.now() - askedAt > options.ttlMs * RENEW_SHARE) await lease.#renew();
    else lease.#heldSince = askedAt;
    void lease.#keep();
    return lease;
  }

  get isHeld(): boolean {
    return !this.signal.aborted;
  }

  /** Gives the lease back, so that another need not wait; false when it was lost already. */
  release(): Promise<boolean> {
    this.#released ??= this.#giveBack();
    return this.#released;
  }

  async #giveBack(): Promise<boolean> {
    if (this.isHeld) this.#end(new MeridianError('LEASE_LOST', 'the lease was released'));
    return this.#calls.release(this.stream, this);
  }

  async #keep(): Promise<void> {
    let waitMs = this.#ttlMs * RENEW_SHARE - (performance.now() - this.#heldSince);
    while (await this.#waits(waitMs)) {
      waitMs = this.#ttlMs * RENEW_SHARE;
      try {
        await this.#renew();
      } catch (error) {
        if (!(error instanceof MeridianError)) throw error;
        if (!error.retry || this.#leftMs <= 0) this.#end(error);
        waitMs = Math.min(RETRY_MS, this.#leftMs);
      }
    }
  }

  /** false: it is over. */
  #waits(ms: number): Promise<boolean> {
    const options = { signal: this.signal, ref: false };
    return pause(Math.max(1, ms), true, options).catch(() => false);
  }

  async #renew(): Promise<void> {
    const askedAt = performance.now();
    const deadlineMs = Math.max(1, this.#leftMs);
    await this.#calls.renew(this.stream, this, this.#ttlMs, deadlineMs);
    this.#heldSince = askedAt;
  }

  get #leftMs(): number {
    return this.#heldSince + this.#ttlMs * KEPT_SHARE - performance.now();
  }

  #end(why: MeridianError): void {
    this.#over.abort(why);
  }
}
