/**
 * A primary that the stream has gone on without refuses writes: programs hear it at their first write, and do
 * not wait at COMMIT for a confirmation that will never come. Tried until it holds, because nothing else
 * would tell them; status, metrics and log say how far it is.
 *
 * It concerns new sessions (`default_transaction_read_only`); those that are there go on, and their COMMIT
 * waits. It does not decide who is fenced, and never takes anything back: `rejoin` does, when this has ended.
 */
import { connectPostgres } from '../../libs/postgres/connection.ts';
import type { PostgresAddress, PostgresClient } from '../../libs/postgres/connection.ts';
import { endSessions, setReadOnly } from '../../libs/postgres/sessions.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { keepTrying } from './retry.ts';

export interface WriteRefusalOptions {
  readonly address: PostgresAddress;
  readonly applicationName: string;
  readonly retryMs: number;
  readonly retryMsMax: number;
  readonly logger: Logger;
  readonly status: WritesStatus;
  /** Of an error that only a mistake of ours can be. */
  readonly onEnd: (error: unknown) => void;
}

/** `allowed`: nobody asked to refuse them; `refusing`: asked, and not done yet. */
export interface WritesStatus {
  writes: 'allowed' | 'refusing' | 'refused';
  /** Why they are not refused yet; empty otherwise. */
  writesError: string;
}

/** A lock that somebody holds is said, not waited for in silence. */
const LOCK_WAIT = "SET lock_timeout = '5s'";
/** For an answer of a Postgres that may be frozen. */
const ATTEMPT_MS = 20_000;

export class WriteRefusal {
  readonly #options: WriteRefusalOptions;
  readonly #applicationName: string;
  #running: { readonly over: AbortController; readonly ended: Promise<void> } | null = null;

  constructor(options: WriteRefusalOptions) {
    this.#options = options;
    this.#applicationName = `${options.applicationName} refusal`;
  }

  /** Goes on by itself until it holds, or until `stop`. Once begun, further calls change nothing. */
  begin(): void {
    if (this.#running !== null) return;
    const { logger, retryMs, retryMsMax, status, onEnd } = this.#options;
    const over = new AbortController();
    status.writes = 'refusing';
    const trying = keepTrying(
      (signal) => this.#refuse(signal),
      {
        ...{ role: 'refuse writes', logger, retryMs, retryMsMax },
        onFailure: (error) => {
          status.writesError = `${error.reason}: ${error.message}`;
        },
        endsWith: () => false, // also what needs a person: it may be granted any moment
      },
      over.signal,
    );
    this.#running = { over, ended: trying.catch(onEnd) };
  }

  /** Resolves when no attempt is under way any more. */
  async stop(): Promise<void> {
    this.#running?.over.abort();
    await this.#running?.ended;
    this.#running = null;
    this.#options.status.writes = 'allowed';
    this.#options.status.writesError = '';
  }

  /** After `stop`: what Postgres may still be about to do for an attempt that nobody waits for any more. */
  async endLeftovers(admin: PostgresClient): Promise<void> {
    await endSessions(admin, this.#applicationName);
  }

  async #refuse(signal: AbortSignal): Promise<void> {
    const { address, logger, status } = this.#options;
    const until = AbortSignal.any([signal, AbortSignal.timeout(ATTEMPT_MS)]);
    const applicationName = this.#applicationName;
    const admin = await connectPostgres({ address, applicationName, until });
    try {
      await admin.query(LOCK_WAIT);
      await setReadOnly(admin, true);
    } finally {
      await admin.end();
    }
    status.writes = 'refused';
    status.writesError = '';
    logger.warn('fenced: new sessions are read-only; `meridian pg rejoin` makes a replica of it');
  }
}
