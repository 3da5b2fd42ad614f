/**
 * All reads of this replica. Owns when they are pumped: after a step that moved the watermark, at most
 * once a millisecond each, and on every tick; a reader itself knows what there is to send.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { ReadRequest, ReadResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { ServerStream } from '../../libs/rpc/rpc.ts';
import type { Micros } from '../../libs/values/numbers.ts';
import type { Clocks } from './clocks.ts';
import type { Linearizer } from './linearizer.ts';
import { planRead } from './read-plan.ts';
import { Reader } from './reader.ts';
import type { ReaderContext } from './reader.ts';
import type { Target } from './target.ts';

export interface ReadersOptions extends ReaderContext {
  readonly target: Target;
  readonly clocks: Clocks;
  readonly linearizer: Linearizer;
  readonly readersMax: number;
  readonly onUnreadable: (error: MeridianError) => void;
}

/** A pump sends two messages at least; more often than this they would cost more than they bring. */
const PUMP_MICROS = 1_000;
/** How far ahead of everything seen here another replica's clock may be. */
const FUTURE_MICROS = 10_000_000;

type Stream = ServerStream<ReadResponse>;

export class Readers {
  readonly #options: ReadersOptions;
  readonly #readers = new Map<Reader, Stream>();
  readonly #streams = new Set<Stream>();
  #pumpedAt = -Infinity;
  #late: NodeJS.Timeout | null = null;

  constructor(options: ReadersOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#streams.size;
  }

  /** Takes a read call. Throws what is wrong with it at once. */
  open(request: ReadRequest, stream: Stream): void {
    const { target, linearizer, readersMax } = this.#options;
    target.check(request.target);
    if (this.#streams.size >= readersMax) {
      throw new MeridianError('OVERLOADED', `${readersMax} reads are open at this replica`, {
        details: { retryAfterMs: 1000, limit: readersMax },
      });
    }
    let giveUp: () => void = () => undefined;
    this.#streams.add(stream);
    stream.onClose(() => {
      giveUp();
      this.#streams.delete(stream);
    });
    if (this.#begin(request, stream, false)) return;
    giveUp = linearizer.ask(true, {
      settled: () => {
        this.#attempt(stream, () => this.#begin(request, stream, true));
      },
      failed: (error) => {
        stream.fail(error);
      },
    });
  }

  /** Ends all reads; their clients go on elsewhere from where they are. */
  stop(error: MeridianError): void {
    if (this.#late !== null) clearTimeout(this.#late);
    for (const stream of this.#streams) stream.fail(error);
    this.#readers.clear();
  }

  /** Called after every step. */
  pump(): void {
    if (this.#readers.size === 0) return;
    const now = this.#options.clocks.monotonic();
    if (now - this.#pumpedAt >= PUMP_MICROS) this.#pumpAll(now);
    else {
      this.#late ??= setTimeout(() => {
        this.#late = null;
        this.#pumpAll(this.#options.clocks.monotonic());
      }, 1);
    }
  }

  #pumpAll(now: Micros): void {
    this.#pumpedAt = now;
    for (const [reader, stream] of this.#readers) {
      if (reader.done) this.#readers.delete(reader);
      else this.#pumpOne(reader, stream, now);
    }
  }

  /** Bytes that cannot be read back cost the reads that want them, not the replica. */
  #pumpOne(reader: Reader, stream: Stream, now: Micros): void {
    try {
      reader.pump(now);
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      this.#options.onUnreadable(error);
      stream.fail(error);
    }
  }

  /** false: this replica may not know enough yet. */
  #begin(request: ReadRequest, stream: Stream, settled: boolean): boolean {
    const { clocks, watermark, index, store, order } = this.#options;
    const reached = watermark.value;
    const futureFrom = Math.max(clocks.wall(), reached) + FUTURE_MICROS;
    const state = { index, store, order, watermark: reached, futureFrom };
    const plan = planRead(request, state, settled);
    if (plan === 'later') return false;
    const reader = new Reader(this.#options, stream, plan);
    this.#readers.set(reader, stream);
    stream.onDrain(() => {
      if (!reader.done) this.#pumpOne(reader, stream, clocks.monotonic());
    });
    this.#pumpOne(reader, stream, clocks.monotonic());
    return true;
  }

  #attempt(stream: Stream, action: () => void): void {
    try {
      action();
    } catch (error) {
      stream.fail(error);
    }
  }
}
