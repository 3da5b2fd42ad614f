/**
 * What clients of the library may conclude, of one instance. A wish is one thing that a client asks for, however often it
 * is sent: it takes effect once, its answer is its first outcome, and what is said to have had no effect has none.
 * Each batch is judged when it comes into the order (`ActionModel`), each answer when a session gives it, and when the client is told.
 */
import { isDeepStrictEqual } from 'node:util';
import { MeridianError, type Reason } from '../../../libs/errors/errors.ts';
import { decodeRecords } from '../../../libs/frames/batch.ts';
import type { ControlAction } from '../../../libs/frames/control.ts';
import type { Entry } from '../../../libs/lane/types.ts';
import type { BatchHeader, ControlResult, Outcome } from '../../../libs/order/types.ts';
import type { ReplicaId } from '../../../libs/values/numbers.ts';
import type { PendingAppend } from '../../../services/journal/content.ts';
import type { Cluster } from '../cluster.ts';
import type { Ack, Attempt, Content, Operation } from '../operations.ts';
import type { ChecksOfSide } from '../order-checker.ts';
import { OF_SIDE } from '../replica-parts.ts';
import { check } from '../violation.ts';
import { ActionModel, type ModelStream } from './action-model.ts';
import { spoiledHeader } from './spoiled-header.ts';
import type { SystemBug } from './system-bugs.ts';
import { keepFrame } from './replica-side.ts';

export interface Wish {
  readonly id: number;
  readonly kind: 'append' | ControlAction['kind'];
  readonly stream: string;
  /** Entries that somebody had released when it was made. */
  readonly floor: number;
  readonly bodies: readonly string[];
  /** Its place in the order, and what it did there. */
  effect: { readonly timestamp: number; readonly outcome: Outcome } | null;
  /** The failure that repetitions hear. */
  failed: Outcome | null;
  /** Why it was decided that it does nothing. */
  readonly failures: Reason[];
  told: 'nothing yet' | 'done' | 'no effect' | 'unknown';
  /** Timestamp that its client was told. */
  toldTimestamp: number;
  sent: number;
}

/** As a session says it. */
export interface Said {
  readonly timestamp: number;
  readonly firstSeqNum: number;
  readonly duplicate: boolean;
  readonly failure: string | null;
}

/** The order's own words: who hears one of these has been decided about. */
const DECIDED: readonly Reason[] = [
  'CONDITION_FAILED',
  'FENCED',
  'WRITER_FENCED',
  'WRITER_GAP',
  'STREAM_NOT_FOUND',
  'LEASE_HELD',
  'LEASE_LOST',
];
const EXPECTED: readonly Reason[] = [
  ...DECIDED,
  'WRITER_FORGOTTEN',
  'TOO_LARGE',
  'OUT_OF_RANGE',
  'OVERLOADED',
  'UNAVAILABLE',
  'NO_QUORUM',
  'CLOCK_UNSAFE',
  'DISK_FULL',
  'DEADLINE',
  'INDEFINITE',
];
/** Said without consuming the place in the writer's chain. */
const UNREMEMBERED: readonly Reason[] = ['WRITER_FENCED', 'WRITER_GAP', 'WRITER_FORGOTTEN'];
/** What a QUORUM append may meet that was answered before its replica heard of the reason. */
const UNHEARD: readonly Reason[] = ['WRITER_FENCED', 'FENCED'];

export class ClientChecker implements ChecksOfSide {
  readonly model = new ActionModel();
  /** Bodies of the records of each stream, by their numbers. */
  readonly contents = new Map<string, string[]>();
  private readonly cluster: () => Cluster;
  private readonly bug: SystemBug | null;
  private readonly wishes = new Map<number, Wish>();
  private readonly byRequest = new Map<string, Wish>();
  private readonly headers = new WeakMap<Operation, BatchHeader>();
  private readonly wishOf = new WeakMap<Operation, Wish>();
  private readonly outcomes = new WeakMap<Attempt, Outcome>();
  /** How many entries its replica had released when the append was committed. */
  private readonly seen = new WeakMap<Attempt, number>();
  private numbers = 0;
  private epochs = 0;
  readonly counts = {
    wishes: 0,
    answers: 0,
    duplicates: 0,
    refusals: 0,
    unknown: 0,
    actions: 0,
    looks: 0,
    streamReads: 0,
    gaps: 0,
  };

  constructor(cluster: () => Cluster, bug: SystemBug | null) {
    this.cluster = cluster;
    this.bug = bug;
  }

  /** Entries released so far by whoever is ahead. */
  get released(): number {
    return this.cluster().checkers.order.list.length;
  }

  /** A stream as every replica knows it at least, for as long as none of them begins another life. */
  viewOfAll(stream: string): { readonly state: ModelStream; readonly stands: () => boolean } {
    const { checkers, replicas } = this.cluster();
    const count = Math.min(...replicas.map(({ id }) => checkers.order.countOf(id)));
    const lives = replicas.map(({ life }) => life);
    return {
      state: this.model.seenBy(stream, count),
      stands: () => replicas.every(({ life }, i) => life === lives[i]),
    };
  }

  // ---- what clients ask for -------------------------------------------------------------------

  wish(kind: Wish['kind'], stream: string, bodies: readonly string[] = []): Wish {
    this.numbers += 1;
    const id = this.numbers;
    const wish: Wish = {
      id,
      kind,
      stream,
      floor: this.released,
      bodies: bodies.map((body, i) => `${id}/${i}/${body}`),
      effect: null,
      failed: null,
      failures: [],
      told: 'nothing yet',
      toldTimestamp: 0,
      sent: 0,
    };
    this.counts.wishes += 1;
    this.wishes.set(id, wish);
    return wish;
  }

  /** The action travels under this id, however often it is sent. */
  named(requestId: string, wish: Wish): void {
    if (!this.byRequest.has(requestId)) this.byRequest.set(requestId, wish);
  }

  /** For who takes over a writer: two that do so at once must not have the same. */
  nextEpoch(): number {
    return ++this.epochs;
  }

  /** An append or action of a client, handed to the lane of a replica. */
  attempt(append: PendingAppend, replica: ReplicaId, ack: Ack | null): Attempt {
    const { header, frame, bytes, minTimestamp } = append;
    const { workload, replicas } = this.cluster();
    const session = { ...workload.session(OF_SIDE, replica), life: replicas[replica]?.life ?? 0 };
    const operation: Operation = {
      id: workload.fresh(),
      client: OF_SIDE,
      ack: ack ?? 'ORDERED',
      batch: spoiledHeader(header, this.bug),
      bytes,
      invokedAt: 0,
      serviceable: false,
      result: 'pending',
      effective: null,
      effectiveTimestamp: 0,
      effects: 0,
      attempts: 0,
    };
    keepFrame(operation, frame);
    this.headers.set(operation, header);
    const wish = this.wishBehind(header, frame);
    if (wish !== undefined) {
      wish.sent += 1;
      this.wishOf.set(operation, wish);
    }
    const attempt = workload.attempt(operation, session, minTimestamp);
    this.cluster().checkers.session.submitted(replica, attempt);
    return Object.assign(attempt, { source: append.source ?? 0, small: append.small ?? false });
  }

  private wishBehind({ control }: BatchHeader, frame: Uint8Array): Wish | undefined {
    if (control !== null && control !== undefined) return this.byRequest.get(control.requestId);
    const [first] = decodeRecords(frame);
    return this.wishes.get(
      Number(
        Buffer.from(first?.body ?? [])
          .toString()
          .split('/')[0],
      ),
    );
  }

  // ---- what comes into the order --------------------------------------------------------------

  decided(attempt: Attempt, timestamp: number, outcome: Outcome, says: () => string): void {
    const { operation } = attempt;
    const header = this.headers.get(operation);
    check(header !== undefined, 'foreign-record', says);
    this.outcomes.set(attempt, outcome);
    const wish = this.wishOf.get(operation);
    if (wish !== undefined) this.judge(wish, timestamp, outcome, says);
    const expected = this.model.decide(header, timestamp, this.released);
    check(isDeepStrictEqual(outcome, expected), ruleFor(header, outcome, expected), () => {
      return `${says()} (${JSON.stringify(header)}), should be ${JSON.stringify(expected)}`;
    });
    if (outcome.kind !== 'appended' || wish === undefined) return;
    const contents = this.contents.get(header.stream) ?? [];
    this.contents.set(header.stream, contents);
    contents.push(...wish.bodies);
  }

  private judge(wish: Wish, timestamp: number, outcome: Outcome, says: () => string): void {
    const what = (): string => `${says()}, wish ${wish.id} (${wish.kind})`;
    if (outcome.kind === 'failed') {
      const { reason } = outcome.failure;
      wish.failures.push(reason);
      if (!UNREMEMBERED.includes(reason)) wish.failed ??= outcome;
    }
    if (outcome.kind === 'failed' || outcome.kind === 'duplicate') return;
    check(wish.effect === null, 'wish-doubled', what);
    check(wish.told !== 'no effect', 'no-effect-took-effect', what);
    wish.effect = { timestamp, outcome };
    if (outcome.kind === 'controlled') this.counts.actions += 1;
    if (wish.told !== 'done') return;
    check(wish.toldTimestamp === timestamp, 'told-differs', () => {
      return `${what()}; its client was told ${wish.toldTimestamp}`;
    });
  }

  // ---- what sessions answer -------------------------------------------------------------------

  committed(replica: ReplicaId, attempt: Attempt): void {
    this.seen.set(attempt, this.cluster().checkers.order.countOf(replica));
  }

  /** `isPlaced`: the replica has released it. */
  answered(
    replica: ReplicaId,
    attempt: Attempt | null,
    entry: Entry<Content> | null,
    said: Said & { readonly isPlaced: boolean },
  ): void {
    const says = (): string =>
      `r${replica} answers operation ${attempt?.operation.id} at ${entry?.timestamp}: ${JSON.stringify(said)}`;
    this.counts.answers += 1;
    check(attempt !== null && entry !== null, 'answered-nothing', says);
    const { session } = this.cluster().checkers;
    const { operation } = attempt;
    if (!said.isPlaced) {
      this.checkQuorum(attempt, entry, said, says);
      operation.ack = 'QUORUM';
      session.acknowledge(replica, entry, attempt);
      return;
    }
    operation.ack = 'ORDERED';
    session.acknowledge(replica, entry, attempt);
    const outcome = this.outcomes.get(attempt);
    check(outcome !== undefined, 'answered-undecided', says);
    const first = this.firstOf(attempt.operation, outcome);
    const isDuplicate = first !== outcome;
    if (isDuplicate) this.counts.duplicates += 1;
    const isSame =
      said.duplicate === isDuplicate &&
      (first.kind === 'failed'
        ? said.failure === first.failure.reason
        : first.kind === 'appended' &&
          said.failure === null &&
          said.timestamp === first.timestamp &&
          said.firstSeqNum === first.firstSeqNum);
    check(isSame, 'answer-differs', () => `${says()}, decided was ${JSON.stringify(outcome)}`);
  }

  /** Also of an append that its writer asks for again after it was fenced. */
  private firstOf(operation: Operation, outcome: Outcome): Outcome {
    if (outcome.kind === 'duplicate') return outcome.first;
    const isFenced = outcome.kind === 'failed' && outcome.failure.reason === 'WRITER_FENCED';
    const writer = this.headers.get(operation)?.writer;
    if (writer != null && this.model.isForgotten(writer)) return outcome;
    const wish = isFenced ? this.wishOf.get(operation) : undefined;
    return wish?.effect?.outcome ?? wish?.failed ?? outcome;
  }

  /** Answered before the replica has released it: only what nothing that it knows could spoil. */
  private checkQuorum(
    attempt: Attempt,
    entry: Entry<Content>,
    said: Said,
    says: () => string,
  ): void {
    const { operation } = attempt;
    const header = this.headers.get(operation);
    const seen = this.seen.get(attempt) ?? 0;
    check(header !== undefined, 'answered-nothing', says);
    const { stream, writer, fencingToken, matchSeqNum, mustExist } = header;
    const isConditional = fencingToken !== null || matchSeqNum !== null || mustExist === true;
    check(operation.ack === 'QUORUM' && !isConditional, 'answered-early', says);
    const isPlain = !said.duplicate && said.failure === null;
    check(isPlain && said.timestamp === entry.timestamp, 'answer-differs', says);
    const demanded = this.model.seenBy(stream, seen).isFenced;
    check(!demanded, 'answered-without-token', says);
    const isFenced = writer !== null && this.model.isFencedFor(writer.id, writer.epoch, seen);
    check(!isFenced, 'answered-fenced', says);
  }

  /** A session ends: with a reason that says so, what it has not answered has no effect, ever. */
  sessionFailed(replica: ReplicaId, unanswered: readonly Attempt[], error: unknown): void {
    if (!(error instanceof MeridianError) || !error.noEffect || error.reason === 'UNAVAILABLE') {
      return;
    }
    this.counts.refusals += 1;
    const { session } = this.cluster().checkers;
    for (const attempt of unanswered) session.refused(replica, attempt);
  }

  // ---- what clients are told ------------------------------------------------------------------

  toldAppended(wish: Wish, timestamp: number, firstSeqNum: number | null): void {
    const says = (): string =>
      `wish ${wish.id} (${wish.stream}) is told ${timestamp}/${firstSeqNum}; it has ${JSON.stringify(wish.effect)}, ${wish.failures.join()}`;
    wish.told = 'done';
    wish.toldTimestamp = timestamp;
    const { effect } = wish;
    if (effect === null) {
      check(firstSeqNum === null, 'told-undecided', says);
      return;
    }
    const { outcome } = effect;
    const number = outcome.kind === 'appended' ? outcome.firstSeqNum : -1;
    const isSame = effect.timestamp === timestamp && (firstSeqNum ?? number) === number;
    check(isSame, 'told-differs', says);
  }

  /** `fits`: of the result that the action had in the order, whether this is what the client was told. */
  toldDone(wish: Wish, fits: (result: ControlResult) => boolean): void {
    wish.told = 'done';
    const outcome = wish.effect?.outcome;
    wish.toldTimestamp = wish.effect?.timestamp ?? 0;
    check(outcome?.kind === 'controlled' && fits(outcome.result), 'told-differs', () => {
      return `wish ${wish.id} (${wish.kind} ${wish.stream}) is told otherwise than ${JSON.stringify(outcome)}`;
    });
  }

  toldError(wish: Wish, error: unknown): void {
    if (!(error instanceof MeridianError)) throw error;
    const { reason, noEffect, message } = error;
    const says = (): string =>
      `wish ${wish.id} (${wish.kind} ${wish.stream}) is told ${reason}: ${message}`;
    check(EXPECTED.includes(reason), 'told-unexpected', says);
    wish.told = noEffect ? 'no effect' : 'unknown';
    if (!noEffect) this.counts.unknown += 1;
    check(!noEffect || wish.effect === null, 'no-effect-took-effect', says);
    const isDecided =
      wish.sent === 0 || !DECIDED.includes(reason) || wish.failures.includes(reason);
    check(isDecided, 'told-undecided', () => `${says()}, decided was ${wish.failures.join()}`);
  }

  /** What nobody has been told of. */
  get untold(): string {
    const untold = [...this.wishes.values()].filter(({ told }) => told === 'nothing yet');
    return untold.map(({ id, kind, stream }) => `${id} (${kind} ${stream})`).join(', ');
  }

  /** At the end, when everything is released: nobody was told of what is not there. */
  finished(): void {
    for (const wish of this.wishes.values()) {
      if (wish.told !== 'done' || wish.effect !== null) continue;
      const isExcused = wish.failures.some((reason) => UNHEARD.includes(reason));
      check(isExcused, 'told-lost', () => {
        return `wish ${wish.id} was told ${wish.toldTimestamp} and is not in the order (${wish.failures.join()})`;
      });
    }
  }
}

/** By what it would mean if that stood in the order. */
function ruleFor({ control }: BatchHeader, outcome: Outcome, expected: Outcome): string {
  const reason = expected.kind === 'failed' ? expected.failure.reason : null;
  if (outcome.kind === 'appended' && reason === 'FENCED') return 'fenced-append';
  if (outcome.kind === 'appended' && reason === 'WRITER_FENCED') return 'fenced-writer';
  if (outcome.kind === 'appended' && expected.kind === 'duplicate') return 'append-doubled';
  if (control?.action.kind === 'acquire' && reason === 'LEASE_HELD') return 'lease-held-twice';
  if (outcome.kind === 'controlled' && expected.kind === 'duplicate') return 'action-doubled';
  return 'action-model';
}
