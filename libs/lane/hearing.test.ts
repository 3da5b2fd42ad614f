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

  /** Packets kept coming, three seconds old: the link was never silent, so nobody took another way. */
  it.each([
    [A, B],
    [B, A],
    [A, C],
    [C, A],
    [B, C],
    [C, B],
  ] as const)(
    '§6: a link from %i to %i that is three seconds late is as good as cut',
    (from, to) => {
      const trio = Trio.open();
      trio.run(300);
      const before = epochs(trio);
      trio.delay(from, to, 3_000_000);
      trio.run(1_000);
      for (let round = 0; round < 20; round += 1) {
        for (const id of REPLICAS) {
          expect(latency(trio, id, `${String(round)} ${String(id)}`)).toBeLessThan(20);
          const name = `o${String(round)} ${String(id)}`;
          trio.append(id, name);
          trio.until(() => REPLICAS.every((one) => trio.releasedBy(one, name)), 60);
        }
        trio.run(200);
      }
      expect(epochs(trio)).toEqual(before);
    },
  );

  it('§6: a link that was slow is used again once it is as quick as before', () => {
    const trio = Trio.open();
    trio.run(300);
    trio.delay(A, C, 1_000_000);
    trio.run(500);
    expect(trio.replica(C).core?.inspect().hears[A]).toBe(false);
    expect(trio.replica(C).core?.forwardedVia()).toBe(B);
    expect(trio.replica(A).core?.forwardedVia()).toBe(B);
    trio.delay(A, C, 5_000);
    trio.until(() => trio.replica(A).core?.forwardedVia() === null, 2_000);
    expect(trio.replica(C).core?.forwardedVia()).toBe(null);
  });

  it('§6: a slow link is used while there is no third', () => {
    const trio = Trio.open();
    trio.run(300);
    trio.delay(A, C, 300_000);
    trio.run(1_000);
    trio.crash(B);
    trio.run(1_000);
    expect(trio.replica(C).core?.inspect().hears[A]).toBe(true);
    expect(latency(trio, A, 'x')).toBeLessThan(400);
    expect(latency(trio, C, 'y')).toBeLessThan(400);
  });

  /** The third passed on the dead home's last word, which was taken for a new sign of life. */
  it('L7: the last word of a dead home, passed on, does not delay its seal', () => {
    for (let phase = 0; phase < 20; phase += 1) {
      const trio = Trio.open();
      trio.run(300 + phase);
      trio.cutBoth(A, C);
      trio.crash(A);
      const died = trio.now;
      trio.until(() => trio.lane(B, A).role === 'writing', 600);
      expect(trio.now - died).toBeLessThan(trio.settings.sealTimeout + 60_000);
    }
  });

  it('L7: a home whose connections broke when it died is sealed after a detour of silence', () => {
    const trio = Trio.open();
    trio.run(300);
    trio.crash(A);
    const died = trio.now;
    for (const id of [B, C]) trio.replica(id).inputs.push({ type: 'disconnected', peer: A });
    trio.until(() => trio.lane(B, A).role === 'writing', 600);
    expect(trio.now - died).toBeLessThan(trio.settings.detour + 60_000);
  });

  it('L7: a home with one broken connection is not sealed', () => {
    const trio = Trio.open();
    trio.run(300);
    const before = epochs(trio);
    trio.cutBoth(A, B);
    trio.replica(B).inputs.push({ type: 'disconnected', peer: A });
    trio.replica(A).inputs.push({ type: 'disconnected', peer: B });
    trio.run(1_000);
    expect(epochs(trio)).toEqual(before);
  });
});
