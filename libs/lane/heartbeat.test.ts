import { describe, expect, it } from 'vitest';
import { A, B, C, Trio } from './testing.ts';

describe('heartbeats', () => {
  it('§6: a read point lies at or above every append completed before the question', () => {
    const trio = Trio.open();
    trio.append(A, 'x');
    trio.until(() => trio.acknowledged('x'));
    const id = trio.heartbeat(C);
    trio.until(() => trio.readPoints.has(id));
    trio.until(() => trio.releasedBy(C, 'x'));
    expect(trio.readPoints.get(id)).toBeGreaterThanOrEqual(trio.order[0]?.timestamp ?? Infinity);
  });

  it('§6: requests that wait together share the next round', () => {
    const trio = Trio.open();
    trio.run(200);
    let letters = 0;
    trio.observe = (event) => {
      if (event.type !== 'send') return;
      letters += event.packet.letters.filter(({ control }) => control.type === 'heartbeat').length;
    };
    const ids = [1, 2, 3, 4, 5].map(() => trio.heartbeat(C));
    trio.until(() => ids.every((id) => trio.readPoints.has(id)));
    expect(letters).toBe(2);
  });

  it('§6: one peer is enough', () => {
    const trio = Trio.open();
    trio.run(200);
    trio.crash(A);
    const id = trio.heartbeat(C);
    trio.until(() => trio.readPoints.has(id), 50);
  });

  /**
   * Rounds were numbered from the reservation that a life began with. Two lives that both ended before
   * a new one was on disk used the same numbers, and an answer to the first, long under way, told
   * the second a read point below an append completed in between.
   */
  it('§6, T1: an answer to an earlier life is not mistaken for one to this', () => {
    const trio = Trio.open();
    trio.run(300);
    trio.restart(C);
    trio.replica(C).disk.held = true;
    trio.hold(A, C);
    trio.hold(B, C);
    trio.heartbeat(C);
    trio.run(20);
    const late = [...trio.take(B, C), ...trio.take(A, C)];
    trio.restart(C);
    trio.append(A, 'x');
    trio.until(() => trio.acknowledged('x'));
    const id = trio.heartbeat(C);
    trio.run(1);
    for (const packet of late) trio.inject(packet.status.replica, C, packet);
    trio.run(5);
    trio.release(A, C);
    trio.release(B, C);
    trio.until(() => trio.readPoints.has(id));
  });
});
