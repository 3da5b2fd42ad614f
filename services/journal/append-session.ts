/**
 * One append session: an ordered pipe from a client into the lane of this replica. Owns the check of
 * everything the client says, the order of the answers, and the bound on what is unanswered.
 *
 * The first append that cannot be stamped ends the session: nothing behind it is submitted, what
 * stands before it is answered first, then the call fails with the typed error. So the client knows
 * that the first unanswered append and all later ones certainly had no effect. A call that ends any
 * other way (INDEFINITE, connection lost) leaves the unanswered ones unknown.
 *
 * QUORUM appends are answered when committed, except those whose effect only the order can decide: a
 * condition, a stream that demands a token, a retry that the order already knows, and one that comes after
 * the instance was retired. Their answers wait for the release, and so do the answers behind them.
 */
import { create } from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeBatchHeader, verifyBatch } from '../../libs/frames/batch.ts';
import type { BatchLimits } from '../../libs/frames/batch.ts';
import { splitFrames } from '../../libs/frames/frames.ts';
import { Ack, AppendResponseSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  AppendBatches,
  AppendHello,
  AppendRequest,
  AppendResponse,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { RefusalReason } from '../../libs/lane/types.ts';
import type { Outcome } from '../../libs/order/types.ts';
import type { BidiStream } from '../../libs/rpc/rpc.ts';
import { assert, at } from '../../libs/values/assert.ts';
import type { Admission } from './admission.ts';
import type { AppendOwner, PendingAppend } from './content.ts';
import type { HotFigures } from './hot-figures.ts';
import { RunBuilder } from './outcomes.ts';
import type { Target } from './target.ts';

export interface SessionContext {
  readonly target: Target;
  readonly region: string;
  readonly limits: BatchLimits;
  readonly windowBytes: number;
  readonly admission: Admission;
  /** Why nothing can be stamped at the moment; null when it can. */
  readonly obstacle: () => MeridianError | null;
  /** Hands an append to the lane. */
  readonly submit: (append: PendingAppend) => void;
  /** The order already knows this or a later append of the writer, or has fenced it. */
  readonly knownToOrder: (append: PendingAppend) => boolean;
  /** What an append did that was decided so: it may have had its effect before its writer was fenced. */
  readonly firstOutcome: (append: PendingAppend, outcome: Outcome) => Outcome;
  /** The stream refuses appends without its fencing token, as far as this replica knows. */
  readonly demandsToken: (stream: string) => boolean;
  /** Appends with a higher timestamp are refused by the order, as far as this replica knows. */
  readonly retiredFrom: () => number;
  /** The session has answers; `flush` must be called at the end of the turn. */
  readonly answered: (session: AppendSession) => void;
  readonly latency: (startedAt: number) => void;
  readonly figures: Pick<HotFigures, 'taken' | 'answered' | 'sessionEnded'>;
  /** Region through which this replica reaches the third one at the moment; empty: directly. */
  readonly forwardedVia: () => string;
  readonly now: () => number;
  readonly closed: (session: AppendSession) => void;
}

type Stream = BidiStream<AppendRequest, AppendResponse>;

export class AppendSession implements AppendOwner {
  readonly #context: SessionContext;
  readonly #stream: Stream;
  readonly #source: number;
  #ack: Ack | null = null;
  /** Submitted and not answered, in order, from `#head` on. */
  #pending: PendingAppend[] = [];
  #head = 0;
  #pendingBytes = 0;
  /** Highest wish so far: a later append never has a lower timestamp anyway. */
  #minTimestamp = 0;
  /** Set once: nothing more is submitted; the call ends with it when all before is answered. */
  #ending: MeridianError | 'well' | null = null;
  #closed = false;
  #slow: NodeJS.Timeout | undefined;
  #dirty = false;

  /** `source`: by what number it shares the lane with the other sessions; 0 is that of control actions. */
  constructor(context: SessionContext, stream: Stream, source: number) {
    this.#context = context;
    this.#stream = stream;
    this.#source = source;
    stream.onMessage((request) => {
      this.#receive(request);
    });
    stream.onHalfClose(() => {
      this.#end('well');
    });
    stream.onDrain(() => {
      this.flush();
    });
    stream.onClose(() => {
      this.#close();
    });
  }

  get unansweredCount(): number {
    return this.#pending.length - this.#head;
  }

  get unansweredBytes(): number {
    return this.#pendingBytes;
  }

  /** Takes nothing more; ends with `error` once everything submitted is answered. */
  stop(error: MeridianError): void {
    this.#end(error);
  }

  /** Ends at once; what is unanswered stays unknown to the client. */
  abandon(message: string): void {
    if (this.#closed) return;
    const reason = this.unansweredCount > 0 ? 'INDEFINITE' : 'UNAVAILABLE';
    this.#context.figures.sessionEnded(reason);
    this.#stream.fail(new MeridianError(reason, message));
    this.#close();
  }

  committed(append: PendingAppend, outcome: Outcome): void {
    if (this.#ack !== Ack.QUORUM || append.answer !== null || this.#closed) return;
    const { matchSeqNum, fencingToken, mustExist } = append.header;
    if (matchSeqNum !== null || fencingToken !== null || mustExist === true) return;
    if (this.#context.demandsToken(append.header.stream)) return;
    if (outcome.kind === 'appended' && outcome.timestamp > this.#context.retiredFrom()) return;
    if (append.header.writer !== null && this.#context.knownToOrder(append)) return;
    append.answer = outcome;
    this.#markDirty();
  }

  decided(append: PendingAppend, outcome: Outcome): void {
    this.#context.admission.giveBack(append.bytes);
    if (append.answer !== null || this.#closed) return;
    append.answer = this.#context.firstOutcome(append, outcome);
    append.placed = true;
    this.#markDirty();
  }

  refused(append: PendingAppend, reason: RefusalReason): void {
    this.#context.admission.giveBack(append.bytes);
    if (this.#closed) return;
    // Everything behind it in this session is refused in the same step, so the first one decides.
    const position = this.#pending.indexOf(append, this.#head);
    if (position === -1) return;
    for (const later of this.#pending.slice(position)) this.#pendingBytes -= later.bytes;
    this.#pending.length = position;
    this.#end(refusal(reason));
  }

  /** Sends the answers at the head of the queue; ends the call when it was to end after them. */
  flush(): void {
    this.#dirty = false;
    if (this.#closed) return;
    const builder = new RunBuilder(this.#context.forwardedVia());
    let head = this.#head;
    for (let next = this.#pending[head]; next !== undefined && next.answer !== null;) {
      builder.add(next);
      this.#pendingBytes -= next.bytes;
      head += 1;
      next = this.#pending[head];
    }
    const runs = builder.finish();
    if (runs.length > 0) {
      // The oldest answer of a flush stands for all of them: the slowest, and one sample a message.
      this.#context.latency(at(this.#pending, this.#head).arrivedAt);
      this.#context.figures.answered(this.#ack, runs);
      this.#forgetBefore(head);
      const value = { runs: [...runs] };
      this.#stream.write(create(AppendResponseSchema, { message: { case: 'outcomes', value } }));
    }
    if (this.#ending !== null && this.unansweredCount === 0) this.#finish(this.#ending);
  }

  #receive(request: AppendRequest): void {
    if (this.#ending !== null || this.#closed) return;
    try {
      const { message } = request;
      switch (message.case) {
        case 'hello':
          this.#welcome(message.value);
          break;
        case 'batches':
          this.#takeBatches(message.value);
          break;
        default:
          throw new MeridianError(
            'INVALID',
            'a message of an append session is neither hello nor batches',
          );
      }
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      this.#end(error);
    }
  }

  #welcome(hello: AppendHello): void {
    if (this.#ack !== null) throw new MeridianError('INVALID', 'the session has said hello before');
    this.#context.target.check(hello.target);
    this.#ack = ackOf(hello.ack);
    const value = {
      windowBytes: BigInt(this.#context.windowBytes),
      batchBytesMax: this.#context.limits.batchBytesMax,
      region: this.#context.region,
    };
    this.#stream.write(create(AppendResponseSchema, { message: { case: 'welcome', value } }));
  }

  #takeBatches(batches: AppendBatches): void {
    const context = this.#context;
    if (this.#ack === null) {
      throw new MeridianError('INVALID', 'an append session begins with hello');
    }
    if (batches.minTimestamp > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw new MeridianError('INVALID', 'min_timestamp is not a timestamp');
    }
    this.#minTimestamp = Math.max(this.#minTimestamp, Number(batches.minTimestamp));
    const obstacle = context.obstacle();
    if (obstacle !== null) throw obstacle;
    const arrivedAt = context.now();
    const { caller } = this.#stream;
    const waitMs = caller?.charge(batches.frames.length) ?? 0;
    if (waitMs > 0) this.#slowDown(waitMs);
    for (const frame of splitFrames(batches.frames)) {
      // Before the records are looked at: whoever may not append costs no more than this.
      caller?.checkAppend(decodeBatchHeader(frame).stream);
      const header = verifyBatch(frame, context.limits);
      if (header.control !== null) {
        throw new MeridianError('INVALID', 'an append session takes appends, not control actions');
      }
      this.#takeRoom(frame.length);
      context.figures.taken(frame.length, header.recordCount);
      const append: PendingAppend = {
        owner: this,
        frame,
        header,
        bytes: frame.length,
        minTimestamp: this.#minTimestamp,
        source: this.#source,
        arrivedAt,
        answer: null,
        placed: false,
      };
      this.#pending.push(append);
      context.submit(append);
    }
  }

  /** Over its rate: what it sends next waits in its own window. */
  #slowDown(waitMs: number): void {
    this.#stream.pause();
    clearTimeout(this.#slow);
    this.#slow = setTimeout(() => {
      this.#stream.resume();
    }, waitMs);
  }

  #takeRoom(bytes: number): void {
    const { windowBytes, admission } = this.#context;
    if (this.#pendingBytes + bytes > windowBytes) {
      throw new MeridianError(
        'OVERLOADED',
        `more than the window of ${windowBytes} bytes is unanswered on this session; wait for answers`,
        { details: { limit: windowBytes } },
      );
    }
    const full = admission.take(bytes, this.#pendingBytes);
    if (full !== null) throw full;
    this.#pendingBytes += bytes;
  }

  #end(how: MeridianError | 'well'): void {
    if (this.#ending !== null || this.#closed) return;
    this.#ending = how;
    if (this.unansweredCount === 0) this.#finish(how);
  }

  #finish(how: MeridianError | 'well'): void {
    this.#context.figures.sessionEnded(how === 'well' ? 'OK' : how.reason);
    if (how === 'well') this.#stream.end();
    else this.#stream.fail(how);
    this.#close();
  }

  /** The appends themselves stay with the lane, which cannot unsay them; nobody waits any more. */
  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#slow);
    this.#pending = [];
    this.#head = 0;
    this.#context.closed(this);
  }

  #markDirty(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#context.answered(this);
  }

  #forgetBefore(head: number): void {
    assert(head <= this.#pending.length, 'only pending appends are answered');
    this.#head = head;
    if (head === this.#pending.length) {
      this.#pending = [];
      this.#head = 0;
    } else if (head > 1024 && head * 2 > this.#pending.length) {
      this.#pending = this.#pending.slice(head);
      this.#head = 0;
    }
  }
}

/** The enum is open: the number of another version arrives as it is. */
function ackOf(ack: Ack): Ack {
  switch (ack) {
    case Ack.QUORUM:
      return ack;
    case Ack.ORDERED:
    case Ack.UNSPECIFIED:
      return Ack.ORDERED;
    default:
      throw new MeridianError('INVALID', `unknown kind of acknowledgement ${String(ack)}`);
  }
}

export function refusal(reason: RefusalReason): MeridianError {
  switch (reason) {
    case 'CLOCK_UNSAFE':
      return new MeridianError(
        'CLOCK_UNSAFE',
        'the clock of this replica, or the wished timestamp, is out of bounds; append through another region',
      );
    case 'OVERLOADED':
      return new MeridianError('OVERLOADED', 'the queue of this replica is full', {
        details: { retryAfterMs: 100 },
      });
    case 'DISK_FULL':
      return new MeridianError(
        'DISK_FULL',
        'the disk of this replica is nearly full; append through another region',
      );
    case 'RECOVERING':
      return new MeridianError(
        'NO_QUORUM',
        'this replica is recovering from the others and takes no appends; append through another region',
      );
  }
}
