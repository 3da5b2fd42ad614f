import { describe, expect, it } from 'vitest';
import type { Epoch, Index, LaneId, Timestamp } from '../values/numbers.ts';
import { contextOf } from './context.test-kit.ts';
import { Home } from './home.ts';
import { Lane } from './lane.ts';
import { wholeLog } from './lane-log.ts';
import type { Append, Entry } from './types.ts';

const MIB = 1 << 20;

function entry(lane: LaneId, index: number): Entry<null> {
  const timestamp = (8 * index + lane) as Timestamp;
  const epoch = (8 + lane) as Epoch;
  return {
    lane,
    epoch,
    index: index as Index,
    timestamp,
    kind: 'batches',
    content: null,
    bytes: 0,
  };
}

/** Replica 0 with nothing in the logs of its lane and of its neighbour's. */
function replica(): {
  home: Home<null, Append>;
  own: Lane<null, Append>;
  other: Lane<null, Append>;
} {
  const context = contextOf();
  const [own, other] = ([0, 1] as const).map((id) => {
    return new Lane<null, Append>(context, id, (8 + id) as Epoch, wholeLog([]), () => null);
  }) as [Lane<null, Append>, Lane<null, Append>];
  return { home: new Home(context), own, other };
}

/** Appends that fill an entry each are stamped, and synced here; nobody else has them. */
function stamp(home: Home<null, Append>, own: Lane<null, Append>, count: number): void {
  home.enqueue(
    Array.from({ length: count }, () => ({ bytes: MIB, minTimestamp: 0 })),
    [],
  );
  home.stamp(own, 2 * MIB);
  own.persisted(Infinity);
}

describe('the home of a lane', () => {
  it('has only so much on the way to its peers, and stamps more as it commits', () => {
    const { home, own } = replica();
    stamp(home, own, 4);
    expect(own.log.last).toBe(2);
    own.log.commit(1);
    stamp(home, own, 0);
    expect(own.log.last).toBe(3);
  });

  /**
   * Entries fell out of a lane that is not the home's, and those of its own with the same indexes no longer
   * counted as under way: as much again was stamped, however narrow the links, and all of it in one order.
   */
  it('still counts its own as under way when entries of another lane fall out of the log', () => {
    const { home, own, other } = replica();
    stamp(home, own, 4);
    home.removed(other, [entry(1, 1), entry(1, 2)]);
    stamp(home, own, 0);
    expect(own.log.last).toBe(2);
  });

  it('L6: stamps again what fell out of its own lane, in the order it had, and what waited after it', () => {
    const { home, own } = replica();
    stamp(home, own, 4);
    home.removed(own, own.log.truncate(2 as Index));
    expect(home.waitingToBeStamped).toBe(3);
    stamp(home, own, 0);
    expect(own.log.last).toBe(2);
    expect(home.waitingToBeStamped).toBe(2);
  });
});
