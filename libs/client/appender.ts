/**
 * Appends of one writer, in order, each taking effect once, through whatever region answers
 * (ARCHITECTURE.md decision 5): go-back-N. A session that ends leaves its unanswered appends
 * uncertain; they are sent again in order with the same sequence numbers, above the highest
 * acknowledged timestamp, and then with ORDERED acknowledgement, which returns the first outcome.
 */
import { performance } from 'node:perf_hooks';
import { MeridianError } from '../errors/errors.ts';
import type { AppendRun } from '../gen/meridian/journal/v1/journal_pb.ts';
import { failureOf, Pipe } from './pipe.ts';
import { Pipeline } from './pipeline.ts';
import type { AppendInput, Done, Pending } from './pipeline.ts';
import { backoffMs } from './regions.ts';
import type { Regions } from './regions.ts';

export interface AppenderOptions {
  readonly cluster: string;
  readonly instance: string;
  readonly regions: Regions;
  readonly ack: 'QUORUM' | 'ORDERED';
  /** `lastSeq`: where the writer's chain stands in the journal; 0 for a new writer. */
  readonly writer: { readonly id: string; readonly epoch: number; readonly lastSeq: number };
  /** Bytes of appends that wait to be sent; beyond, they are refused as OVERLOADED. Default 64 MiB. */
  readonly queueBytesMax?: number;
  /** Silence after which an unanswered append is tried elsewhere. Default 2,000 ms. */
  readonly silenceMs?: number;
  /** Time after which a client that had to move tries its nearest region again. Default 10,000 ms. */
  readonly returnMs?: number;
}

const MESSAGE_BYTES = 256 * 1024;
const CHECK_MS = 50;
/** What ends the writer itself: everything after it would fail as well. */
const WRITER_ENDED = new Set(['WRITER_FENCED', 'WRITER_GAP', 'WRITER_FORGOTTEN']);
/** What no other region would judge differently. */
const HOPELESS = new Set(['WRONG_TARGET', 'UNAUTHENTICATED', 'PERMISSION_DENIED']);

export class Appender {
  private readonly options: AppenderOptions;
  private readonly pipeline: Pipeline;
  private pipe: Pipe | null = null;
  private open = false;
  private full = false;
  private windowBytes = 0;
  private regionIndex = 0;
  private failures = 0;
  private reopenAt = 0;
  private movedAt = 0;
  private heardAt = 0;
  private lastTimestamp = 0;
  private scheduled = false;
  private timer: NodeJS.Timeout | null = null;
  /** Why this writer takes nothing more. */
  ended: MeridianError | null = null;

  constructor(options: AppenderOptions) {
    this.options = options;
    this.pipeline = new Pipeline(options.writer);
  }

  /** Highest timestamp this writer has seen acknowledged. */
  get timestamp(): number {
    return this.lastTimestamp;
  }

  /** Calls `done` exactly once. */
  append(input: AppendInput, deadlineMs: number, done: Done): void {
    if (this.ended !== null) {
      done(this.ended, null);
      return;
    }
    const size = input.records.reduce((sum, { body }) => sum + body.length, 0);
    const bound = this.options.queueBytesMax ?? 64 << 20;
    if (this.pipeline.queueBytes + size > bound) {
      const message = `${this.pipeline.queueBytes} bytes of appends wait already (at most ${bound})`;
      done(new MeridianError('OVERLOADED', message, { details: { retryAfterMs: 100 } }), null);
      return;
    }
    const deadline = performance.now() + deadlineMs;
    this.pipeline.push({ input, deadline, size, done, frame: null, seq: 0, uncertain: false });
    this.schedule();
  }

  /** Refuses what is new; what is under way is rejected as unknown. */
  close(): void {
    this.end(new MeridianError('UNAVAILABLE', 'the writer was closed'));
  }

  /** One turn of the event loop fills one message. */
  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.pump();
    });
  }

  private pump(): void {
    if (this.ended !== null || this.pipeline.empty) return;
    this.timer ??= setInterval(() => {
      this.check();
    }, CHECK_MS);
    if (this.pipe === null) {
      if (performance.now() >= this.reopenAt) this.openPipe();
      return;
    }
    while (this.open && !this.full && this.pipeline.waiting > 0) {
      if (!this.sendMessage()) return;
    }
  }

  /** false: the window is full. */
  private sendMessage(): boolean {
    const { pipeline } = this;
    const frames: Uint8Array[] = [];
    let bytes = 0;
    for (let next = pipeline.next; next !== undefined; next = pipeline.next) {
      if (next.done === null && next.frame === null) {
        pipeline.shift();
        continue;
      }
      const frame = this.encode(next);
      if (frame === null) continue;
      const room = this.windowBytes - pipeline.unansweredBytes;
      // An append larger than the window goes alone.
      if (frame.length > room && pipeline.outstanding > 0) break;
      if (bytes > 0 && bytes + frame.length > MESSAGE_BYTES) break;
      frames.push(frame);
      bytes += frame.length;
      if (pipeline.outstanding === 0) this.heardAt = performance.now();
      pipeline.sent(pipeline.shift());
    }
    if (bytes === 0) return false;
    this.full = this.pipe?.send(frames, bytes, this.lastTimestamp) === false;
    return true;
  }

  private encode(pending: Pending): Uint8Array | null {
    try {
      return this.pipeline.encode(pending);
    } catch (error) {
      this.pipeline.shift();
      if (!(error instanceof MeridianError)) throw error;
      settle(pending, error);
      return null;
    }
  }

  private openPipe(): void {
    const { cluster, instance, regions, ack } = this.options;
    const uncertain = this.pipeline.next?.uncertain === true;
    this.open = false;
    this.full = false;
    this.heardAt = performance.now();
    const pipe: Pipe = new Pipe(
      regions.at(this.regionIndex),
      { cluster, instance, ack: uncertain ? 'ORDERED' : ack },
      {
        onOpen: (windowBytes) => {
          if (this.pipe !== pipe) return;
          this.open = true;
          this.windowBytes = windowBytes;
          this.heardAt = performance.now();
          this.pump();
        },
        onRun: (run) => {
          if (this.pipe === pipe) this.handleRun(run, pipe);
        },
        onDrain: () => {
          if (this.pipe !== pipe) return;
          this.full = false;
          this.pump();
        },
        onEnd: (error) => {
          if (this.pipe === pipe) this.handleEnd(error);
        },
      },
    );
    this.pipe = pipe;
  }

  private handleRun(run: AppendRun, pipe: Pipe): void {
    this.heardAt = performance.now();
    this.failures = 0;
    const failure = failureOf(run);
    const timestamp = Number(run.timestamp);
    if (timestamp > this.lastTimestamp && failure === null) this.lastTimestamp = timestamp;
    let seqNum = Number(run.firstSeqNum);
    for (let i = 0; i < run.count; i += 1) {
      const pending = this.pipeline.answered();
      if (failure !== null) settle(pending, failure);
      else {
        const { done } = pending;
        pending.done = null;
        const firstSeqNum = pipe.ack === 'ORDERED' ? seqNum : null;
        const { duplicate } = run;
        done?.(null, { timestamp, firstSeqNum, duplicate, region: pipe.region });
        seqNum += pending.input.records.length;
      }
    }
    if (failure !== null && WRITER_ENDED.has(failure.reason)) this.end(failure);
    else if (this.pipeline.empty) this.idle(pipe);
    else this.pump();
  }

  /** With nothing under way the next session may be a plain one again, and nearer. */
  private idle(pipe: Pipe): void {
    this.stopTimer();
    const away =
      this.regionIndex !== 0 &&
      performance.now() - this.movedAt > (this.options.returnMs ?? 10_000);
    if (pipe.ack === this.options.ack && !away) return;
    this.drop();
    if (away) this.regionIndex = 0;
  }

  private handleEnd(error: MeridianError | null): void {
    const { pipeline } = this;
    this.pipe = null;
    this.open = false;
    const oldest = pipeline.oldest;
    const reason = error ?? new MeridianError('UNAVAILABLE', 'the replica ended the session');
    if (HOPELESS.has(reason.reason)) {
      this.end(reason);
      return;
    }
    if (!reason.retry && reason.noEffect && oldest !== undefined && !oldest.uncertain) {
      // The replica refused this one append; what came after it certainly had no effect either.
      pipeline.goBack(false);
      settle(pipeline.dropFirst(), reason);
      this.reopenAt = 0;
    } else {
      pipeline.goBack(true);
      this.move();
    }
    this.pump();
  }

  /** Elsewhere at once; after a whole round without success, later. */
  private move(): void {
    const { regions } = this.options;
    this.failures += 1;
    this.regionIndex = (this.regionIndex + 1) % regions.list.length;
    this.movedAt = performance.now();
    const rounds = Math.floor(this.failures / regions.list.length);
    this.reopenAt = rounds === 0 ? 0 : this.movedAt + backoffMs(rounds, Math.random);
  }

  /** Deadlines, silence, and sessions to be opened later. */
  private check(): void {
    const now = performance.now();
    const silence = this.options.silenceMs ?? 2_000;
    if (this.pipe !== null && now - this.heardAt > silence) {
      const waiting = this.pipeline.outstanding > 0 || !this.open;
      if (waiting) {
        this.drop();
        this.pipeline.goBack(true);
        this.move();
      }
    }
    for (const pending of this.pipeline.overdue(now)) {
      const message = pending.frame === null ? 'never sent' : 'sent, outcome not known';
      const never = pending.frame === null;
      settle(
        pending,
        new MeridianError(never ? 'UNAVAILABLE' : 'DEADLINE', `deadline: ${message}`),
      );
    }
    this.pump();
    if (this.pipeline.empty) this.stopTimer();
  }

  private drop(): void {
    this.pipe?.close();
    this.pipe = null;
    this.open = false;
  }

  private end(error: MeridianError): void {
    if (this.ended !== null) return;
    this.ended = error;
    this.drop();
    this.stopTimer();
    for (const pending of this.pipeline.takeAll()) {
      const sure = pending.frame === null;
      const unknown = new MeridianError('INDEFINITE', `outcome not known: ${error.message}`, {
        cause: error,
      });
      settle(pending, sure ? error : unknown);
    }
  }

  private stopTimer(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }
}

function settle(pending: Pending, error: MeridianError): void {
  const { done } = pending;
  pending.done = null;
  done?.(error, null);
}
