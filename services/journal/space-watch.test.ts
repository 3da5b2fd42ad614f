import { beforeEach, describe, expect, it } from 'vitest';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Space } from '../../libs/lane/types.ts';
import { micros } from '../../libs/values/numbers.ts';
import { SpaceWatch } from './space-watch.ts';

const RESERVE = 1000;

let free: number | null = 10_000;
let appended = 0;
let full = false;
let retries = 0;
let changes: Space[] = [];
let now = 0;

function watch(reserveBytes = RESERVE): SpaceWatch {
  return new SpaceWatch({
    reserveBytes,
    log: {
      get isFull() {
        return full;
      },
      get appendedBytes() {
        return appended;
      },
      retryWrites: () => (retries += 1),
    },
    freeBytes: () => Promise.resolve(free),
    onChange: (space) => changes.push(space),
    logger: { info: () => undefined, warn: () => undefined, error: () => undefined },
  });
}

/** Asks the file system and judges by the answer. */
async function look(subject: SpaceWatch): Promise<Space> {
  for (let i = 0; i < 2; i += 1) {
    subject.look(micros((now += 1_000_000)));
    await Promise.resolve();
    await Promise.resolve();
  }
  return subject.space;
}

beforeEach(() => {
  [free, appended, full, retries, changes] = [10_000, 0, false, 0, []];
});

describe('the watch over the disk', () => {
  it('refuses appends below the reserve, entries below half of it, and leaves both with room to spare', async () => {
    const subject = watch();
    const seen: Space[] = [];
    for (const bytes of [1000, 999, 500, 499, 600, 630, 1100, 1130]) {
      free = bytes;
      seen.push(await look(subject));
    }
    expect(seen).toEqual(['ample', 'low', 'low', 'none', 'none', 'low', 'low', 'ample']);
    expect(changes).toEqual(['low', 'none', 'low', 'ample']);
  });

  it('counts what was appended since the last look', async () => {
    const subject = watch();
    free = 1500;
    expect(await look(subject)).toBe('ample');
    appended = 501;
    subject.look(micros(now + 1));
    expect(subject.space).toBe('low');
    expect(subject.obstacle()).toMatchObject({
      reason: 'DISK_FULL',
      noEffect: true,
      details: { freeBytes: '999', limit: '1000' },
    });
    expect(subject.obstacle(true)).toBeNull();
    expect([subject.hasRoom(700), subject.hasRoom(800)]).toEqual([true, false]);
  });

  it('is full when a write was refused, tries it again, and recovers by itself', async () => {
    const subject = watch(0);
    full = true;
    subject.refused(new MeridianError('DISK_FULL', 'no room'));
    expect(subject.figures).toEqual({ space: 'none', refusedWrites: 1 });
    expect(subject.obstacle(true)?.reason).toBe('DISK_FULL');
    await look(subject);
    expect(retries).toBe(2);
    full = false;
    expect(await look(subject)).toBe('ample');
  });

  it('does not guess when the file system says nothing', async () => {
    const subject = watch();
    free = null;
    expect(await look(subject)).toBe('ample');
    expect(subject.hasRoom(1e12)).toBe(true);
  });
});
