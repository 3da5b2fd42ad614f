/**
 * A rule of SPEC.md in one small story, for tests: what happens while the rule holds, and, where it
 * can be switched off (rules.ts), what happens then.
 */
import { AssertionError } from '../values/assert.ts';
import type { ReplicaId } from '../values/numbers.ts';
import { REPLICAS } from '../values/numbers.ts';
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
export function observe(story: Story, broken: readonly RuleId[]): unknown {
  try {
    const { settings } = story;
    return story.tell(Trio.open({ broken, ...(settings === undefined ? {} : { settings }) }));
  } catch (error) {
    if (error instanceof AssertionError || error instanceof Violation) return error.message;
    throw error;
  }
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
