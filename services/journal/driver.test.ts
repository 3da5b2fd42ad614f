import { describe, expect, it, vi } from 'vitest';
import type { LaneCore } from '../../libs/lane/core.ts';
import type { Effects, Input } from '../../libs/lane/types.ts';
import type { Log } from '../../libs/storage/log.ts';
import { micros, timestamp } from '../../libs/values/numbers.ts';
import type { Frame, JournalPacket, PendingAppend } from './content.ts';
import { Driver } from './driver.ts';
import { LogState } from './log-state.ts';
import { MemoryJournal } from './memory-journal.ts';

const TICK_MS = 1_000;

type Step = (
  inputs: readonly Input<Frame, PendingAppend>[],
) => Partial<Effects<Frame, PendingAppend>>;

interface Bench {
  readonly driver: Driver;
  readonly fatal: unknown[];
  /** What the driver did, in order. */
  readonly done: string[];
  /** Lets the disk finish what it was given. */
  readonly finishSync: () => void;
  /** What the driver asks of the core. */
  readonly core: { hurries: boolean };
}

/** The driver around a core that says what the test wants, and a log that syncs when told. */
function setUp(step: Step): Bench {
  const journal = new MemoryJournal();
  const fatal: unknown[] = [];
  const done: string[] = [];
  const syncs: (() => void)[] = [];
  const nothing: Effects<Frame, PendingAppend> = {
    writes: [],
    seq: 0,
    packets: [],
    acknowledged: [],
    released: [],
    watermark: timestamp(0),
    readPoints: [],
    refused: [],
  };
  const core = {
    hurries: false,
    step: (inputs: readonly Input<Frame, PendingAppend>[]) => {
      done.push(`step ${inputs.map((input) => input.type).join(' ')}`);
      return { ...nothing, ...step(inputs) };
    },
  };
  const log = {
    append: (type: number) => {
      done.push(`write ${type}`);
      return { segment: 1, offset: 0, bytes: 0 };
    },
    sync: (callback: () => void) => {
      done.push('sync');
      syncs.push(callback);
    },
  } as unknown as Log;
  const driver = new Driver({
    core: core as unknown as LaneCore<Frame, PendingAppend>,
    log,
    store: journal.store,
    state: new LogState(0),
    releaser: journal.releaser,
    clocks: { monotonic: () => micros(0), wall: () => 0 },
    tickMs: TICK_MS,
    heartbeatsMax: 2,
    send: (to) => {
      done.push(`send ${to}`);
    },
    afterStep: () => undefined,
    synced: () => undefined,
    onFatal: (error) => {
      fatal.push(error);
    },
  });
  const finishSync = (): void => {
    for (const callback of syncs.splice(0)) callback();
  };
  return { driver, fatal, done, finishSync, core };
}

const turn = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(() => setImmediate(resolve));
  });
const packet = {} as JournalPacket;

describe('Driver', () => {
  it('gathers all inputs of a turn into one step', async () => {
    const { driver, done } = setUp(() => ({}));
    driver.receive(1, packet);
    driver.connected(2);
    driver.receive(2, packet);
    await turn();
    expect(done).toEqual(['step packet connected packet']);
  });

  it('writes before it sends, and says persisted only when the disk has it', async () => {
    let asked = false;
    const { driver, done, finishSync } = setUp(() => {
      if (asked) return { seq: 1 };
      asked = true;
      const writes = [
        { type: 'reserve' as const, timestamp: timestamp(8) },
        { type: 'recovered' as const },
      ];
      return { seq: 1, writes, packets: [{ to: 2, packet }] };
    });
    driver.connected(1);
    await turn();
    expect(done).toEqual(['step connected', 'write 4', 'write 5', 'sync', 'send 2']);
    await turn();
    expect(done.length).toBe(5);
    finishSync();
    await turn();
    expect(done.slice(5)).toEqual(['step persisted']);
  });

  it('ends at the first exception: reported once, nothing stepped again', async () => {
    const { driver, fatal, done } = setUp(() => {
      throw new Error('an assertion');
    });
    driver.connected(1);
    await turn();
    driver.connected(1);
    driver.receive(1, packet);
    await turn();
    expect(fatal).toEqual([new Error('an assertion')]);
    expect(done).toEqual(['step connected']);
  });

  it('answers heartbeats by their number, forgets the forgotten, and bounds them', async () => {
    const readPoints: { id: number; readPoint: ReturnType<typeof timestamp> }[] = [];
    const { driver } = setUp(() => ({ readPoints: readPoints.splice(0) }));
    const answered = vi.fn();
    const forget = driver.heartbeat(() => {
      answered('first');
    });
    driver.heartbeat((readPoint) => {
      answered('second', readPoint);
    });
    expect(() => driver.heartbeat(answered)).toThrow('under way');
    forget();
    await turn();
    readPoints.push({ id: 1, readPoint: timestamp(5) }, { id: 2, readPoint: timestamp(6) });
    driver.connected(1);
    await turn();
    expect(answered.mock.calls).toEqual([['second', 6]]);
    expect(() => driver.heartbeat(answered)).not.toThrow();
  });

  it('looks at the timers soon while one is due soon, and seldom otherwise', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval'] });
    try {
      const { driver, done, core } = setUp(() => ({}));
      const ticksIn = async (ticks: number): Promise<number> => {
        done.length = 0;
        for (let i = 0; i < ticks; i += 1) {
          vi.advanceTimersByTime(TICK_MS);
          await turn();
        }
        return done.length;
      };
      driver.start();
      await turn();
      expect(await ticksIn(8)).toBe(2);
      core.hurries = true;
      driver.connected(1);
      await turn();
      expect(await ticksIn(8)).toBe(8);
      core.hurries = false;
      // One is on its way; each step puts the next look off.
      expect(await ticksIn(3)).toBe(1);
      driver.connected(1);
      await turn();
      expect(await ticksIn(3)).toBe(0);
      driver.stop();
      expect(await ticksIn(8)).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});
