/**
 * What stands in the journal at the end, as checkers ask for it: where is this value, what is at this
 * number. Also decides what became of an append that nobody has heard of again: with the whole log at
 * hand, there is no doubt left (etcd's robustness tests resolve theirs in the same way).
 */
import type { History } from '../model/history.ts';
import type { Action, FinalBatch, Operation, Place } from '../model/operation.ts';

export type AppendAction = Extract<Action, { readonly kind: 'append' }>;

export interface Append extends Operation {
  readonly action: AppendAction;
}

export interface Standing {
  readonly batch: FinalBatch;
  /** Of the value in the batch. */
  readonly index: number;
}

class StreamLog {
  /** Every record's body, at its number. */
  readonly values: string[] = [];
  /** Tails that the stream has had. */
  readonly tails = new Set<number>([0]);
  readonly standings = new Map<string, Standing[]>();
}

const NOWHERE: readonly Standing[] = [];

export class FinalLog {
  /** In the total order. */
  readonly batches: readonly FinalBatch[];
  readonly #streams = new Map<string, StreamLog>();

  constructor(history: History) {
    this.batches = [...history.final].sort((a, b) => comparePlaces(a.place, b.place));
    for (const batch of history.final) {
      const key = streamKey(batch.place.instance, batch.stream);
      let log = this.#streams.get(key);
      if (log === undefined) this.#streams.set(key, (log = new StreamLog()));
      log.tails.add(batch.firstSeqNum + batch.values.length);
      for (const [index, value] of batch.values.entries()) {
        log.values[batch.firstSeqNum + index] = value;
        const standings = log.standings.get(value);
        if (standings === undefined) log.standings.set(value, [{ batch, index }]);
        else standings.push({ batch, index });
      }
    }
  }

  /** What stands at this number. */
  valueAt(instance: number, stream: string, seqNum: number): string | null {
    return this.#streams.get(streamKey(instance, stream))?.values[seqNum] ?? null;
  }

  /** Whether the stream's tail has ever been this. */
  hadTail(instance: number, stream: string, tail: number): boolean {
    return tail === 0 || this.#streams.get(streamKey(instance, stream))?.tails.has(tail) === true;
  }

  /** Everywhere this value stands in the stream; more than once is a duplicate. */
  find(instance: number, stream: string, value: string): readonly Standing[] {
    return this.#streams.get(streamKey(instance, stream))?.standings.get(value) ?? NOWHERE;
  }

  /** Where the append took effect; null when it is not there. */
  standingOf({ action }: Append): Standing | null {
    return this.find(action.instance, action.stream, action.values[0] ?? '')[0] ?? null;
  }

  /** Number of the append's first record; what it was told where the log does not have it. */
  seqNumOf(append: Append): number | null {
    const standing = this.standingOf(append);
    if (standing !== null) return standing.batch.firstSeqNum + standing.index;
    return append.outcome.kind === 'ok' ? (append.outcome.answer.firstSeqNum ?? null) : null;
  }

  placeOf(append: Append): Place | null {
    const standing = this.standingOf(append);
    if (standing === null) return null;
    const { place } = standing.batch;
    return { ...place, recordOffset: place.recordOffset + standing.index };
  }
}

export function streamKey(instance: number, stream: string): string {
  return `${instance}/${stream}`;
}

export function isAppend(operation: Operation): operation is Append {
  return operation.action.kind === 'append';
}

export function comparePlaces(a: Place, b: Place): number {
  return a.timestamp - b.timestamp || a.instance - b.instance || a.recordOffset - b.recordOffset;
}

export function showPlace({ timestamp, instance, recordOffset }: Place): string {
  return `${timestamp}/${instance}/${recordOffset}`;
}

/** When it was over; an outcome that is unknown has no end. */
export function endOf({ completedUs, outcome }: Operation): number {
  return outcome.kind === 'unknown' ? Infinity : (completedUs ?? Infinity);
}
