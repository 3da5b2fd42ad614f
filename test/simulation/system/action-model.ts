/**
 * What appends and control actions of the client library do, told from libs/order/SPEC.md a second time and in another
 * way: states are values, nothing ages, nothing is bounded. `decide` says what has to come of a batch; of each stream the
 * whole history is kept, so that an answer can be held against any moment.
 */
import type { Control, ControlAction } from '../../../libs/frames/control.ts';
import type {
  BatchHeader,
  ControlResult,
  OrderFailure,
  Outcome,
} from '../../../libs/order/types.ts';
import type { SeqNum, Timestamp } from '../../../libs/values/numbers.ts';

export interface ModelStream {
  readonly isAlive: boolean;
  readonly createdAt: number;
  readonly next: number;
  readonly first: number;
  readonly lastTimestamp: number;
  readonly token: number;
  readonly isFenced: boolean;
  readonly lease: {
    readonly holder: string;
    readonly token: number;
    readonly expiresAt: number;
  } | null;
}

/** A state, and the number of the entry that brought it. */
export interface Moment {
  readonly entry: number;
  readonly state: ModelStream;
}

interface ModelWriter {
  readonly epoch: number;
  readonly last: number;
  readonly outcomes: ReadonlyMap<number, Outcome>;
}

const NOTHING: ModelStream = {
  isAlive: false,
  createdAt: 0,
  next: 0,
  first: 0,
  lastTimestamp: 0,
  token: 0,
  isFenced: false,
  lease: null,
};

export class ActionModel {
  private readonly streams = new Map<string, Moment[]>();
  private readonly writers = new Map<string, ModelWriter>();
  private readonly afresh = new Map<string, number>();
  private readonly requests = new Map<string, Outcome>();
  /** Entry in which each epoch of a writer was decided first. */
  private readonly takeovers = new Map<string, number>();

  stream(name: string): ModelStream {
    return this.history(name).at(-1)?.state ?? NOTHING;
  }

  /** As somebody sees it who has released the first `count` entries. */
  seenBy(name: string, count: number): ModelStream {
    return this.history(name).findLast(({ entry }) => entry < count)?.state ?? NOTHING;
  }

  /** What it was when `count` entries were released, and every state after that. */
  since(name: string, count: number): ModelStream[] {
    const history = this.history(name);
    const later = history.filter(({ entry }) => entry >= count);
    return [this.seenBy(name, count), ...later.map(({ state }) => state)];
  }

  writer(id: string): ModelWriter | null {
    return this.writers.get(id) ?? null;
  }

  /** A higher epoch has started afresh: of this one nothing is remembered. */
  isForgotten({ id, epoch }: { readonly id: string; readonly epoch: number }): boolean {
    return (this.afresh.get(id) ?? 0) > epoch;
  }

  /** Somebody who has released the first `count` entries knows that a higher epoch than this has appended. */
  isFencedFor(id: string, epoch: number, count: number): boolean {
    for (const [key, entry] of this.takeovers) {
      const [writer = '', taken = ''] = JSON.parse(key) as string[];
      if (writer === id && Number(taken) > epoch && entry < count) return true;
    }
    return false;
  }

  /** The next batch of the order, in its entry: what has to come of it. */
  decide(batch: BatchHeader, timestamp: number, entry: number): Outcome {
    const { control } = batch;
    return control === undefined || control === null
      ? this.append(batch, timestamp, entry)
      : this.act(batch, control, timestamp, entry);
  }

  private append(batch: BatchHeader, timestamp: number, entry: number): Outcome {
    const { stream, writer, recordCount } = batch;
    const verdict = writer === null ? null : this.verdictOn(writer);
    if (verdict !== null) return verdict;
    const before = this.stream(stream);
    const failure = failureOf(batch, before);
    const outcome: Outcome =
      failure === null ? appendedAt(timestamp, before.next) : { kind: 'failed', failure };
    if (failure === null) {
      this.become(stream, entry, {
        ...before,
        isAlive: true,
        createdAt: before.isAlive ? before.createdAt : timestamp,
        next: before.next + recordCount,
        lastTimestamp: timestamp,
      });
    }
    if (writer === null) return outcome;
    const { id, epoch, seq, previous } = writer;
    const known = this.writers.get(id);
    const afresh = known === undefined || (previous === 0 && epoch > known.epoch);
    const outcomes = new Map(afresh ? [] : known.outcomes).set(seq, outcome);
    this.writers.set(id, { epoch, last: seq, outcomes });
    const key = JSON.stringify([id, String(epoch)]);
    if (!this.takeovers.has(key)) this.takeovers.set(key, entry);
    if (afresh && known !== undefined) this.afresh.set(id, epoch);
    return outcome;
  }

  private verdictOn({
    id,
    epoch,
    seq,
    previous,
  }: NonNullable<BatchHeader['writer']>): Outcome | null {
    const known = this.writers.get(id);
    if (known === undefined) {
      return previous === 0
        ? null
        : failed({ reason: 'WRITER_FORGOTTEN', seq, oldestRemembered: 0 });
    }
    const { last } = known;
    const gap = failed({ reason: 'WRITER_GAP', previous, last });
    if (epoch < known.epoch) {
      return failed({ reason: 'WRITER_FENCED', epoch, current: known.epoch });
    }
    if (epoch > known.epoch) return previous === last || previous === 0 ? null : gap;
    if (seq > last) return previous === last ? null : gap;
    const first = known.outcomes.get(seq);
    if (first === undefined) return gap;
    return { kind: 'duplicate', first } as Outcome;
  }

  private act(batch: BatchHeader, control: Control, timestamp: number, entry: number): Outcome {
    const { stream, fencingToken } = batch;
    const { requestId, notAfter, action } = control;
    const known = this.requests.get(requestId);
    if (requestId !== '' && known !== undefined)
      return { kind: 'duplicate', first: known } as Outcome;
    if (timestamp > notAfter) return failed({ reason: 'UNAVAILABLE', notAfter });
    const before = this.stream(stream);
    const done =
      fencingToken !== null && fencingToken !== before.token
        ? fenced(fencingToken, before.token)
        : actionOn(before, stream, action, fencingToken, timestamp);
    const outcome: Outcome =
      'reason' in done
        ? { kind: 'failed', failure: done }
        : { kind: 'controlled', timestamp: timestamp as Timestamp, result: done.result };
    if (!('reason' in done) && done.state !== before) this.become(stream, entry, done.state);
    if (requestId !== '') this.requests.set(requestId, outcome);
    return outcome;
  }

  private become(name: string, entry: number, state: ModelStream): void {
    this.history(name).push({ entry, state });
  }

  private history(name: string): Moment[] {
    const known = this.streams.get(name);
    if (known !== undefined) return known;
    const history: Moment[] = [];
    this.streams.set(name, history);
    return history;
  }
}

interface Done {
  readonly result: ControlResult;
  readonly state: ModelStream;
}

function actionOn(
  before: ModelStream,
  name: string,
  action: ControlAction,
  fencingToken: number | null,
  now: number,
): Done | OrderFailure {
  const { isAlive, token, next, lease } = before;
  const fencing = (isFenced: boolean): 'required' | 'none' => (isFenced ? 'required' : 'none');
  if (action.kind === 'create') {
    const isFenced = isAlive ? before.isFenced : action.config.fencing === 'required';
    const state = isAlive ? before : { ...before, isAlive: true, createdAt: now, isFenced };
    const config = { fencing: fencing(isFenced) };
    return { result: { kind: 'create', created: !isAlive, config }, state };
  }
  if (!isAlive && action.kind === 'delete') {
    return { result: { kind: 'delete', deleted: false }, state: before };
  }
  if (!isAlive && action.kind === 'release') {
    return { result: { kind: 'release', released: false }, state: before };
  }
  if (!isAlive) return { reason: 'STREAM_NOT_FOUND', stream: name };
  const isHeldBy = (holder: string, held: number): boolean =>
    lease?.holder === holder && lease.token === held;
  switch (action.kind) {
    case 'configure': {
      const { fencing: wish } = action.config;
      const isFenced = wish === null ? before.isFenced : wish === 'required';
      const config = { fencing: fencing(isFenced) };
      return { result: { kind: 'configure', config }, state: { ...before, isFenced } };
    }
    case 'delete': {
      const raised = token > 0 ? token + 1 : 0;
      const state = { ...NOTHING, createdAt: before.createdAt, next, first: next, token: raised };
      return { result: { kind: 'delete', deleted: true }, state };
    }
    case 'fence': {
      const { expected } = action;
      const wanted = action.token ?? token + 1;
      if (expected !== null && expected !== token) {
        return { reason: 'CONDITION_FAILED', condition: 'fencingToken', expected, actual: token };
      }
      if (wanted < token) return fenced(wanted, token);
      const state = wanted > token ? { ...before, token: wanted, lease: null } : before;
      return { result: { kind: 'fence', token: wanted }, state };
    }
    case 'trim': {
      if (before.isFenced && fencingToken === null) return fenced(null, token);
      if (action.before > next) {
        return { reason: 'OUT_OF_RANGE', before: action.before, nextSeqNum: next };
      }
      const first = Math.max(before.first, action.before);
      const result = { kind: 'trim', firstSeqNum: first as SeqNum } as const;
      return { result, state: { ...before, first } };
    }
    case 'acquire': {
      const { holder, ttlMicros } = action;
      if (lease !== null && lease.holder !== holder && lease.expiresAt > now) {
        return { reason: 'LEASE_HELD', ...lease };
      }
      const granted = { holder, token: token + 1, expiresAt: now + ttlMicros };
      const state = { ...before, token: token + 1, lease: granted };
      return { result: { kind: 'acquire', lease: granted }, state };
    }
    case 'renew': {
      const { holder, ttlMicros } = action;
      if (lease === null || !isHeldBy(holder, action.token)) {
        return { reason: 'LEASE_LOST', expected: action.token, actual: token };
      }
      const renewed = { ...lease, expiresAt: Math.max(lease.expiresAt, now + ttlMicros) };
      return { result: { kind: 'renew', lease: renewed }, state: { ...before, lease: renewed } };
    }
    case 'release': {
      const released = isHeldBy(action.holder, action.token);
      const state = released ? { ...before, lease: null } : before;
      return { result: { kind: 'release', released }, state };
    }
  }
}

function failureOf(batch: BatchHeader, stream: ModelStream): OrderFailure | null {
  const { fencingToken, matchSeqNum, mustExist } = batch;
  if (mustExist === true && !stream.isAlive) {
    return { reason: 'STREAM_NOT_FOUND', stream: batch.stream };
  }
  const isFenced = fencingToken === null ? stream.isFenced : fencingToken !== stream.token;
  if (isFenced) return fenced(fencingToken, stream.token);
  if (matchSeqNum === null || matchSeqNum === stream.next) return null;
  return {
    reason: 'CONDITION_FAILED',
    condition: 'matchSeqNum',
    expected: matchSeqNum,
    actual: stream.next,
  };
}

function fenced(expected: number | null, actual: number): OrderFailure {
  return { reason: 'FENCED', expected, actual };
}

function failed(failure: OrderFailure): Outcome {
  return { kind: 'failed', failure };
}

function appendedAt(timestamp: number, firstSeqNum: number): Outcome {
  return {
    kind: 'appended',
    timestamp: timestamp as Timestamp,
    firstSeqNum: firstSeqNum as SeqNum,
  };
}
