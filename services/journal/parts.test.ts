/** The small parts: bounds, waiting, health, configuration, the wall clock. */
import { describe, expect, it, vi } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Inspection } from '../../libs/lane/inspect.ts';
import { epoch, index, micros, timestamp } from '../../libs/values/numbers.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import { Admission } from './admission.ts';
import { systemClocks } from './clocks.ts';
import { journalSchema, laneSettings } from './config.ts';
import { Health } from './health.ts';
import { Linearizer } from './linearizer.ts';
import { decodeWrite, encodeWrite, FRAME_TYPES } from './log-frames.ts';
import { Watermark } from './watermark.ts';

describe('Admission', () => {
  it('refuses beyond its bound and takes again what was given back', () => {
    const admission = new Admission(100);
    expect(admission.take(60)).toBeNull();
    expect(admission.take(60)).toMatchObject({ reason: 'OVERLOADED', noEffect: true });
    admission.giveBack(60);
    expect(admission.take(60)).toBeNull();
    expect(() => {
      admission.giveBack(100);
    }).toThrow('more bytes given back');
  });

  it('keeps its last eighth for sessions with nothing else under way', () => {
    const admission = new Admission(800);
    expect(admission.take(650, 1)).toBeNull();
    expect(admission.take(60, 650)).toMatchObject({ reason: 'OVERLOADED' });
    expect(admission.take(60)).toBeNull();
    expect(admission.take(100)).toMatchObject({ reason: 'OVERLOADED' });
    expect(admission.bytes).toBe(710);
  });
});

describe('Watermark', () => {
  it('wakes who waits, once, when it reaches them, and never falls', () => {
    const watermark = new Watermark(micros(0));
    const woken: number[] = [];
    for (const wanted of [10, 20, 30]) {
      watermark.whenReached(wanted, () => woken.push(wanted));
    }
    const forget = watermark.whenReached(25, () => woken.push(25));
    watermark.publish(timestamp(20), micros(5));
    expect(woken).toEqual([10, 20]);
    forget();
    watermark.publish(timestamp(40), micros(6));
    expect(woken).toEqual([10, 20, 30]);
    expect(watermark.waiterCount).toBe(0);
    expect(watermark.movedAt).toBe(6);
    watermark.whenReached(40, () => woken.push(40));
    expect(woken.at(-1)).toBe(40);
    expect(() => {
      watermark.publish(timestamp(39), micros(7));
    }).toThrow('falls');
  });
});

describe('Linearizer', () => {
  class Rounds {
    readonly asked: ((readPoint: Timestamp) => void)[] = [];
    forgotten = 0;
    heartbeat(done: (readPoint: Timestamp) => void): () => void {
      this.asked.push(done);
      return () => {
        this.forgotten += 1;
      };
    }
  }

  it('answers at the read point, or when the watermark has reached it', async () => {
    const rounds = new Rounds();
    const watermark = new Watermark(micros(0));
    const linearizer = new Linearizer(rounds, watermark, 10_000);
    const signal = new AbortController().signal;
    const quick = linearizer.readPoint(false, signal);
    const waiting = linearizer.readPoint(true, signal);
    let done = false;
    void waiting.then(() => {
      done = true;
    });
    for (const answer of rounds.asked) answer(timestamp(100));
    expect(await quick).toBe(100);
    watermark.publish(timestamp(99), micros(1));
    await Promise.resolve();
    expect(done).toBe(false);
    watermark.publish(timestamp(100), micros(2));
    expect(await waiting).toBe(100);
  });

  it('gives up after its time, and when the caller has gone', async () => {
    vi.useFakeTimers();
    try {
      const rounds = new Rounds();
      const linearizer = new Linearizer(rounds, new Watermark(micros(0)), 50);
      const abort = new AbortController();
      const late = linearizer.readPoint(true, new AbortController().signal);
      const gone = linearizer.readPoint(true, abort.signal);
      abort.abort();
      await expect(gone).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
      const lateFails = expect(late).rejects.toMatchObject({ reason: 'NO_QUORUM' });
      vi.advanceTimersByTime(51);
      await lateFails;
      expect(rounds.forgotten).toBe(2);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('Health', () => {
  function setUp(): {
    health: Health;
    state: { voting: boolean; heard: boolean; role: 'writing' | 'follower' };
    told: boolean[];
    lost: () => number;
  } {
    const state: { voting: boolean; heard: boolean; role: 'writing' | 'follower' } = {
      voting: true,
      heard: true,
      role: 'writing',
    };
    const told: boolean[] = [];
    let lost = 0;
    const inspect = (): Inspection => ({
      watermark: timestamp(0),
      clock: timestamp(0),
      reservation: timestamp(0),
      clockSafe: true,
      voting: state.voting,
      hears: [true, state.heard, false],
      peers: [1, 2].map((replica) => ({
        replica: replica as 1 | 2,
        heard: state.heard && replica === 1,
        hearsUs: true,
        roundTripMicros: null,
        clockOffsetMicros: null,
        bases: null,
      })),
      lanes: ([0, 1, 2] as const).map((id) => ({
        id,
        promised: epoch(8 + id),
        writer: id,
        role: state.role,
        base: index(0),
        last: index(0),
        synced: index(0),
        committed: index(0),
        resolved: timestamp(0),
        hot: 0,
      })),
      queued: 0,
      inflightBytes: 0,
      fedBytes: 0,
    });
    const health = new Health({
      self: 0,
      inspect,
      noQuorumMicros: 1_000_000,
      onServing: (serving) => told.push(serving),
      onNoQuorum: () => {
        lost += 1;
      },
    });
    return { health, state, told, lost: () => lost };
  }

  it('serves when the lane is open, everything replayed and a peer heard', () => {
    const { health, state, told } = setUp();
    expect(health.obstacle()).toMatchObject({ reason: 'NO_QUORUM' });
    health.look(micros(1e6), false);
    expect(health.serving).toBe(false);
    state.role = 'follower';
    health.look(micros(2e6), true);
    expect(health.serving).toBe(false);
    expect(health.obstacle()).toBeNull();
    state.role = 'writing';
    health.look(micros(3e6), true);
    expect(told).toEqual([true]);
  });

  it('forgives a moment, then says that it serves no more, and why', () => {
    const { health, state, told, lost } = setUp();
    health.look(micros(1e6), true);
    state.heard = false;
    health.look(micros(1.5e6), true);
    expect(health.obstacle()).toBeNull();
    health.look(micros(2.1e6), true);
    expect(told).toEqual([true, false]);
    expect(lost()).toBe(1);
    expect(health.obstacle()).toMatchObject({ reason: 'NO_QUORUM', noEffect: true });
    state.voting = false;
    state.heard = true;
    health.look(micros(3e6), true);
    expect(health.obstacle()?.message).toMatch('recovering');
  });
});

describe('configuration', () => {
  const base = {
    cluster: 'c',
    instance: 'i',
    replica: 1,
    region: 'eu',
    dataDirectory: '/d',
    listen: '127.0.0.1:1',
    peerListen: '127.0.0.1:2',
    peers: [
      { replica: 0, region: 'us', address: 'b:2' },
      { replica: 2, region: 'ap', address: 'c:2' },
    ],
  };

  it('turns milliseconds into the microseconds of the lane core', () => {
    const config = journalSchema.parse({ ...base, timings: { beaconMs: 7, maxClockErrorMs: 0.5 } });
    expect(laneSettings(config)).toMatchObject({ beacon: 7000, maxClockError: 500 });
    expect(laneSettings(journalSchema.parse(base)).maxClockError).toBeNull();
  });

  it.each([
    [
      'peers that are not the two others',
      { peers: [base.peers[0], base.peers[0]] },
      'two replicas',
    ],
    ['a seal timeout below the detour', { timings: { sealTimeoutMs: 50 } }, 'more than detourMs'],
    ['entries smaller than a batch', { limits: { entryBytesMax: 2048 } }, 'at least batchBytesMax'],
    ['a window above the total', { limits: { windowBytes: 2 ** 27 } }, 'at least windowBytes'],
    ['a name with spaces', { cluster: 'a b' }, 'letters'],
  ])('refuses %s', (_name, change, message) => {
    const parsed = journalSchema.safeParse({ ...base, ...change });
    expect(parsed.success).toBe(false);
    expect(JSON.stringify(parsed.error?.issues)).toMatch(message);
  });
});

describe('log frames', () => {
  it('are refused as corrupt when they cannot be ours', () => {
    const body = encodeWrite({ type: 'promise', lane: 2, epoch: epoch(10) });
    expect(decodeWrite(FRAME_TYPES.promise, body)).toEqual({ type: 'promise', lane: 2, epoch: 10 });
    for (const broken of [body.subarray(0, 8), Buffer.from(body).fill(9, 0, 1)]) {
      expect(() => decodeWrite(FRAME_TYPES.promise, broken)).toThrow(MeridianError);
    }
    expect(() => decodeWrite(99, body)).toThrow('unknown type 99');
  });
});

describe('the wall clock', () => {
  it('knows microseconds and stays within the millisecond of the system clock', () => {
    const clocks = systemClocks();
    let last = 0;
    for (let i = 0; i < 2000; i += 1) {
      const before = Date.now() * 1000;
      const value = clocks.wall();
      expect(value).toBeGreaterThanOrEqual(before);
      expect(value).toBeLessThan(Date.now() * 1000 + 1000);
      expect(value).toBeGreaterThanOrEqual(last);
      last = value;
    }
  });
});
