/**
 * From outcomes to what an append session says: consecutive appends with like outcomes become one
 * run, so that an entry full of appends costs one small message and not one per append.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { Reason } from '../../libs/errors/errors.ts';
import type {
  AppendRunSchema,
  FailureSchema,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { OrderFailure } from '../../libs/order/types.ts';
import { assert, unreachable } from '../../libs/values/assert.ts';
import type { PendingAppend } from './content.ts';

type RunInit = MessageInitShape<typeof AppendRunSchema>;

interface OpenRun {
  count: number;
  timestamp: number;
  firstSeqNum: number;
  duplicate: boolean;
  /** null: the sequence number is not known (QUORUM). */
  stream: string | null;
  /** Sequence number that would continue the run. */
  next: number;
}

export class RunBuilder {
  readonly runs: RunInit[] = [];
  readonly #forwardedVia: string;
  #open: OpenRun | null = null;

  /** The next append of the session, whose answer is known. */

  /** `forwardedVia`: the region that forwards at the moment, empty for none. */
  constructor(forwardedVia: string) {
    this.#forwardedVia = forwardedVia;
  }

  add(append: PendingAppend): void {
    const { answer, header } = append;
    assert(answer !== null, 'only answered appends are reported');
    const duplicate = answer.kind === 'duplicate';
    const first = answer.kind === 'duplicate' ? answer.first : answer;
    assert(first.kind !== 'controlled', 'an append session submits appends');
    if (first.kind === 'failed') {
      this.finish();
      this.runs.push({ count: 1, duplicate, failure: failureOf(first.failure) });
      return;
    }
    const known = append.placed;
    const stream = known ? header.stream : null;
    const open = this.#open;
    if (
      open !== null &&
      open.timestamp === first.timestamp &&
      open.duplicate === duplicate &&
      open.stream === stream &&
      (!known || open.next === first.firstSeqNum)
    ) {
      open.count += 1;
      open.next += header.recordCount;
      return;
    }
    this.finish();
    this.#open = {
      count: 1,
      timestamp: first.timestamp,
      firstSeqNum: known ? first.firstSeqNum : 0,
      duplicate,
      stream,
      next: first.firstSeqNum + header.recordCount,
    };
  }

  finish(): readonly RunInit[] {
    const open = this.#open;
    if (open !== null) {
      this.runs.push({
        count: open.count,
        timestamp: BigInt(open.timestamp),
        firstSeqNum: BigInt(open.firstSeqNum),
        duplicate: open.duplicate,
        forwardedVia: this.#forwardedVia,
      });
      this.#open = null;
    }
    return this.runs;
  }
}

export function errorOf(failure: OrderFailure): MeridianError {
  const { reason, ...rest } = failure;
  const known: Readonly<Record<string, string | number | null>> = rest;
  const details: Record<string, string | number> = {};
  for (const [name, value] of Object.entries(known)) if (value !== null) details[name] = value;
  if (reason === 'OVERLOADED' || reason === 'UNAVAILABLE') details['retryAfterMs'] = 1000;
  return new MeridianError(reason satisfies Reason, messageOf(failure), { details });
}

export function failureOf(failure: OrderFailure): MessageInitShape<typeof FailureSchema> {
  const { reason, message, details, noEffect } = errorOf(failure);
  return { reason, message, details: { ...details }, noEffect };
}

function messageOf(failure: OrderFailure): string {
  switch (failure.reason) {
    case 'CONDITION_FAILED':
      return failure.condition === 'matchSeqNum'
        ? `the stream's next sequence number is ${failure.actual}, the append expected ${failure.expected}`
        : `the stream's fencing token is ${failure.actual}, ${failure.expected} was expected`;
    case 'FENCED':
      return failure.expected === null
        ? 'the stream demands its current fencing token, and none was given'
        : `the stream's fencing token is ${failure.actual}, ${failure.expected} was given`;
    case 'STREAM_NOT_FOUND':
      return `there is no stream ${JSON.stringify(failure.stream)}`;
    case 'OVERLOADED':
      return failure.what === 'streams'
        ? `the journal has ${failure.limit} names of streams, deleted ones included: no other can be created`
        : `${failure.limit} actions were decided in the last minutes; repeat later`;
    case 'REFUSED':
      return 'this instance is retired and takes no more appends: append to another one of the database';
    case 'OUT_OF_RANGE':
      return `the stream's next sequence number is ${failure.nextSeqNum}: nothing can be trimmed up to ${failure.before}`;
    case 'LEASE_HELD':
      return `${JSON.stringify(failure.holder)} holds the lease until ${new Date(failure.expiresAt / 1000).toISOString()}`;
    case 'LEASE_LOST':
      return `the lease with token ${failure.expected} is not this holder's any more; the stream's token is ${failure.actual}`;
    case 'INVALID':
      return `request id ${JSON.stringify(failure.requestId)} was used for another action`;
    case 'UNAVAILABLE':
      return 'the action came into the order too late and had no effect; repeat it';
    case 'WRITER_FENCED':
      return `the writer has appended with epoch ${failure.current}; epoch ${failure.epoch} is fenced`;
    case 'WRITER_GAP':
      return `the append follows seq ${failure.previous} of its writer, whose last one is ${failure.last}: one in between is missing`;
    case 'WRITER_FORGOTTEN':
      return `outcomes of the writer are remembered from seq ${failure.oldestRemembered}; seq ${failure.seq} may have taken effect`;
    default:
      return unreachable(failure);
  }
}
