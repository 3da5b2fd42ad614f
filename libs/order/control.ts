/**
 * What a control action does to a stream (SPEC.md, Control). Deterministic, and all or nothing: an action
 * that fails has changed nothing. Whether it is executed at all (repetitions, lateness) is decided in
 * actions.ts.
 */
import type { ControlAction } from '../frames/control.ts';
import { unreachable } from '../values/assert.ts';
import type { SeqNum, Timestamp } from '../values/numbers.ts';
import type { Stream, Streams } from './streams.ts';
import type { ActionOutcome, ControlResult, LeaseState, OrderFailure } from './types.ts';

type Effect = ControlResult | OrderFailure;
type Of<Kind extends ControlAction['kind']> = Extract<ControlAction, { kind: Kind }>;

/** `fencingToken`: the condition of the action, null for none. */
export function perform(
  streams: Streams,
  name: string,
  action: ControlAction,
  fencingToken: number | null,
  timestamp: Timestamp,
): ActionOutcome {
  const effect = effectOf(streams, name, action, fencingToken, timestamp);
  return 'reason' in effect
    ? { kind: 'failed', failure: effect }
    : { kind: 'controlled', timestamp, result: effect };
}

function effectOf(
  streams: Streams,
  name: string,
  action: ControlAction,
  fencingToken: number | null,
  now: Timestamp,
): Effect {
  const token = streams.peek(name)?.fencingToken ?? 0;
  if (fencingToken !== null && fencingToken !== token) {
    return { reason: 'FENCED', expected: fencingToken, actual: token };
  }
  const stream = streams.get(name);
  if (action.kind === 'create') return create(streams, name, stream, action, now);
  if (stream === undefined) {
    if (action.kind === 'delete') return { kind: 'delete', deleted: false };
    if (action.kind === 'release') return { kind: 'release', released: false };
    return { reason: 'STREAM_NOT_FOUND', stream: name };
  }
  switch (action.kind) {
    case 'configure':
      stream.fencing = action.config.fencing ?? stream.fencing;
      return { kind: 'configure', config: { fencing: stream.fencing } };
    case 'delete':
      streams.delete(stream);
      return { kind: 'delete', deleted: true };
    case 'fence':
      return fence(stream, action);
    case 'trim':
      return trim(stream, action, fencingToken);
    case 'acquire':
      return acquire(stream, action, now);
    case 'renew':
      return renew(stream, action, now);
    case 'release': {
      const released = holds(stream, action);
      if (released) stream.lease = null;
      return { kind: 'release', released };
    }
    default:
      return unreachable(action);
  }
}

function create(
  streams: Streams,
  name: string,
  existing: Stream | undefined,
  { config }: Of<'create'>,
  now: Timestamp,
): Effect {
  if (existing !== undefined) {
    return { kind: 'create', created: false, config: { fencing: existing.fencing } };
  }
  if (!streams.hasRoomFor(name)) return streams.full;
  const stream = streams.create(name, now);
  stream.fencing = config.fencing ?? 'none';
  return { kind: 'create', created: true, config: { fencing: stream.fencing } };
}

/** A token never falls; a higher one ends the lease that came with the one before. */
function fence(stream: Stream, { token, expected }: Of<'fence'>): Effect {
  const actual = stream.fencingToken;
  if (expected !== null && expected !== actual) {
    return { reason: 'CONDITION_FAILED', condition: 'fencingToken', expected, actual };
  }
  const wanted = token ?? actual + 1;
  if (wanted < actual) return { reason: 'FENCED', expected: wanted, actual };
  if (wanted > actual) {
    stream.fencingToken = wanted;
    stream.lease = null;
  }
  return { kind: 'fence', token: wanted };
}

function trim(stream: Stream, { before }: Of<'trim'>, fencingToken: number | null): Effect {
  const { nextSeqNum } = stream;
  if (stream.fencing === 'required' && fencingToken === null) {
    return { reason: 'FENCED', expected: null, actual: stream.fencingToken };
  }
  if (before > nextSeqNum) return { reason: 'OUT_OF_RANGE', before, nextSeqNum };
  stream.firstSeqNum = Math.max(stream.firstSeqNum, before);
  return { kind: 'trim', firstSeqNum: stream.firstSeqNum as SeqNum };
}

/** The holder itself may ask again, as after a restart: it gets a token that fences its former self. */
function acquire(stream: Stream, { holder, ttlMicros }: Of<'acquire'>, now: Timestamp): Effect {
  const { lease } = stream;
  if (lease !== null && lease.holder !== holder && lease.expiresAt > now) {
    return { reason: 'LEASE_HELD', ...stateOf(lease) };
  }
  stream.fencingToken += 1;
  stream.lease = { holder, token: stream.fencingToken, expiresAt: now + ttlMicros };
  return { kind: 'acquire', lease: stateOf(stream.lease) };
}

/** Also after its expiry, as long as nobody else was granted anything: that is no danger to anybody. */
function renew(stream: Stream, action: Of<'renew'>, now: Timestamp): Effect {
  const { lease } = stream;
  if (lease === null || !holds(stream, action)) {
    return { reason: 'LEASE_LOST', expected: action.token, actual: stream.fencingToken };
  }
  lease.expiresAt = Math.max(lease.expiresAt, now + action.ttlMicros);
  return { kind: 'renew', lease: stateOf(lease) };
}

function holds({ lease }: Stream, claim: { holder: string; token: number }): boolean {
  return lease !== null && lease.holder === claim.holder && lease.token === claim.token;
}

/** A copy: an outcome that is remembered does not change with the stream. */
function stateOf({ holder, token, expiresAt }: LeaseState): LeaseState {
  return { holder, token, expiresAt };
}
