import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import { decodeCursor } from '../../libs/frames/cursor.ts';
import { FakeStream } from './fake-instance.ts';
import { four, memberChange, open, places, reach, settle, wish } from './fake-world.ts';
import type { World } from './fake-world.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const members = ({ crossbar }: World): number[] =>
  crossbar.status().instances.map(({ number }) => number);
const everything = async (it_: World): Promise<string[]> => {
  const stream = new FakeStream();
  it_.crossbar.subscribe(wish(), stream);
  for (let round = 0; round < 4; round += 1) {
    settle(it_);
    await vi.advanceTimersByTimeAsync(1);
  }
  expect(stream.error).toBeNull();
  return places(stream.deliveries);
};

describe('an instance that joins', () => {
  it('is read from the place of the change on; what it said before is of no order', async () => {
    const all = four();
    const [one, two, three] = all;
    const it_ = await open(all);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    three.append(9, ['s']);
    one.change(10, memberChange('join', 3));
    three.append(10, ['s']);
    three.append(11, ['s']);
    two.append(12, ['s']);
    reach(all, 20);
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['10/1/0', '10/3/0', '11/3/0', '12/2/0']);
    expect(stream.watermarks.at(-1)).toBe(20);
    expect(members(it_)).toEqual([1, 2, 3]);
    expect(it_.crossbar.status().lives.at(-1)).toEqual({
      number: 3,
      name: 'i3',
      joinedAt: 10,
      leftAt: 0,
      replicas: [{ region: 'here', address: '10.0.0.3:7400' }],
    });
    it_.stop();
  });

  it('is waited for, and named, when it cannot be reached', async () => {
    const all = four();
    const [one, two, three] = all;
    const it_ = await open(all);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    one.change(10, memberChange('join', 3));
    two.append(12, ['s']);
    reach([one, two], 20);
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['10/1/0']);
    expect(stream.watermarks.at(-1)).toBe(9);
    await vi.advanceTimersByTimeAsync(900);
    const told = stream.messages.at(-1);
    expect(told?.case === 'progress' && told.value.stalledBy).toEqual(['i3']);
    three.reached = 20;
    settle(it_);
    expect(places(stream.deliveries).at(-1)).toBe('12/2/0');
    it_.stop();
  });

  it('is met by subscribers with key ranges too, who are not shown the change', async () => {
    const all = four();
    const [one, , three] = all;
    one.append(3, ['s:k1']);
    one.change(10, memberChange('join', 3));
    three.append(12, ['s:k1', 's:k2']);
    reach(all, 20);
    const it_ = await open(all, { windowBytesMax: 300 });
    const stream = new FakeStream();
    const range = { from: Buffer.from('k1'), to: Buffer.from('k2') };
    it_.crossbar.subscribe(wish([], new Uint8Array(), [range]), stream);
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['3/1/0', '12/3/0']);
    it_.stop();
  });

  it('is not let in under a used number or name, nor by a record that names other founders', async () => {
    const all = four();
    const [one, , three, last] = all;
    const it_ = await open(all);
    one.change(5, memberChange('join', 2));
    one.change(6, { ...memberChange('join', 3), name: 'i2' });
    one.change(7, { ...memberChange('join', 3), founders: [{ number: 1, name: 'i1' }] });
    one.change(8, memberChange('join', 4));
    one.change(9, { ...memberChange('join', 3), name: 'i4' });
    three.append(10, ['s']);
    last.append(10, ['s']);
    reach(all, 20);
    expect(await everything(it_)).toEqual(['5/1/0', '6/1/0', '7/1/0', '8/1/0', '9/1/0', '10/4/0']);
    expect(members(it_)).toEqual([1, 2, 4]);
    expect(it_.fatal).toEqual([]);
    it_.stop();
  });
});

describe('an instance that leaves', () => {
  it('counts up to the place of the change, and nobody waits for it afterwards', async () => {
    const all = four();
    const [one, two] = all;
    const it_ = await open(all);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    two.append(8, ['s']);
    one.change(10, memberChange('leave', 2));
    two.append(11, ['s']);
    one.append(12, ['s']);
    one.reached = 20;
    settle(it_);
    expect(places(stream.deliveries)).toEqual([]);
    two.reached = 10;
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['8/2/0', '10/1/0', '12/1/0']);
    expect(stream.watermarks.at(-1)).toBe(20);
    expect(two.followings).toHaveLength(0);
    expect(members(it_)).toEqual([1]);
    it_.stop();
  });

  it('is not needed by a crossbar that starts later, only by those who read what it said', async () => {
    const all = four();
    const [one, two] = all;
    two.append(8, ['s']);
    one.change(10, memberChange('leave', 2));
    one.append(12, ['s']);
    reach([one], 20);
    two.down = new MeridianError('UNAVAILABLE', 'gone');
    const it_ = await open(all);
    expect(it_.crossbar.ready).toBe(true);
    settle(it_);
    expect(it_.crossbar.watermark).toBe(20);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    settle(it_);
    expect(stream.deliveries).toEqual([]);
    await vi.advanceTimersByTimeAsync(900);
    const told = stream.messages.at(-1);
    expect(told?.case === 'progress' && told.value.stalledBy).toEqual(['i2']);
    it_.stop();
  });
});

describe('a cursor across changes of the members', () => {
  it('resumes at another crossbar, whether older than a join, between, or newer than a leave', async () => {
    const all = four();
    const [one, two, three] = all;
    const it_ = await open(all);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    const steps = [
      () => {
        two.append(5, ['s']);
      },
      () => {
        one.change(10, memberChange('join', 3));
      },
      () => {
        three.append(12, ['s']);
      },
      () => {
        one.change(20, memberChange('leave', 2));
      },
      () => {
        three.append(25, ['s']);
      },
    ];
    for (const [i, step] of steps.entries()) {
      step();
      reach(all, [9, 11, 14, 21, 30][i] ?? 0);
      settle(it_);
    }
    const order = places(stream.deliveries);
    expect(order).toEqual(['5/2/0', '10/1/0', '12/3/0', '20/1/0', '25/3/0']);
    const sets = stream.messages.map((message) =>
      message.case === undefined
        ? ''
        : decodeCursor('c', message.value.cursor)
            .map(({ instance }) => instance)
            .join(''),
    );
    expect(new Set(sets)).toEqual(new Set(['12', '123', '13']));
    const other = await open(all);
    let seen = 0;
    for (const message of stream.messages) {
      if (message.case === undefined) continue;
      if (message.case === 'batches') seen += 1;
      const resumed = new FakeStream();
      other.crossbar.subscribe(wish([], message.value.cursor), resumed);
      settle(other);
      expect(places(resumed.deliveries)).toEqual(order.slice(seen));
    }
    it_.stop();
    other.stop();
  });

  it('is asked back later where this crossbar is behind, and refused once it could know better', async () => {
    const all = four();
    const [one] = all;
    const ahead = await open(all);
    const behind = await open(all);
    const stream = new FakeStream();
    ahead.crossbar.subscribe(wish(), stream);
    one.change(10, memberChange('join', 3));
    reach(all, 20);
    for (const instance of all) {
      for (let turn = 0; turn < 3; turn += 1) {
        instance.followings[0]?.deliver(Infinity);
        instance.followings[0]?.progress();
      }
    }
    expect(ahead.crossbar.watermark).toBe(20);
    expect(behind.crossbar.watermark).toBe(0);
    const resume = (world: World): void => {
      world.crossbar.subscribe(wish([], stream.cursor), new FakeStream());
    };
    expect(() => {
      resume(behind);
    }).toThrow(/names instance 3.*as far as it knows/);
    expect(thrownBy(resume, behind)).toMatchObject({ retry: true });
    settle(behind);
    resume(behind);
    const strange = await open(four(), {});
    reach(strange.instances, 50);
    settle(strange);
    expect(thrownBy(resume, strange)).toMatchObject({ reason: 'INVALID', retry: false });
    for (const each of [ahead, behind, strange]) each.stop();
  });

  it('of a read point resumes although its maker had not met a change before it', async () => {
    const all = four();
    const [one, two, three] = all;
    const it_ = await open(all);
    reach([one, two], 30);
    two.reached = 40;
    const { cursor, readPoint } = await it_.crossbar.heartbeat('c');
    expect(readPoint).toBe(40);
    one.change(35, memberChange('join', 3));
    three.append(38, ['s']);
    three.append(41, ['s']);
    reach(all, 50);
    settle(it_);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish([], cursor), stream);
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['41/3/0']);
    it_.stop();
  });
});

describe('a registry whose old records are trimmed', () => {
  it('still tells a crossbar that starts who the members are, by what is left', async () => {
    const all = four();
    const [one, , three] = all;
    const join = memberChange('join', 3);
    const { founders, ...event } = { ...join, history: undefined };
    const past = [{ ...event, timestamp: 10 }];
    one.change(10, join);
    one.change(20, { kind: 'renewal', founders, history: past });
    three.append(22, ['s']);
    one.change(25, { ...memberChange('leave', 2), history: past });
    one.trimmed = 1;
    reach(all, 30);
    const it_ = await open(all);
    expect(members(it_)).toEqual([1, 3]);
    expect(await everything(it_)).toEqual(['10/1/0', '20/1/0', '22/3/0', '25/1/0']);
    one.trimmed = 3;
    const late = await open(all);
    expect(late.fatal.map(({ reason }) => reason)).toEqual(['CORRUPT']);
    for (const each of [it_, late]) each.stop();
  });

  it('changes the members also where their entries are gone with others, for whoever is older than that', async () => {
    const all = four();
    const [one, two, three] = all;
    const history = [
      { ...memberChange('join', 3), timestamp: 10 },
      { ...memberChange('leave', 2), timestamp: 20 },
    ];
    two.append(15, ['s']);
    two.append(21, ['s']);
    three.append(12, ['s']);
    three.append(23, ['s']);
    one.gone = 2;
    const { founders } = memberChange('join', 3);
    one.change(28, { kind: 'renewal', founders, history });
    reach(all, 30);
    const it_ = await open(all);
    expect(members(it_)).toEqual([1, 3]);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    // Said by the instance where its records would be.
    const trimmed = { kind: 'trimmed' as const, from: 1, to: { timestamp: 25, recordOffset: 0 } };
    one.followings.at(-1)?.miss(trimmed);
    for (let round = 0; round < 4; round += 1) {
      settle(it_);
      await vi.advanceTimersByTimeAsync(1);
    }
    expect(stream.story).toEqual(['12/3/0', '15/2/0', '23/3/0', 'trimmed i1 1-24', '28/1/0']);
    it_.stop();
  });

  it('is asked again by a crossbar that is told of a gap in which there may be a change', async () => {
    const all = four();
    const [one, two, three] = all;
    const it_ = await open(all);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    const { founders } = memberChange('join', 3);
    one.gone = 1;
    const history = [{ ...memberChange('join', 3), timestamp: 10 }];
    one.change(28, { kind: 'renewal', founders, history });
    three.append(12, ['s']);
    two.append(26, ['s']);
    reach(all, 30);
    const trimmed = { kind: 'trimmed' as const, from: 1, to: { timestamp: 25, recordOffset: 0 } };
    one.followings.at(-1)?.miss(trimmed);
    expect(it_.troubles).toEqual(['i1']);
    await vi.advanceTimersByTimeAsync(5);
    one.followings.at(-1)?.miss(trimmed);
    settle(it_);
    expect(stream.story).toEqual(['12/3/0', 'trimmed i1 1-24', '26/2/0', '28/1/0']);
    it_.stop();
  });

  it('stops a crossbar that finds only what says nothing', async () => {
    const all = four();
    const [one] = all;
    one.change(10, memberChange('join', 3));
    one.append(20, ['_meridian.members']);
    one.trimmed = 1;
    reach(all, 30);
    const it_ = await open(all);
    expect(it_.fatal.map(({ reason }) => reason)).toEqual(['CORRUPT']);
    it_.stop();
  });
});

describe('a crossbar that has not heard from the registry yet', () => {
  it('lets subscribers wait, and names it, because it cannot know who the members are', async () => {
    const all = four();
    const [one, two] = all;
    const first = await open(all);
    reach([one, two], 30);
    two.reached = 40;
    const { cursor } = await first.crossbar.heartbeat('c');
    first.stop();
    one.change(35, memberChange('leave', 2));
    two.append(41, ['s']);
    one.append(42, ['s']);
    reach(all, 50);
    one.down = new MeridianError('UNAVAILABLE', 'not yet');
    const it_ = await open(all);
    const stream = new FakeStream();
    const subscription = it_.crossbar.subscribe(wish([], cursor), stream);
    settle(it_);
    await vi.advanceTimersByTimeAsync(900);
    expect(subscription.state).toBe('waiting');
    expect(stream.deliveries).toEqual([]);
    const told = stream.messages.at(-1);
    expect(told?.case === 'progress' && told.value.stalledBy).toEqual(['i1']);
    one.down = null;
    await vi.advanceTimersByTimeAsync(5);
    settle(it_);
    expect(places(stream.deliveries)).toEqual(['42/1/0']);
    it_.stop();
  });
});

function thrownBy(run: (world: World) => void, world: World): unknown {
  try {
    run(world);
  } catch (error) {
    return error;
  }
  return null;
}

describe('a read point', () => {
  it('covers who has joined although this crossbar has not met the change, and not who has left', async () => {
    const all = four();
    const [one, two, three] = all;
    const it_ = await open(all);
    one.change(10, memberChange('join', 3));
    one.change(12, memberChange('leave', 2));
    one.reached = 12;
    two.down = new MeridianError('UNAVAILABLE', 'gone');
    three.reached = 90;
    expect((await it_.crossbar.heartbeat('c')).readPoint).toBe(90);
    three.down = new MeridianError('NO_QUORUM', 'i3: no quorum');
    await expect(it_.crossbar.heartbeat('c')).rejects.toThrow('i3: no quorum');
    it_.stop();
  });
});

describe('a crossbar whose configuration is not that of the database', () => {
  const others = [
    { number: 1, name: 'i1' },
    { number: 2, name: 'renamed' },
  ];
  it('stops at the change that says so, passing nothing on behind it', async () => {
    const all = four();
    const [one] = all;
    const it_ = await open(all);
    const stream = new FakeStream();
    it_.crossbar.subscribe(wish(), stream);
    one.append(5, ['s']);
    one.change(10, { ...memberChange('join', 3), founders: others });
    one.append(11, ['s']);
    reach(all, 20);
    settle(it_);
    expect(it_.fatal.map(({ reason }) => reason)).toContain('REFUSED');
    expect(it_.fatal[0]?.message).toContain('2 (renamed)');
    expect(places(stream.deliveries)).toEqual([]);
    it_.stop();
  });

  it('does not begin', async () => {
    const all = four();
    const [one] = all;
    one.change(10, { ...memberChange('join', 3), founders: others });
    reach(all, 20);
    const it_ = await open(all);
    expect(it_.fatal.map(({ reason }) => reason)).toEqual(['REFUSED']);
    expect(it_.crossbar.ready).toBe(false);
    it_.stop();
  });
});
