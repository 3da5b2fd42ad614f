/**
 * What the exit codes mean, the same for every command. A program that calls this one needs to know
 * three things of a failure: did it certainly have no effect, is it worth trying again, and was it the
 * journal's decision; the codes tell these apart.
 */
import type { Reason } from '../../libs/errors/errors.ts';

export const EXIT = {
  ok: 0,
  failure: 1,
  usage: 2,
  conditionFailed: 3,
  fenced: 4,
  notFound: 5,
  unavailable: 6,
  unknownOutcome: 7,
  timeout: 8,
  no: 9,
  refused: 10,
  corrupt: 11,
  interrupted: 130,
} as const;

export const EXIT_MEANINGS: readonly { readonly code: number; readonly help: string }[] = [
  { code: EXIT.ok, help: 'done; a check says yes' },
  { code: EXIT.failure, help: 'failed for a reason without a code of its own; see the message' },
  { code: EXIT.usage, help: 'the command line or the configuration is wrong; nothing was done' },
  { code: EXIT.conditionFailed, help: 'the condition did not hold; certainly no effect' },
  { code: EXIT.fenced, help: 'fenced: another token, writer epoch or lease holder; no effect' },
  { code: EXIT.notFound, help: 'no such stream, record, position or writer' },
  { code: EXIT.unavailable, help: 'no replica could do it now; certainly no effect, try again' },
  { code: EXIT.unknownOutcome, help: 'it was sent and may have taken effect; ask with `resolve`' },
  { code: EXIT.timeout, help: 'the deadline passed; an append may have taken effect' },
  { code: EXIT.no, help: 'a check (digest, verify, check-impact, resolve) says no' },
  { code: EXIT.refused, help: 'refused: wrong cluster, no permission, too large, not allowed' },
  { code: EXIT.corrupt, help: 'stored bytes are not what was written' },
  { code: EXIT.interrupted, help: 'interrupted by Ctrl-C before it was done' },
];

const OF_REASON: Readonly<Record<string, number>> = {
  CONDITION_FAILED: EXIT.conditionFailed,
  FENCED: EXIT.fenced,
  WRITER_FENCED: EXIT.fenced,
  LEASE_HELD: EXIT.fenced,
  LEASE_LOST: EXIT.fenced,
  WRITER_GAP: EXIT.conditionFailed,
  WRITER_FORGOTTEN: EXIT.unknownOutcome,
  INDEFINITE: EXIT.unknownOutcome,
  OVERLOADED: EXIT.unavailable,
  CLOCK_UNSAFE: EXIT.unavailable,
  DISK_FULL: EXIT.unavailable,
  NO_QUORUM: EXIT.unavailable,
  UNAVAILABLE: EXIT.unavailable,
  SLOW_READER: EXIT.unavailable,
  DEADLINE: EXIT.timeout,
  STREAM_NOT_FOUND: EXIT.notFound,
  OUT_OF_RANGE: EXIT.notFound,
  TOO_LARGE: EXIT.refused,
  WRONG_TARGET: EXIT.refused,
  UNAUTHENTICATED: EXIT.refused,
  PERMISSION_DENIED: EXIT.refused,
  CONFLICT: EXIT.refused,
  REFUSED: EXIT.refused,
  CORRUPT: EXIT.corrupt,
};

/** INVALID, and whatever reason comes to be later, has no code of its own. */
export function exitCodeOf(reason: Reason): number {
  return OF_REASON[reason] ?? EXIT.failure;
}
