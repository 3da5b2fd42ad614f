/**
 * A rule of SPEC.md in one small story, for tests: what happens while the rule holds, and, where it
 * can be switched off (rules.ts), what happens then.
 */
import { describe, expect, it } from 'vitest';
import { AssertionError } from '../values/assert.ts';
import type { ReplicaId } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
import { RULES } from './rules.ts';
import type { RuleId } from './rules.ts';
import { A, B, C, Trio, Violation } from './testing.ts';
import type { LaneSettings } from './types.ts';

export interface Story {
  readonly says: string;
  readonly settings?: Partial<LaneSettings>;
  readonly tell: (trio: Trio) => unknown;
  readonly holds: unknown;
  /** What is observed with the rule switched off; an expression matches the check that fails. */
  readonly without?: Partial<Record<RuleId, unknown>>;
}

/** The end of the story; or the check of core or harness that failed on the way. */
function observe(story: Story, broken: readonly RuleId[]): unknown {
  try {
    const { settings } = story;
    return story.tell(Trio.open({ broken, ...(settings === undefined ? {} : { settings }) }));
  } catch (error) {
    if (error instanceof AssertionError || error instanceof Violation) return error.message;
    throw error;
  }
}

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

export function isolate(trio: Trio, id: ReplicaId): void {
  for (const peer of REPLICAS) if (peer !== id) trio.cutBoth(id, peer);
}

export function rejoin(trio: Trio, id: ReplicaId): void {
  for (const peer of REPLICAS) if (peer !== id) trio.mendBoth(id, peer);
}

export const epochOf = (trio: Trio, id: ReplicaId, lane: ReplicaId): number =>
  trio.lane(id, lane).promised;

/** Lane A is sealed by B while A lives alone. */
export function sealA(trio: Trio): void {
  isolate(trio, A);
  trio.until(() => trio.lane(B, A).role === 'writing');
}

/** Committed by C and B; A has never seen it, C is gone. */
export function onlyBHasIt(trio: Trio): void {
  trio.cut(C, A);
  trio.hold(B, A);
  trio.append(C, 'x');
  trio.until(() => trio.acknowledged('x'));
  trio.crash(C);
  trio.take(B, A);
  trio.release(B, A);
}

/** x is committed by A and C; B has not heard of it, C loses its disk and A is down. */
export function onlyAHasIt(trio: Trio): void {
  isolate(trio, B);
  trio.append(A, 'x');
  trio.until(() => trio.acknowledged('x'));
  trio.wipe(C);
  trio.crash(A);
  rejoin(trio, B);
  trio.start(C);
  trio.run(1_500);
}
