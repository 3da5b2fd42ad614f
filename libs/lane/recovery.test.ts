import { describe, expect, it } from 'vitest';
import type { Timestamp } from '../values/numbers.ts';
import { A, B, C, START, Trio } from './testing.ts';

const voting = (trio: Trio): boolean => trio.replica(C).core?.inspect().voting === true;

describe('a replica that lost its disk', () => {
  it('§7: copies everything, votes again, and releases the same order', () => {
    const trio = Trio.open();
    for (const id of [A, B, C] as const) trio.append(id, `x${String(id)}`);
    trio.run(200);
    trio.wipe(C);
    trio.start(C);
    trio.until(() => voting(trio));
    trio.settle();
    expect(trio.replica(C).released).toEqual(trio.replica(A).released);
    expect(trio.replica(C).released).toHaveLength(3);
  });

  /**
   * Found by the model (recover-old-words). A's clock ran far ahead, B heard its word but did not
   * merge it (T4), and A lost its disk. With the clocks that were left A would stamp below the word,
   * up to which B resolves the lane as soon as its own clock gets there.
   */
  it('§7: is answered with a clock that is not below the words of its lost life', () => {
    const trio = Trio.open();
    trio.run(100);
    trio.hold(A, B);
    trio.append(A, 'x');
    trio.run(20);
    let promised = 0;
    for (const packet of trio.take(A, B)) {
      const announcements = packet.announcements.map((word) => {
        promised = word.closed + 5_000_000;
        return { ...word, closed: promised as Timestamp };
      });
      trio.inject(A, B, { ...packet, announcements });
    }
    expect(promised).toBeGreaterThan(0);
    trio.run(20);
    trio.wipe(A);
    trio.release(A, B);
    trio.start(A);
    trio.until(() => trio.replica(A).core?.inspect().voting === true);
    expect(trio.replica(A).core?.inspect().clock).toBeGreaterThanOrEqual(promised);
  });

  /**
   * B answered the recovering C before it had y and x. It got them then, and A, which had not yet
   * heard that C's disk is gone, took the copies of B and of the lost disk for commitment. A crashed
   * before x was on its own disk. With the first answers C would have recovered without x, and A and C
   * would have gone on without it.
   */
  it('§7: uses only answers from after both had forgotten what the lost disk said', () => {
    const trio = Trio.open({ settings: { detour: 2_000_000, sealTimeout: 9_000_000 } });
    trio.run(2_500);
    trio.hold(A, B);
    trio.append(A, 'y');
    trio.until(() => trio.acknowledged('y'));
    trio.replica(A).disk.held = true;
    trio.append(A, 'x');
    trio.run(20);
    trio.wipe(C);
    trio.hold(C, A);
    trio.start(C);
    // Long enough for B to answer.
    trio.run(250);
    for (const packet of trio.take(A, B)) if (packet.feeds.length > 0) trio.inject(A, B, packet);
    trio.until(() => trio.acknowledged('x'));
    trio.hold(B, A);
    trio.restart(A);
    trio.release(C, A);
    trio.run(1_500);
    trio.settle();
    expect(trio.order.map(({ name }) => name)).toEqual(['y', 'x']);
  });

  it('§7: recovers though the replica with the best tail cannot reach it', () => {
    const trio = Trio.open();
    trio.run(200);
    trio.cut(A, C);
    trio.wipe(C);
    trio.start(C);
    for (let i = 0; !voting(trio); i += 1) {
      expect(i).toBeLessThan(2_000);
      // A is always a little ahead of B.
      trio.append(A, `x${String(i)}`);
      trio.run(1);
    }
    trio.settle();
  });

  it('§7, O5: a crash right after it may vote does not take the clock back', () => {
    const trio = Trio.open();
    trio.run(3_000);
    const released = trio.replica(C).watermark;
    expect(released).toBeGreaterThan(START + 2_000_000);
    // A damaged directory: the entries are there, promises and reservation may not be.
    trio.crash(C);
    trio.replica(C).disk.damage();
    trio.start(C);
    const { disk } = trio.replica(C);
    const isWritten = (): boolean => disk.unsynced.some(({ type }) => type === 'recovered');
    trio.until(isWritten);
    trio.crash(C, 1 + disk.unsynced.findIndex(({ type }) => type === 'recovered'));
    expect(disk.voting).toBe(true);
    expect(disk.recovered().reservation).toBeGreaterThan(released);
  });

  it('§7: refuses appends until it votes', () => {
    const trio = Trio.open();
    trio.wipe(C);
    trio.crash(B);
    trio.start(C);
    trio.append(C, 'x');
    trio.run(1_000);
    expect(trio.replica(C).refused).toEqual([{ name: 'x', reason: 'RECOVERING' }]);
    expect(voting(trio)).toBe(false);
  });

  it('§7: loses its disk again while it recovers, and recovers', () => {
    const trio = Trio.open();
    trio.append(A, 'x');
    trio.run(200);
    for (const millis of [3, 12, 220, 230, 420, 440]) {
      trio.wipe(C);
      trio.start(C);
      trio.run(millis);
    }
    trio.settle();
    expect(trio.replica(C).released).toEqual(['x']);
  });
});
