/**
 * The one order, as all replicas together have shown it: who releases first defines what stands at
 * a number, everybody else and every later life must show the same. Checks P2, P6 and the meaning
 * of outcomes, once per entry; all later releases cost a comparison.
 */
import type { Entry } from '../../libs/lane/types.ts';
import type { Outcome } from '../../libs/order/types.ts';
import type { LaneId, ReplicaId } from '../../libs/values/numbers.ts';
import { laneOf } from '../../libs/values/numbers.ts';
import type { Attempt, Content, Operation } from './operations.ts';
import { isOfSide } from './replica-parts.ts';
import { check } from './violation.ts';

export interface ReleasedEntry {
  readonly timestamp: number;
  readonly lane: LaneId;
  readonly index: number;
  readonly epoch: number;
  readonly content: Content | null;
  readonly outcomes: readonly Outcome[];
  /** Digest of the outcomes of all its appends. */
  readonly digest: number;
  /** Entries with batches before it. */
  readonly ordinal: number;
}

/** Judges what sessions in a replica's own process hand in (system/client-checker.ts). */
export interface ChecksOfSide {
  /** It comes into the order here, for the first time anywhere. */
  decided(attempt: Attempt, timestamp: number, outcome: Outcome, says: () => string): void;
}

interface Progress {
  /** Entries released in this life. */
  count: number;
  lastTimestamp: number;
  readonly lastIndex: [number, number, number];
}

export class OrderChecker {
  readonly list: ReleasedEntry[] = [];
  /** null: nobody hands in anything there. */
  ofSide: ChecksOfSide | null = null;
  /** Per replica, of its present life. */
  private readonly progress: Progress[] = [fresh(), fresh(), fresh()];
  private readonly streams = new Map<string, number>();
  private readonly writers = new Map<string, { seq: number; epoch: number }>();

  /** A life that begins with the first `count` entries executed. */
  restarted(replica: ReplicaId, count: number): void {
    const progress = fresh();
    progress.count = count;
    progress.lastTimestamp = this.before(count)?.timestamp ?? 0;
    for (let i = 0; i < count; i++) {
      const entry = this.list[i];
      if (entry !== undefined) progress.lastIndex[entry.lane] = entry.index;
    }
    this.progress[replica] = progress;
  }

  countOf(replica: ReplicaId): number {
    return this.of(replica).count;
  }

  released(replica: ReplicaId, entry: Entry<Content>, outcomes: readonly Outcome[]): number {
    const progress = this.of(replica);
    const name = (): string =>
      `r${replica} releases lane ${entry.lane} index ${entry.index} ts ${entry.timestamp}`;
    check(entry.timestamp > progress.lastTimestamp, 'release-order', () => {
      return `${name()} after ts ${progress.lastTimestamp}`;
    });
    const lastIndex = progress.lastIndex[entry.lane];
    check(entry.index > lastIndex, 'release-index', () => `${name()} after index ${lastIndex}`);
    check(laneOf(entry.timestamp) === entry.lane, 'timestamp-lane', name);
    progress.lastTimestamp = entry.timestamp;
    progress.lastIndex[entry.lane] = entry.index;
    const digest = digestOf(outcomes);
    const number = progress.count++;
    const known = this.list[number];
    if (known !== undefined) {
      check(
        known.timestamp === entry.timestamp &&
          known.index === entry.index &&
          known.epoch === entry.epoch &&
          known.content === entry.content,
        'order-agreement',
        () =>
          `${name()} as number ${number}; there stands lane ${known.lane} index ${known.index} ` +
          `epoch ${known.epoch} ts ${known.timestamp}`,
      );
      check(known.digest === digest, 'outcome-agreement', () => `${name()}: other outcomes`);
      return number;
    }
    this.first(entry, outcomes, name);
    this.list.push({
      ordinal: this.ordinalAt(this.list.length),
      outcomes,
      timestamp: entry.timestamp,
      lane: entry.lane,
      index: entry.index,
      epoch: entry.epoch,
      content: entry.content,
      digest,
    });
    return number;
  }

  /** The last of the first `count`. (An index of -1 would make every look at the list a slow one.) */
  before(count: number): ReleasedEntry | undefined {
    return count === 0 ? undefined : this.list[count - 1];
  }

  /** Entries with batches among the first `count`: the ordinal of the next one. */
  ordinalAt(count: number): number {
    const last = this.before(count);
    return last === undefined ? 0 : last.ordinal + (isMarker(last) ? 0 : 1);
  }

  /** Nobody has shown this entry before: is it one that may stand here? */
  private first(entry: Entry<Content>, outcomes: readonly Outcome[], name: () => string): void {
    const content = entry.content ?? [];
    check(content.length === outcomes.length, 'batch-torn', name);
    for (let i = 0; i < content.length; i++) {
      const attempt = content[i];
      const outcome = outcomes[i];
      if (attempt === undefined || outcome === undefined) continue;
      this.attempt(entry, attempt, outcome, name);
    }
  }

  private attempt(
    entry: Entry<Content>,
    attempt: Attempt,
    outcome: Outcome,
    name: () => string,
  ): void {
    const { operation } = attempt;
    const what = (): string => `${name()}, operation ${operation.id} (attempt ${attempt.number})`;
    check(attempt.lane === entry.lane, 'foreign-record', () => {
      return `${what()}, which was handed to r${attempt.lane}`;
    });
    check(attempt.released === 0, 'released-twice', () => {
      return `${what()}, released before at ${attempt.released}`;
    });
    attempt.released = entry.timestamp;
    check(!attempt.refused, 'refused-effective', () => `${what()}, which was refused`);
    check(entry.timestamp > attempt.minTimestamp, 'min-timestamp', () => {
      return `${what()}, not above its minTimestamp ${attempt.minTimestamp}`;
    });
    check(entry.timestamp > attempt.floor, 'real-time-order', () => {
      return `${what()}, sent after watermark ${attempt.floor} was shown`;
    });
    check(entry.timestamp > attempt.quorumFloor, 'quorum-real-time', () => {
      return `${what()}, sent after ${attempt.quorumFloor} was acknowledged`;
    });
    if (attempt.acknowledged !== 0) {
      check(attempt.acknowledged === entry.timestamp, 'acknowledged-moved', () => {
        return `${what()}, acknowledged at ${attempt.acknowledged}`;
      });
      check(isOfSide(attempt) || hasEffect(outcome), 'acknowledged-without-effect', () => {
        return `${what()}: ${JSON.stringify(outcome)}`;
      });
    }
    if (isOfSide(attempt)) this.ofSide?.decided(attempt, entry.timestamp, outcome, what);
    else this.outcome(operation, entry.timestamp, outcome, what);
  }

  private outcome(
    operation: Operation,
    timestamp: number,
    outcome: Outcome,
    what: () => string,
  ): void {
    const { batch } = operation;
    const tail = this.streams.get(batch.stream) ?? 0;
    const says = (): string => `${what()}: ${JSON.stringify(outcome)}`;
    if (outcome.kind === 'duplicate') {
      check(batch.writer !== null && operation.effective !== null, 'false-duplicate', says);
      check(sameFirst(outcome.first, operation.effective), 'first-outcome', () => {
        return `${says()}, first was ${JSON.stringify(operation.effective)}`;
      });
      return;
    }
    if (outcome.kind === 'failed') {
      const { failure } = outcome;
      check(operation.effects === 0, 'failed-after-effect', says);
      if (failure.reason === 'CONDITION_FAILED') {
        check(batch.matchSeqNum !== null && failure.actual === tail, 'condition-actual', says);
        check(failure.expected !== failure.actual, 'condition-false', says);
        check(operation.effective === null, 'first-outcome', says);
        if (batch.writer !== null) {
          operation.effective = outcome;
          this.chain(operation, says);
        }
      }
      return;
    }
    check(outcome.kind === 'appended', 'false-action', says);
    operation.effects++;
    check(operation.effects === 1, 'doubled', says);
    check(operation.effective === null, 'first-outcome', says);
    check(outcome.timestamp === timestamp, 'outcome-timestamp', says);
    check(outcome.firstSeqNum === tail, 'dense-sequence', () => `${says()}, tail is ${tail}`);
    check(batch.matchSeqNum === null || batch.matchSeqNum === tail, 'condition-ignored', says);
    this.streams.set(batch.stream, tail + batch.recordCount);
    operation.effective = outcome;
    operation.effectiveTimestamp = timestamp;
    this.chain(operation, says);
  }

  /** A writer's appends take effect in its order, none left out. */
  private chain(operation: Operation, says: () => string): void {
    const { writer } = operation.batch;
    if (writer === null) return;
    const last = this.writers.get(writer.id);
    check(
      last === undefined
        ? writer.previous === 0
        : writer.epoch === last.epoch && writer.previous === last.seq && writer.seq > last.seq,
      'writer-order',
      () => `${says()} after seq ${last?.seq ?? 0}`,
    );
    this.writers.set(writer.id, { seq: writer.seq, epoch: writer.epoch });
  }

  private of(replica: ReplicaId): Progress {
    const progress = this.progress[replica];
    if (progress === undefined) throw new RangeError(`no replica ${replica}`);
    return progress;
  }
}

function fresh(): Progress {
  return { count: 0, lastTimestamp: 0, lastIndex: [0, 0, 0] };
}

/** An entry without batches. */
export function isMarker({ content }: Pick<ReleasedEntry, 'content'>): boolean {
  return content === null || content.length === 0;
}

export function hasEffect(outcome: Outcome): boolean {
  return (
    outcome.kind === 'appended' ||
    (outcome.kind === 'duplicate' && outcome.first.kind === 'appended')
  );
}

function sameFirst(a: Outcome, b: Outcome | null): boolean {
  return b !== null && digestOf([a]) === digestOf([b]);
}

/** A number that differs where outcomes differ (up to collisions of 32 bits). */
export function digestOf(outcomes: readonly Outcome[]): number {
  let digest = outcomes.length;
  const mix = (value: number): void => {
    digest = Math.imul(digest ^ (value | 0), 0x01000193);
    digest = Math.imul(digest ^ Math.floor(value / 0x1_0000_0000), 0x85ebca6b);
    digest ^= digest >>> 13;
  };
  const add = (outcome: Outcome): void => {
    switch (outcome.kind) {
      case 'appended':
        mix(1);
        mix(outcome.timestamp);
        mix(outcome.firstSeqNum);
        break;
      case 'duplicate':
        mix(2);
        add(outcome.first);
        break;
      case 'failed':
        mix(3);
        for (const value of Object.values(outcome.failure)) {
          if (typeof value === 'number') mix(value);
          else if (value !== null) mix(value.length);
        }
        break;
      case 'controlled':
        mix(4);
        mix(outcome.timestamp);
        break;
    }
  };
  for (const outcome of outcomes) add(outcome);
  return digest;
}
