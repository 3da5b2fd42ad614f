/**
 * Hand-made histories for the tests of the checkers, in as few words as possible. Times are given in the
 * order [began, ended]; an end of Infinity is an outcome that nobody knows. Stream `s` of instance 1
 * unless something else is said.
 */
import type { History, Observation } from '../model/history.ts';
import type {
  Action,
  Answer,
  FinalBatch,
  FinalRow,
  Operation,
  Outcome,
  Place,
  Scope,
} from '../model/operation.ts';

type Span = readonly [began: number, ended: number];
type AppendAction = Extract<Action, { readonly kind: 'append' }>;

export interface AppendStory extends Partial<AppendAction> {
  /** Number and timestamp that it was told; null: as QUORUM, which has no number. */
  readonly at?: number | null;
  readonly ts?: number;
  readonly client?: string;
  /** Reason and details: it failed. */
  readonly failed?: readonly [reason: string, details?: Readonly<Record<string, string>>];
}

export class Story {
  readonly #operations: Operation[] = [];
  readonly #observations: Observation[] = [];
  readonly #final: FinalBatch[] = [];
  readonly #rows: FinalRow[] = [];
  /** Of what observers see, unless it is given: behind all operations. */
  #now = 1000;

  /** `'a b'` is a batch of two. */
  append(values: string, span: Span, story: AppendStory = {}): this {
    const { at, ts, failed, client = 'c', ...more } = story;
    const action: AppendAction = {
      kind: 'append',
      instance: 1,
      stream: 's',
      values: values.split(' '),
      ack: 'ORDERED',
      ...more,
    };
    const answer: Answer = {
      ...(ts === undefined ? {} : { timestamp: ts }),
      ...(at === undefined || at === null ? {} : { firstSeqNum: at }),
    };
    const [reason, details] = failed ?? [];
    return this.#operation(
      client,
      action,
      span,
      reason === undefined
        ? { kind: 'ok', answer }
        : { kind: 'failed', reason, ...(details === undefined ? {} : { details }) },
    );
  }

  /** Reads all from number `from`. */
  read(values: string, tail: number, span: Span, from = 0): this {
    const list = values === '' ? [] : values.split(' ');
    const action: Action = { kind: 'read', instance: 1, stream: 's', from };
    const answer = { values: list, firstSeqNum: tail - list.length, tail };
    return this.#operation('reader', action, span, { kind: 'ok', answer });
  }

  tail(tail: number, span: Span): this {
    const action: Action = { kind: 'tail', instance: 1, stream: 's' };
    return this.#operation('reader', action, span, { kind: 'ok', answer: { tail } });
  }

  fence(token: number, span: Span): this {
    const action: Action = { kind: 'fence', instance: 1, stream: 's' };
    return this.#operation('fencer', action, span, { kind: 'ok', answer: { token } });
  }

  /** For `ttl` milliseconds, until `expiresAt` on the journal's clock. */
  lease(
    kind: 'acquire' | 'renew' | 'release',
    holder: string,
    token: number,
    expiresAt: number,
    span: Span,
  ): this {
    const asked = kind === 'acquire' ? {} : { token };
    const action: Action = { kind, instance: 1, stream: 's', holder, ttlMs: 1, ...asked };
    const answer = kind === 'release' ? {} : { token, expiresAt };
    return this.#operation(holder, action, span, { kind: 'ok', answer });
  }

  transfer(
    client: string,
    number: number,
    [from, to, amount]: readonly [string, string, number],
    span: Span,
    outcome: Outcome = { kind: 'ok', answer: {} },
  ): this {
    return this.#operation(client, { kind: 'transfer', number, from, to, amount }, span, outcome);
  }

  balances(
    balances: Readonly<Record<string, number>>,
    seen: Readonly<Record<string, readonly [number, number]>>,
    span: Span,
  ): this {
    const outcome: Outcome = { kind: 'ok', answer: { balances, seen } };
    return this.#operation('reader', { kind: 'balances' }, span, outcome);
  }

  /** `observer` is given a batch at timestamp `ts`. */
  given(observer: string, values: string, ts: number, firstSeqNum: number, stream = 's'): this {
    const list = values.split(' ');
    const place = placeAt(ts);
    const atUs = (this.#now += 1);
    const delivery = { observer, atUs, place, stream, firstSeqNum, values: list };
    this.#observations.push({ type: 'delivery', ...delivery });
    return this;
  }

  shown(observer: string, watermark: number, atUs = (this.#now += 1)): this {
    this.#observations.push({ type: 'progress', observer, atUs, watermark });
    return this;
  }

  begins(observer: string, after: number | null = null, scope: Scope = { instance: 1 }): this {
    const place = after === null ? null : placeAt(after);
    const atUs = (this.#now += 1);
    this.#observations.push({ type: 'resumption', observer, atUs, scope, after: place });
    return this;
  }

  /** A batch stands in the journal at the end. */
  stands(
    values: string,
    ts: number,
    firstSeqNum: number,
    { stream = 's', instance = 1 } = {},
  ): this {
    const place = { ...placeAt(ts), instance };
    this.#final.push({ place, stream, firstSeqNum, values: values.split(' ') });
    return this;
  }

  row(database: string, key: string, ...columns: (string | null)[]): this {
    this.#rows.push({ database, table: 't', key, columns });
    return this;
  }

  history(): History {
    return {
      header: {
        format: 'meridian-history',
        version: 1,
        scenario: 'hand-made',
        seed: 0,
        regions: ['r0', 'r1', 'r2'],
        startedAt: '1970-01-01T00:00:00Z',
        command: '',
      },
      operations: this.#operations,
      observations: this.#observations,
      faults: [],
      final: this.#final,
      rows: this.#rows,
      endUs: Math.max(0, ...this.#operations.map((it) => it.completedUs ?? it.invokedUs)),
    };
  }

  #operation(client: string, action: Action, [began, ended]: Span, outcome: Outcome): this {
    const isKnown = ended !== Infinity;
    this.#operations.push({
      id: this.#operations.length,
      workload: 'hand-made',
      client,
      region: 'r0',
      action,
      invokedUs: began,
      completedUs: isKnown ? ended : null,
      outcome: isKnown ? outcome : { kind: 'unknown', reason: 'DEADLINE' },
    });
    return this;
  }
}

function placeAt(timestamp: number): Place {
  return { timestamp, instance: 1, recordOffset: 0 };
}
