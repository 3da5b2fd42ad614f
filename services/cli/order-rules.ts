/**
 * Whether every replica executes the rules of the order that a step needs (`ORDER_RULES`, libs/order/rules.ts). Asked before
 * the step and not found out by it: a replica that does not would decide otherwise than the others behind it, and
 * stop. Knows nothing of what the step is, and cannot speak for a replica that nobody names.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';

export interface RulesNeeded {
  readonly rules: number;
  /** What they are needed for: "to retire an instance". */
  readonly purpose: string;
  /** How long a replica may keep silent. */
  readonly deadlineMs: number;
}

/** Of the replica in a region; throws while it does not answer. */
export type AskStatus = (region: string) => Promise<Pick<StatusResponse, 'orderRules' | 'version'>>;

const RETRY_MS = 100;

/** REFUSED: a replica is too old. DEADLINE: one has not said. Nothing was changed in either case. */
export async function checkRules(
  regions: readonly string[],
  status: AskStatus,
  needed: RulesNeeded,
): Promise<void> {
  const until = performance.now() + needed.deadlineMs;
  await Promise.all(
    regions.map(async (region) => {
      const { orderRules, version } = await answered(region, status, until);
      if (orderRules >= needed.rules) return;
      throw new MeridianError(
        'REFUSED',
        `the replica in ${region} (version ${version}) executes rules ${orderRules} of the order, and ${needed.rules} are ` +
          `needed ${needed.purpose}: update it first; nothing was changed`,
        { details: { region, version, expected: needed.rules, actual: orderRules } },
      );
    }),
  );
}

async function answered(region: string, status: AskStatus, until: number): ReturnType<AskStatus> {
  for (;;) {
    let last: MeridianError;
    try {
      return await status(region);
    } catch (error) {
      if (!(error instanceof MeridianError) || !error.retry) throw error;
      last = error;
    }
    if (performance.now() > until) {
      const message = `the replica in ${region} has not said which rules it executes: ${last.message}; repeat the command, or give --without ${region} if it is gone for good; nothing was changed`;
      throw new MeridianError('DEADLINE', message, { cause: last });
    }
    await pause(RETRY_MS);
  }
}
