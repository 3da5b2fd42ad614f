/**
 * Control actions on their way through the order: each becomes a control batch, is submitted to the lane
 * like an append, and answered when its place is final. Owns the bound on how many wait, the time limit,
 * and the action's last moment (`notAfter`).
 *
 * An answer that does not come in time is INDEFINITE: the client asks again with the same request id,
 * here or elsewhere, and hears the first outcome.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { BATCH_LIMITS, encodeControlBatch, verifyBatch } from '../../libs/frames/batch.ts';
import type { ControlAction } from '../../libs/frames/control.ts';
import type { RefusalReason } from '../../libs/lane/types.ts';
import type { ControlResult, Outcome } from '../../libs/order/types.ts';
import { assert } from '../../libs/values/assert.ts';
import type { Admission } from './admission.ts';
import { refusal } from './append-session.ts';
import type { Clocks } from './clocks.ts';
import type { AppendOwner, PendingAppend } from './content.ts';
import { errorOf } from './outcomes.ts';
import type { Watermark } from './watermark.ts';

/** An action that has not come into the order by then has no effect (libs/order/actions.ts). */
const LIFE_MICROS = 60_000_000;

export interface ActionTarget {
  readonly stream: string;
  readonly requestId: string;
  readonly fencingToken?: number | undefined;
}

export interface ActionsOptions {
  /** Most actions that wait for their answer. */
  readonly waitingMax: number;
  readonly timeoutMs: number;
  readonly admission: Admission;
  readonly watermark: Watermark;
  readonly clocks: Clocks;
  /** Why nothing can be stamped at the moment; null when it can. */
  readonly obstacle: () => MeridianError | null;
  readonly submit: (append: PendingAppend) => void;
}

type ResultOf<A extends ControlAction> = Extract<ControlResult, { kind: A['kind'] }>;

export class Actions {
  readonly #options: ActionsOptions;
  readonly #waiting = new Set<Waiter>();

  constructor(options: ActionsOptions) {
    this.#options = options;
  }

  get waitingCount(): number {
    return this.#waiting.size;
  }

  /** Rejects with what the order says, or with why it could not be asked. */
  async perform<A extends ControlAction>(
    { stream, requestId, fencingToken }: ActionTarget,
    action: A,
    signal: AbortSignal,
  ): Promise<ResultOf<A>> {
    const { obstacle, waitingMax, admission, clocks, watermark, submit } = this.#options;
    const control = {
      requestId,
      notAfter: Math.max(clocks.wall(), watermark.value) + LIFE_MICROS,
      action,
    };
    const frame = encodeControlBatch({ stream, control, fencingToken });
    const refused = obstacle() ?? this.#tooMany(waitingMax) ?? admission.take(frame.length);
    if (refused !== null) throw refused;
    const outcome = await new Promise<Outcome>((resolve, reject) => {
      const waiter = new Waiter(admission, this.#options.timeoutMs, { resolve, reject }, () => {
        this.#waiting.delete(waiter);
      });
      this.#waiting.add(waiter);
      signal.addEventListener('abort', () => {
        waiter.giveUp('the caller has gone');
      });
      submit({
        owner: waiter,
        frame,
        header: verifyBatch(frame, BATCH_LIMITS),
        bytes: frame.length,
        minTimestamp: 0,
        small: true,
        arrivedAt: clocks.monotonic(),
        answer: null,
        placed: false,
      });
    });
    return resultOf(outcome, action);
  }

  /** Whoever waits hears that the outcome is not known. */
  abandonWaiting(message: string): void {
    for (const waiter of [...this.#waiting]) waiter.giveUp(message);
  }

  #tooMany(waitingMax: number): MeridianError | null {
    if (this.#waiting.size < waitingMax) return null;
    return new MeridianError('OVERLOADED', `${waitingMax} actions wait for their answer`, {
      details: { retryAfterMs: 100, limit: waitingMax },
    });
  }
}

/** Waits for one action; its room is given back only when the lane has done with it. */
class Waiter implements AppendOwner {
  readonly #admission: Admission;
  readonly #settle: { resolve: (outcome: Outcome) => void; reject: (error: Error) => void };
  readonly #done: () => void;
  readonly #timer: NodeJS.Timeout;

  constructor(
    admission: Admission,
    timeoutMs: number,
    settle: { resolve: (outcome: Outcome) => void; reject: (error: Error) => void },
    done: () => void,
  ) {
    this.#admission = admission;
    this.#settle = settle;
    this.#done = done;
    this.#timer = setTimeout(() => {
      this.giveUp(`the order has not decided within ${timeoutMs} ms`);
    }, timeoutMs);
  }

  committed(): void {
    // Only the order decides what an action does.
  }

  decided(append: PendingAppend, outcome: Outcome): void {
    this.#admission.giveBack(append.bytes);
    this.#finish();
    this.#settle.resolve(outcome);
  }

  refused(append: PendingAppend, reason: RefusalReason): void {
    this.#admission.giveBack(append.bytes);
    this.#finish();
    this.#settle.reject(refusal(reason));
  }

  giveUp(message: string): void {
    this.#finish();
    const hint = 'ask again with the same request id';
    this.#settle.reject(new MeridianError('INDEFINITE', `${message}: ${hint}`));
  }

  #finish(): void {
    clearTimeout(this.#timer);
    this.#done();
  }
}

function resultOf<A extends ControlAction>(outcome: Outcome, action: A): ResultOf<A> {
  const first = outcome.kind === 'duplicate' ? outcome.first : outcome;
  if (first.kind === 'failed') throw errorOf(first.failure);
  assert(first.kind === 'controlled' && first.result.kind === action.kind, 'an action is answered');
  return first.result as ResultOf<A>;
}
