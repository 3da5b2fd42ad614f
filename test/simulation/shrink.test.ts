import { describe, expect, it } from 'vitest';
import { execute } from './campaign.ts';
import { run } from './run.ts';
import { shrink } from './shrink.ts';
import { ONE_INSTANCE } from './subjects.ts';

describe('shrinking a failing run', { timeout: 240_000 }, () => {
  it('leaves few strikes, breaks the same rule, and can be replayed from what it says', async () => {
    const bug = 'recover-votes';
    const hunt = await execute({ type: 'planted', bug, seedsMax: 50, secondsMax: 100 });
    const options = ONE_INSTANCE.draw(hunt.type === 'planted' ? hunt.seeds : 0, bug);
    const before = run(options);
    expect(before.violation).not.toBeNull();
    const shrunk = await shrink(options, ONE_INSTANCE, 120);
    expect(shrunk?.result.violation?.rule).toBe(before.violation?.rule);
    expect(shrunk?.strikes.length).toBeLessThan(before.strikes);
    const strikes = new Set(shrunk?.strikes);
    const again = run({ ...ONE_INSTANCE.eased(options, shrunk?.without ?? []), strikes });
    expect(again.hash).toBe(shrunk?.result.hash);
  });

  it('has nothing to say of a run that does not fail', async () => {
    expect(await shrink(ONE_INSTANCE.draw(1), ONE_INSTANCE)).toBeNull();
  });
});
