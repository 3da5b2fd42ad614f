/**
 * Appends of one writer, in order, each taking effect once, through whatever region answers
 * (ARCHITECTURE.md decision 5): go-back-N. When a session ends, everything unanswered goes again, in
 * order and with the same sequence numbers, to another replica, above the highest timestamp that was
 * acknowledged. Each append is settled exactly once.
 *
 * After a session that did not say what became of its appends, the next one is ORDERED until they are
 * answered: only the order knows the first outcome of a repetition. So is the first append of a writer that
 * takes over: only the order knows whether its former self was quicker. Then the writer returns to its own
 * kind of acknowledgement, and, when the nearest region works again, to that.
 *
 * A deadline that passes tells the caller: DEADLINE when the append may have been sent, UNAVAILABLE
 * when it certainly was not. The former stays in the pipeline, because what follows it in the chain
 * needs it decided.
 *
 * An implicit writer (no `writer` given) outlives everything: a broken chain is replaced by a new one.
 * An explicit one ends at the first append that the order did not decide: to go on would be to jump
 * over it.
 */
import { MeridianError } from '../errors/errors.ts';
import { BATCH_LIMITS, encodeBatch } from '../frames/batch.ts';
import type { AppendRun } from '../gen/meridian/journal/v1/journal_pb.ts';
import { assert } from '../values/assert.ts';
import { mistakeIn, queueBytes } from './append-checks.ts';
import { Identity } from './identity.ts';
import type { WriterStart } from './identity.ts';
import { failureOf, Pipe } from './pipe.ts';
import { isConditional, Pipeline } from './pipeline.ts';
import type { AppendInput, Done, Pending } from './pipeline.ts';
import type { Region } from './regions.ts';
import { Route } from './route.ts';
import type { RouteSettings } from './route.ts';
import type { AckMode, AppendSpan, AppendTracer } from './types.ts';

export interface AppenderOptions extends RouteSettings {
  readonly ack: AckMode;
  /** Default: implicit. */
  readonly writer?: WriterStart;
  /** Bytes of appends that may be unanswered; beyond, they are refused as OVERLOADED. Default 64 MiB. */
  readonly queueBytesMax?: number;
  /** Decides which appends are traced. */
  readonly tracer?: AppendTracer | undefined;
}

/** As many as the order remembers outcomes of one writer: more could not be asked for again. */
export const UNANSWERED_MAX = 4096;
/** A message is sent at this size; a larger batch goes alone. */
const MESSAGE_BYTES = 256 * 1024;
const CHECK_MS = 50;
/** The order did not decide these; a chain with one of them cannot go on. */
const CHAIN_BROKEN = new Set(['WRITER_FENCED', 'WRITER_GAP', 'WRITER_FORGOTTEN']);
/** A batch that a replica cannot take, wherever it stands. */
const UNFIT = new Set(['INVALID', 'TOO_LARGE']);

/** Fenced is said of all appends of an epoch, also of one that took effect before. */
function unsure(failure: MeridianError): MeridianError {
  if (failure.reason !== 'WRITER_FENCED') return failure;
  const message = `${failure.message}; it was sent before, and may have taken effect then`;
  return new MeridianError('INDEFINITE', message, { cause: failure });
}

/** Ends the span with the append. */
function spanned(span: AppendSpan, done: Done): Done {
  return (error, result) => {
    span.end(error, result);
    done(error, result);
  };
}

export class Appender {
  readonly #options: AppenderOptions;
  readonly #pipeline = new Pipeline();
  readonly #identity: Identity;
  readonly #route: Route;
  /** Regions that refused for good since the last answer. */
  readonly #refused = new Set<Region>();
  #pipe: Pipe | null = null;
  /** What the pipe's replica grants; null until it is open. */
  #grant: { readonly windowBytes: number; readonly batchBytesMax: number } | null = null;
  /** When the pipe last answered, or began to owe an answer. */
  #heardAt = 0;
  /** Set: nothing is sent until the pipe is empty; the next one is opened there. */
  #moveTo: Region | null = null;
  /** How many, from the oldest, go one at a time, to find the one that a replica cannot take. */
  #alone = 0;
  /**
   * `previous` names a number, not an epoch: until the journal has taken the first append of a writer
   * that goes on behind a former self, numbers of that self may still come in its way.
   */
  #continuing: boolean;
  #lastTimestamp = 0;
  #lastError: MeridianError | null = null;
  #ended: MeridianError | null = null;
  #closed = false;
  #scheduled = false;
  #reopen: NodeJS.Timeout | null = null;
  #timer: NodeJS.Timeout | null = null;
  #idle: (() => void)[] = [];

  constructor(options: AppenderOptions) {
    this.#options = options;
    this.#identity = new Identity(options.writer);
    this.#route = new Route(options);
    this.#continuing = (options.writer?.lastSeq ?? 0) > 0;
  }

  /** Why this writer takes nothing more; null while it does. */
  get ended(): MeridianError | null {
    return this.#ended;
  }

  /** Highest timestamp this writer has seen acknowledged. */
  get timestamp(): number {
    return this.#lastTimestamp;
  }

  /** Bytes of appends that are not answered. */
  get unansweredBytes(): number {
    return this.#pipeline.bytes;
  }

  /** Calls `done` exactly once. The records must not change before that. */
  append(wish: AppendInput, deadlineMs: number, told: Done): void {
    const span = this.#options.tracer?.begin(wish.stream, wish.traceparent) ?? null;
    const input = span === null ? wish : { ...wish, trace: span.context };
    const done = span === null ? told : spanned(span, told);
    const size = queueBytes(input.records);
    const refusal = this.#ended ?? mistakeIn(input, deadlineMs) ?? this.#overload(size);
    if (refusal !== null) {
      this.#undecided(refusal);
      done(refusal, null);
      return;
    }
    const deadline = performance.now() + deadlineMs;
    const pending = { input, size, deadline, done, frame: null, link: null, uncertain: false };
    this.#pipeline.push(pending);
    this.#timer ??= setInterval(() => {
      this.#check();
    }, CHECK_MS);
    this.#schedule();
  }

  /** Resolves when no caller waits any more. */
  whenIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      this.#tellIdle();
    });
  }

  /** Takes nothing more; what may be under way is rejected as INDEFINITE, the rest as UNAVAILABLE. */
  close(): void {
    const closed = new MeridianError('UNAVAILABLE', 'the writer was closed');
    this.#closed = true;
    this.#end(closed);
    this.#rejectAll(closed);
    this.#pipe?.cancel();
    this.#pipe = null;
    if (this.#reopen !== null) clearTimeout(this.#reopen);
    this.#reopen = null;
    this.#stopTimer();
  }

  // ---- sending --------------------------------------------------------------------------------

  /** One turn of the event loop fills one message. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    const pipeline = this.#pipeline;
    if (pipeline.count === 0 || this.#closed) return;
    const pipe = this.#pipe;
    if (pipe === null) {
      if (this.#reopen === null) this.#openPipe();
      return;
    }
    const grant = this.#grant;
    if (grant === null || this.#moveTo !== null) return;
    if (pipeline.sent === 0) this.#heardAt = performance.now();
    while (pipe.hasRoom && this.#sendMessage(pipe, grant));
    if (pipeline.count === 0) this.#tellIdle();
  }

  /** false: nothing more may be sent for now. */
  #sendMessage(pipe: Pipe, grant: { windowBytes: number; batchBytesMax: number }): boolean {
    const pipeline = this.#pipeline;
    const frames: Uint8Array[] = [];
    let bytes = 0;
    let minTimestamp = this.#lastTimestamp;
    while (pipeline.sent < pipeline.count) {
      const pending = pipeline.at(pipeline.sent);
      if (!this.#maySend(pipe, pending)) break;
      const frame = pending.frame ?? this.#encode(pending, grant.batchBytesMax);
      if (frame === null) continue;
      // An append larger than the window goes when nothing else is under way.
      if (pipeline.sent > 0 && pipeline.sentBytes + frame.length > grant.windowBytes) break;
      if (bytes > 0 && bytes + frame.length > MESSAGE_BYTES) break;
      minTimestamp = Math.max(minTimestamp, pending.input.minTimestamp ?? 0);
      frames.push(frame);
      bytes += frame.length;
      pipeline.markSent(frame);
    }
    if (bytes === 0) return false;
    pipe.send(frames, bytes, minTimestamp);
    return true;
  }

  #maySend(pipe: Pipe, pending: Pending): boolean {
    const { sent, encoded, uncertain } = this.#pipeline;
    if ((this.#alone > 0 || this.#continuing) && sent > 0) return false;
    // A QUORUM writer on an ORDERED session: only repetitions belong there, and a takeover.
    if (pipe.ack !== this.#options.ack && sent >= uncertain && !this.#continuing) return false;
    return pending.frame !== null || encoded < UNANSWERED_MAX;
  }

  /** null: there is something wrong with it; it has been rejected and has no place in the chain. */
  #encode(pending: Pending, batchBytesMax: number): Uint8Array | null {
    const pipeline = this.#pipeline;
    if (pipeline.encoded === 0) this.#identity.renewIfStale();
    try {
      const { stream, records, matchSeqNum, fencingToken, mustExist, trace, seq } = pending.input;
      const writer = this.#identity.next(seq);
      const batch = { stream, records, matchSeqNum, fencingToken, mustExist, trace, writer };
      const frame = encodeBatch(batch, { ...BATCH_LIMITS, batchBytesMax });
      pipeline.markEncoded(pending, frame, writer);
      this.#identity.accept(writer);
      return frame;
    } catch (cause) {
      // Anything else is an argument of the wrong type, which callers without TypeScript can pass.
      const error =
        cause instanceof MeridianError
          ? cause
          : new MeridianError('INVALID', String(cause), { cause });
      this.#refuse(pipeline.remove(pipeline.encoded), error);
      return null;
    }
  }

  #overload(size: number): MeridianError | null {
    const limit = this.#options.queueBytesMax ?? 64 * 1024 * 1024;
    const { bytes } = this.#pipeline;
    if (bytes + size <= limit) return null;
    const message = `${bytes} bytes of appends are unanswered, ${limit} are allowed: wait for answers`;
    return new MeridianError('OVERLOADED', message, { details: { retryAfterMs: 100, limit } });
  }

  // ---- answers --------------------------------------------------------------------------------

  #handleRuns(pipe: Pipe, runs: readonly AppendRun[]): void {
    this.#heardAt = performance.now();
    this.#refused.clear();
    this.#route.worked(pipe.region);
    for (const run of runs) {
      if (run.count > this.#pipeline.sent) {
        pipe.cancel();
        const message = `${pipe.region.name} answered more appends than it was sent`;
        this.#handleEnd(pipe, new MeridianError('INDEFINITE', message));
        return;
      }
      this.#handleRun(pipe, run);
    }
    this.#maybeMove();
    this.#tellIdle();
    this.#schedule();
  }

  #handleRun(pipe: Pipe, run: AppendRun): void {
    const pipeline = this.#pipeline;
    const failure = failureOf(run);
    const timestamp = Number(run.timestamp);
    const region = pipe.region.name;
    const { duplicate } = run;
    const forwardedVia = run.forwardedVia === '' ? null : run.forwardedVia;
    let seqNum = Number(run.firstSeqNum);
    if (failure === null) {
      this.#continuing = false;
      this.#lastTimestamp = Math.max(this.#lastTimestamp, timestamp);
    }
    for (let answered = 0; answered < run.count; answered += 1) {
      const pending = pipeline.answered();
      if (this.#alone > 0) this.#alone -= 1;
      if (failure !== null) {
        pipeline.settle(pending, pending.uncertain ? unsure(failure) : failure, null);
        continue;
      }
      const ordered = pipe.ack === 'ORDERED' || isConditional(pending.input);
      const firstSeqNum = ordered ? seqNum : null;
      pipeline.settle(pending, null, {
        timestamp,
        firstSeqNum,
        duplicate,
        region,
        forwardedVia,
      });
      seqNum += pending.input.records.length;
    }
    if (failure === null || !CHAIN_BROKEN.has(failure.reason)) return;
    if (this.#identity.implicit) this.#identity.renew();
    else this.#end(failure);
  }

  // ---- sessions -------------------------------------------------------------------------------

  #openPipe(): void {
    const { cluster, instance } = this.#options;
    const region = this.#moveTo ?? this.#route.next();
    this.#moveTo = null;
    if (region === null) {
      this.#openLater(this.#route.pauseMs());
      return;
    }
    const asksOrder = this.#pipeline.uncertain > 0 || this.#continuing;
    const ack = asksOrder ? 'ORDERED' : this.#options.ack;
    this.#grant = null;
    this.#heardAt = performance.now();
    const pipe: Pipe = new Pipe(
      region,
      { cluster, instance, ack },
      {
        onOpen: (windowBytes, batchBytesMax) => {
          if (this.#pipe !== pipe) return;
          this.#grant = { windowBytes, batchBytesMax };
          this.#heardAt = performance.now();
          this.#pump();
        },
        onRuns: (runs) => {
          if (this.#pipe === pipe) this.#handleRuns(pipe, runs);
        },
        onDrain: () => {
          if (this.#pipe === pipe) this.#pump();
        },
        onEnd: (error) => {
          if (this.#pipe === pipe) this.#handleEnd(pipe, error);
        },
      },
    );
    this.#pipe = pipe;
  }

  #openLater(delayMs: number): void {
    this.#reopen = setTimeout(() => {
      this.#reopen = null;
      this.#pump();
    }, delayMs);
  }

  #handleEnd(pipe: Pipe, error: MeridianError): void {
    const pipeline = this.#pipeline;
    const typed = error.details['grpc'] === undefined;
    const unfit = typed && UNFIT.has(error.reason) && this.#grant !== null && pipeline.sent > 0;
    this.#pipe = null;
    this.#moveTo = null;
    this.#lastError = error;
    if (unfit) this.#isolate(error);
    else {
      pipe.region.failed(error);
      // What the replica refuses by name had no effect; of a connection that ends, nothing is known.
      if (typed && error.noEffect && error.reason !== 'UNAVAILABLE') {
        this.#identity.takeBack(pipeline.goBackUndone());
      } else pipeline.goBackUncertain();
      if (!error.retry) this.#refused.add(pipe.region);
      if (this.#refused.size === this.#options.regions.list.length) {
        this.#refused.clear();
        this.#undecided(error);
        this.#rejectAll(error);
      }
    }
    if (pipeline.count === 0) return;
    if (error.reason === 'OVERLOADED') {
      this.#openLater(Math.max(Number(error.details['retryAfterMs'] ?? 0), this.#route.pauseMs()));
    } else this.#openPipe();
  }

  /**
   * A replica could not take one of these appends. Sent one at a time, the culprit gives itself away;
   * those behind it get new places in the chain.
   */
  #isolate(error: MeridianError): void {
    const pipeline = this.#pipeline;
    const found = pipeline.sent === 1 && pipeline.uncertain === 0;
    const suspects = pipeline.encoded;
    this.#identity.takeBack(pipeline.goBackUndone());
    this.#alone = found ? suspects - 1 : suspects;
    if (found) this.#refuse(pipeline.remove(0), error);
  }

  /** The session is empty and the next one is to be another. */
  #maybeMove(): void {
    const pipe = this.#pipe;
    if (pipe === null || this.#pipeline.sent > 0) return;
    const { uncertain } = this.#pipeline;
    const plainAgain = pipe.ack !== this.#options.ack && uncertain === 0 && !this.#continuing;
    if (!plainAgain && this.#moveTo === null) return;
    pipe.finish();
    this.#pipe = null;
    this.#moveTo ??= pipe.region;
    if (this.#pipeline.count > 0) this.#openPipe();
  }

  // ---- time and the end -----------------------------------------------------------------------

  /** Deadlines, silence, the way back. */
  #check(): void {
    const now = performance.now();
    this.#expire(now);
    const pipe = this.#pipe;
    const owes = this.#grant === null || this.#pipeline.sent > 0;
    const silentMs = now - this.#heardAt;
    if (pipe !== null && owes && silentMs > this.#route.patienceMs) {
      pipe.cancel();
      this.#route.growPatience();
      const message = `${pipe.region.name} has not answered for ${Math.round(silentMs)} ms`;
      this.#handleEnd(pipe, new MeridianError('INDEFINITE', message));
    }
    if (pipe !== null && pipe === this.#pipe) {
      this.#route.maybeReturn(pipe.region, (nearest) => {
        if (this.#pipe !== pipe) return;
        this.#moveTo = nearest;
        this.#maybeMove();
      });
    }
    if (this.#pipeline.count === 0) this.#stopTimer();
  }

  #expire(now: number): void {
    const pipeline = this.#pipeline;
    const last = this.#lastError === null ? '' : `; last: ${this.#lastError.message}`;
    for (let index = pipeline.count - 1; index >= 0; index -= 1) {
      const pending = pipeline.at(index);
      if (pending.done === null || pending.deadline > now) continue;
      if (index < pipeline.encoded) {
        const message = `the append was not answered in time${last}`;
        this.#refuse(pending, new MeridianError('DEADLINE', message));
      } else {
        const message = `no replica took the append in time${last}`;
        this.#refuse(pipeline.remove(index), new MeridianError('UNAVAILABLE', message));
      }
      // An explicit writer has ended with this one, and what was not encoded is gone.
      index = Math.min(index, pipeline.count);
    }
  }

  #refuse(pending: Pending, error: MeridianError): void {
    this.#pipeline.settle(pending, error, null);
    this.#undecided(error);
    this.#tellIdle();
  }

  /** An append failed that the order did not decide: an explicit writer does not jump over it. */
  #undecided(error: MeridianError): void {
    if (!this.#identity.implicit) this.#end(error);
  }

  /** Takes nothing more, and sends nothing that has no place in the chain yet. */
  #end(error: MeridianError): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    const pipeline = this.#pipeline;
    const message = `the writer has ended: ${error.message}`;
    const behind = new MeridianError('UNAVAILABLE', message, { cause: error });
    while (pipeline.count > pipeline.encoded) {
      pipeline.settle(pipeline.remove(pipeline.encoded), behind, null);
    }
    this.#tellIdle();
  }

  #rejectAll(error: MeridianError): void {
    const pipeline = this.#pipeline;
    for (let index = 0; index < pipeline.encoded; index += 1) {
      const message = `the outcome of the append is not known: ${error.message}`;
      pipeline.settle(pipeline.at(index), new MeridianError('INDEFINITE', message), null);
    }
    while (pipeline.count > pipeline.encoded) {
      pipeline.settle(pipeline.remove(pipeline.encoded), error, null);
    }
    assert(pipeline.waiting === 0, 'every caller has been told');
    this.#tellIdle();
  }

  #tellIdle(): void {
    if (this.#idle.length === 0 || this.#pipeline.waiting > 0) return;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
