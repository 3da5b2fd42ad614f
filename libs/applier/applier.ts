/**
 * Keeps a target in step with the journal: follows the source from the target's own position, hands over
 * chunks one at a time, and knows how far the data has come, so that readers can wait for what they need.
 *
 * Owns what waits for the target, within a bound. Keeps nothing: the position lives with the data, so after any
 * crash of either side they agree, and a new derived store is an applier with an empty target.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { MeridianError } from '../errors/errors.ts';
import { decodeRecords, verifyBatch } from '../frames/batch.ts';
import { decodeDeliveries } from '../frames/delivery.ts';
import type { KeyRange } from '../frames/key-filter.ts';
import { ReadPoints } from './read-points.ts';
import type { Source, SourceGap, SourceSubscription } from './source.ts';
import type { AppliedBatch, Position, Target } from './target.ts';
import { WatermarkWaiters } from './watermark-waiters.ts';

export interface ApplierOptions {
  readonly source: Source;
  readonly target: Target;
  /** Only these; default: all. */
  readonly streams?: readonly string[];
  /** Only batches with a key in one of these, whole; default: all. */
  readonly keys?: readonly KeyRange[];
  /** Bytes that are handed over at once, if so much is there. Default 1 MiB. */
  readonly chunkBytesMax?: number;
  /** Bytes that may wait for the target before the source is paused. Default 8 MiB. */
  readonly queueBytesMax?: number;
  /** How often the position is stored while only it moves, ms. Default 1,000. */
  readonly positionMs?: number;
  /** Records are gone. Return true to go on without them; default: the applier ends as OUT_OF_RANGE. */
  readonly onGap?: (gap: SourceGap) => boolean;
  /** Something did not work and is tried again. */
  readonly onTrouble?: (error: MeridianError) => void;
}

export interface ApplierStatus {
  /** Everything at or below is in the data. */
  readonly watermark: number;
  /** Bytes that wait for the target. */
  readonly queuedBytes: number;
  /** Who serves the order at the moment; empty while nobody does. */
  readonly source: string;
  /** Instances that hold the order up, by name. */
  readonly stalledBy: readonly string[];
}

interface Waiting {
  readonly frames: readonly Uint8Array[];
  readonly bytes: number;
  readonly position: Position;
}

const CHUNK_BYTES = 1024 * 1024;
const QUEUE_BYTES = 8 * 1024 * 1024;
const POSITION_MS = 1_000;
const DEADLINE_MS = 30_000;
const RETRY_FIRST_MS = 50;
const RETRY_LAST_MS = 5_000;
/** What a journal may be configured to take; a larger batch than ours is not an error here. */
const LIMITS = { batchBytesMax: 64 * 1024 * 1024, recordsMax: 1_000_000 };

/** Resolves once the target has said where it stands and is followed from there. */
export async function startApplier(options: ApplierOptions): Promise<Applier> {
  const applier = new Applier(options);
  await applier.begin();
  return applier;
}

export class Applier {
  readonly #options: ApplierOptions;
  readonly #readPoints: ReadPoints;
  readonly #waiters = new WatermarkWaiters();
  #subscription: SourceSubscription | null = null;
  #waiting: Waiting[] = [];
  #queuedBytes = 0;
  /** Of those that wait, how many the target has been given. */
  #handedOver = 0;
  #paused = false;
  /** Of what has been received, applied or not. */
  #received: Position = { cursor: new Uint8Array(), watermark: 0 };
  #storedAt = -Infinity;
  #stalledBy: readonly string[] = [];
  #running: Promise<void> | null = null;
  #retryMs = RETRY_FIRST_MS;
  #over: { readonly error: MeridianError | null } | null = null;
  #settleEnd: (error: MeridianError | null) => void = () => undefined;
  /** Resolves after `stop`; rejects with what ended it otherwise. */
  readonly ended: Promise<void>;

  /** Use `startApplier`. */
  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#readPoints = new ReadPoints((deadlineMs) => options.source.readPoint(deadlineMs));
    this.ended = new Promise((resolve, reject) => {
      this.#settleEnd = (error) => {
        if (error === null) resolve();
        else reject(error);
      };
    });
    // Whoever does not look at it learns the same from the next wait.
    this.ended.catch(() => undefined);
  }

  /** Everything at or below this timestamp is in the data. */
  get watermark(): number {
    return this.#waiters.watermark;
  }

  status(): ApplierStatus {
    return {
      watermark: this.watermark,
      queuedBytes: this.#queuedBytes,
      source: this.#subscription?.source ?? '',
      stalledBy: this.#stalledBy,
    };
  }

  /**
   * Resolves when everything up to the timestamp is in the data: that of an append, to read one's own
   * write, or a read point. DEADLINE after `deadlineMs`, default 30,000; or what ended the applier.
   */
  waitFor(timestamp: number, options: { readonly deadlineMs?: number } = {}): Promise<void> {
    if (this.#over !== null) return Promise.reject(this.#overError());
    return this.#waiters.reached(timestamp, options.deadlineMs ?? DEADLINE_MS);
  }

  /**
   * Runs `fn` once the data holds every append, by anyone in any region, that completed before this call:
   * what it reads is the newest state. Costs one round of heartbeats; concurrent calls share it.
   */
  async linearizable<T>(
    fn: () => T | Promise<T>,
    options: { readonly deadlineMs?: number } = {},
  ): Promise<T> {
    if (this.#over !== null) throw this.#overError();
    const { deadlineMs = DEADLINE_MS } = options;
    const began = performance.now();
    const readPoint = await this.#readPoints.ask(deadlineMs);
    const left = Math.max(1, deadlineMs - (performance.now() - began));
    await this.waitFor(readPoint, { deadlineMs: left });
    return fn();
  }

  /** Stops following, and resolves when the target is not in a call any more. */
  async stop(): Promise<void> {
    this.#end(null);
    await this.#running;
  }

  /** Called by `startApplier`. */
  async begin(): Promise<void> {
    const { source, target, streams = [], keys = [] } = this.#options;
    const stored = await target.position();
    if (this.#over !== null) return;
    this.#waiting = [];
    this.#queuedBytes = 0;
    this.#handedOver = 0;
    this.#paused = false;
    this.#received = stored ?? { cursor: new Uint8Array(), watermark: 0 };
    // What only we knew of may be gone from the data.
    this.#waiters.begin(this.#received.watermark);
    const wish = { after: stored === null ? null : stored.cursor, streams, keys };
    this.#subscription = source.subscribe(wish, {
      onBatches: (frames, cursor) => {
        this.#receive([frames], { cursor, watermark: this.#received.watermark });
      },
      onProgress: (watermark, cursor, stalledBy) => {
        this.#stalledBy = stalledBy;
        if (watermark > this.#received.watermark) this.#receive([], { cursor, watermark });
      },
      onGap: (gap) => {
        this.#miss(gap);
      },
      onEnd: (error) => {
        this.#end(error);
      },
    });
  }

  #receive(frames: readonly Uint8Array[], position: Position): void {
    this.#received = position;
    const bytes = frames.reduce((sum, each) => sum + each.length, 0);
    // Of watermarks one after the other only the last says something: a stuck target collects no more.
    if (frames.length === 0 && this.#waiting.length > this.#handedOver) {
      const last = this.#waiting.pop();
      this.#waiting.push({ frames: last?.frames ?? [], bytes: last?.bytes ?? 0, position });
    } else this.#waiting.push({ frames, bytes, position });
    this.#queuedBytes += bytes;
    if (!this.#paused && this.#queuedBytes > (this.#options.queueBytesMax ?? QUEUE_BYTES)) {
      this.#paused = true;
      this.#subscription?.pause();
    }
    this.#running ??= this.#run();
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0 && this.#over === null) {
      try {
        await this.#applyNext();
        this.#retryMs = RETRY_FIRST_MS;
      } catch (error) {
        if (!(await this.#recover(error))) break;
      }
    }
    this.#running = null;
  }

  async #applyNext(): Promise<void> {
    const { target, chunkBytesMax = CHUNK_BYTES, positionMs = POSITION_MS } = this.#options;
    const frames: Uint8Array[] = [];
    let [bytes, count] = [0, 0];
    let position = this.#received;
    for (const waiting of this.#waiting) {
      if (count > 0 && bytes + waiting.bytes > chunkBytesMax) break;
      frames.push(...waiting.frames);
      ({ position } = waiting);
      bytes += waiting.bytes;
      count += 1;
    }
    this.#handedOver = count;
    const batches = frames.flatMap(batchesIn);
    const now = performance.now();
    if (batches.length > 0 || now - this.#storedAt >= positionMs) {
      await target.apply({ batches, position });
      this.#storedAt = now;
    }
    this.#waiting.splice(0, count);
    this.#handedOver = 0;
    this.#queuedBytes -= bytes;
    this.#waiters.advance(position.watermark);
    if (this.#paused && this.#queuedBytes <= (this.#options.queueBytesMax ?? QUEUE_BYTES) / 2) {
      this.#paused = false;
      this.#subscription?.resume();
    }
  }

  /** The target knows best what became of the chunk: goes on from the position it says. */
  async #recover(error: unknown): Promise<boolean> {
    this.#subscription?.cancel();
    this.#waiting = [];
    const known = error instanceof MeridianError ? error : wrapped(error);
    if (!known.retry) {
      this.#end(known);
      return false;
    }
    this.#options.onTrouble?.(known);
    await pause(this.#retryMs);
    this.#retryMs = Math.min(RETRY_LAST_MS, this.#retryMs * 2);
    if (this.#over !== null) return false;
    try {
      await this.begin();
      return true;
    } catch (again) {
      return this.#recover(again);
    }
  }

  #miss(gap: SourceGap): void {
    if (this.#options.onGap?.(gap) === true) return;
    const where = gap.instance === '' ? '' : ` of instance ${gap.instance}`;
    const message = `records${where} from ${gap.from} to ${gap.to} are ${gap.kind}: begin with a snapshot that has them`;
    const details = { instance: gap.instance, kind: gap.kind, from: gap.from, to: gap.to };
    this.#end(new MeridianError('OUT_OF_RANGE', message, { details }));
  }

  #end(error: MeridianError | null): void {
    if (this.#over !== null) return;
    this.#over = { error };
    this.#subscription?.cancel();
    this.#waiters.fail(this.#overError());
    this.#settleEnd(error);
  }

  #overError(): MeridianError {
    return this.#over?.error ?? new MeridianError('UNAVAILABLE', 'the applier was stopped');
  }
}

/** Checks every batch's checksum once more: the store is the last place to notice. */
function batchesIn(frames: Uint8Array): AppliedBatch[] {
  return decodeDeliveries(frames).map((delivery) => {
    const { timestamp, recordOffset, firstSeqNum, instance, batch } = delivery;
    const { stream } = verifyBatch(batch, LIMITS);
    const records = decodeRecords(batch);
    return { stream, instance, timestamp, recordOffset, firstSeqNum, records };
  });
}

function wrapped(cause: unknown): MeridianError {
  const text = cause instanceof Error ? cause.message : String(cause);
  return new MeridianError('REFUSED', `the target failed: ${text}`, { cause });
}
