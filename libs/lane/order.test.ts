/** Rules of clocks, order, heartbeats and lost disks (SPEC.md §2, §5–§7), each in a story. */
import { REPLICAS } from '../values/numbers.ts';
import { A, B, C, START } from './testing.ts';
import type { Story } from './testing-story.ts';
import { isOfWriters, tellAll } from './stories.test-kit.ts';
import { isolate, onlyAHasIt, onlyBHasIt } from './testing-story.ts';

const stories: readonly Story[] = [
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

tellAll('clocks, order, heartbeats, lost disks', stories, (rule) => !isOfWriters(rule), [
  // It takes a search: test/simulation.
  'slow-is-heard',
  'T2-marker-behind',
  'O2-keep-closed',
  'O5-close-ahead',
  // lives.test.ts
  'rollback-believed',
  'M6-last-life',
  'unconfirmed-acts',
]);
