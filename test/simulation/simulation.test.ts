/** A few seeds of the simulation; `npm run sim` runs thousands, and every planted bug. */
import { describe, expect, it } from 'vitest';
import { execute, plant } from './campaign.ts';
import { drawOptions } from './options.ts';
import { run } from './run.ts';

const SEEDS = 25;
/** Alone a run takes a tenth of a second; beside everything else on a busy machine, more. */
const PATIENCE_MS = 240_000;

describe('the simulation', { timeout: PATIENCE_MS }, () => {
  it('finds no violation, and the same trace each time a seed is run', () => {
    for (let seed = 1; seed <= SEEDS; seed++) {
      const first = run(drawOptions(seed));
      expect(first.violation, `seed ${seed}`).toBeNull();
      expect(first.simulatedSeconds).toBeGreaterThanOrEqual(60);
      expect(first.accounts.appends + first.accounts.reads).toBeGreaterThanOrEqual(300);
      const second = run(drawOptions(seed));
      expect(second.hash, `seed ${seed}`).toBe(first.hash);
    }
  });

  it('prints the same run as it hashes, a line per event', () => {
    const lines: string[] = [];
    const printed = run(drawOptions(2), { print: (line) => lines.push(line) });
    expect(printed.hash).toBe(run(drawOptions(2)).hash);
    expect(lines.some((line) => /^t=\d+\.\d{6} r\d release lane \d index \d+/.test(line))).toBe(
      true,
    );
  });

  it.each(['L1-one-copy', 'L4-ack-unsynced', 'O4-maximum', 'recover-votes', 'retry-as-new'])(
    'catches the planted bug %s, and only because of it',
    async (bug) => {
      const hunt = await execute({ type: 'planted', bug, seedsMax: 20, secondsMax: 60 });
      if (hunt.type !== 'planted') throw new Error('not a hunt');
      expect(hunt.caught?.violation).not.toBeNull();
      expect(hunt.caught).not.toBeNull();
      expect(hunt.controls).toEqual([]);
      const replay = run(drawOptions(hunt.seeds, plant(bug)));
      expect(replay.hash).toBe(hunt.caught?.hash);
    },
  );
});
