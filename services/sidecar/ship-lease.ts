/**
 * The lease of the stream, for the length of one attempt at shipping (libs/postgres/SPEC.md F1–F4): who
 * holds it may append, and its token goes with every append. Taken when it is needed, renewed until it is
 * given up. The holder's name is the database's, so another sidecar of the same database gets it at once,
 * and one of another database only when it has expired.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Source } from '../../libs/postgres/change-format.ts';
import type { Lease, ShipJournal } from './journal-port.ts';
import { refuseHandedOver } from './ship-place.ts';

export interface ShipLeaseOptions {
  readonly journal: ShipJournal;
  readonly holder: string;
  readonly ttlMs: number;
  /** Somebody else may have it now: whoever appends must stop. */
  readonly onLost: (error: MeridianError) => void;
}

/** Renewed so many times in its time to live. */
const RENEWALS = 4;

export class ShipLease {
  readonly #options: ShipLeaseOptions;
  #lease: Lease | null = null;
  #timer: NodeJS.Timeout | null = null;
  #renewing = false;

  constructor(options: ShipLeaseOptions) {
    this.#options = options;
  }

  /** 0: it was not acquired. */
  get token(): number {
    return this.#lease?.token ?? 0;
  }

  /** Throws LEASE_HELD. */
  async acquire(): Promise<number> {
    const { journal, holder, ttlMs } = this.#options;
    this.#lease ??= await journal.acquireLease(holder, ttlMs);
    this.#timer ??= setInterval(() => {
      void this.#renew();
    }, ttlMs / RENEWALS);
    return this.#lease.token;
  }

  /** Not renewed any more; it stays ours until it expires. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Another can have it at once: everything that was appended must be answered. */
  async release(): Promise<void> {
    this.stop();
    if (this.#lease !== null) await this.#options.journal.releaseLease(this.#lease);
  }

  async #renew(): Promise<void> {
    const { journal, ttlMs, onLost } = this.#options;
    const lease = this.#lease;
    if (this.#renewing || lease === null) return;
    this.#renewing = true;
    try {
      this.#lease = await journal.renewLease(lease, ttlMs);
    } catch (error) {
      if (this.#timer === null) return;
      // Without an answer it may be ours still, and the next renewal or append will tell.
      if (error instanceof MeridianError && error.reason === 'LEASE_LOST') onLost(error);
    } finally {
      this.#renewing = false;
    }
  }
}

/** What it means that an append or a renewal was refused for its token. */
export async function whyFenced(
  journal: ShipJournal,
  self: Source,
  holder: string,
): Promise<MeridianError> {
  const held = await journal.leaseHolder().catch(() => null);
  if (held?.holder === holder) {
    return superseded(held.token);
  }
  const handedOver = await refuseHandedOver(journal, self).then(
    () => null,
    (error: unknown) => (error instanceof MeridianError ? error : null),
  );
  if (handedOver?.reason === 'FENCED') return handedOver;
  return new MeridianError(
    'FENCED',
    `the lease of the stream went to ${held?.holder ?? 'somebody'}: another database is becoming the ` +
      'primary. COMMIT waits here, and is confirmed only if this database gets the lease back',
    { details: { holder: held?.holder ?? '' } },
  );
}

/** By another sidecar of the same database. */
export function superseded(token: number): MeridianError {
  return new MeridianError('WRITER_FENCED', 'another sidecar ships this database now', {
    details: { token },
  });
}
