/** What a sidecar knows of its shipping, written by whoever does it, and read by status, metrics and reads. */
import { MeridianError } from '../../libs/errors/errors.ts';
import { LSN_ZERO } from '../../libs/postgres/lsn.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';
import type { CopyProgress } from '../../libs/postgres/snapshot.ts';
import { Latency } from '../../libs/telemetry/latency.ts';
import type { WritesStatus } from './write-refusal.ts';

/** What is told about shipping, over all attempts. */
export class ShipProgress implements WritesStatus {
  /** `fenced`: another database is the primary now; `off`: this one is a replica at the moment. */
  state: 'connecting' | 'copying' | 'streaming' | 'waiting' | 'fenced' | 'off' = 'connecting';
  error = '';
  confirmed: Lsn = LSN_ZERO;
  transactions = 0;
  inFlight = 0;
  /** Of changes that wait for the journal. */
  queuedBytes = 0;
  epoch = 0;
  /** Fencing token of the lease; 0: it is not held. */
  token = 0;
  synchronous = false;
  /** Of a primary that was fenced; see write-refusal.ts. */
  writes: WritesStatus['writes'] = 'allowed';
  writesError = '';
  /** Of the initial copy, the last word; null: this process made none. */
  copy: CopyProgress | null = null;
  readonly latency = new Latency();
  /**
   * Resolves when every transaction that a replica may have shown before the call is visible here, and this
   * database is certainly the primary still. Rejects while it does not ship.
   */
  settle: () => Promise<void> = () => this.#cannotTell();

  /** The attempt that could tell is over. */
  unsettle(): void {
    this.settle = () => this.#cannotTell();
  }

  #cannotTell(): Promise<never> {
    const reason = this.state === 'fenced' ? 'FENCED' : 'UNAVAILABLE';
    const why = this.error === '' ? '' : `: ${this.error}`;
    const message = `this primary does not ship (${this.state}${why})`;
    return Promise.reject(new MeridianError(reason, message));
  }
}
