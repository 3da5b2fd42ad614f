/**
 * All reads of this replica. Owns when they are pumped and what may wait for their clients:
 *
 * - after a step that moved the watermark, at most once a millisecond, and never for more than a
 *   quarter of the time: with many readers at the tail each message carries more;
 * - when a client has made room; and, for filtered reads with much to look through, in slices by turns;
 * - bytes that wait for clients are bounded over all reads: each has an equal share of the bound, so a
 *   hundred slow readers hold no more than ten.
 *
 * A reader itself knows what there is to send.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { ReadRequest, ReadResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { ServerStream } from '../../libs/rpc/rpc.ts';
import type { Micros } from '../../libs/values/numbers.ts';
import type { Clocks } from './clocks.ts';
import type { Linearizer } from './linearizer.ts';
import { planRead } from './read-plan.ts';
import { Reader } from './reader.ts';
import type { ReaderContext, ReaderView, Room } from './reader-context.ts';
import { SharedChunks } from './shared-chunks.ts';
import type { Target } from './target.ts';

export interface ReadersOptions extends Omit<ReaderContext, 'room' | 'now' | 'figures' | 'chunks'> {
  readonly target: Target;
  readonly clocks: Clocks;
  readonly linearizer: Linearizer;
  readonly readersMax: number;
  /** Bytes of batches after which a message is sent, where the bound below leaves room. */
  readonly chunkBytes: number;
  /** Bytes that may wait for the clients of all reads together. */
  readonly readersBytesMax: number;
}

/** What SREs ask about reads. */
export interface ReaderFigures {
  opened: number;
  refused: number;
  cutOff: number;
  /** Written to clients. */
  bytes: number;
  batches: number;
  /** Messages made for one reader and sent to another too. */
  readonly sharedChunks: number;
}

/** More often than this, a pump would cost more than it brings. */
const PUMP_MICROS = 1_000;
/** Pauses between pumps, as a multiple of what the last one took. */
const PUMP_REST = 3;
/** Fewer do not hold a replica up, and asking for the processor time would cost more than they do. */
const READERS_HEAVY = 8;
/** However many readers: less makes messages too small to be worth their cost. */
const SHARE_BYTES_MIN = 32 * 1024;
/** How far ahead of everything seen here another replica's clock may be. */
const FUTURE_MICROS = 10_000_000;
/** Filtered reads that look through their slice in one turn of the event loop. */
const SCANS_PER_TURN = 2;

type Stream = ServerStream<ReadResponse>;

export class Readers {
  readonly #options: ReadersOptions;
  readonly #context: ReaderContext;
  readonly #room: { shareBytes: number; heldBytes: number } & Room;
  readonly #readers = new Map<Reader, Stream>();
  readonly #streams = new Set<Stream>();
  /** Have more to look through at once. */
  readonly #scanning = new Set<Reader>();
  readonly figures: ReaderFigures;
  #pumpFrom = -Infinity;
  #late: NodeJS.Timeout | null = null;
  #scanScheduled = false;
  #stopped = false;

  constructor(options: ReadersOptions) {
    this.#options = options;
    this.#room = { shareBytes: 0, heldBytes: 0 };
    const chunks = new SharedChunks(options.index, options.store);
    this.figures = {
      opened: 0,
      refused: 0,
      cutOff: 0,
      bytes: 0,
      batches: 0,
      get sharedChunks() {
        return chunks.reused;
      },
    };
    this.#context = {
      ...options,
      chunks,
      figures: this.figures,
      room: this.#room,
      now: () => options.clocks.monotonic(),
    };
    this.#divide();
  }

  get count(): number {
    return this.#streams.size;
  }

  /** Bytes that wait for clients. */
  get heldBytes(): number {
    return this.#room.heldBytes;
  }

  /** Those furthest behind first. */
  views(countMax: number): ReaderView[] {
    const open = [...this.#readers.keys()].filter((reader) => !reader.done);
    const views = open.map((reader) => reader.view);
    return views.sort((a, b) => a.position - b.position).slice(0, countMax);
  }

  /** Takes a read call. Throws what is wrong with it at once. */
  open(request: ReadRequest, stream: Stream): void {
    const { target, linearizer, readersMax } = this.#options;
    target.check(request.target);
    if (this.#streams.size >= readersMax) {
      this.figures.refused += 1;
      throw new MeridianError('OVERLOADED', `${readersMax} reads are open at this replica`, {
        details: { retryAfterMs: 1000, limit: readersMax },
      });
    }
    let giveUp: () => void = () => undefined;
    let reader: Reader | null = null;
    this.figures.opened += 1;
    // A read that was cut off counts until its client has taken what waits for it, or is gone.
    this.#streams.add(stream);
    this.#divide();
    stream.onClose(() => {
      giveUp();
      reader?.close();
      this.#streams.delete(stream);
      this.#divide();
    });
    reader = this.#begin(request, stream, false);
    if (reader !== null) return;
    giveUp = linearizer.ask(true, {
      settled: () => {
        this.#attempt(stream, () => {
          reader = this.#begin(request, stream, true);
        });
      },
      failed: (error) => {
        stream.fail(error);
      },
    });
  }

  /** Ends all reads; their clients go on elsewhere from where they are. */
  stop(error: MeridianError): void {
    this.#stopped = true;
    if (this.#late !== null) clearTimeout(this.#late);
    for (const stream of this.#streams) stream.fail(error);
    this.#readers.clear();
    this.#scanning.clear();
  }

  /** Called after every step. */
  pump(): void {
    if (this.#readers.size === 0) return;
    const now = this.#options.clocks.monotonic();
    if (now >= this.#pumpFrom) this.#pumpAll(now);
    else this.#pumpIn(this.#pumpFrom - now);
  }

  #pumpIn(micros: number): void {
    this.#late ??= setTimeout(
      () => {
        this.#late = null;
        this.#pumpAll(this.#options.clocks.monotonic());
      },
      Math.ceil(micros / 1000),
    );
  }

  #pumpAll(now: Micros): void {
    const before = this.#readers.size < READERS_HEAVY ? 0 : processorMicros();
    let owesProgress = false;
    for (const [reader, stream] of this.#readers) {
      if (!reader.done && reader.checkPace(now)) this.figures.cutOff += 1;
      if (reader.done) this.#readers.delete(reader);
      else if (!this.#scanning.has(reader)) this.#pumpOne(reader, stream, now);
      owesProgress ||= reader.owesProgress;
    }
    const ended = this.#options.clocks.monotonic();
    // On a machine that others use too, most of the time between the two may not have been ours.
    const took = before === 0 || ended - now < PUMP_MICROS ? 0 : processorMicros() - before;
    this.#pumpFrom = ended + Math.max(PUMP_MICROS, took * PUMP_REST);
    // It falls due with time alone: there may be no step for longer.
    if (owesProgress) this.#pumpIn(this.#options.progressMicros);
  }

  /** Bytes that cannot be read back cost the reads that want them, not the replica. */
  #pumpOne(reader: Reader, stream: Stream, now: Micros): void {
    try {
      if (reader.pump(now) === 'more') this.#scanLater(reader);
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      this.#options.onUnreadable(error);
      this.#readers.delete(reader);
      stream.fail(error);
    }
  }

  #scanLater(reader: Reader): void {
    this.#scanning.add(reader);
    if (this.#scanScheduled) return;
    this.#scanScheduled = true;
    setImmediate(this.#scan);
  }

  readonly #scan = (): void => {
    this.#scanScheduled = false;
    if (this.#stopped) return;
    const turn = [...this.#scanning].slice(0, SCANS_PER_TURN);
    for (const reader of turn) {
      this.#scanning.delete(reader);
      const stream = this.#readers.get(reader);
      if (stream === undefined || reader.done) continue;
      this.#pumpOne(reader, stream, this.#options.clocks.monotonic());
    }
    for (const reader of this.#scanning) this.#scanLater(reader);
  };

  #divide(): void {
    const { chunkBytes, readersBytesMax } = this.#options;
    const share = Math.floor(readersBytesMax / Math.max(1, this.#streams.size));
    this.#room.shareBytes = Math.max(SHARE_BYTES_MIN, Math.min(2 * chunkBytes, share));
  }

  /** null: this replica may not know enough yet. */
  #begin(request: ReadRequest, stream: Stream, settled: boolean): Reader | null {
    const { clocks, watermark, index, store, order, history } = this.#options;
    const reached = watermark.value;
    const futureFrom = Math.max(clocks.wall(), reached) + FUTURE_MICROS;
    const state = { index, store, order, history, watermark: reached, futureFrom };
    const plan = planRead(request, state, settled);
    if (plan === 'later') return null;
    const reader = new Reader(this.#context, stream, plan);
    this.#readers.set(reader, stream);
    reader.onRoom = () => {
      if (!this.#scanning.has(reader)) this.#pumpOne(reader, stream, clocks.monotonic());
    };
    this.#pumpOne(reader, stream, clocks.monotonic());
    return reader;
  }

  #attempt(stream: Stream, action: () => void): void {
    try {
      action();
    } catch (error) {
      stream.fail(error);
    }
  }
}

function processorMicros(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}
