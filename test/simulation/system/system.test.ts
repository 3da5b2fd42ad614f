/** A few seeds of the whole system; `npm run sim -- --system` runs more, and `--planted` every bug. */
import { describe, expect, it } from 'vitest';
import { execute } from '../campaign.ts';
import { uncovered } from '../coverage.ts';
import { shrink } from '../shrink.ts';
import { SYSTEM } from '../subjects.ts';

/** Alone a run takes a fifth of a second; beside everything else on a busy machine, many times that. */
const PATIENCE_MS = 240_000;

describe('the simulation of the whole system', { timeout: PATIENCE_MS }, () => {
  it('finds no violation, and the same run each time a seed is run', async () => {
    for (const seed of [1, 2, 7]) {
      const first = await SYSTEM.run(SYSTEM.draw(seed), null);
      expect(first.violation, `seed ${seed}`).toBeNull();
      expect(first.counts['merged']).toBeGreaterThan(50);
      expect(first.counts['mergedReads']).toBeGreaterThan(0);
      const second = await SYSTEM.run(SYSTEM.draw(seed), null);
      expect(second, `seed ${seed}`).toEqual(first);
    }
  });

  it('gives timers, clocks and chance back when a run is over', async () => {
    const places = (): unknown[] =>
      [
        [globalThis, 'setTimeout'],
        [globalThis, 'setInterval'],
        [performance, 'now'],
        [Date, 'now'],
        [Math, 'random'],
      ].map(([holder, name]) => Reflect.get(holder as object, name as string) as unknown);
    const before = places();
    await SYSTEM.run(SYSTEM.draw(3), null);
    expect(places()).toEqual(before);
  });

  it.each(['merge-maximum', 'position-apart', 'dropped-unarchived'])(
    'catches the planted bug %s, and only because of it',
    async (bug) => {
      const hunt = await execute({ type: 'planted', bug, seedsMax: 20, secondsMax: 120 });
      if (hunt.type !== 'planted') throw new Error('not a hunt');
      expect(hunt.caught?.violation).not.toBeNull();
      expect(hunt.caught).not.toBeNull();
      expect(hunt.controls).toEqual([]);
    },
  );

  it('is shrunk to few strikes that break the same rule', async () => {
    const bug = 'read-unwaited';
    const options = SYSTEM.draw(1, bug);
    const before = await SYSTEM.run(options, null);
    const shrunk = await shrink(options, SYSTEM, 12);
    expect(shrunk?.result.violation?.rule).toBe(before.violation?.rule);
    const { without = [], strikes = [] } = shrunk ?? {};
    const easier = SYSTEM.struck(SYSTEM.eased(options, without), new Set(strikes));
    expect((await SYSTEM.run(easier, null)).hash).toBe(shrunk?.result.hash);
  });
});

describe('the coverage of a campaign', () => {
  it('names what no seed has had', () => {
    const had = Object.fromEntries(uncovered({}, true).map((name) => [name, 1]));
    expect(uncovered(had, true)).toEqual([]);
    expect(uncovered({ ...had, trims: 0 }, true)).toEqual(['trims']);
    expect(uncovered(had, false)).toContain('wipe');
  });
});
