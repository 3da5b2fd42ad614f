/**
 * What clients of the library see of a stream, held against the model: a description and a tail are linearizable, a read
 * gives each number once, in order, with what was appended there; what is trimmed is a gap and does not come back.
 */
import type { Journal } from '../../../libs/client/client.ts';
import type { ReadGap } from '../../../libs/client/types.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import type { Prng } from '../prng.ts';
import { check } from '../violation.ts';
import type { ModelStream } from './action-model.ts';
import type { ClientChecker } from './client-checker.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface ActionReadsOptions {
  readonly number: number;
  readonly time: VirtualTime;
  readonly prng: Prng;
  readonly checker: ClientChecker;
}

/** Where a read of a stream stands. */
interface Reading {
  readonly stream: string;
  /** Number of the next record; null: behind something that names no number. */
  next: number | null;
  readonly view: View;
}

/** What every replica had released when the read began. */
interface View {
  readonly state: ModelStream;
  /** They are still the same processes. */
  readonly stands: () => boolean;
}

export class ActionReads {
  private readonly journal: Journal;
  private readonly options: ActionReadsOptions;

  constructor(journal: Journal, options: ActionReadsOptions) {
    this.journal = journal;
    this.options = options;
  }

  /** A linearizable look at the stream. */
  async look(stream: string): Promise<void> {
    const { checker, prng } = this.options;
    const floor = checker.released;
    const isTail = prng.chance(0.4);
    try {
      if (isTail) {
        const { nextSeqNum, timestamp } = await this.journal.checkTail(stream);
        this.seen(stream, floor, 'tail', ({ isAlive, next, lastTimestamp }) => {
          return isAlive && next === nextSeqNum && lastTimestamp === timestamp;
        });
      } else {
        const told = await this.journal.describeStream(stream);
        this.seen(stream, floor, JSON.stringify(told), (state) => {
          const { lease } = told;
          return (
            state.isAlive &&
            state.next === told.nextSeqNum &&
            state.first === told.firstSeqNum &&
            state.lastTimestamp === told.timestamp &&
            state.createdAt === told.createdAt &&
            state.token === told.fencingToken &&
            state.isFenced === (told.config.fencing === 'required') &&
            (lease === null ||
              (state.lease?.token === lease.token && state.lease.expiresAt === lease.expiresAt))
          );
        });
      }
      checker.counts.looks += 1;
    } catch (error) {
      this.failed(stream, floor, error);
    }
  }

  /** Reads what there is, from somewhere on. */
  async read(stream: string): Promise<void> {
    const { checker, prng, time } = this.options;
    const floor = checker.released;
    const view = checker.viewOfAll(stream);
    const known = view.state.next;
    const seqNum = prng.chance(0.5) ? 0 : prng.below(known + 1);
    const isFromStart = seqNum === 0 && prng.chance(0.5);
    const reading: Reading = { stream, next: seqNum, view };
    try {
      const from = isFromStart ? 'start' : { seqNum };
      for await (const item of this.journal.read({ stream, from })) {
        time.judge(() => {
          if (item.type === 'gap') this.skipped(reading, item);
          if (item.type !== 'batches') return;
          for (const { firstSeqNum, records } of item.batches) {
            const bodies = records.map(({ body }) => Buffer.from(body).toString());
            this.delivered(reading, firstSeqNum, bodies);
          }
        });
      }
      checker.counts.streamReads += 1;
      const { state, stands } = view;
      time.judge(() => {
        const isWhole = reading.next === null || reading.next >= state.next;
        check(isWhole || !stands(), 'read-lacks', () => {
          return `${this.who} has read ${stream} up to ${reading.next}, not to ${state.next}`;
        });
      });
    } catch (error) {
      this.failed(stream, floor, error);
    }
  }

  private delivered(reading: Reading, first: number, bodies: readonly string[]): void {
    const { checker } = this.options;
    const { stream, next, view } = reading;
    const end = first + bodies.length;
    const says = (): string =>
      `${this.who} is given ${stream} ${first} to ${end}, next was ${next}`;
    check(next === null || (first <= next && next < end), 'read-order', says);
    const contents = checker.contents.get(stream) ?? [];
    const isSame = bodies.every((body, i) => contents[first + i] === body);
    check(isSame, 'read-differs', () => `${says()}: ${bodies.join()}`);
    const isBack = end <= view.state.first && view.stands();
    check(!isBack, 'trimmed-came-back', () => `${says()}, trimmed up to ${view.state.first}`);
    reading.next = end;
  }

  private skipped(reading: Reading, { kind, seqNums }: ReadGap): void {
    const { stream, next } = reading;
    const says = (): string => `${this.who} reads ${stream} at ${next}: ${JSON.stringify(seqNums)}`;
    check(kind === 'trimmed', 'read-gap', () => `${says()} is ${kind}`);
    if (seqNums === undefined) {
      reading.next = null;
      return;
    }
    const { first } = this.options.checker.model.stream(stream);
    check(seqNums.to <= first, 'gap-untrimmed', () => `${says()}; trimmed is up to ${first}`);
    check(next === null || seqNums.from <= next, 'read-order', says);
    reading.next = Math.max(next ?? 0, seqNums.to);
    this.options.checker.counts.gaps += 1;
  }

  private failed(stream: string, floor: number, error: unknown): void {
    if (!(error instanceof MeridianError)) throw error;
    if (error.reason === 'STREAM_NOT_FOUND') {
      this.seen(stream, floor, error.message, ({ isAlive }) => !isAlive);
      return;
    }
    const isExpected = error.retry || error.reason === 'OUT_OF_RANGE';
    this.options.time.judge(() => {
      check(isExpected, 'read-failed', () => `${this.who} at ${stream}: ${error.message}`);
    });
  }

  /** At some moment between the question and now it was so. */
  private seen(
    stream: string,
    floor: number,
    what: string,
    fits: (state: ModelStream) => boolean,
  ): void {
    const { checker, time } = this.options;
    const states = checker.model.since(stream, floor);
    time.judge(() => {
      check(states.some(fits), 'stale-description', () => {
        return `${this.who} is told of ${stream}: ${what}; it was ${JSON.stringify(states)}`;
      });
    });
  }

  private get who(): string {
    return `user-${this.options.number}`;
  }
}
