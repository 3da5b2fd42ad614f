/** Rules of commitment and of changing the writer (SPEC.md §3, §4), each in a story. */
import { REPLICAS } from '../values/numbers.ts';
import { A, B, C } from './testing.ts';
import type { Story } from './testing-story.ts';
import { isOfWriters, tellAll } from './stories.test-kit.ts';
import { epochOf, isolate, onlyBHasIt, rejoin, sealA } from './testing-story.ts';

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
];

tellAll('commitment and writers', stories, isOfWriters, [
  'L1-old-epoch', // facts.test.ts
]);
