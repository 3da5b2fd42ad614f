/** A full disk (SPEC.md §10): who takes what, and that two replicas go on without the third. */
import { describe, expect, it } from 'vitest';
import { A, B, C, Trio } from './testing.ts';
import type { Space } from './types.ts';

function space(trio: Trio, level: Space): void {
  trio.replica(C).inputs.push({ type: 'space', space: level });
  trio.run(5);
}

const last = (trio: Trio, lane: typeof A | typeof B | typeof C): number => trio.lane(C, lane).last;

describe('a replica whose disk is nearly full', () => {
  it('§10: refuses its own appends, stores those of the others, and answers heartbeats', () => {
    const trio = Trio.open();
    trio.run(100);
    space(trio, 'low');
    trio.append(C, 'own');
    trio.append(A, 'theirs');
    const heartbeat = trio.heartbeat(C);
    trio.until(() => trio.releasedBy(C, 'theirs') && trio.readPoints.has(heartbeat));
    expect(trio.replica(C).refused).toEqual([{ name: 'own', reason: 'DISK_FULL' }]);
    space(trio, 'ample');
    trio.append(C, 'again');
    trio.settle();
    expect(trio.order.map(({ name }) => name)).toEqual(['theirs', 'again']);
  });

  it('§10: without room takes no entries, the two others go on, and it catches up by itself', () => {
    const trio = Trio.open();
    trio.run(100);
    space(trio, 'none');
    const before = last(trio, A);
    for (let i = 0; i < 20; i += 1) {
      trio.append(A, `a${String(i)}`);
      trio.append(B, `b${String(i)}`);
      trio.run(20);
    }
    trio.until(() => trio.releasedBy(A, 'b19') && trio.releasedBy(B, 'a19'));
    expect(last(trio, A)).toBe(before);
    expect(trio.lane(A, C)).toMatchObject({ writer: C });
    space(trio, 'ample');
    trio.settle();
    expect(trio.replica(C).released).toEqual(trio.replica(A).released);
    expect(trio.replica(C).released).toHaveLength(40);
  });

  it('§10: without room still promises and takes the marker of a seal', () => {
    const trio = Trio.open();
    trio.run(100);
    space(trio, 'none');
    trio.crash(A);
    trio.until(() => trio.lane(B, A).role === 'writing' && trio.lane(B, A).committed > 1);
    expect(last(trio, A)).toBe(trio.lane(B, A).last);
    trio.append(C, 'own');
    trio.run(50);
    expect(trio.replica(C).refused).toEqual([{ name: 'own', reason: 'DISK_FULL' }]);
  });

  /** It took the tail that it adopted for its own lane: simulation, seed 80649. */
  it('§10: without room does not adopt the tail of its own lane either', () => {
    const trio = Trio.open();
    trio.run(100);
    const before = last(trio, C);
    trio.replica(C).disk.held = true;
    trio.append(C, 'x');
    trio.until(() => trio.lane(A, C).last > before && trio.lane(B, C).last > before);
    trio.restart(C);
    space(trio, 'none');
    trio.run(1_000);
    expect(last(trio, C)).toBe(before);
    space(trio, 'ample');
    trio.settle();
    expect(trio.releasedBy(C, 'x')).toBe(true);
  });
});
