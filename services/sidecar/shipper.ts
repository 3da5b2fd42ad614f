/**
 * One attempt at shipping: from the connection to Postgres until something ends it. Whoever runs it
 * decides whether to try again; a new attempt finds out from the journal where the last one stood.
 *
 * Order of what happens, and why it is safe (libs/postgres/SPEC.md C1–C5): take the slot, which
 * Postgres gives to one session; then ask the journal for the writer, so that everything a
 * predecessor could confirm is known; then append with a higher epoch.
 *
 * Memory is bounded: beyond `windowBytesMax` of unanswered changes the replication stream is paused.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import { encodeWatermark } from '../../libs/postgres/change-format.ts';
import type { Source } from '../../libs/postgres/change-format.ts';
import { connectPostgres } from '../../libs/postgres/connection.ts';
import type { PostgresAddress, PostgresClient } from '../../libs/postgres/connection.ts';
import {
  dropDefinitionTriggers,
  ensureDefinitionTriggers,
} from '../../libs/postgres/definition-triggers.ts';
import { LSN_ZERO, alignLsn, formatLsn, lsn } from '../../libs/postgres/lsn.ts';
import type { Lsn } from '../../libs/postgres/lsn.ts';
import { ReplicationSession } from '../../libs/postgres/replication-session.ts';
import {
  endSlotUser,
  ensurePublication,
  ensureSynchronous,
  identifySource,
  preflightSource,
  touchLog,
} from '../../libs/postgres/source.ts';
import { PART_LIMITS, TransactionEncoder } from '../../libs/postgres/transaction-encoder.ts';
import type { Part } from '../../libs/postgres/transaction-encoder.ts';
import { Latency } from '../../libs/telemetry/latency.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import type { ShipJournal, ShipWriter, WriterState } from './journal-port.ts';
import { findStart, writerIdOf } from './ship-start.ts';
import { ShipWindow } from './ship-window.ts';
import type { SidecarConfig } from './config.ts';

export interface ShipperOptions {
  readonly address: PostgresAddress;
  readonly settings: SidecarConfig['ship'];
  readonly timings: Pick<SidecarConfig['timings'], 'takeOverMs' | 'drainMs'>;
  readonly journal: ShipJournal;
  readonly logger: Logger;
  readonly status: ShipProgress;
}

/** What is told about shipping, over all attempts. */
export class ShipProgress {
  state: 'connecting' | 'copying' | 'streaming' | 'waiting' = 'connecting';
  error = '';
  confirmed: Lsn = LSN_ZERO;
  transactions = 0;
  inFlight = 0;
  epoch = 0;
  synchronous = false;
  readonly latency = new Latency();
}

interface Queued {
  readonly part: Part;
  readonly bytes: number;
  readonly arrived: number;
}

const RETRY_MS = 50;
const FENCE_CHECK_MS = 2_000;
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
  const admin = await connectPostgres({ address, applicationName }, fail);
  let stream: ShipStream | null = null;
  try {
    await preflightSource(admin);
    const tables = settings.tables.length === 0 ? 'all' : settings.tables;
    const unnamed = await ensurePublication(admin, settings.publication, tables);
    if (unnamed.length > 0) {
      logger.warn({ tables: unnamed }, 'tables without replica identity: their updates fail');
    }
    if (tables !== 'all' || !settings.definitions) await dropDefinitionTriggers(admin);
    else if (!(await ensureDefinitionTriggers(admin))) {
      logger.warn('definitions are not shipped: only a superuser may create event triggers');
    }
    const source = await identify(address, settings.applicationName);
    const limits = { ...PART_LIMITS, bytesMax: settings.batchBytesMax - FRAME_BYTES };
    const from = await findStart({
      ...{ address, admin, source, limits, logger, signal },
      ...{ journal: options.journal, slot: settings.slot, publication: settings.publication },
      applicationName: settings.applicationName,
      onCopying: () => {
        status.state = 'copying';
      },
    });
    stream = new ShipStream(options, source, limits, fail);
    await stream.start(admin, from);
    if (settings.synchronous) await ensureSynchronous(admin, settings.applicationName);
    status.synchronous = settings.synchronous;
    status.state = 'streaming';
    status.error = '';
    logger.info({ from: formatLsn(from), epoch: status.epoch }, 'shipping');
    await ended(AbortSignal.any([signal, over.signal]));
    if (over.signal.aborted) throw over.signal.reason as MeridianError;
    await stream.drain(options.timings.drainMs, over.signal);
  } finally {
    await stream?.close();
    await admin.end().catch(() => undefined);
  }
}

class ShipStream {
  readonly #options: ShipperOptions;
  readonly #source: Source;
  readonly #limits: typeof PART_LIMITS;
  readonly #fail: (error: MeridianError) => void;
  readonly #id: string;
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
  #wishUnderWay = false;
  #lastAppend = Date.now();
  #draining = false;
  /** Everybody knows our epoch: no lower one can append any more. */
  #fenced = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(
    options: ShipperOptions,
    source: Source,
    limits: typeof PART_LIMITS,
    fail: (error: MeridianError) => void,
  ) {
    this.#options = options;
    this.#source = source;
    this.#limits = limits;
    this.#fail = fail;
    this.#id = writerIdOf(source, options.settings.slot);
  }

  async start(admin: PostgresClient, from: Lsn): Promise<void> {
    const { journal, status, settings } = this.#options;
    const session = await this.#takeSlot(admin, from);
    this.#session = session;
    session.pause();
    const { epoch: before, lastSeq } = await this.#writerState();
    if (lastSeq < from) {
      throw new MeridianError(
        'WRITER_FORGOTTEN',
        `the journal has forgotten the writer ${this.#id}`,
      );
    }
    const epoch = before + 1;
    const after = alignLsn(lastSeq);
    this.#encoder = new TransactionEncoder({
      ...{ source: this.#source, attempt: epoch, after },
      limits: this.#limits,
    });
    this.#writer = journal.openWriter({ id: this.#id, epoch, lastSeq, ack: 'QUORUM' });
    this.#window = new ShipWindow(lsn(lastSeq), (upTo) => {
      status.confirmed = alignLsn(upTo);
      session.confirm(status.confirmed);
    });
    session.confirm(after);
    status.confirmed = after;
    status.epoch = epoch;
    const early = this.#early ?? [];
    this.#early = null;
    for (const handle of early) handle();
    session.resume();
    this.#every(FENCE_CHECK_MS, async () => {
      await this.#writerState();
    });
    // Something to append, so that the new epoch is known soon and a predecessor learns of it.
    await touchLog(admin);
    this.#every(settings.keepAliveMs / 2, async () => {
      if (Date.now() - this.#lastAppend > settings.keepAliveMs / 2) await touchLog(admin);
    });
  }

  /** Throws WRITER_FENCED when another process has shipped since we did. */
  async #writerState(): Promise<WriterState> {
    const { journal, status } = this.#options;
    const state = await journal.writerState(this.#id);
    if (status.epoch > 0 && state.epoch > status.epoch) throw fencedBy(state.epoch, status.epoch);
    return state;
  }

  /** Takes nothing more from Postgres, and waits until what was taken is confirmed. */
  async drain(timeoutMs: number, over: AbortSignal): Promise<void> {
    this.#draining = true;
    this.#session?.pause();
    const deadline = Date.now() + timeoutMs;
    while (this.#underWay > 0 && Date.now() < deadline && !over.aborted) await sleep(5);
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    this.#writer?.close();
    await this.#session?.close();
  }

  get #underWay(): number {
    return this.#queue.length + this.#parts.length + (this.#window?.count ?? 0);
  }

  /** A predecessor that is gone, but not for Postgres yet, gets a moment; then its session is ended. */
  async #takeSlot(admin: PostgresClient, from: Lsn): Promise<ReplicationSession> {
    const { address, settings, timings, logger } = this.#options;
    const { slot, publication, applicationName } = settings;
    const deadline = Date.now() + timings.takeOverMs;
    for (;;) {
      try {
        return await ReplicationSession.start(
          { address, applicationName, slot, publication, from },
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
        await this.#writerState();
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
      this.#queuedBytes += size;
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

  /** At most one is under way; the newest wish is what the next one says. */
  #maybeWatermark(): void {
    const window = this.#window;
    if (window === null || this.#wishUnderWay || this.#wished <= window.last) return;
    if (this.#queue.length > 0 || this.#parts.length > 0) return;
    this.#wishUnderWay = true;
    const watermark = { kind: 'watermark' as const, source: this.#source, lsn: this.#wished };
    void this.#append([encodeWatermark(watermark)], this.#wished, 0, null).then(() => {
      this.#wishUnderWay = false;
      if (!this.#pumping) this.#maybeWatermark();
    });
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
        const { part, bytes, arrived } = next;
        if (!part.header.final) {
          await this.#fenceOnce(part);
          await this.#appendPart(part, bytes);
          continue;
        }
        if (this.#parts.length > 0) await Promise.all(this.#parts);
        this.#parts = [];
        void this.#append(part.records, part.header.endLsn, bytes, arrived);
      }
    } catch (error) {
      this.#fail(asMeridian(error));
    } finally {
      this.#pumping = false;
    }
    this.#maybeWatermark();
  }

  /**
   * Parts belong to no chain, so a superseded shipper could still put its final part behind ours. A
   * watermark of our epoch before them, known to be in the order, forbids it. It says that everything
   * before the transaction is here, under a sequence between the two: no log record starts there.
   */
  async #fenceOnce({ header }: Part): Promise<void> {
    if (this.#fenced) return;
    this.#fenced = true;
    const { source, commitLsn } = header;
    const seq = lsn(Math.max(commitLsn, this.#window?.last ?? 0) + 1);
    // Earlier attempts at this very transaction have used up what lies between: go on without.
    if (alignLsn(seq) > commitLsn) return;
    const record = encodeWatermark({ kind: 'watermark', source, lsn: commitLsn });
    await this.#append([record], seq, 0, null);
    await this.#writerState();
  }

  async #appendPart(part: Part, bytes: number): Promise<void> {
    const answer = this.#options.journal.appendPart(part.records).then(() => {
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
  }

  #holdBack(): void {
    if (this.#queuedBytes > this.#options.settings.windowBytesMax) this.#session?.pause();
  }

  #release(bytes: number): void {
    this.#queuedBytes -= bytes;
    const low = this.#queuedBytes < this.#options.settings.windowBytesMax / 2;
    if (low && !this.#draining) this.#session?.resume();
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

async function identify(address: PostgresAddress, applicationName: string): Promise<Source> {
  const name = `${applicationName} control`;
  const client = await connectPostgres({ address, applicationName: name, replication: 'database' });
  try {
    return await identifySource(client);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function fencedBy(current: number, epoch: number): MeridianError {
  return new MeridianError('WRITER_FENCED', 'another sidecar ships this database now', {
    details: { epoch, current },
  });
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
