/** Stories (testing-story.ts) as tests: each with the rules as they are, and with its rules switched off. */
import { describe, expect, it } from 'vitest';
import { RULES } from './rules.ts';
import type { RuleId } from './rules.ts';
import { observe } from './testing-story.ts';
import type { Story } from './testing-story.ts';

/** A rule about commitment and the writers of a lane: told in writers.test.ts, the others in order.test.ts. */
export const isOfWriters = (rule: RuleId): boolean => /^(L|fence|adopt)/.test(rule);

/**
 * Tells every story with the rules as they are, and with each rule it names switched off. `elsewhere`
 * are the rules of this `chapter` that no story shows: the list says where they are shown.
 */
export function tellAll(
  title: string,
  stories: readonly Story[],
  chapter: (rule: RuleId) => boolean,
  elsewhere: readonly RuleId[],
): void {
  describe(title, () => {
    for (const story of stories) {
      it(story.says, () => {
        expect(observe(story, [])).toEqual(story.holds);
      });
    }
  });

  describe('each rule switched off is noticed', () => {
    for (const story of stories) {
      for (const [rule, observation] of Object.entries(story.without ?? {})) {
        it(`${rule}, in: ${story.says}`, () => {
          const observed = observe(story, [rule as RuleId]);
          if (observation instanceof RegExp) expect(observed).toMatch(observation);
          else expect(observed).toEqual(observation);
        });
      }
    }

    it('all but those that other tests show', () => {
      const told = new Set(stories.flatMap(({ without }) => Object.keys(without ?? {})));
      const untold = RULES.map(({ id }) => id).filter((id) => chapter(id) && !told.has(id));
      expect(untold).toEqual(elsewhere);
    });
  });
}
