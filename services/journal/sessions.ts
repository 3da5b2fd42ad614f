/** The open append sessions of this replica: their number is bounded, and they end together. */
import { MeridianError } from '../../libs/errors/errors.ts';
import type {
  AppendRequest,
  AppendResponse,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { OrderMachine, Outcome } from '../../libs/order/types.ts';
import type { BidiStream } from '../../libs/rpc/rpc.ts';
import { unreachable } from '../../libs/values/assert.ts';
import { AppendSession } from './append-session.ts';
import type { SessionContext } from './append-session.ts';
import type { PendingAppend } from './content.ts';

/** The order has decided this or a later append of the writer, or has fenced it. */
export function knownToOrder(
  order: Pick<OrderMachine, 'writer'>,
  { header: { writer } }: PendingAppend,
): boolean {
  const known = writer === null ? null : order.writer(writer.id);
  if (known === null || writer === null) return false;
  return (
    known.epoch > writer.epoch || (known.epoch === writer.epoch && known.lastSeq >= writer.seq)
  );
}

/**
 * The order refuses everything of a fenced writer, what it asks for again too. That may have taken effect before
 * the fence, and then this is the answer: "certainly without effect" would be wrong.
 */
export function firstOutcome(
  order: Pick<OrderMachine, 'resolve'>,
  { header: { writer } }: PendingAppend,
  outcome: Outcome,
): Outcome {
  const isFenced = outcome.kind === 'failed' && outcome.failure.reason === 'WRITER_FENCED';
  if (writer === null || !isFenced) return outcome;
  const was = order.resolve(writer);
  switch (was.state) {
    case 'appended': {
      const { timestamp, firstSeqNum } = was;
      return { kind: 'duplicate', first: { kind: 'appended', timestamp, firstSeqNum } };
    }
    case 'failed':
      return { kind: 'duplicate', first: { kind: 'failed', failure: was.failure } };
    // Of an epoch that a higher one has started afresh nothing is known: who repeats it knows that it does.
    case 'forgotten':
    case 'never':
    case 'pending':
      return outcome;
    default:
      return unreachable(was);
  }
}

export class Sessions {
  readonly #context: SessionContext;
  readonly #sessionsMax: number;
  readonly #open = new Set<AppendSession>();
  #opened = 0;
  #onEmpty: (() => void) | null = null;
  #stopped: MeridianError | null = null;

  constructor(context: Omit<SessionContext, 'closed'>, sessionsMax: number) {
    this.#context = {
      ...context,
      closed: (session) => {
        this.#open.delete(session);
        if (this.#open.size === 0) this.#onEmpty?.();
      },
    };
    this.#sessionsMax = sessionsMax;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Of the session with the most. */
  get mostUnansweredBytes(): number {
    let most = 0;
    for (const { unansweredBytes } of this.#open) most = Math.max(most, unansweredBytes);
    return most;
  }

  open(stream: BidiStream<AppendRequest, AppendResponse>): void {
    if (this.#stopped !== null) throw this.#stopped;
    if (this.#open.size >= this.#sessionsMax) {
      throw new MeridianError('OVERLOADED', `${this.#sessionsMax} append sessions are open`, {
        details: { retryAfterMs: 1000, limit: this.#sessionsMax },
      });
    }
    this.#opened += 1;
    this.#open.add(new AppendSession(this.#context, stream, this.#opened));
  }

  /** Sessions that wait for an answer end with an unknown outcome: their client asks elsewhere. */
  abandonWaiting(message: string): void {
    for (const session of this.#open) {
      if (session.unansweredCount > 0) session.abandon(message);
    }
  }

  /** Takes nothing more, answers what was submitted, gives up after `drainMs`. */
  async stop(error: MeridianError, drainMs: number): Promise<void> {
    this.#stopped = error;
    for (const session of this.#open) session.stop(error);
    if (this.#open.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, drainMs);
        this.#onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    for (const session of this.#open) session.abandon(error.message);
  }
}
