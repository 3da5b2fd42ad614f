/**
 * The append sessions and control actions of one life of a replica: the code of services/journal, between the calls of
 * clients (virtual-bidi.ts) and the simulated lane. What the driver does there is done here: appends wait for the next
 * turn and go to the lane together, answers are flushed when a step is over. Every answer on its way out is held
 * against the order by `ClientChecker`.
 */
import type { Message } from '@bufbuild/protobuf';
import type { MeridianError } from '../../../libs/errors/errors.ts';
import { Ack } from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  AppendRequest,
  AppendResponse,
} from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { Entry, RefusalReason } from '../../../libs/lane/types.ts';
import type { OrderMachine, Outcome } from '../../../libs/order/types.ts';
import type { BidiStream } from '../../../libs/rpc/rpc.ts';
import type { Micros, SeqNum } from '../../../libs/values/numbers.ts';
import { Actions } from '../../../services/journal/actions.ts';
import { Admission } from '../../../services/journal/admission.ts';
import type { AppendSession } from '../../../services/journal/append-session.ts';
import type { Clocks } from '../../../services/journal/clocks.ts';
import type { PendingAppend } from '../../../services/journal/content.ts';
import { Health } from '../../../services/journal/health.ts';
import { firstOutcome, knownToOrder, Sessions } from '../../../services/journal/sessions.ts';
import type { Target } from '../../../services/journal/target.ts';
import type { Watermark } from '../../../services/journal/watermark.ts';
import type { Attempt, Content } from '../operations.ts';
import type { Replica } from '../replica.ts';
import type { ClientChecker } from './client-checker.ts';
import type { SessionSwarm } from './client-options.ts';
import type { SystemBug } from './system-bugs.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface AppendSideOptions {
  readonly replica: Replica;
  readonly target: Target;
  readonly order: OrderMachine;
  readonly watermark: Watermark;
  readonly clocks: Clocks;
  readonly time: VirtualTime;
  readonly checker: ClientChecker;
  readonly settings: SessionSwarm;
  readonly bug: SystemBug | null;
}

/** Both others silent for so long. */
const NO_QUORUM_MICROS = 2_000_000;

/** An append of a client on its way, and what the checker knows it as. */
interface UnderWay {
  readonly append: PendingAppend;
  readonly session: OutgoingAnswers | null;
}

export class AppendSide {
  readonly actions: Actions;
  private readonly options: AppendSideOptions;
  private readonly sessions: Sessions;
  private readonly health: Health;
  private readonly underWay = new Map<Attempt, UnderWay>();
  /** By the number under which its appends share the lane. */
  private readonly outgoing = new Map<number, OutgoingAnswers>();
  private opened = 0;
  /** Taken, and not yet given to the lane. */
  private taken: PendingAppend[] = [];
  private answered: AppendSession[] = [];
  private isTurnPlanned = false;
  private isOver = false;

  constructor(options: AppendSideOptions) {
    this.options = options;
    const { replica, target, order, watermark, clocks, settings, bug } = options;
    const { id } = replica;
    const admission = new Admission(settings.unansweredBytesMax);
    const submit = (append: PendingAppend): void => {
      this.taken.push(append);
      this.planTurn();
    };
    this.health = new Health({
      self: id,
      inspect: () => replica.inspection,
      noQuorumMicros: NO_QUORUM_MICROS,
      onServing: () => undefined,
      onNoQuorum: () => {
        this.sessions.abandonWaiting('it hears nobody');
        this.actions.abandonWaiting('it hears nobody');
      },
    });
    const obstacle = (): MeridianError | null => this.health.obstacle();
    this.actions = new Actions({
      waitingMax: settings.actionsMax,
      timeoutMs: 5_000,
      admission,
      watermark,
      clocks,
      obstacle,
      submit,
    });
    const { batchBytesMax, windowBytes, sessionsMax } = settings;
    this.sessions = new Sessions(
      {
        target,
        region: `region-${id}`,
        limits: { batchBytesMax, recordsMax: 100 },
        windowBytes,
        admission,
        obstacle,
        submit,
        knownToOrder: (append) => bug !== 'session-forgets' && knownToOrder(order, append),
        firstOutcome: (append, outcome) => firstOutcome(order, append, outcome),
        demandsToken: (stream) => bug !== 'token-undemanded' && order.demandsToken(stream),
        retiredFrom: () => order.retiredFrom,
        answered: (session) => {
          this.answered.push(session);
          this.planTurn();
        },
        latency: () => undefined,
        figures: {
          taken: () => undefined,
          answered: () => undefined,
          sessionEnded: () => undefined,
        },
        forwardedVia: () => '',
        now: () => clocks.monotonic(),
      },
      sessionsMax,
    );
  }

  open(stream: BidiStream<Message, Message>): void {
    const { checker, replica } = this.options;
    const outgoing = new OutgoingAnswers(stream, checker, replica, this.options);
    this.sessions.open(outgoing.stream);
    this.opened += 1;
    const number = this.opened;
    this.outgoing.set(number, outgoing);
    outgoing.onGone = () => {
      this.outgoing.delete(number);
    };
  }

  committed(entry: Entry<Content>, attempt: Attempt): void {
    const known = this.underWay.get(attempt);
    if (known === undefined) return;
    const { timestamp } = entry;
    known.session?.committed(attempt, entry);
    const outcome: Outcome = { kind: 'appended', timestamp, firstSeqNum: 0 as SeqNum };
    this.enter(() => {
      known.append.owner.committed(known.append, outcome);
    });
  }

  decided(entry: Entry<Content>, attempt: Attempt, outcome: Outcome): void {
    const known = this.underWay.get(attempt);
    if (known === undefined) return;
    this.underWay.delete(attempt);
    known.session?.decided(attempt, entry);
    this.enter(() => {
      known.append.owner.decided(known.append, outcome);
    });
  }

  refused(attempt: Attempt, reason: RefusalReason): void {
    const known = this.underWay.get(attempt);
    if (known === undefined) return;
    this.underWay.delete(attempt);
    this.enter(() => {
      known.append.owner.refused(known.append, reason);
    });
  }

  /** All that was taken: no step is made without it. */
  take(): readonly Attempt[] {
    const { taken } = this;
    if (taken.length === 0) return [];
    this.taken = [];
    const { checker, replica } = this.options;
    return taken.map((append) => {
      const session = this.outgoing.get(append.source ?? 0) ?? null;
      const attempt = checker.attempt(append, replica.id, session?.ack ?? null);
      session?.submitted(attempt, append);
      this.underWay.set(attempt, { append, session });
      return attempt;
    });
  }

  stepped(): void {
    this.health.look(this.options.time.now as Micros, true);
  }

  resumed(): void {
    this.planTurn();
  }

  /** The process is gone; its connections end by themselves. */
  stop(): void {
    this.isOver = true;
    this.underWay.clear();
    this.taken = [];
    this.answered = [];
  }

  private planTurn(): void {
    if (this.isTurnPlanned || this.isOver) return;
    this.isTurnPlanned = true;
    this.options.time.after(0, () => {
      this.isTurnPlanned = false;
      if (!this.isOver && !this.options.replica.paused) this.turn();
    });
  }

  private turn(): void {
    const { answered } = this;
    this.answered = [];
    for (const session of answered) session.flush();
    if (this.taken.length > 0) this.options.replica.wake();
  }

  private enter(action: () => void): void {
    this.options.time.enter(action);
  }
}

/** What goes out on one session: every answer is matched with the append that it is the answer to. */
class OutgoingAnswers {
  readonly stream: BidiStream<AppendRequest, AppendResponse>;
  ack: 'QUORUM' | 'ORDERED' | null = null;
  onGone: () => void = () => undefined;
  private readonly checker: ClientChecker;
  private readonly replica: Replica;
  /** Handed to the lane and not answered, in order. */
  private readonly unanswered: { readonly attempt: Attempt; readonly append: PendingAppend }[] = [];
  private readonly entries = new Map<Attempt, Entry<Content>>();

  constructor(
    stream: BidiStream<Message, Message>,
    checker: ClientChecker,
    replica: Replica,
    { bug }: Pick<AppendSideOptions, 'bug'>,
  ) {
    this.checker = checker;
    this.replica = replica;
    this.stream = {
      peer: stream.peer,
      caller: stream.caller,
      get closed() {
        return stream.closed;
      },
      get queued() {
        return stream.queued;
      },
      onDrain: (callback) => {
        stream.onDrain(callback);
      },
      onClose: (callback) => {
        stream.onClose(() => {
          this.onGone();
          callback();
        });
      },
      onMessage: (callback) => {
        stream.onMessage((message) => {
          const request = message as AppendRequest;
          if (request.message.case === 'hello') this.saidHello(request, bug);
          callback(request);
        });
      },
      onHalfClose: (callback) => {
        stream.onHalfClose(callback);
      },
      pause: () => {
        stream.pause();
      },
      resume: () => {
        stream.resume();
      },
      write: (message, sent) => {
        const { message: said } = message;
        if (said.case === 'outcomes' && !stream.closed) {
          if (bug === 'answers-reversed') said.value.runs.reverse();
          this.answered(message);
        }
        return stream.write(message, sent);
      },
      end: () => {
        stream.end();
      },
      fail: (error) => {
        const attempts = this.unanswered.map(({ attempt }) => attempt);
        checker.sessionFailed(replica.id, attempts, error);
        stream.fail(error);
      },
    };
  }

  submitted(attempt: Attempt, append: PendingAppend): void {
    this.unanswered.push({ attempt, append });
  }

  committed(attempt: Attempt, entry: Entry<Content>): void {
    this.entries.set(attempt, entry);
    this.checker.committed(this.replica.id, attempt);
  }

  decided(attempt: Attempt, entry: Entry<Content>): void {
    this.entries.set(attempt, entry);
  }

  private saidHello({ message }: AppendRequest, bug: SystemBug | null): void {
    if (message.case !== 'hello') return;
    if (bug === 'ordered-as-quorum') message.value.ack = Ack.QUORUM;
    this.ack = message.value.ack === Ack.QUORUM ? 'QUORUM' : 'ORDERED';
  }

  private answered({ message }: AppendResponse): void {
    if (message.case !== 'outcomes') return;
    for (const run of message.value.runs) {
      let firstSeqNum = Number(run.firstSeqNum);
      for (let number = 0; number < run.count; number += 1) {
        const { attempt, append } = this.unanswered.shift() ?? {};
        const entry = attempt && this.entries.get(attempt);
        this.checker.answered(this.replica.id, attempt ?? null, entry ?? null, {
          isPlaced: append?.placed ?? false,
          timestamp: Number(run.timestamp),
          firstSeqNum,
          duplicate: run.duplicate,
          failure: run.failure?.reason ?? null,
        });
        firstSeqNum += attempt?.operation.batch.recordCount ?? 0;
        if (attempt !== undefined) this.entries.delete(attempt);
      }
    }
  }
}
