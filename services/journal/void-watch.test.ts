import { describe, expect, it } from 'vitest';
import { VoidWatch } from './void-watch.ts';

function watched(core: { voided: number | null; vote: boolean }): {
  look: () => void;
  began: number[];
  told: string[];
} {
  const [began, told] = [[] as number[], [] as string[]];
  const watch = new VoidWatch({
    core: {
      get voided() {
        return core.voided;
      },
      othersVote: () => core.vote,
    },
    onAnew: (above) => began.push(above),
    logger: { error: (_fields: object, message?: string) => told.push(message ?? '') },
  });
  return {
    look: () => {
      watch.look();
    },
    began,
    told,
  };
}

describe('VoidWatch', () => {
  it('begins anew once, above what the peers know, when both others can help', () => {
    const core: { voided: number | null; vote: boolean } = { voided: null, vote: true };
    const { look, began, told } = watched(core);
    look();
    expect(told).toEqual([]);
    core.voided = 900;
    core.vote = false;
    look();
    look();
    expect(began).toEqual([]);
    expect(told).toHaveLength(1);
    core.vote = true;
    look();
    look();
    expect(began).toEqual([900]);
    expect(told).toHaveLength(2);
  });
});
