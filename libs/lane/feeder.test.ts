import { describe, expect, it } from 'vitest';
import type { ReplicaId } from '../values/numbers.ts';
import { A, B, C, Trio } from './testing.ts';

/** Counts the entries of lane A that are sent to a replica from now on. */
function countFed(trio: Trio, to: ReplicaId): () => number {
  let fed = 0;
  trio.observe = (event) => {
    if (event.type !== 'send' || event.to !== to) return;
    for (const { lane, entries } of event.packet.feeds) if (lane === A) fed += entries.length;
  };
  return () => fed;
}

function appendMany(trio: Trio, id: ReplicaId, count: number, name: string): void {
  for (let i = 0; i < count; i += 1) {
    trio.append(id, `${name}${String(i)}`);
    trio.run(3);
  }
}

describe('feeding', () => {
  it('§9: sends a peer that confirms nothing no more than the window', () => {
    const trio = Trio.open({ settings: { feedBytesMax: 500 } });
    trio.run(300);
    trio.replica(B).disk.held = true;
    const fed = countFed(trio, B);
    appendMany(trio, A, 30, 'x');
    // 148 bytes an entry: the one that crosses the bound is the last.
    expect(fed()).toBe(4);
    trio.until(() => trio.acknowledged('x29'));
    trio.settle();
    expect(trio.replica(B).released).toHaveLength(30);
  });

  it('sends each entry once to each peer while nothing is lost', () => {
    const trio = Trio.open();
    trio.run(300);
    const fed = countFed(trio, C);
    appendMany(trio, A, 20, 'x');
    trio.until(() => trio.releasedBy(C, 'x19'));
    trio.run(1_000);
    expect(fed()).toBe(trio.lane(A, A).last - 1);
  });

  it('sends again what was lost on the way, without a new connection', () => {
    const trio = Trio.open();
    trio.run(300);
    trio.hold(A, B);
    trio.append(A, 'x');
    trio.run(2);
    trio.take(A, B);
    trio.release(A, B);
    trio.until(() => trio.releasedBy(B, 'x'), 500);
  });

  /**
   * What both logs share was counted as sent and unconfirmed; a log longer than the window then
   * never reached a peer whose own tail had to be cut off first.
   */
  it('cuts off and replaces the tail of a peer though the shared log exceeds the window', () => {
    const trio = Trio.open({ settings: { feedBytesMax: 400 } });
    trio.run(300);
    appendMany(trio, A, 20, 'x');
    trio.until(() => trio.acknowledged('x19'));
    for (const peer of [B, C] as const) trio.cutBoth(A, peer);
    appendMany(trio, A, 8, 'y');
    trio.until(() => trio.lane(B, A).role === 'writing');
    for (const peer of [B, C] as const) trio.mendBoth(A, peer);
    trio.settle();
    expect(trio.order).toHaveLength(28);
  });

  it('finds the common part of logs that differ in several epochs', () => {
    const trio = Trio.open();
    trio.run(300);
    for (const round of ['p', 'q', 'r']) {
      // B falls behind with a tail of its own each time: a seal that nobody else has.
      for (const peer of [A, C] as const) trio.cutBoth(B, peer);
      appendMany(trio, A, 3, round);
      trio.run(700);
      trio.restart(B);
      for (const peer of [A, C] as const) trio.mendBoth(B, peer);
      trio.run(150);
    }
    trio.settle();
    expect(trio.replica(B).released).toHaveLength(9);
  });
});
