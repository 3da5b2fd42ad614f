/**
 * A client of `pg` that always comes to its end. A Postgres that is frozen (stopped, its disk hanging, its
 * host paused) keeps the connection and says nothing more: `pg` would wait for its goodbye, and for the
 * answer to what is under way, for ever, and with it whoever stops or fails over.
 *
 * Owns the two bounds behind which the socket is destroyed; every query that waits then fails, which counts
 * as UNAVAILABLE. While neither `end` was called nor the signal aborted, it waits as long as Postgres takes.
 */
import type { Socket } from 'node:net';
import pg from 'pg';
import { connectionSocket } from './pg-internals.ts';

/** Postgres says goodbye at once, unless it cannot. */
const GOODBYE_MS = 2_000;

export class BoundedClient extends pg.Client {
  readonly #goodbyeMs: number;
  readonly #socket: () => Socket;

  constructor(config: pg.ClientConfig, goodbyeMs: number = GOODBYE_MS) {
    super(config);
    this.#goodbyeMs = goodbyeMs;
    this.#socket = connectionSocket(this);
  }

  /** Resolves when the connection is gone, after the bound at the latest. */
  override async end(): Promise<void> {
    const timer = setTimeout(() => {
      this.cut();
    }, this.#goodbyeMs);
    try {
      await super.end();
    } finally {
      clearTimeout(timer);
    }
  }

  /** So long after the abort nothing is waited for any more. */
  cutAfter(signal: AbortSignal, graceMs: number): void {
    let timer: NodeJS.Timeout | null = null;
    const start = (): void => {
      timer = setTimeout(() => {
        this.cut();
      }, graceMs);
    };
    if (signal.aborted) start();
    else signal.addEventListener('abort', start, { once: true });
    this.once('end', () => {
      signal.removeEventListener('abort', start);
      if (timer !== null) clearTimeout(timer);
    });
  }

  /** Without a goodbye. */
  cut(): void {
    this.#socket().destroy();
  }
}
