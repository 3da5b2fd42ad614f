/**
 * One attempt at shipping: from the connection to Postgres until something ends it. Whoever runs it
 * decides whether to try again; a new attempt finds out from the journal where the last one stood.
 *
 * Order of what happens, and why it is safe (libs/postgres/SPEC.md C1–C5, F1–F4): take the slot, which
 * Postgres gives to one session; then the stream's lease, so that nobody else appends; then read the end
 * of the stream, so that everything a predecessor could confirm is known; then append.
 *
 * Memory is bounded: beyond `windowBytesMax` of unanswered changes the replication stream is paused.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import { encodeWatermark } from '../../libs/postgres/change-format.ts';
import type { Source } from '../../libs/postgres/change-format.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import type { Patience, PostgresAddress, PostgresClient } from '../../libs/postgres/connection.ts';
import {
  dropDefinitionTriggers,
  ensureDefinitionTriggers,
} from '../../libs/postgres/definition-triggers.ts';
import { LSN_ZERO, formatLsn } from '../../libs/postgres/lsn.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';
import { ReplicationSession } from '../../libs/postgres/replication-session.ts';
import {
  endSlotUser,
  ensurePublication,
  ensureSynchronous,
  preflightSource,
  touchLog,
} from '../../libs/postgres/source.ts';
import { SequenceScribe } from '../../libs/postgres/sequences.ts';
import { PART_LIMITS, TransactionEncoder } from '../../libs/postgres/transaction-encoder.ts';
import type { Part } from '../../libs/postgres/transaction-encoder.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { ShipJournal, ShipWriter } from './journal-port.ts';
import { ShipLease, superseded, whyFenced } from './ship-lease.ts';
import { RecentTransactions } from './recent-transactions.ts';
import { placeOf, refuseHandedOver } from './ship-place.ts';
import type { ShipProgress } from './ship-progress.ts';
import { findStart, holderOf, identify, writerIdOf } from './ship-start.ts';
import { ShipWindow } from './ship-window.ts';
import type { SidecarConfig } from './config.ts';

export interface ShipperOptions {
  readonly address: PostgresAddress;
  readonly settings: SidecarConfig['ship'];
  readonly timings: Pick<SidecarConfig['timings'], 'takeOverMs' | 'drainMs'>;
  readonly journal: ShipJournal;
  readonly logger: Logger;
  readonly status: ShipProgress;
  /** Answers linearizable reads in SQL, from when it ships until `signal` aborts; never rejects. */
  readonly answerReads: (signal: AbortSignal) => Promise<void>;
}

interface StreamOptions extends ShipperOptions {
  readonly patience: Patience;
}

interface Queued {
  readonly part: Part;
  readonly bytes: number;
  readonly arrived: number;
}

/** What Postgres gets beyond that of the drain. */
const CLOSE_MS = 2_000;
const RETRY_MS = 50;
const SETTLE_MS = 1;
const SEQUENCES_MS = 1_000;
/** Parts of one transaction that may be unanswered. */
const PARTS_MAX = 8;
const FRAME_BYTES = 4096;

/** Resolves when `signal` aborts and everything under way is confirmed; else rejects. */
export async function ship(options: ShipperOptions, signal: AbortSignal): Promise<void> {
  const { address, settings, logger, status } = options;
  const over = new AbortController();
  const fail = (error: MeridianError): void => {
    over.abort(error);
  };
  const applicationName = `${settings.applicationName} control`;
  const patience = patienceOf(options, signal);
  const admin = await connectPostgres({ address, applicationName, ...patience }, fail);
  let stream: ShipStream | null = null;
  let lease: ShipLease | null = null;
  let self: Source | null = null;
  const shipping = new AbortController();
  let answering: Promise<void> | null = null;
  try {
    await preflightSource(admin);
    const source = await identify(address, settings.applicationName, signal);
    self = source;
    const { journal } = options;
    // Before anything is changed in the database: it may be waiting to be made a replica.
    await refuseHandedOver(journal, source);
    const tables = settings.tables.length === 0 ? 'all' : settings.tables;
    const unnamed = await ensurePublication(admin, settings.publication, tables);
    if (unnamed.length > 0) {
      logger.warn({ tables: unnamed }, 'tables without replica identity: their updates fail');
    }
    if (tables !== 'all' || !settings.definitions) await dropDefinitionTriggers(admin);
    else if (!(await ensureDefinitionTriggers(admin))) {
      logger.warn('definitions are not shipped: only a superuser may create event triggers');
    }
    await journal.requireFencing();
    const holder = holderOf(source, settings.slot);
    lease = new ShipLease({ journal, holder, ttlMs: settings.leaseMs, onLost: fail });
    const limits = { ...PART_LIMITS, bytesMax: settings.batchBytesMax - FRAME_BYTES };
    const from = await findStart({
      ...{ address, admin, source, limits, logger, signal, journal, lease },
      ...{ slot: settings.slot, publication: settings.publication },
      applicationName: settings.applicationName,
      onCopying: (progress) => {
        status.state = 'copying';
        status.copy = progress;
      },
    });
    stream = new ShipStream({ ...options, patience }, source, lease, limits, fail);
    await stream.start(admin, from);
    if (settings.synchronous) await ensureSynchronous(admin, settings.applicationName);
    status.synchronous = settings.synchronous;
    const reading = stream;
    status.settle = () => reading.settle(admin);
    answering = options.answerReads(AbortSignal.any([signal, shipping.signal]));
    status.state = 'streaming';
    status.error = '';
    logger.info({ from: formatLsn(from), epoch: status.epoch }, 'shipping');
    await ended(AbortSignal.any([signal, over.signal]));
    if (over.signal.aborted) throw over.signal.reason as MeridianError;
    const drained = await stream.drain(options.timings.drainMs, over.signal);
    await stream.close();
    if (drained) await lease.release();
  } catch (error) {
    const { reason } = asMeridian(error);
    if (self === null || (reason !== 'FENCED' && reason !== 'LEASE_LOST')) throw error;
    throw await whyFenced(options.journal, self, holderOf(self, settings.slot));
  } finally {
    lease?.stop();
    status.unsettle();
    status.token = 0;
    shipping.abort();
    await answering;
    await stream?.close();
    await admin.end().catch(() => undefined);
  }
}

class ShipStream {
  readonly #options: StreamOptions;
  readonly #source: Source;
  readonly #lease: ShipLease;
  readonly #limits: typeof PART_LIMITS;
  readonly #fail: (error: MeridianError) => void;
  #session: ReplicationSession | null = null;
  #encoder: TransactionEncoder | null = null;
  #writer: ShipWriter | null = null;
  #window: ShipWindow | null = null;
  /** What came before the writer was known. */
  #early: (() => void)[] | null = [];
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #pumping = false;
  #parts: Promise<void>[] = [];
  /** The journal is to hold everything before this, which are no transactions. */
  #wished: Lsn = LSN_ZERO;
  #lastAppend = Date.now();
  #draining = false;
  #timers: NodeJS.Timeout[] = [];
  readonly #recent = new RecentTransactions();
  #closed = false;

  constructor(
    options: StreamOptions,
    source: Source,
    lease: ShipLease,
    limits: typeof PART_LIMITS,
    fail: (error: MeridianError) => void,
  ) {
    this.#options = options;
    this.#source = source;
    this.#lease = lease;
    this.#limits = limits;
    this.#fail = fail;
  }

  async start(admin: PostgresClient, from: Lsn): Promise<void> {
    const { journal, status, settings } = this.#options;
    const session = await this.#takeSlot(admin, from);
    this.#session = session;
    session.pause();
    const token = await this.#lease.acquire();
    status.token = token;
    status.epoch = token;
    // Whoever had it until now may have gone on, or have handed the stream over.
    const after = await placeOf(journal, this.#source);
    if (after === null) throw new MeridianError('UNAVAILABLE', 'another copy has begun');
    this.#encoder = new TransactionEncoder({
      ...{ source: this.#source, attempt: token, after },
      limits: this.#limits,
    });
    this.#writer = journal.openWriter(writerIdOf(this.#source, settings.slot, token), token);
    this.#window = new ShipWindow(after, (upTo) => {
      status.confirmed = upTo;
      session.confirm(upTo);
    });
    session.confirm(after);
    status.confirmed = after;
    const early = this.#early ?? [];
    this.#early = null;
    for (const handle of early) handle();
    session.resume();
    const scribe = new SequenceScribe();
    this.#every(SEQUENCES_MS, () => scribe.write(admin));
    // Something to append: the stream is seen to go on.
    await touchLog(admin);
    this.#every(settings.keepAliveMs / 2, async () => {
      if (Date.now() - this.#lastAppend > settings.keepAliveMs / 2) await touchLog(admin);
    });
  }

  /** Throws WRITER_FENCED when another sidecar of this database has shipped since we did. */
  async #refuseSuccessor(): Promise<void> {
    const { journal, status, settings } = this.#options;
    const held = await journal.leaseHolder();
    if (status.epoch === 0 || held === null || held.token <= status.epoch) return;
    if (held.holder === holderOf(this.#source, settings.slot)) throw superseded(held.token);
  }

  /** Takes nothing more from Postgres, and waits until what was taken is confirmed; false: it was not. */
  async drain(timeoutMs: number, over: AbortSignal): Promise<boolean> {
    this.#draining = true;
    this.#session?.pause();
    const deadline = Date.now() + timeoutMs;
    while (this.#underWay > 0 && Date.now() < deadline && !over.aborted) await sleep(5);
    return this.#underWay === 0 && !over.aborted;
  }

  /** See `ShipProgress`. The journal says whether we are the primary, Postgres what is visible. */
  async settle(admin: PostgresClient): Promise<void> {
    const held = await this.#options.journal.leaseHolder();
    if (held?.token !== this.#lease.token) {
      throw new MeridianError('FENCED', 'another database is becoming the primary', {
        details: { holder: held?.holder ?? '' },
      });
    }
    const sql = 'SELECT pg_current_snapshot()::text AS it';
    let awaited: ReadonlySet<number> | null = null;
    while (!this.#closed) {
      const { rows } = await admin.query<{ it: string }>(sql);
      const found = this.#recent.inProgress(rows[0]?.it ?? '');
      // Only those of the first look: what came later a reader need not see.
      awaited = new Set([...found].filter((xid) => awaited?.has(xid) ?? true));
      if (awaited.size === 0) return;
      await sleep(SETTLE_MS);
    }
    throw new MeridianError('UNAVAILABLE', 'shipping ended while a read waited');
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#options.status.queuedBytes = 0;
    for (const timer of this.#timers) clearInterval(timer);
    this.#writer?.close();
    await this.#session?.close();
  }

  get #underWay(): number {
    return this.#queue.length + this.#parts.length + (this.#window?.count ?? 0);
  }

  /** A predecessor that is gone, but not for Postgres yet, gets a moment; then its session is ended. */
  async #takeSlot(admin: PostgresClient, from: Lsn): Promise<ReplicationSession> {
    const { address, settings, timings, logger, patience } = this.#options;
    const { slot, publication, applicationName } = settings;
    const deadline = Date.now() + timings.takeOverMs;
    for (;;) {
      try {
        return await ReplicationSession.start(
          { address, applicationName, slot, publication, from, ...patience },
          {
            message: (bytes) => {
              this.#message(bytes);
            },
            keepalive: (end) => {
              this.#keepalive(end);
            },
            ended: (error) => {
              if (error !== null) this.#fail(error);
            },
          },
        );
      } catch (error) {
        const inUse = error instanceof MeridianError && error.details['sqlState'] === '55006';
        if (!inUse) throw error;
        await this.#refuseSuccessor();
        if (Date.now() > deadline && (await endSlotUser(admin, slot))) {
          logger.warn({ slot }, 'ended the session of another sidecar that used the slot');
        }
        if (Date.now() > deadline + timings.takeOverMs) throw error;
      }
      await sleep(RETRY_MS);
    }
  }

  #message(bytes: Uint8Array): void {
    if (this.#early !== null || this.#encoder === null) {
      this.#early?.push(() => {
        this.#message(bytes);
      });
      return;
    }
    for (const out of this.#encoder.push(bytes)) {
      if (out.kind === 'skipped') {
        this.#wish(out.endLsn);
        continue;
      }
      const size = out.records.reduce((sum, record) => sum + record.length, 0);
      this.#queue.push({ part: out, bytes: size, arrived: performance.now() });
      this.#queued(size);
    }
    this.#holdBack();
    void this.#pump();
  }

  #keepalive(end: Lsn): void {
    if (this.#early !== null || this.#encoder === null) {
      this.#early?.push(() => {
        this.#keepalive(end);
      });
      return;
    }
    // Inside a transaction it speaks of what came before; the transaction's own end comes soon.
    if (!this.#encoder.inTransaction) this.#wish(end);
  }

  #wish(upTo: Lsn): void {
    if (upTo > this.#wished) this.#wished = upTo;
    if (!this.#pumping) this.#maybeWatermark();
  }

  /**
   * Only while nothing is under way: else what comes next says it, or the last answer makes room for it. Postgres
   * speaks up whenever it has sent a transaction and waits for us, with a log that has grown since: with a
   * word for each, half of all appends were watermarks.
   */
  #maybeWatermark(): void {
    const window = this.#window;
    if (window === null || window.count > 0 || this.#wished <= window.last) return;
    if (this.#queue.length > 0 || this.#parts.length > 0) return;
    const watermark = { kind: 'watermark' as const, source: this.#source, lsn: this.#wished };
    void this.#append([encodeWatermark(watermark)], this.#wished, 0, null);
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        const { part, bytes, arrived } = next;
        if (!part.header.final) {
          await this.#appendPart(part, bytes);
          continue;
        }
        if (this.#parts.length > 0) await Promise.all(this.#parts);
        this.#parts = [];
        this.#recent.add(part.header.xid);
        void this.#append(part.records, part.header.endLsn, bytes, arrived);
      }
    } catch (error) {
      this.#fail(asMeridian(error));
    } finally {
      this.#pumping = false;
    }
    this.#maybeWatermark();
  }

  async #appendPart(part: Part, bytes: number): Promise<void> {
    const answer = this.#options.journal.appendPart(part.records, this.#lease.token).then(() => {
      this.#release(bytes);
    });
    answer.catch(() => undefined); // looked at when the final part is due
    this.#parts.push(answer);
    if (this.#parts.length >= PARTS_MAX) {
      await Promise.all(this.#parts);
      this.#parts = [];
    }
  }

  async #append(
    records: readonly Uint8Array[],
    upTo: Lsn,
    bytes: number,
    arrived: number | null,
  ): Promise<void> {
    const { status } = this.#options;
    const writer = this.#writer;
    const window = this.#window;
    if (writer === null || window === null) return;
    const ticket = window.add(upTo, bytes);
    status.inFlight = window.count;
    this.#lastAppend = Date.now();
    try {
      await writer.append(records, upTo);
    } catch (error) {
      this.#fail(asMeridian(error));
      return;
    }
    window.acknowledge(ticket);
    status.inFlight = window.count;
    if (arrived !== null) {
      status.transactions += 1;
      status.latency.record((performance.now() - arrived) * 1000);
    }
    this.#release(bytes);
    if (!this.#pumping) this.#maybeWatermark();
  }

  #holdBack(): void {
    if (this.#queuedBytes > this.#options.settings.windowBytesMax) this.#session?.pause();
  }

  #release(bytes: number): void {
    this.#queued(-bytes);
    const low = this.#queuedBytes < this.#options.settings.windowBytesMax / 2;
    if (low && !this.#draining) this.#session?.resume();
  }

  #queued(bytes: number): void {
    this.#queuedBytes += bytes;
    if (!this.#closed) this.#options.status.queuedBytes = this.#queuedBytes;
  }

  #every(intervalMs: number, task: () => Promise<void>): void {
    let running = false;
    this.#timers.push(
      setInterval(() => {
        if (running) return;
        running = true;
        task()
          .catch((error: unknown) => {
            const problem = asMeridian(error);
            if (!problem.retry) this.#fail(problem); // else the next append or check will tell
          })
          .finally(() => {
            running = false;
          });
      }, intervalMs),
    );
  }
}

/** Open work is drained after the abort, and the sessions with it. */
function patienceOf({ timings }: ShipperOptions, until: AbortSignal): Patience {
  return { until, graceMs: timings.drainMs + CLOSE_MS };
}

function asMeridian(error: unknown): MeridianError {
  if (error instanceof MeridianError) return error;
  return new MeridianError('UNAVAILABLE', String(error), { cause: error });
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else {
      signal.addEventListener('abort', () => {
        resolve();
      });
    }
  });
}
