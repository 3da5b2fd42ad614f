/**
 * One replication connection: START_REPLICATION of a logical slot, its messages and keepalives to
 * the handler, and status updates back.
 *
 * The one rule it keeps: it confirms to Postgres what `confirm` was called with and nothing else,
 * however often Postgres asks. What is durable is the owner's knowledge, not the session's. (The
 * library that confirmed what it had *received* let COMMITs return that no second disk had seen.)
 *
 * It does not reconnect and does not decode.
 */
import type pg from 'pg';
import { MeridianError } from '../errors/errors.ts';
import { assert } from '../values/assert.ts';
import { connectPostgres, fromPostgres } from './connection.ts';
import type { Patience, PostgresAddress } from './connection.ts';
import { formatLsn, lsn } from './lsn.ts';
import type { Lsn } from './lsn.ts';
import { copyChannel } from './pg-internals.ts';
import type { CopyChannel } from './pg-internals.ts';
import { POSTGRES_EPOCH_MICROS, PROTO_VERSION } from './pgoutput.ts';
import { quoteIdentifier, quoteLiteral } from './sql.ts';

export interface SessionOptions extends Patience {
  readonly address: PostgresAddress;
  /** What `synchronous_standby_names` calls us. */
  readonly applicationName: string;
  readonly slot: string;
  readonly publication: string;
  /** Everything before this is durable: confirmed from the start, and not wanted again. */
  readonly from: Lsn;
}

export interface SessionHandler {
  /** A message of pgoutput; the bytes are the handler's own. */
  message(bytes: Uint8Array): void;
  /** The server has sent everything up to `end`. */
  keepalive(end: Lsn): void;
  /** The session is over; null after `close`. Called once, nothing follows. */
  ended(error: MeridianError | null): void;
}

const XLOG_DATA = 0x77;
const KEEPALIVE = 0x6b;
const STATUS = 0x72;
const XLOG_DATA_HEADER = 25;
const KEEPALIVE_BYTES = 18;
const STATUS_BYTES = 34;
const STATUS_INTERVAL_MS = 1_000;
/** No word for this many `wal_sender_timeout`s, while we are reading: the connection is dead. */
const SILENCE_FACTOR = 2;
/** Asked for a word after this share of it: where nothing is written Postgres has nothing to say by itself. */
const ASK_SHARE = 4;

export class ReplicationSession {
  readonly #client: pg.Client;
  readonly #channel: CopyChannel;
  readonly #handler: SessionHandler;
  readonly #silenceMs: number;
  #confirmed: Lsn;
  #statusDue = false;
  #paused = false;
  #lastWord = Date.now();
  #timer: NodeJS.Timeout | null = null;
  #state: 'open' | 'closing' | 'ended' = 'open';

  /** Resolves when Postgres streams. Throws UNAVAILABLE while another session has the slot. */
  static async start(
    options: SessionOptions,
    handler: SessionHandler,
  ): Promise<ReplicationSession> {
    let session: ReplicationSession | null = null;
    const client = await connectPostgres({ ...options, replication: 'database' }, (error) => {
      if (session !== null) session.#end(error);
    });
    try {
      const { rows } = await client.query<{ wal_sender_timeout: string }>(
        'SHOW wal_sender_timeout',
      );
      const silenceMs = SILENCE_FACTOR * durationMs(rows[0]?.wal_sender_timeout ?? '0');
      session = new ReplicationSession(client, handler, options.from, silenceMs);
      await session.#start(options);
      return session;
    } catch (error) {
      await client.end().catch(() => undefined);
      throw fromPostgres(error, `cannot stream from slot ${options.slot}`);
    }
  }

  private constructor(client: pg.Client, handler: SessionHandler, from: Lsn, silenceMs: number) {
    this.#client = client;
    this.#channel = copyChannel(client);
    this.#handler = handler;
    this.#confirmed = from;
    this.#silenceMs = silenceMs;
  }

  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** Everything before `upTo` is durable. Never goes back. */
  confirm(upTo: Lsn): void {
    if (upTo <= this.#confirmed) return;
    this.#confirmed = upTo;
    this.#sendStatusSoon();
  }

  /** Stops reading from the socket: Postgres waits, and memory stays bounded. Confirming goes on. */
  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#channel.socket.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#lastWord = Date.now();
    this.#channel.socket.resume();
  }

  /** Sends the last confirmation and ends the connection. */
  async close(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    this.#sendStatus();
    this.resume();
    this.#channel.finish();
    await this.#client.end().catch(() => undefined);
    this.#end(null);
  }

  async #start(options: SessionOptions): Promise<void> {
    this.#channel.onData((chunk) => {
      this.#receive(chunk);
    });
    const { slot, publication, from } = options;
    const settings = [
      `proto_version '${PROTO_VERSION}'`,
      `publication_names ${quoteLiteral(quoteIdentifier(publication))}`,
      // Definitions come as messages (definition-triggers.ts).
      `messages 'true'`,
    ];
    const command =
      `START_REPLICATION SLOT ${quoteIdentifier(slot)} LOGICAL ${formatLsn(from)} ` +
      `(${settings.join(', ')})`;
    await new Promise<void>((resolve, reject) => {
      this.#channel.onStart(resolve);
      // Answers only when the copying is over; an error before that is the refusal to start.
      this.#client.query(command).then(
        () => {
          this.#end(new MeridianError('UNAVAILABLE', 'Postgres ended the replication'));
        },
        (error: unknown) => {
          reject(fromPostgres(error));
          this.#end(fromPostgres(error, 'replication ended'));
        },
      );
    });
    this.#lastWord = Date.now();
    this.#timer = setInterval(() => {
      this.#tick();
    }, STATUS_INTERVAL_MS);
    this.#sendStatus();
  }

  #receive(chunk: Buffer): void {
    if (this.#state !== 'open') return;
    this.#lastWord = Date.now();
    try {
      if (chunk[0] === XLOG_DATA && chunk.length > XLOG_DATA_HEADER) {
        this.#handler.message(Buffer.from(chunk.subarray(XLOG_DATA_HEADER))); // a copy
      } else if (chunk[0] === KEEPALIVE && chunk.length === KEEPALIVE_BYTES) {
        const end = lsn(chunk.readUInt32BE(1) * 0x1_0000_0000 + chunk.readUInt32BE(5));
        const replyRequested = chunk[17] !== 0;
        this.#handler.keepalive(end);
        if (replyRequested) this.#sendStatus();
      } else {
        throw new MeridianError(
          'INVALID',
          `unknown replication message ${chunk[0] ?? 'of no bytes'}`,
        );
      }
    } catch (error) {
      this.#fail(fromPostgres(error));
    }
  }

  #tick(): void {
    const silence = Date.now() - this.#lastWord;
    this.#sendStatus(silence > this.#silenceMs / ASK_SHARE);
    if (this.#silenceMs > 0 && !this.#paused && silence > this.#silenceMs) {
      this.#fail(new MeridianError('UNAVAILABLE', `no word from Postgres for ${silence} ms`));
    }
  }

  /** Once per turn of the event loop: many confirmations become one message. */
  #sendStatusSoon(): void {
    if (this.#statusDue) return;
    this.#statusDue = true;
    setImmediate(() => {
      if (this.#statusDue) this.#sendStatus();
    });
  }

  #sendStatus(ask = false): void {
    this.#statusDue = false;
    if (this.#state === 'ended') return;
    const out = Buffer.alloc(STATUS_BYTES);
    out[0] = STATUS;
    // Written, flushed, applied: whoever waits, for whichever of them, waits for the journal.
    for (const at of [1, 9, 17]) out.writeBigUInt64BE(BigInt(this.#confirmed), at);
    out.writeBigInt64BE(BigInt(Date.now()) * 1000n - BigInt(POSTGRES_EPOCH_MICROS), 25);
    out[33] = ask ? 1 : 0;
    this.#channel.send(out);
  }

  #fail(error: MeridianError): void {
    this.#channel.socket.destroy();
    this.#end(error);
  }

  #end(error: MeridianError | null): void {
    if (this.#state === 'ended') return;
    assert(
      error !== null || this.#state === 'closing',
      'a session ends by itself only with an error',
    );
    const wanted = this.#state === 'closing';
    this.#state = 'ended';
    if (this.#timer === null) return; // it never started: `start` throws
    clearInterval(this.#timer);
    this.#handler.ended(wanted ? null : error);
    if (!wanted) this.#channel.socket.destroy();
  }
}

/** `60s`, `1min`, `500ms`, `0`: what SHOW prints for a time. */
export function durationMs(text: string): number {
  const match = /^(\d+)(ms|s|min|h|d)?$/.exec(text);
  if (match === null) throw new MeridianError('INVALID', `${JSON.stringify(text)} is no duration`);
  const unit = { ms: 1, s: 1000, min: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] ?? 'ms'] ?? 1;
  return Number(match[1]) * unit;
}
