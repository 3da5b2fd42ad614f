/**
 * What replicas do, in words a reviewer reads in a diff. Beacons, statements and reservations are
 * left out: they are everywhere, and every setting changes them.
 */
import type { LaneCore } from '../../libs/lane/core.ts';
import { START, type NamedAppend, type Names, type TrioEvent } from '../../libs/lane/testing.ts';
import type { Control, Entry, Feed, Tail, Write } from '../../libs/lane/types.ts';
import { at } from '../../libs/values/assert.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { EPOCH_STRIDE, REPLICAS } from '../../libs/values/numbers.ts';

export const letterOf = (replica: number): string => 'ABC'.charAt(replica);

/** "2B" is the second generation, written by B. */
export const epochName = (epoch: number): string =>
  epoch === 0
    ? 'none'
    : `${String(Math.floor(epoch / EPOCH_STRIDE))}${letterOf(epoch % EPOCH_STRIDE)}`;

export const timeOf = (timestamp: number): string => `t${((timestamp - START) / 1_000).toFixed(3)}`;

const tailName = ({ epoch, index }: Tail): string => `${epochName(epoch)}/${String(index)}`;

function entryName(entry: Entry<Names>): string {
  const what = entry.kind === 'marker' ? 'marker' : (entry.content ?? []).join(' ');
  return `${tailName(entry)} ${what}`;
}

/** null: not worth a line. */
export function describeEvent(event: TrioEvent): string[] {
  switch (event.type) {
    case 'write': {
      const text = describeWrite(event.write, event.replica);
      return text === null ? [] : [`${letterOf(event.replica)} writes ${text}`];
    }
    case 'send': {
      const path = `${letterOf(event.from)}→${letterOf(event.to)}`;
      const { letters, feeds } = event.packet;
      return [
        ...letters.map(({ from, to, control }) => {
          const relayed = from === event.from && to === event.to;
          const whose = relayed ? '' : ` (${letterOf(from)} to ${letterOf(to)})`;
          return `${path}${whose} ${describeControl(control)}`;
        }),
        ...feeds.map((feed) => `${path} ${describeFeed(feed)}`),
      ];
    }
    case 'acknowledged':
      return [`${letterOf(event.replica)} acknowledges ${entryName(event.entry)}`];
    case 'released':
      return [`${letterOf(event.replica)} releases ${entryName(event.entry)}`];
    case 'refused':
      return [`${letterOf(event.replica)} refuses ${event.name}: ${event.reason}`];
    case 'readPoint':
      return [
        `${letterOf(event.replica)} answers heartbeat ${String(event.id)}: ${timeOf(event.readPoint)}`,
      ];
  }
}

function describeWrite(write: Write<Names>, self: ReplicaId): string | null {
  switch (write.type) {
    case 'entry':
      return `lane ${letterOf(write.entry.lane)} ${entryName(write.entry)} at ${timeOf(write.entry.timestamp)}`;
    case 'truncate':
      return `lane ${letterOf(write.lane)} without ${String(write.from)} and above`;
    case 'promise':
      return `lane ${letterOf(write.lane)} promise ${epochName(write.epoch)}`;
    case 'incarnation':
      return `${letterOf(write.replica)} is incarnation ${String(write.incarnation)}`;
    case 'life':
      return write.clock === 0 || write.replica === self
        ? `${letterOf(write.replica)} lives its life ${String(write.life)}`
        : null;
    case 'recovered':
      return 'that it is recovered';
    case 'named':
    case 'reserve':
      return null;
  }
}

function describeControl(control: Control): string {
  switch (control.type) {
    case 'prepare':
      return `prepare lane ${letterOf(control.lane)} ${epochName(control.epoch)}`;
    case 'promise':
      return `promise lane ${letterOf(control.lane)} ${epochName(control.epoch)}, tail ${tailName(control.tail)}`;
    case 'mismatch':
      return `mismatch lane ${letterOf(control.lane)}, resume after ${tailName(control.resume)}`;
    case 'ask':
      return `do you hear lane ${letterOf(control.lane)} ${epochName(control.epoch)}?`;
    case 'answer':
      return `I ${control.hears ? '' : 'do not '}hear lane ${letterOf(control.lane)}`;
    case 'fetch':
      return `fetch lane ${letterOf(control.lane)} after ${tailName(control.after)}`;
    case 'heartbeat':
      return 'heartbeat?';
    case 'heartbeatAnswer':
      return `heartbeat answer ${timeOf(control.persisted)}`;
    case 'recover':
      return `recover incarnation ${String(control.incarnation)}, question ${String(control.nonce)}`;
    case 'void':
      return `void: life ${String(control.life)} of incarnation ${String(control.incarnation)}`;
    case 'recoverAnswer': {
      const tails = control.lanes.map(({ promised, tail }) => {
        return `${epochName(promised)} ${tailName(tail)}`;
      });
      return `recover answer to ${String(control.nonce)}: ${tails.join(', ')}`;
    }
  }
}

function describeFeed(feed: Feed<Names>): string {
  const kind = feed.adoption ? 'hand over' : 'feed';
  const entries = feed.entries.map(entryName).join(', ');
  return `${kind} lane ${letterOf(feed.lane)} after ${tailName(feed.previous)}: ${entries === '' ? 'nothing' : entries}`;
}

/** One line a lane: role, promise, and last / synced / committed entry. */
export function describeReplica(id: ReplicaId, core: LaneCore<Names, NamedAppend>): string[] {
  const { lanes, hears, voting, clockSafe } = core.inspect();
  const heard = REPLICAS.filter((peer) => at(hears, peer)).map(letterOf);
  const flags = `${voting ? '' : ', does not vote'}${clockSafe ? '' : ', clock unsafe'}`;
  return [
    `${letterOf(id)} hears ${heard.length === 0 ? 'nobody' : heard.join(' and ')}${flags}`,
    ...lanes.map(
      ({ id: lane, role, promised, last, synced, committed }) =>
        `  lane ${letterOf(lane)} ${epochName(promised)} ${role} ${[last, synced, committed].join('/')}`,
    ),
  ];
}
