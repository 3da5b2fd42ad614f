import { describe, expect, it } from 'vitest';
import { execute, plant } from './campaign.ts';
import { drawOptions } from './options.ts';
import { run } from './run.ts';
import { eased, shrink } from './shrink.ts';

describe('shrinking a failing run', { timeout: 240_000 }, () => {
  it('leaves few strikes, breaks the same rule, and can be replayed from what it says', () => {
    const bug = 'recover-votes';
    const hunt = execute({ type: 'planted', bug, seedsMax: 50, secondsMax: 100 });
    const options = drawOptions(hunt.type === 'planted' ? hunt.seeds : 0, plant(bug));
    const before = run(options);
    expect(before.violation).not.toBeNull();
    const shrunk = shrink(options, 120);
    expect(shrunk?.result.violation?.rule).toBe(before.violation?.rule);
    expect(shrunk?.strikes.length).toBeLessThan(before.strikes);
    const strikes = new Set(shrunk?.strikes);
    const again = run({ ...eased(options, shrunk?.without ?? []), strikes });
    expect(again.hash).toBe(shrunk?.result.hash);
  });

  it('has nothing to say of a run that does not fail', () => {
    expect(shrink(drawOptions(1))).toBeNull();
  });
});
