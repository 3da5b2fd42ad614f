/**
 * What the harness itself demands of every run, as verdicts beside those of the checkers: enough happened to
 * prove anything, most of it succeeded while nothing was wrong, who was not affected went on, and
 * afterwards everything was well.
 */
import type { History } from '../model/history.ts';
import type { Fault, Operation } from '../model/operation.ts';
import { Findings } from '../model/verdict.ts';
import type { Verdict } from '../model/verdict.ts';
import { longestGapUs } from '../traffic/gaps.ts';
import type { GapDemand } from './stage.ts';

/** What is begun so soon after a fault may still suffer from it. */
const SETTLE_US = 4_000_000;
const OK_SHARE_MIN = 0.5;

export function demandEnough(history: History, operationsMin: number): Verdict {
  const findings = new Findings('enough happened', 'I25');
  findings.checked = history.operations.filter(({ outcome }) => outcome.kind === 'ok').length;
  if (findings.checked < operationsMin) {
    const found = `${String(findings.checked)} operations succeeded`;
    findings.object(`invalid: ${found}, expected at least ${String(operationsMin)}`);
  }
  return findings.verdict();
}

/** Of what was begun while no fault lasted, nor had just lasted. */
export function demandMostSucceed(history: History): Verdict {
  const findings = new Findings('most succeeds without faults', 'I25');
  const calm = history.operations.filter((each) => isCalm(each, history.faults));
  const failed = calm.filter(({ outcome }) => !hasAnswer(outcome));
  findings.checked = calm.length;
  if (failed.length > calm.length * (1 - OK_SHARE_MIN)) {
    findings.object(
      `invalid: ${String(failed.length)} of ${String(calm.length)} operations did not succeed`,
      failed.slice(0, 10).map(({ id }) => id),
    );
  }
  return findings.verdict();
}

export function demandGaps(
  history: History,
  demands: readonly GapDemand[],
  isCounted: (operation: Operation) => boolean,
): Verdict {
  const findings = new Findings('who is not affected goes on', 'P4 P5');
  for (const { kind, regions, gapMsMax, during, ...span } of demands) {
    for (const region of regions) {
      findings.checked += 1;
      const counts = (each: Operation): boolean => each.region === region && isCounted(each);
      const gapMs = Math.round(longestGapUs(history, span, kind, counts) / 1000);
      if (gapMs <= gapMsMax) continue;
      findings.object(
        `${during}: no ${kind} succeeded in ${region} for ${String(gapMs)} ms, ` +
          `expected at most ${String(gapMsMax)} ms`,
      );
    }
  }
  return findings.verdict();
}

/** What was noticed while it ran. */
export function demandHealed(failures: readonly string[], looked: number): Verdict {
  const findings = new Findings('everything heals', 'I16 I21 I22');
  findings.checked = looked;
  for (const failure of failures) findings.object(failure);
  return findings.verdict();
}

/** A condition that did not hold was answered, too: the journal said no. */
function hasAnswer(outcome: Operation['outcome']): boolean {
  if (outcome.kind === 'ok') return true;
  return outcome.kind === 'failed' && !UNAVAILABLE.has(outcome.reason);
}

const UNAVAILABLE = new Set(['UNAVAILABLE', 'NO_QUORUM', 'OVERLOADED', 'CLOCK_UNSAFE']);

function isCalm({ invokedUs, completedUs }: Operation, faults: readonly Fault[]): boolean {
  const endedUs = completedUs ?? Infinity;
  return faults.every(
    ({ fromUs, untilUs }) => endedUs < fromUs || invokedUs > (untilUs ?? Infinity) + SETTLE_US,
  );
}
