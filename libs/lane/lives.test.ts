/** Directories that were put back from an older copy (SPEC.md §7, M1–M7). */
import { describe, expect, it } from 'vitest';
import type { ReplicaId } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
import { isolate, rejoin } from './testing-story.ts';
import { A, B, C, Trio } from './testing.ts';

const voided = (trio: Trio, id: ReplicaId = C): number | null | undefined =>
  trio.replica(id).core?.voided;
const voting = (trio: Trio): boolean => trio.replica(C).core?.inspect().voting === true;

/** What a driver does as soon as both others vote. */
function beginAnew(trio: Trio): void {
  trio.until(() => voided(trio) !== null && trio.replica(C).core?.othersVote() === true);
  trio.anew(C, (voided(trio) ?? 0) + 1);
  trio.start(C);
  trio.until(() => voting(trio));
}

function putBack(trio: Trio, copy: () => void): void {
  trio.crash(C);
  copy();
  trio.start(C);
}

describe('a replica whose directory was put back from an older copy', () => {
  it('M3: is found out by its clock, takes no part, and begins anew', () => {
    const trio = Trio.open();
    const copy = trio.replica(C).disk.copy();
    for (const id of REPLICAS) trio.append(id, `x${String(id)}`);
    trio.run(3_000);
    putBack(trio, copy);
    trio.append(C, 'y');
    trio.until(() => voided(trio) !== null);
    trio.append(C, 'z');
    trio.run(500);
    expect(voting(trio)).toBe(false);
    expect(trio.replica(C).refused.map(({ name }) => name)).toEqual(['y', 'z']);
    beginAnew(trio);
    trio.settle();
    expect(trio.replica(C).released).toEqual(trio.replica(A).released);
    expect(trio.order).toHaveLength(3);
  });

  it('M2: is found out by its lives, if the copy was made while it stood still', () => {
    const trio = Trio.open();
    trio.crash(C);
    const copy = trio.replica(C).disk.copy();
    trio.start(C);
    trio.run(100);
    putBack(trio, copy);
    beginAnew(trio);
    trio.settle();
  });

  it('M3: is found out by what it promised and took, if the copy is a moment old', () => {
    const trio = Trio.open();
    trio.run(2_000);
    const copy = trio.replica(C).disk.copy();
    trio.append(C, 'x');
    trio.until(() => trio.acknowledged('x'));
    trio.run(20);
    putBack(trio, copy);
    beginAnew(trio);
    trio.settle();
    expect(trio.replica(C).released).toEqual(['x']);
  });

  it('M2, M3: is found out by peers that were started again meanwhile', () => {
    const trio = Trio.open();
    const copy = trio.replica(C).disk.copy();
    trio.run(4_000);
    for (const id of REPLICAS) trio.crash(id);
    copy();
    for (const id of REPLICAS) trio.start(id);
    beginAnew(trio);
    trio.settle();
  });

  it('M2: is found out when its incarnation is that of a directory before', () => {
    const trio = Trio.open();
    const copy = trio.replica(C).disk.copy();
    trio.run(100);
    trio.anew(C, 7);
    trio.start(C);
    trio.until(() => voting(trio));
    const later = trio.replica(C).disk;
    trio.crash(C);
    copy();
    later.incarnation = 1;
    trio.start(C);
    beginAnew(trio);
    expect(trio.replica(C).disk.incarnation).toBeGreaterThan(7);
    trio.settle();
  });

  /**
   * Who has been put back goes by lives of the others that they have had long ago, and says so in versions lower than
   * it has used before, or as an incarnation of before. They did not listen, their answers were for later
   * lives, and it waited for ever to hear that they vote. Simulation, seeds 50001 and 50031.
   */
  it('M4, M6: hears that the others vote, who have started since the copy was made', () => {
    for (const anew of [false, true]) {
      const trio = Trio.open();
      trio.run(500);
      const copy = trio.replica(C).disk.copy();
      const { disk } = trio.replica(C);
      if (anew) {
        trio.anew(C, 7);
        trio.start(C);
        trio.until(() => voting(trio));
      }
      for (const id of [A, B]) {
        trio.restart(id);
        trio.run(1_500);
      }
      trio.crash(C);
      trio.replica(C).disk = disk;
      copy();
      trio.start(C);
      beginAnew(trio);
      trio.settle();
    }
  });

  it('M2: a new machine whose wall clock is behind is told above which incarnation to begin', () => {
    const trio = Trio.open();
    trio.anew(C, 900);
    trio.start(C);
    trio.until(() => voting(trio));
    trio.anew(C, 300);
    trio.start(C);
    trio.until(() => voided(trio) !== null);
    expect(voided(trio)).toBe(900);
    beginAnew(trio);
    trio.settle();
  });

  /** x is committed by A and C alone; with the older C and B as a quorum it would be gone. */
  const story = (trio: Trio): void => {
    trio.run(500);
    const copy = trio.replica(C).disk.copy();
    trio.run(3_000);
    isolate(trio, B);
    trio.append(A, 'x');
    trio.until(() => trio.acknowledged('x'));
    trio.crash(A);
    trio.crash(C);
    copy();
    rejoin(trio, B);
    trio.start(C);
    trio.append(B, 'y');
    trio.run(2_000);
  };

  it('§7: cannot help another one to forget what it took itself', () => {
    const trio = Trio.open();
    story(trio);
    expect(trio.acknowledged('y')).toBe(false);
    trio.start(A);
    beginAnew(trio);
    trio.settle();
    expect(trio.order.map(({ name }) => name)).toEqual(['x', 'y']);
  });

  it('§7: would do so, if it were believed', () => {
    const trio = Trio.open({ broken: ['rollback-believed'] });
    story(trio);
    expect(trio.acknowledged('y')).toBe(true);
    expect(() => {
      trio.settle();
    }).toThrow();
  });

  it('M4: waits with its old directory while one of the others is away', () => {
    const trio = Trio.open();
    const copy = trio.replica(C).disk.copy();
    trio.run(3_000);
    trio.crash(A);
    putBack(trio, copy);
    trio.until(() => voided(trio) !== null);
    trio.run(1_000);
    expect(trio.replica(C).core?.othersVote()).toBe(false);
    trio.start(A);
    beginAnew(trio);
    trio.settle();
  });

  it('M5: takes no part before a peer has found it to be who it was', () => {
    for (const broken of [[], ['unconfirmed-acts']] as const) {
      const trio = Trio.open({ broken });
      trio.run(500);
      const copy = trio.replica(C).disk.copy();
      trio.run(3_000);
      // B and C go on in a new epoch of lane A, which A does not hear of.
      isolate(trio, A);
      trio.until(() => trio.lane(B, A).role === 'writing' && trio.lane(B, A).committed === 2);
      trio.run(100);
      trio.crash(B);
      trio.crash(C);
      copy();
      trio.mend(A, C);
      trio.append(A, 'x');
      trio.start(C);
      trio.run(100);
      // C would count the copy of the fenced writer and its own for commitment: x in the place of the seal.
      expect(trio.lane(C, A).committed).toBe(broken.length > 0 ? 2 : 1);
    }
  });
});

/** Starts and dies, and nobody hears it. It hears the others: so it reserves a clock no lower than theirs. */
function startUnheard(trio: Trio, times: number): void {
  for (const peer of [A, B]) trio.cut(C, peer);
  for (let i = 0; i < times; i += 1) {
    trio.start(C);
    trio.run(60);
    trio.crash(C);
  }
}

describe('a directory put back that starts again before anybody has heard it', () => {
  /**
   * A life named the one before it and told what it began with itself. So the second start of a directory
   * put back named the first, and began with the reservation that the first had made: nothing was missing.
   * Found by failed syncs in the simulation, which end a process a moment after its start.
   */
  const story = (trio: Trio, starts: number): void => {
    trio.run(100);
    const copy = trio.replica(C).disk.copy();
    trio.run(3_000);
    trio.crash(C);
    copy();
    startUnheard(trio, starts);
    rejoin(trio, C);
    trio.start(C);
  };

  it('M6: is found out however often that was', () => {
    for (const starts of [1, 2, 7, 40]) {
      const trio = Trio.open();
      story(trio, starts);
      beginAnew(trio);
      trio.settle();
    }
  });

  it('M6: would be believed, if the life just before it were all it told', () => {
    const trio = Trio.open({ broken: ['M6-last-life'] });
    story(trio, 1);
    trio.run(2_000);
    expect(voided(trio)).toBeNull();
  });

  it('M6: is found out when the copy was made in a life that nobody had heard yet', () => {
    const trio = Trio.open();
    trio.crash(C);
    startUnheard(trio, 3);
    const copy = trio.replica(C).disk.copy();
    trio.start(C);
    rejoin(trio, C);
    trio.until(() => trio.lane(C, C).role === 'writing');
    trio.crash(C);
    copy();
    startUnheard(trio, 2);
    rejoin(trio, C);
    trio.start(C);
    beginAnew(trio);
    trio.settle();
  });

  it('M6: is found out by who has heard it since, also after the other one has believed it', () => {
    const trio = Trio.open();
    trio.run(500);
    trio.crash(A);
    const copy = trio.replica(C).disk.copy();
    trio.run(3_000);
    trio.crash(B);
    trio.crash(C);
    copy();
    trio.run(10);
    trio.start(A);
    for (let i = 0; i < 3; i += 1) {
      trio.start(C);
      trio.run(500);
      // A has not heard what is missing: two losses at once.
      expect(voided(trio)).toBeNull();
      trio.crash(C);
    }
    trio.cutBoth(A, B);
    trio.start(C);
    trio.start(B);
    trio.until(() => voided(trio) !== null);
  });

  it('M6: is found out through the third as well', () => {
    const trio = Trio.open();
    const copy = trio.replica(C).disk.copy();
    trio.run(3_000);
    trio.crash(C);
    copy();
    startUnheard(trio, 2);
    trio.mendBoth(B, C);
    trio.start(C);
    trio.until(() => voided(trio) !== null);
  });
});

describe('a replica that starts again as it was', () => {
  it('M6: is believed when it died before it heard that it was heard', () => {
    for (const deaths of [1, 2, 9, 50]) {
      const trio = Trio.open();
      trio.crash(C);
      trio.cut(A, C);
      trio.cut(B, C);
      for (let i = 0; i < deaths; i += 1) {
        trio.start(C);
        trio.run(40);
        trio.crash(C, i % 3);
      }
      rejoin(trio, C);
      trio.start(C);
      trio.until(() => trio.lane(C, C).role === 'writing');
      trio.settle();
      for (const id of REPLICAS) expect(voided(trio, id)).toBeNull();
    }
  });

  it('M6: is believed when what an earlier life said arrives after it has begun', () => {
    const trio = Trio.open();
    trio.crash(C);
    trio.hold(C, A);
    trio.cutBoth(B, C);
    trio.cut(A, C);
    trio.start(C);
    trio.run(60);
    trio.crash(C);
    const late = trio.take(C, A);
    expect(late.length).toBeGreaterThan(0);
    trio.start(C);
    trio.run(30);
    for (const packet of late) trio.inject(C, A, packet);
    trio.run(10);
    trio.mend(A, C);
    trio.release(C, A);
    trio.until(() => trio.lane(C, C).role === 'writing');
    trio.settle();
    for (const id of REPLICAS) expect(voided(trio, id)).toBeNull();
  });

  it('M6: is believed by a peer that is not believed itself yet, for the same reason', () => {
    const trio = Trio.open();
    trio.crash(B);
    trio.crash(C);
    trio.cut(A, C);
    trio.start(C);
    trio.run(60);
    trio.crash(C);
    trio.mend(A, C);
    trio.cut(C, A);
    trio.start(C);
    trio.crash(A);
    trio.run(60);
    trio.start(A);
    trio.run(60);
    trio.crash(A);
    trio.crash(C);
    trio.mend(C, A);
    trio.start(A);
    trio.start(C);
    trio.until(() => trio.lane(C, C).role === 'writing' && trio.lane(A, A).role === 'writing');
    trio.settle();
    for (const id of REPLICAS) expect(voided(trio, id)).toBeNull();
  });

  it('M1–M3: is believed, whatever part of its last writes is on its disk', () => {
    const trio = Trio.open();
    for (let round = 0; round < 60; round += 1) {
      const id = REPLICAS[round % 3] ?? A;
      trio.append(id, `x${String(round)}`);
      trio.append(C, `y${String(round)}`);
      trio.run(1 + (round % 7));
      trio.crash(id, round % 5);
      trio.run(round % 11);
      trio.start(id);
      trio.run(30);
      for (const replica of REPLICAS) expect(voided(trio, replica)).toBeNull();
    }
    trio.settle();
  });
});
