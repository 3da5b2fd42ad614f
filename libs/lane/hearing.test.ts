import { describe, expect, it } from 'vitest';
import type { ReplicaId } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
import { A, B, C, Trio } from './testing.ts';

const epochs = (trio: Trio): number[] => REPLICAS.map((lane) => trio.lane(B, lane).promised);

/** Milliseconds until the append is acknowledged. */
function latency(trio: Trio, id: ReplicaId, name: string): number {
  const since = trio.now;
  trio.append(id, name);
  trio.until(() => trio.acknowledged(name));
  return (trio.now - since) / 1_000;
}

describe('who hears whom', () => {
  /**
   * The answer "I hear it" was taken for a word of the writer, and so confirmed itself: two replicas
   * assured each other in turn that the dead home lives, and the lane was not sealed.
   */
  it('L7: hearsay is no word of the writer: a dead home is sealed whenever it died', () => {
    for (let phase = 0; phase < 20; phase += 1) {
      const trio = Trio.open();
      trio.run(300 + phase);
      trio.crash(A);
      trio.until(() => trio.lane(B, A).role === 'writing', 500);
    }
  });

  it('L7: with one link cut no lane changes its writer, and both ends go on', () => {
    const trio = Trio.open();
    trio.run(300);
    const before = epochs(trio);
    trio.cutBoth(A, C);
    trio.run(1_000);
    expect(latency(trio, A, 'a')).toBeLessThan(20);
    expect(latency(trio, C, 'c')).toBeLessThan(20);
    trio.until(() => REPLICAS.every((id) => trio.replica(id).released.length === 2), 100);
    expect(epochs(trio)).toEqual(before);
  });

  it('L7: with one direction of each link dead no lane changes its writer', () => {
    for (const from of REPLICAS) {
      for (const to of REPLICAS.filter((id) => id !== from)) {
        const trio = Trio.open();
        trio.run(300);
        const before = epochs(trio);
        trio.cut(from, to);
        trio.run(1_000);
        for (const id of REPLICAS) trio.append(id, `x${String(id)}`);
        trio.until(() => REPLICAS.every((id) => trio.replica(id).released.length === 3), 100);
        expect(epochs(trio)).toEqual(before);
      }
    }
  });

  it('§6: the payload takes one way to a peer whose link is cut, and the direct one once it has healed', () => {
    const trio = Trio.open();
    trio.run(300);
    trio.cutBoth(A, C);
    trio.run(300);
    const fed: string[] = [];
    trio.observe = (event) => {
      if (event.type !== 'send' || event.to !== C) return;
      for (const { lane } of event.packet.feeds)
        if (lane === A) fed.push(`by ${String(event.from)}`);
    };
    trio.append(A, 'x');
    trio.run(100);
    expect(fed).toEqual(['by 1']);
    trio.mendBoth(A, C);
    trio.run(300);
    fed.length = 0;
    trio.append(A, 'y');
    trio.run(100);
    expect(fed).toEqual(['by 0']);
  });

  /**
   * Both others heard the returning home for less than `detour`, took the link for unsteady, and each
   * named the other as its feeder. The home fed nobody, nobody fed the others, for 100 ms.
   */
  it('§6: a home that returns feeds at once: two followers never wait for each other', () => {
    const trio = Trio.open();
    trio.run(300);
    trio.restart(A);
    expect(latency(trio, A, 'x')).toBeLessThan(40);
    expect(latency(Trio.open(), A, 'y')).toBeLessThan(20);
  });

  it('§6: letters reach a deaf addressee through the third', () => {
    const trio = Trio.open();
    trio.run(300);
    trio.cut(C, A);
    trio.cut(B, C);
    trio.run(300);
    // C hears A alone and is heard by B alone.
    const id = trio.heartbeat(C);
    trio.until(() => trio.readPoints.has(id), 100);
    expect(latency(trio, C, 'x')).toBeLessThan(40);
  });
});
