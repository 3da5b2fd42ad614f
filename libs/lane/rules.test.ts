/**
 * Every rule of SPEC.md in one small story: what happens while the rule holds, and, where it can be
 * switched off (rules.ts), what happens then. A story ends with what was observed; a check of the
 * core or of the harness that fails on the way is an observation too.
 */
import { describe, expect, it } from 'vitest';
import { AssertionError } from '../values/assert.ts';
import type { ReplicaId } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
import type { RuleId } from './rules.ts';
import { RULES } from './rules.ts';
import { A, B, C, START, Trio, Violation } from './testing.ts';
import type { LaneSettings } from './types.ts';

interface Story {
  readonly says: string;
  readonly settings?: Partial<LaneSettings>;
  readonly tell: (trio: Trio) => unknown;
  readonly holds: unknown;
  /** What is observed with the rule switched off; an expression matches the check that fails. */
  readonly without?: Partial<Record<RuleId, unknown>>;
}

function observe(story: Story, broken: readonly RuleId[]): unknown {
  try {
    const { settings } = story;
    return story.tell(Trio.open({ broken, ...(settings === undefined ? {} : { settings }) }));
  } catch (error) {
    if (error instanceof AssertionError || error instanceof Violation) return error.message;
    throw error;
  }
}

function isolate(trio: Trio, id: ReplicaId): void {
  for (const peer of REPLICAS) if (peer !== id) trio.cutBoth(id, peer);
}

function rejoin(trio: Trio, id: ReplicaId): void {
  for (const peer of REPLICAS) if (peer !== id) trio.mendBoth(id, peer);
}

const epochOf = (trio: Trio, id: ReplicaId, lane: ReplicaId): number =>
  trio.lane(id, lane).promised;

/** Lane A is sealed by B while A lives alone. */
function sealA(trio: Trio): void {
  isolate(trio, A);
  trio.until(() => trio.lane(B, A).role === 'writing');
}

/** Committed by C and B; A has never seen it, C is gone. */
function onlyBHasIt(trio: Trio): void {
  trio.cut(C, A);
  trio.hold(B, A);
  trio.append(C, 'x');
  trio.until(() => trio.acknowledged('x'));
  trio.crash(C);
  trio.take(B, A);
  trio.release(B, A);
}

/** x is committed by A and C; B has not heard of it, C loses its disk and A is down. */
function onlyAHasIt(trio: Trio): void {
  isolate(trio, B);
  trio.append(A, 'x');
  trio.until(() => trio.acknowledged('x'));
  trio.wipe(C);
  trio.crash(A);
  rejoin(trio, B);
  trio.start(C);
  trio.run(1_500);
}

const stories: readonly Story[] = [
  {
    says: 'L1: one synced copy commits nothing',
    tell: (trio) => {
      isolate(trio, A);
      trio.append(A, 'x');
      trio.run(50);
      return trio.acknowledged('x');
    },
    holds: false,
    without: { 'L1-one-copy': true, 'L1-count-twice': true },
  },
  {
    says: 'L1: an older tail commits only together with the new marker',
    settings: { entryBytesMax: 100 },
    tell: (trio) => {
      isolate(trio, A);
      trio.append(A, 'x');
      trio.until(() => trio.lane(B, A).role === 'writing');
      trio.run(1);
      // B's marker is on B alone.
      trio.take(B, C);
      trio.crash(B);
      trio.mendBoth(A, C);
      const sealed = epochOf(trio, C, A);
      trio.until(() => trio.lane(A, A).role === 'writing' && epochOf(trio, A, A) > sealed);
      trio.replica(A).disk.held = true;
      trio.until(() => trio.lane(C, A).synced === 2);
      // C has x of the old epoch, and not yet A's new marker: B's marker may still replace it.
      const committed = trio.lane(C, A).committed;
      isolate(trio, A);
      trio.start(B);
      trio.run(1_500);
      rejoin(trio, A);
      trio.settle();
      return committed;
    },
    holds: 1,
  },
  {
    says: 'L2: a follower concludes commitment from what the writer says it has synced, not from what it sends',
    tell: (trio) => {
      trio.replica(A).disk.held = true;
      trio.cut(A, C);
      trio.cut(B, C);
      trio.append(A, 'x');
      trio.run(30);
      return trio.lane(B, A).committed;
    },
    holds: 1,
    without: { 'L2-writer-assumed': 2 },
  },
  {
    says: 'L2: a follower releases one way after the writer synced, without a further round trip',
    tell: (trio) => {
      trio.run(200);
      trio.append(A, 'x');
      trio.until(() => trio.lane(B, A).committed === 2);
      const committedAt = trio.now;
      trio.until(() => trio.acknowledged('x'));
      return committedAt <= trio.now;
    },
    holds: true,
  },
  {
    says: 'L3: a replica releases only what it holds synced itself',
    tell: (trio) => {
      trio.replica(C).disk.held = true;
      trio.append(A, 'x');
      trio.until(() => trio.lane(C, A).committed === 2);
      trio.run(50);
      return trio.releasedBy(C, 'x');
    },
    holds: false,
    without: { 'L3-release-unsynced': true },
  },
  {
    says: 'L4: withholds the acknowledgement until the second copy is synced',
    tell: (trio) => {
      trio.replica(B).disk.held = true;
      trio.cut(A, C);
      trio.cut(B, C);
      trio.append(A, 'x');
      trio.run(50);
      return trio.acknowledged('x');
    },
    holds: false,
    without: { 'L4-ack-unsynced': true },
  },
  {
    says: 'L4: a promise leaves only after it is on disk',
    tell: (trio) => {
      trio.crash(A);
      trio.replica(C).disk.held = true;
      trio.run(1_500);
      return trio.lane(B, A).role;
    },
    holds: 'preparing',
    without: { 'L4-promise-unsynced': 'writing' },
  },
  {
    says: 'L4: a promise survives a crash',
    tell: (trio) => {
      trio.run(300);
      const before = epochOf(trio, C, A);
      trio.crash(A);
      trio.until(() => epochOf(trio, C, A) > before);
      trio.run(20);
      trio.crash(C);
      return (trio.replica(C).disk.recovered().lanes[A]?.promised ?? 0) > before;
    },
    holds: true,
    without: { 'L4-promise-volatile': false },
  },
  {
    says: 'L5: a sealer never adds records to the lane it sealed',
    tell: (trio) => {
      const records: number[] = [];
      trio.crash(A);
      trio.until(() => trio.lane(B, A).role === 'writing');
      trio.observe = (event) => {
        if (event.type !== 'write' || event.write.type !== 'entry') return;
        const { lane, kind } = event.write.entry;
        if (event.replica === B && kind === 'batches') records.push(lane);
      };
      // Its own lane waits for the disk; the sealed one has nothing to wait for.
      trio.run(50);
      trio.replica(B).disk.held = true;
      trio.append(B, 'x');
      trio.run(5);
      trio.append(B, 'y');
      trio.run(5);
      return records.includes(A);
    },
    holds: false,
    without: { 'L5-sealer-appends': true },
  },
  {
    says: 'L6: entries of its own that are certainly aborted are appended again, and clients hear nothing of it',
    tell: (trio) => {
      trio.run(300);
      isolate(trio, A);
      trio.append(A, 'x');
      sealA(trio);
      rejoin(trio, A);
      trio.settle();
      return {
        refused: trio.replica(A).refused.length,
        acknowledged: trio.replica(A).acknowledged,
      };
    },
    holds: { refused: 0, acknowledged: ['x'] },
  },
  {
    says: 'L6: entries of its own in the adopted tail commit, once',
    tell: (trio) => {
      isolate(trio, A);
      trio.append(A, 'x');
      trio.until(() => trio.lane(B, A).role === 'preparing');
      trio.crash(C);
      // B has promised a higher epoch and knows nothing of x: A opens again, with x in its log.
      trio.mendBoth(A, B);
      trio.until(() => trio.acknowledged('x'));
      trio.settle();
      return trio.order.map(({ name }) => name);
    },
    holds: ['x'],
    without: { 'L6-append-again': /doubled: x x/, 'L6-refuse-on-seal': /waited in vain/ },
  },
  {
    says: 'L7: a replica that nobody can reach, but that can reach others, seals nothing',
    tell: (trio) => {
      trio.run(300);
      const before = REPLICAS.map((lane) => epochOf(trio, B, lane));
      trio.cut(A, C);
      trio.cut(B, C);
      trio.run(2_000);
      return REPLICAS.every((lane) => epochOf(trio, B, lane) === before[lane]);
    },
    holds: true,
    without: { 'L7-no-asking': false },
  },
  {
    says: 'L7: a silent home is sealed within two seal timeouts, by one replica',
    tell: (trio) => {
      trio.run(300);
      trio.crash(A);
      trio.run(600);
      return [trio.lane(B, A).role, trio.lane(C, A).role];
    },
    holds: ['writing', 'follower'],
  },
  {
    says: 'L7: a replica that was itself paused forgives all silence first',
    tell: (trio) => {
      trio.run(300);
      const before = epochOf(trio, A, A);
      trio.replica(B).paused = true;
      trio.run(3_000);
      // Its inputs of that time come late; its own lane was sealed, the others it must leave alone.
      trio.replica(B).inputs = [];
      trio.replica(B).paused = false;
      trio.run(500);
      return epochOf(trio, A, A) === before;
    },
    holds: true,
  },
  {
    says: 'L8: a new writer begins above every clock it was promised with',
    tell: (trio) => {
      trio.run(300);
      trio.crash(A);
      trio.until(() => trio.lane(B, A).role === 'writing');
      trio.run(3_000);
      trio.crash(C);
      trio.take(C, A);
      trio.replica(A).wallOffset = -3_600_000_000;
      trio.start(A);
      trio.append(A, 'x');
      trio.until(() => trio.acknowledged('x'));
      trio.replica(A).wallOffset = 0;
      trio.settle();
      return trio.order.map(({ name }) => name);
    },
    holds: ['x'],
    without: { 'L8-old-clock': /input 0: .* not above/ },
  },
  {
    says: 'fencing: a follower refuses entries of a lower epoch than it promised',
    tell: (trio) => {
      trio.run(300);
      trio.hold(A, B);
      trio.hold(A, C);
      trio.append(A, 'x');
      trio.until(() => trio.lane(B, A).role === 'writing');
      trio.until(() => trio.lane(C, A).committed === 2);
      trio.settle();
      return trio.order.map(({ name }) => name);
    },
    holds: ['x'],
    without: { 'fence-off': /never removed/ },
  },
  {
    says: 'adoption: a new writer takes over the higher tail that a promise showed',
    tell: (trio) => {
      onlyBHasIt(trio);
      trio.until(() => trio.lane(A, C).role === 'writing');
      trio.settle();
      return trio.order.map(({ name }) => name);
    },
    holds: ['x'],
    without: { 'adopt-shorter': /never removed|is lost/ },
  },
  {
    says: 'T1: a clock never goes back, restarts included, whatever the wall clock says',
    tell: (trio) => {
      trio.run(300);
      const before = trio.replica(A).core?.inspect().clock ?? 0;
      trio.crash(A);
      trio.replica(A).wallOffset = -3_600_000_000;
      trio.start(A);
      trio.run(1);
      return (trio.replica(A).core?.inspect().clock ?? 0) >= before;
    },
    holds: true,
    without: { 'T1-no-reservation': false },
  },
  {
    says: 'T2: timestamps of a lane increase across epochs, though the new writer has never heard of them',
    tell: (trio) => {
      const stamps: number[] = [];
      onlyBHasIt(trio);
      trio.observe = (event) => {
        if (
          event.type === 'write' &&
          event.write.type === 'entry' &&
          event.write.entry.lane === C
        ) {
          if (event.replica === A) stamps.push(event.write.entry.timestamp);
        }
      };
      trio.until(() => trio.lane(A, C).role === 'writing');
      return stamps.length >= 2 && stamps.every((stamp, i) => stamp > (stamps[i - 1] ?? 0));
    },
    holds: true,
  },
  {
    says: 'T3: clocks that are hours apart and jump cost neither order nor durability',
    tell: (trio) => {
      const hours = [3, -7, 0, 11, -2, 5];
      hours.forEach((offset, i) => {
        const id = REPLICAS[i % 3] ?? A;
        trio.replica(id).wallOffset = offset * 3_600_000_000;
        for (const home of REPLICAS) trio.append(home, `x${String(i)}${String(home)}`);
        if (i % 2 === 1) trio.restart(id);
        trio.run(200);
      });
      for (const { id } of trio.replicas) trio.replica(id).wallOffset = 0;
      trio.settle();
      return trio.order.length > 0;
    },
    holds: true,
  },
  {
    says: 'T4: a replica whose clock jumps an hour ahead refuses appends and drags nobody along',
    tell: (trio) => {
      trio.run(300);
      trio.replica(A).wallOffset = 3_600_000_000;
      trio.append(A, 'x');
      trio.append(B, 'y');
      trio.run(300);
      const clocks = trio.replicas.map((it) => (it.core?.inspect().clock ?? 0) - START - trio.now);
      return {
        refused: trio.replica(A).refused,
        acknowledged: trio.acknowledged('y'),
        near: clocks.every((ahead) => Math.abs(ahead) < 500_000),
      };
    },
    holds: { refused: [{ name: 'x', reason: 'CLOCK_UNSAFE' }], acknowledged: true, near: true },
  },
  {
    says: 'T4: the wishes of a client do not carry the clock away, one after the other',
    tell: (trio) => {
      trio.run(300);
      for (let i = 0; i < 40; i += 1) {
        const clock = trio.replica(A).core?.inspect().clock ?? 0;
        trio.append(A, `x${String(i)}`, { minTimestamp: clock + 400_000 });
        trio.run(10);
      }
      return (trio.replica(A).core?.inspect().clock ?? 0) - START - trio.now < 600_000;
    },
    holds: true,
  },
  {
    says: 'T5: an acknowledgement waits until the wall clock is past the timestamp by twice its error',
    settings: { maxClockError: 40_000 },
    tell: (trio) => {
      trio.run(300);
      const stampedAt = START + trio.now;
      trio.append(A, 'x');
      trio.until(() => trio.lane(A, A).committed === 2);
      const early = trio.acknowledged('x');
      trio.until(() => trio.acknowledged('x'));
      return { early, late: START + trio.now >= stampedAt + 80_000 };
    },
    holds: { early: false, late: true },
  },
  {
    says: 'O1: a closed timestamp does not count past an entry that is not committed',
    tell: (trio) => {
      trio.run(300);
      trio.replica(A).disk.held = true;
      trio.cutBoth(A, B);
      trio.cut(C, B);
      trio.append(A, 'x');
      trio.run(60);
      trio.settle();
      return trio.order.map(({ name }) => name);
    },
    holds: ['x'],
    without: { 'O1-uncommitted': /input 0: .* not above/ },
  },
  {
    says: 'O1: a closed timestamp does not count before the log up to its index is synced here',
    tell: (trio) => {
      trio.run(300);
      trio.replica(C).disk.held = true;
      trio.append(A, 'x');
      trio.run(60);
      trio.settle();
      return trio.order.map(({ name }) => name);
    },
    holds: ['x'],
    without: { 'O1-unsynced': /input 0: .* not above/ },
  },
  {
    says: "O3: a sealer's closed timestamps count only as far as a second replica knows them",
    tell: (trio) => {
      trio.run(300);
      trio.crash(A);
      trio.until(() => trio.lane(B, A).role === 'writing');
      trio.run(100);
      trio.cut(B, C);
      trio.run(20);
      const before = trio.lane(B, A).resolved;
      trio.run(100);
      return trio.lane(B, A).resolved - before < 20_000;
    },
    holds: true,
    without: { 'O3-one-knows': false },
  },
  {
    says: 'O4: the watermark does not pass any lane',
    tell: (trio) => {
      trio.run(300);
      isolate(trio, C);
      trio.run(100);
      return trio.replica(A).watermark <= trio.lane(A, C).resolved;
    },
    holds: true,
    without: { 'O4-maximum': false },
  },
  {
    says: 'O5: a writer stamps above everything it has closed',
    tell: (trio) => {
      trio.run(300);
      trio.append(A, 'x');
      trio.run(100);
      return trio.releasedBy(C, 'x');
    },
    holds: true,
  },
  {
    says: '§6: a heartbeat is answered only with a peer',
    tell: (trio) => {
      trio.run(300);
      isolate(trio, C);
      trio.append(A, 'x');
      trio.until(() => trio.acknowledged('x'));
      const id = trio.heartbeat(C);
      trio.run(100);
      return trio.readPoints.has(id);
    },
    holds: false,
    without: { 'heartbeat-alone': /heartbeat 1 of 2 is stale/ },
  },
  {
    says: '§6: a heartbeat does not join a round that began before it',
    tell: (trio) => {
      trio.run(300);
      trio.hold(A, C);
      trio.hold(B, C);
      trio.heartbeat(C);
      trio.run(20);
      trio.append(A, 'x');
      trio.until(() => trio.acknowledged('x'));
      const id = trio.heartbeat(C);
      trio.run(1);
      trio.release(A, C);
      trio.release(B, C);
      trio.until(() => trio.readPoints.has(id));
      return (trio.readPoints.get(id) ?? 0) > START;
    },
    holds: true,
    without: { 'heartbeat-reused': /heartbeat 2 of 2 is stale/ },
  },
  {
    says: '§7: a replica that lost its disk does not vote before both others have answered',
    tell: (trio) => {
      trio.run(300);
      onlyAHasIt(trio);
      trio.settle();
      return trio.order.map(({ name }) => name);
    },
    holds: ['x'],
    without: {
      'recover-one': /x was acknowledged and is lost/,
      'recover-votes': /is lost|waited in vain/,
    },
  },
  {
    says: '§7: what a lost disk had acknowledged counts for nothing any more',
    tell: (trio) => {
      trio.run(300);
      trio.cut(A, B);
      trio.cut(C, B);
      trio.replica(A).disk.held = true;
      trio.append(A, 'x');
      trio.run(20);
      trio.wipe(C);
      trio.start(C);
      trio.run(50);
      trio.crash(C);
      trio.replica(A).disk.held = false;
      trio.run(20);
      return trio.acknowledged('x');
    },
    holds: false,
    without: { 'recover-old-facts': true },
  },
];

describe('the rules', () => {
  for (const story of stories)
    it(story.says, () => {
      expect(observe(story, [])).toEqual(story.holds);
    });
});

describe('each rule switched off is noticed', () => {
  for (const story of stories) {
    for (const [rule, observation] of Object.entries(story.without ?? {})) {
      it(`${rule}, in: ${story.says}`, () => {
        const observed = observe(story, [rule as RuleId]);
        if (observation instanceof RegExp) expect(observed).toMatch(observation);
        else expect(observed).toEqual(observation);
      });
    }
  }

  it('all but those that only a search finds (test/simulation)', () => {
    const told = new Set(stories.flatMap(({ without }) => Object.keys(without ?? {})));
    const untold = RULES.map(({ id }) => id).filter((id) => !told.has(id));
    expect(untold).toEqual([
      'L1-old-epoch', // and facts.test.ts
      'T2-marker-behind',
      'O2-keep-closed', // and truncation in lane.test.ts
      'O5-close-ahead',
    ]);
  });
});
