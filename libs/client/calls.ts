/** Unary calls with failover: every one may be repeated, so a failure elsewhere is only a delay. */
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { setTimeout as pause } from 'node:timers/promises';
import { MeridianError } from '../errors/errors.ts';
import { Rounds } from '../rpc/rpc.ts';
import { JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { Region, Regions } from './regions.ts';

export interface CallLimits {
  /** For all attempts together. */
  readonly deadlineMs: number;
  /** For one attempt. */
  readonly silenceMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Fails with the first error that no other replica can help with. When the time is up: as UNAVAILABLE where
 * no attempt can have had an effect, else as DEADLINE, with what the last one said.
 */
export async function callAnywhere<I extends DescMessage, O extends DescMessage>(
  regions: Regions,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  limits: CallLimits,
): Promise<MessageShape<O>> {
  const endsAt = performance.now() + limits.deadlineMs;
  const rounds = new Rounds(regions.list);
  let last: MeridianError | null = null;
  let mayHaveArrived = false;
  for (;;) {
    const left = endsAt - performance.now();
    if (left <= 0 || limits.signal?.aborted === true) {
      throw tooLate(method.name, limits, last, mayHaveArrived);
    }
    const region = rounds.next();
    if (region === null) {
      await pause(Math.min(rounds.pauseMs(), left));
      continue;
    }
    try {
      const deadlineMs = Math.min(left, limits.silenceMs);
      const options =
        limits.signal === undefined ? { deadlineMs } : { deadlineMs, signal: limits.signal };
      const response = await region.channel.unary(method, request, options);
      region.worked();
      return response;
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      last = error;
      mayHaveArrived ||= !error.noEffect;
      const elsewhere = error.retry || error.reason === 'WRONG_TARGET';
      if (!elsewhere || (error.reason === 'WRONG_TARGET' && rounds.triedAll)) {
        throw error;
      }
      region.failed(error);
    }
  }
}

function tooLate(
  name: string,
  limits: CallLimits,
  last: MeridianError | null,
  mayHaveArrived: boolean,
): MeridianError {
  const why = last === null ? 'no answer' : last.message;
  const message = `${name}: no replica answered within ${Math.round(limits.deadlineMs)} ms; last: ${why}`;
  return new MeridianError(mayHaveArrived ? 'DEADLINE' : 'UNAVAILABLE', message, { cause: last });
}

const PROBE_MS = 1_000;

/** Does this replica answer, serve clients, take part in quorums, and trust its clock? */
export async function probeRegion(
  region: Region,
  target: { readonly cluster: string; readonly instance: string },
): Promise<boolean> {
  try {
    const request = { target };
    const options = { deadlineMs: PROBE_MS };
    const status = await region.channel.unary(JournalService.method.status, request, options);
    return status.voting && status.clockSafe && !status.witness;
  } catch {
    return false;
  }
}

/** The first answer of those who were asked at the same time; when all fail, what the first of them said. */
export async function whoeverAnswers<T>(asked: readonly Promise<T>[]): Promise<T> {
  try {
    return await Promise.any(asked);
  } catch (error) {
    if (!(error instanceof AggregateError)) throw error;
    throw error.errors[0] ?? new MeridianError('INVALID', 'there is nobody to ask');
  }
}
