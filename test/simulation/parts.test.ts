/** The parts of the harness: what they promise each other, so that a run means what it says. */
import { describe, expect, it } from 'vitest';
import type { Packet } from '../../libs/lane/types.ts';
import type { Index, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { Clocks, EPOCH_MICROS } from './clocks.ts';
import { Disk } from './disk.ts';
import { entry, History } from './histories.ts';
import { Network } from './network.ts';
import type { Content } from './operations.ts';
import { drawOptions, FAULTS } from './options.ts';
import { Prng } from './prng.ts';
import { Scheduler } from './scheduler.ts';
import { Trace } from './trace.ts';

describe('the generator', () => {
  it('repeats itself from a seed and differs between streams', () => {
    const draw = (seed: number, stream: string): number[] => {
      const prng = new Prng(seed, stream);
      return Array.from({ length: 20 }, () => prng.next());
    };
    expect(draw(7, 'a')).toEqual(draw(7, 'a'));
    expect(draw(7, 'a')).not.toEqual(draw(7, 'b'));
    expect(draw(7, 'a')).not.toEqual(draw(8, 'a'));
  });

  it('stays within its bounds and reaches both', () => {
    const prng = new Prng(1, 'bounds');
    const seen = new Set(Array.from({ length: 500 }, () => prng.between(3, 6)));
    expect([...seen].sort()).toEqual([3, 4, 5, 6]);
  });
});

describe('the scheduler', () => {
  it('runs events by time, and equal times in the order they were planned', () => {
    const scheduler = new Scheduler();
    const prng = new Prng(3, 'events');
    const ran: { time: number; order: number }[] = [];
    for (let order = 0; order < 1_000; order++) {
      const time = prng.below(100);
      scheduler.at(time, () => ran.push({ time, order }));
    }
    scheduler.runUntil(1_000, () => false);
    const sorted = [...ran].sort((a, b) => a.time - b.time || a.order - b.order);
    expect(ran).toHaveLength(1_000);
    expect(ran).toEqual(sorted);
    expect(scheduler.now).toBe(1_000);
  });
});

describe('the clocks', () => {
  it('keep the monotonic clock continuous when the drift changes and the wall clock jumps', () => {
    const clocks = new Clocks();
    clocks.boot(0, 5_000);
    clocks.setDrift(1_000_000, 500);
    const before = clocks.monotonic(2_000_000);
    clocks.set(2_000_000, -3_600_000_000);
    clocks.setDrift(2_000_000, -500);
    expect(clocks.monotonic(2_000_000)).toBe(before);
    expect(clocks.monotonic(3_000_000)).toBe(before + 999_500);
    expect(clocks.wall(2_000_000)).toBe(EPOCH_MICROS + 2_000_000 - 3_600_000_000);
  });
});

describe('the disk', () => {
  const slow = { sync: 1_000, jitter: 0, stall: 0, stallMax: 0 };
  const start = (seed: number) => {
    const scheduler = new Scheduler();
    const disk = new Disk(0, slow, scheduler, new Prng(seed, 'disk'), new History().checkers, null);
    const synced: number[] = [];
    disk.open((seq) => synced.push(seq));
    return { scheduler, disk, synced };
  };
  const stage = (disk: Disk, index: number): void => {
    disk.stage({ type: 'entry', entry: entry(0, index, 10 + index) });
    disk.commit(index);
  };

  it('takes what arrives during a sync down with the next one', () => {
    const { scheduler, disk, synced } = start(1);
    stage(disk, 1);
    stage(disk, 2);
    stage(disk, 3);
    scheduler.runUntil(1_000, () => false);
    expect(synced).toEqual([1]);
    scheduler.runUntil(2_000, () => false);
    expect(synced).toEqual([1, 3]);
    expect(disk.lanes[0]?.entries).toHaveLength(3);
  });

  it('keeps what was synced and any prefix of the rest over a crash, and reports neither', () => {
    const survivors = new Set<number>();
    for (let seed = 0; seed < 100; seed++) {
      const { scheduler, disk, synced } = start(seed);
      stage(disk, 1);
      scheduler.runUntil(1_000, () => false);
      for (const index of [2, 3, 4]) stage(disk, index);
      disk.crash();
      scheduler.runUntil(9_000, () => false);
      expect(synced).toEqual([1]);
      const indexes = disk.lanes[0]?.entries.map((e) => e.index) ?? [];
      expect(indexes).toEqual([1, 2, 3, 4].slice(0, indexes.length));
      survivors.add(indexes.length);
    }
    expect([...survivors].sort()).toEqual([1, 2, 3, 4]);
  });

  it('remembers neither promises nor its vote after a wipe', () => {
    const { scheduler, disk } = start(1);
    stage(disk, 1);
    disk.stage({ type: 'reserve', timestamp: 900 as Timestamp });
    disk.commit(2);
    scheduler.runUntil(5_000, () => false);
    disk.crash();
    disk.wipe(1);
    const recovered = disk.open(() => undefined);
    expect(recovered).toMatchObject({ voting: false, reservation: 0, incarnation: 2 });
    expect(recovered.lanes[0]?.entries).toEqual([]);
  });

  it('voids the entries at and above a truncation', () => {
    const { scheduler, disk } = start(1);
    for (const index of [1, 2, 3]) stage(disk, index);
    disk.stage({ type: 'truncate', lane: 0, from: 2 as Index });
    disk.commit(4);
    scheduler.runUntil(9_000, () => false);
    expect(disk.lanes[0]?.entries.map((e) => e.index)).toEqual([1]);
  });
});

describe('the network', () => {
  const start = (options: { loss?: number; duplicate?: number; ghost?: number } = {}) => {
    const scheduler = new Scheduler();
    const trace = new Trace(scheduler, null);
    const faults = { loss: 0, duplicate: 0, ghost: 0, frozen: false, ...options };
    const network = new Network(
      { delay: [1_000, 2_000, 3_000], jitter: 5_000, ...faults },
      scheduler,
      new Prng(5, 'network'),
      trace,
    );
    const arrived: number[] = [];
    const users = ([0, 1, 2] as ReplicaId[]).map((id) => ({
      running: true,
      connections: 0,
      receive: (_from: ReplicaId, packet: Packet<Content>) => {
        if (id === 1) arrived.push(packet.wall);
      },
      disconnected: () => undefined,
      connected() {
        this.connections++;
      },
    }));
    network.attach(users);
    for (const id of [0, 1, 2] as ReplicaId[]) network.join(id);
    scheduler.runUntil(1_000_000, () => false);
    const history = new History();
    const send = (from: number, count: number): void => {
      for (let i = 0; i < count; i++) {
        network.send(0, 1, { ...history.packet(0), wall: from + i });
        scheduler.runUntil(scheduler.now + 300, () => false);
      }
    };
    const wait = (micros: number): void => {
      scheduler.runUntil(scheduler.now + micros, () => false);
    };
    return { network, arrived, users, send, wait };
  };

  it('keeps the order within a connection, whatever the jitter', () => {
    const { arrived, send, wait } = start();
    send(0, 100);
    wait(1_000_000);
    expect(arrived).toEqual(Array.from({ length: 100 }, (_, i) => i));
  });

  it('loses what crosses a cut, and connects again when it is mended', () => {
    const { network, arrived, users, send, wait } = start();
    const before = users[0]?.connections ?? 0;
    network.cut(0, 1);
    send(0, 10);
    wait(1_000_000);
    expect(arrived).toEqual([]);
    network.mend(0, 1);
    wait(1_000_000);
    send(100, 3);
    wait(1_000_000);
    expect(arrived).toEqual([100, 101, 102]);
    expect(users[0]?.connections).toBeGreaterThan(before);
  });

  it('delivers messages of an old connection late, after those of the new one', () => {
    const { network, arrived, send, wait } = start({ ghost: 1 });
    send(0, 10);
    network.break(0, 1);
    wait(500_000);
    send(100, 10);
    wait(5_000_000);
    expect(new Set(arrived).size).toBe(20);
    expect(arrived).not.toEqual([...arrived].sort((a, b) => a - b));
  });

  it('repeats messages', () => {
    const { arrived, send, wait } = start({ duplicate: 1 });
    send(0, 10);
    wait(5_000_000);
    expect(arrived).toHaveLength(20);
    expect(new Set(arrived).size).toBe(10);
  });

  it('holds back what a clog stops and delivers it in order', () => {
    const { network, arrived, send, wait } = start();
    network.clog(0, 1);
    send(0, 10);
    wait(1_000_000);
    expect(arrived).toEqual([]);
    network.unclog(0, 1);
    wait(1_000_000);
    expect(arrived).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('the swarm', () => {
  it('draws every kind of fault somewhere in a few hundred seeds, and calm runs too', () => {
    const faults = new Set<string>();
    let single = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const options = drawOptions(seed);
      for (const fault of Object.keys(options.faults)) faults.add(fault);
      if (options.single !== null) single++;
    }
    expect(faults.size).toBe(FAULTS.length);
    expect(single).toBeGreaterThan(5);
  });
});

describe('the trace', () => {
  it('has a hash that depends on every number and on their order', () => {
    const hashOf = (notes: readonly (readonly [number, number])[]): string => {
      const trace = new Trace({ now: 0 }, null);
      for (const [who, a] of notes) trace.note('synced', who, a);
      return trace.hash();
    };
    const hash = hashOf([
      [0, 1],
      [1, 2],
    ]);
    expect(hashOf([[0, 1]])).not.toBe(hash);
    expect(hashOf([[1, 2], [0, 1]])).not.toBe(hash); // prettier-ignore
    expect(hashOf([[0, 1], [1, 2 + 2 ** 40]])).not.toBe(hash); // prettier-ignore
  });
});
