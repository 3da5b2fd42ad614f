/**
 * S1 and durability: every operation fails in turn, the power goes at every step, and what was
 * confirmed is there afterwards. SPEC.md names the invariants W1–W6.
 */
import { describe, expect, it } from 'vitest';
import { MeridianError } from '../errors/errors.ts';
import { FaultyDisk } from './faulty-disk.ts';
import type { Operation, Survival } from './faulty-disk.ts';
import { inspectDirectory, formatDirectory } from './log.ts';
import {
  append,
  appendSynced,
  bodyOf,
  DIRECTORY,
  formattedDisk,
  IDENTITY,
  nothingYet,
  open,
  synced,
  turn,
  work,
} from './scripted-log.ts';
import type { Outcome } from './scripted-log.ts';

const BATCHES = 40;
const SURVIVALS: readonly (readonly [string, Survival])[] = [
  ['nothing unsynced survives', () => 0],
  ['everything unsynced survives', (limit) => limit],
  ['half of it survives', (limit) => Math.floor(limit / 2)],
  ['all but a byte survives', (limit) => Math.max(0, limit - 1)],
];

/** W1: every confirmed frame is there; W2: what is there is a prefix of what was appended. */
function expectKept(bodies: readonly string[], outcome: Outcome): void {
  expect(bodies).toEqual(outcome.appended.slice(0, bodies.length));
  expect(bodies.length).toBeGreaterThanOrEqual(outcome.confirmed);
}

describe('a failing operation', () => {
  for (const operation of ['writeDurably', 'syncLater', 'open'] as const) {
    for (const code of ['EIO', 'ENOSPC'] as const) {
      it(`is fatal once and loses nothing confirmed (${operation}, ${code}, each call)`, async () => {
        const whole = formattedDisk();
        const formatting = whole.callsOf(operation);
        await work(whole, nothingYet(), BATCHES);
        const calls = whole.callsOf(operation);
        expect(calls).toBeGreaterThan(operation === 'writeDurably' ? 10 : 4);
        for (let failing = formatting + 1; failing <= calls; failing++) {
          for (const keptBytes of operation === 'writeDurably' ? [0, 40, 1_000_000] : [0]) {
            const disk = formattedDisk();
            disk.fault = (name, call) =>
              name === operation && call === failing ? { code, keptBytes } : undefined;
            const outcome = await work(disk, nothingYet(), BATCHES);
            if (outcome.refused !== undefined) {
              expect([operation, outcome.refused]).toEqual(['open', expect.any(MeridianError)]);
              continue;
            }
            expect(outcome.fatal.length).toBe(1);
            expect(outcome.fatal[0]).toBeInstanceOf(MeridianError);
            expect(outcome.fatal[0]?.message).toMatch(code === 'EIO' ? /disk reports/ : /is full/);
            expect(outcome.confirmedAfterFatal).toBe(0);
            expectKept(open(disk.killProcess()).bodies, outcome);
          }
        }
      });
    }
  }

  it('at start leaves a log that the next start opens (each operation, each call)', async () => {
    const before = formattedDisk();
    const expected = await appendSynced(open(before).log, 0, 20);
    const killed = (): FaultyDisk => before.killProcess();
    const probe = killed();
    open(probe);
    const operations: Operation[] = ['open', 'read', 'write', 'sync', 'syncDirectory'];
    for (const operation of operations) {
      expect(probe.callsOf(operation)).toBeGreaterThan(0);
      for (let failing = 1; failing <= probe.callsOf(operation); failing++) {
        const disk = killed();
        disk.fault = (name, call) =>
          name === operation && call === failing ? { code: 'EIO' } : undefined;
        let fatal = 0;
        try {
          fatal = open(disk).fatal.length;
        } catch (error) {
          expect(error).toBeInstanceOf(MeridianError);
          fatal++;
        }
        expect(fatal).toBe(1);
        expect(open(disk.killProcess()).bodies).toEqual(expected);
      }
    }
  });

  it('refuses appends and syncs afterwards, without effect', async () => {
    const disk = formattedDisk();
    disk.fault = (name) => (name === 'writeDurably' ? { code: 'EIO' } : undefined);
    const { log, fatal } = open(disk);
    append(log, 'lost');
    let confirmed = 0;
    log.sync(() => confirmed++);
    while (fatal.length === 0) await turn();
    expect(() => {
      append(log, 'more');
    }).toThrow(/the log has failed/);
    expect(() => {
      log.sync(() => confirmed++);
    }).toThrow(expect.objectContaining({ reason: 'UNAVAILABLE', noEffect: true }));
    await expect(log.close()).rejects.toBe(fatal[0]);
    expect([confirmed, fatal.length]).toEqual([0, 1]);
    expect(open(disk.killProcess()).bodies).toEqual([]);
  });

  it('is completed when it was only a short write', async () => {
    for (const shortBytes of [1, 7, 63, 500]) {
      const disk = formattedDisk();
      disk.fault = (name) =>
        name === 'writeDurably' || name === 'write' ? { shortBytes } : undefined;
      const outcome = await work(disk, nothingYet(), BATCHES);
      expect(outcome.confirmed).toBe(outcome.appended.length);
      const again = disk.crash(() => 0);
      again.fault = disk.fault;
      expect(open(again).bodies).toEqual(outcome.appended);
    }
  });

  it('is fatal when it writes nothing and reports no error', async () => {
    const disk = formattedDisk();
    disk.fault = (name) => (name === 'writeDurably' ? { shortBytes: 0 } : undefined);
    const outcome = await work(disk, nothingYet(), 2);
    expect([outcome.confirmed, outcome.fatal.length]).toEqual([0, 1]);
  });
});

describe('a crash', () => {
  for (const [name, survival] of SURVIVALS) {
    it(`at any step keeps what was confirmed, twice over (${name})`, async () => {
      const whole = formattedDisk();
      const formatted = whole.steps;
      await work(whole, nothingYet(), BATCHES);
      expect(whole.steps - formatted).toBeGreaterThan(80);
      for (let step = 1; step <= whole.steps - formatted; step++) {
        const disk = formattedDisk();
        disk.crashAtStep = disk.steps + step;
        const outcome = await work(disk, nothingYet(), BATCHES);
        const second = disk.crash(survival);
        // The second life dies early too, while it repairs the tail or soon after.
        second.crashAtStep = 1 + (step % 23);
        const later = { ...nothingYet(), ...outcome, appended: [...outcome.appended] };
        await work(second, later, 2);
        if (later.refused !== undefined) expect(second.isOff).toBe(true);
        const { bodies, log } = open(second.crash(survival));
        expectKept(bodies, later);
        expect(bodies.slice(0, outcome.confirmed)).toEqual(
          outcome.appended.slice(0, outcome.confirmed),
        );
        await appendSynced(log, bodies.length, 2);
      }
    });

    it(`while formatting leaves a log or an empty directory (${name})`, () => {
      const whole = formattedDisk();
      for (let step = 1; step <= whole.steps; step++) {
        const disk = new FaultyDisk();
        disk.crashAtStep = step;
        expect(() => {
          formatDirectory(DIRECTORY, IDENTITY, disk);
        }).toThrow('the power is gone');
        const after = disk.crash(survival);
        const state = inspectDirectory(DIRECTORY, after);
        if (state.kind !== 'log') formatDirectory(DIRECTORY, IDENTITY, after);
        expect(open(after).bodies).toEqual([]);
      }
    });
  }

  it('after a failed write does not lose what the next life confirmed (the pages look clean)', async () => {
    // A failed sync leaves the bytes readable and marks them clean. A restarted process reads them,
    // and another sync succeeds without writing them: a crash then loses what was relied on.
    const disk = formattedDisk();
    const first = open(disk);
    await appendSynced(first.log, 0, 3);
    const failing = disk.callsOf('writeDurably') + 1;
    disk.fault = (name, call) =>
      name === 'writeDurably' && call === failing ? { code: 'EIO', keptBytes: 1e6 } : undefined;
    append(first.log, bodyOf(3));
    append(first.log, bodyOf(4));
    first.log.sync(() => {
      throw new Error('confirmed what failed');
    });
    while (first.fatal.length === 0) await turn();

    const restarted = disk.killProcess();
    const second = open(restarted);
    expect(second.bodies).toEqual([0, 1, 2, 3, 4].map(bodyOf));
    const third = open(restarted.crash(() => 0));
    expect(third.bodies).toEqual([0, 1, 2, 3, 4].map(bodyOf));
    await synced(third.log);
  });
});

describe('a full disk', () => {
  const opened = (disk: FaultyDisk, met: Error[]): ReturnType<typeof open> =>
    open(disk, { onNoSpace: (error) => void met.push(error) });

  for (const operation of ['writeDurably', 'syncLater', 'open'] as const) {
    for (const keptBytes of operation === 'writeDurably' ? [0, 40, 1_000_000] : [0]) {
      it(`confirms nothing, loses nothing and goes on when there is room (${operation}, ${keptBytes})`, async () => {
        const disk = formattedDisk();
        const met: Error[] = [];
        const { log, fatal } = opened(disk, met);
        const expected = await appendSynced(log, 0, 3);
        let isFull = true;
        disk.fault = (name) =>
          isFull && name === operation ? { code: 'ENOSPC', keptBytes } : undefined;
        const done: number[] = [];
        // Enough for several segments: files have to be made too.
        for (let number = 3; number < 60; number += 1) {
          append(log, bodyOf(number));
          expected.push(bodyOf(number));
          log.sync(() => done.push(number));
          await turn();
        }
        while (!log.isFull) await turn();
        const before = done.length;
        for (let i = 0; i < 3; i += 1) {
          log.retryWrites();
          for (let turns = 0; turns < 5; turns += 1) await turn();
        }
        expect([log.isFull, done.length, met.length >= 4]).toEqual([true, before, true]);
        expect(met[0]).toMatchObject({ reason: 'DISK_FULL', noEffect: true });
        const killed = open(disk.crash(() => 0)).bodies;
        expect(killed).toEqual(expected.slice(0, killed.length));
        expect(killed.length).toBeGreaterThanOrEqual(3 + before);

        // The process of the disk that lived on: the same, but then there is room.
        const living = formattedDisk();
        const again = opened(living, []);
        isFull = true;
        living.fault = disk.fault;
        const bodies = Array.from({ length: 60 }, (_, number) => bodyOf(number));
        for (const body of bodies) append(again.log, body);
        const all = synced(again.log);
        while (!again.log.isFull) await turn();
        isFull = false;
        again.log.retryWrites();
        await all;
        await again.log.close();
        expect([again.log.isFull, ...again.fatal, ...fatal]).toEqual([false]);
        expect(open(living.crash(() => 0)).bodies).toEqual(bodies);
      });
    }
  }

  it('does not hold up an orderly end', async () => {
    const disk = formattedDisk();
    const { log, fatal } = opened(disk, []);
    const kept = await appendSynced(log, 0, 3);
    disk.fault = (name) => (name === 'writeDurably' ? { code: 'ENOSPC' } : undefined);
    append(log, 'nobody was told');
    let confirmed = 0;
    log.sync(() => confirmed++);
    while (!log.isFull) await turn();
    await log.close();
    expect([confirmed, fatal.length]).toEqual([0, 0]);
    expect(open(disk.killProcess()).bodies).toEqual(kept);
  });
});
