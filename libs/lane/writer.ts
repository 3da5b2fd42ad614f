/**
 * Becoming a lane's writer (SPEC.md §4): prepare, adopt the higher tail, append the marker. The home
 * opens its lane this way, another replica seals it this way (L5, L6); the steps are the same.
 */
import type { Epoch, ReplicaId } from '../values/numbers.ts';
import { nextEpoch, writerOf } from '../values/numbers.ts';
import type { Context } from './context.ts';
import { others } from './context.ts';
import type { Lane } from './lane.ts';
import type { Append, Entry, EntryHeader, Feed, PromiseLetter, Tail } from './types.ts';

export function isHigher(a: Tail, b: Tail): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.index > b.index);
}

export function isSame(a: Tail, b: Tail): boolean {
  return a.epoch === b.epoch && a.index === b.index;
}

export function becomePreparing<C, A extends Append>(
  context: Context<C, A>,
  lane: Lane<C, A>,
): void {
  lane.promise(nextEpoch(Math.max(lane.promised, lane.seen) as Epoch, context.self));
  lane.role = { name: 'preparing', sentAt: -Infinity };
}

/** Sends what is unanswered again, and stamps the marker as soon as the clock allows. */
export function pursue<C, A extends Append>(context: Context<C, A>, lane: Lane<C, A>): void {
  const { role } = lane;
  if (role.name === 'preparing' && isDue(context, role.sentAt)) {
    if (!lane.durablyPromised && !context.broken.has('L4-promise-unsynced')) return;
    role.sentAt = context.now;
    for (const peer of others(context.self)) {
      context.letter(peer, { type: 'prepare', lane: lane.id, epoch: lane.promised });
    }
  } else if (role.name === 'adopting' && isDue(context, role.sentAt)) {
    // No answer: the source may be gone, the other one will do as well.
    if (role.sentAt === -Infinity) fetchMore(context, lane, lane.log.agreement(role.target));
    else lane.role = { name: 'preparing', sentAt: -Infinity };
  } else if (role.name === 'marking') maybeMark(context, lane);
}

function isDue<C, A extends Append>({ now, settings }: Context<C, A>, sentAt: number): boolean {
  return now >= sentAt + settings.resend;
}

/** Answers a prepare once the promise is on disk (L4). False: not yet, ask again after a sync. */
export function answerPrepare<C, A extends Append>(
  context: Context<C, A>,
  lane: Lane<C, A>,
  epoch: Epoch,
): boolean {
  if (epoch !== lane.promised) return true;
  if (!lane.durablyPromised && !context.broken.has('L4-promise-unsynced')) return false;
  context.letter(writerOf(epoch), {
    type: 'promise',
    lane: lane.id,
    epoch,
    tail: context.broken.has('L4-promise-unsynced') ? lane.log.tail : lane.log.syncedTail,
    committed: lane.log.committed,
    clock: context.clock.last as PromiseLetter['clock'],
  });
  return true;
}

/** With a second promise the tail is chosen. `direct`: the promiser can hand its tail over. */
export function handlePromise<C, A extends Append>(
  context: Context<C, A>,
  lane: Lane<C, A>,
  from: ReplicaId,
  promise: PromiseLetter,
  direct: boolean,
): void {
  if (lane.role.name !== 'preparing' || promise.epoch !== lane.promised) return;
  const higher = isHigher(promise.tail, lane.log.tail) && !context.broken.has('adopt-shorter');
  if (higher && !direct) return;
  if (!context.broken.has('L8-old-clock')) context.clock.raise(promise.clock);
  if (higher) {
    const target = promise.tail;
    lane.role = { name: 'adopting', source: from, target, after: target, sentAt: -Infinity };
  } else lane.role = { name: 'marking' };
  pursue(context, lane);
}

/** The source does not have the position asked for: go back to where the logs may agree. */
export function handleFetchMismatch<C, A extends Append>(
  context: Context<C, A>,
  lane: Lane<C, A>,
  from: ReplicaId,
  resume: Tail,
): void {
  if (lane.role.name !== 'adopting' || lane.role.source !== from) return;
  const after = lane.log.agreement(resume);
  // A repetition; or the source's log begins here, with another entry (C3), and would say so again.
  if (isSame(after, lane.role.after)) return;
  fetchMore(context, lane, after);
}

export function adopt<C, A extends Append>(
  context: Context<C, A>,
  lane: Lane<C, A>,
  from: ReplicaId,
  feed: Feed<C>,
): void {
  const { role } = lane;
  if (role.name !== 'adopting' || role.source !== from || feed.epoch !== lane.promised) return;
  if (!isSame(feed.previous, role.after) || !lane.log.has(feed.previous)) return;
  // Without room (§10) it asks again, until there is some or somebody else takes the lane.
  if (context.space === 'none') return;
  lane.take(feed);
  lane.log.commit(Math.min(feed.committed, feed.previous.index + feed.entries.length));
  const { tail } = lane.log;
  if (isSame(tail, role.target)) {
    lane.role = { name: 'marking' };
    maybeMark(context, lane);
    return;
  }
  const last = feed.entries.at(-1);
  if (last !== undefined) fetchMore(context, lane, { epoch: last.epoch, index: last.index });
}

/** What a promiser, or a voter for a recovering replica, hands over of its log. */
export function answerFetch<C, A extends Append>(
  context: Context<C, A>,
  lane: Lane<C, A>,
  from: ReplicaId,
  epoch: Epoch,
  after: Tail,
): Feed<C> | null {
  if (epoch !== 0 && epoch !== lane.promised) return null;
  // C3: the status says where this log begins; who is behind that fetches a checkpoint.
  if (after.index < lane.log.base.index) return null;
  if (!lane.log.has(after)) {
    const resume = lane.log.agreement(after);
    context.letter(from, { type: 'mismatch', lane: lane.id, epoch, resume });
    return null;
  }
  const entries = lane.log.slice(after.index + 1, context.settings.entryBytesMax);
  // Its disk does not give them back: whoever asked asks the other one, or again.
  if (entries.length === 0 && after.index < lane.log.last) return null;
  return {
    lane: lane.id,
    epoch,
    previous: after,
    entries,
    committed: lane.log.committed,
    adoption: true,
  };
}

function fetchMore<C, A extends Append>(
  context: Context<C, A>,
  lane: Lane<C, A>,
  after: Tail,
): void {
  if (lane.role.name !== 'adopting') return;
  lane.role.sentAt = context.now;
  lane.role.after = after;
  const { source } = lane.role;
  context.letter(source, { type: 'fetch', lane: lane.id, epoch: lane.promised, after });
}

/** T2: above the adopted tail; L8: above every clock promised, which the clock was raised to. */
function maybeMark<C, A extends Append>(context: Context<C, A>, lane: Lane<C, A>): void {
  const floor = context.broken.has('T2-marker-behind') ? 0 : lane.log.timestampAt(lane.log.last);
  const timestamp = context.clock.take(lane.id, floor);
  if (timestamp === null) return;
  const entry = newEntry(context, lane, timestamp, 'marker', []);
  lane.append(entry);
  lane.role = { name: 'writing' };
  for (const peer of others(context.self)) context.wake(peer);
}

export function newEntry<C, A extends Append>(
  context: Context<C, A>,
  lane: Lane<C, A>,
  timestamp: EntryHeader['timestamp'],
  kind: EntryHeader['kind'],
  appends: readonly A[],
): Entry<C> {
  const epoch = lane.promised;
  const index = (lane.log.last + 1) as EntryHeader['index'];
  const header: EntryHeader = { lane: lane.id, epoch, index, timestamp, kind };
  const { content, bytes } = context.assemble(header, appends);
  // All entries of a process have their properties in the same order: they are looked at everywhere.
  return { lane: lane.id, epoch, index, timestamp, kind, bytes, content };
}
