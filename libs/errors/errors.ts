/**
 * The one operating error. Every reason has a gRPC code and answers what each caller needs: did it
 * certainly have no effect, and is it worth retrying? Translation from and to gRPC is in libs/rpc.
 */

interface ReasonFacts {
  /** gRPC status code, https://grpc.io/docs/guides/status-codes/. */
  readonly code: number;
  /** true: what was asked for certainly did not happen. */
  readonly noEffect: boolean;
  /** true: the same call may succeed later or elsewhere. */
  readonly retry: boolean;
}

export const REASONS = {
  /** A condition of the append did not hold; details: condition, expected, actual. */
  CONDITION_FAILED: { code: 9, noEffect: true, retry: false },
  /** The stream's fencing token is another; details: expected, actual. */
  FENCED: { code: 9, noEffect: true, retry: false },
  /** A higher epoch of the same writer has appended; details: epoch, current. */
  WRITER_FENCED: { code: 9, noEffect: true, retry: false },
  /** An earlier append of the writer is missing; details: previous, last. */
  WRITER_GAP: { code: 9, noEffect: true, retry: false },
  /** The writer's outcomes of that age are no longer remembered. */
  WRITER_FORGOTTEN: { code: 11, noEffect: false, retry: false },
  /** The outcome is not known; ask again with the same writer sequence. */
  INDEFINITE: { code: 14, noEffect: false, retry: true },
  /** A bound is reached; details: retryAfterMs. */
  OVERLOADED: { code: 8, noEffect: true, retry: true },
  /** Larger than a stated limit; details: bytes, limit. */
  TOO_LARGE: { code: 3, noEffect: true, retry: false },
  /** Malformed. */
  INVALID: { code: 3, noEffect: true, retry: false },
  /** Meant for another cluster, instance or replica; details: expected, actual. */
  WRONG_TARGET: { code: 9, noEffect: true, retry: false },
  /** The replica's clock is out of bounds; another region takes the append. */
  CLOCK_UNSAFE: { code: 14, noEffect: true, retry: true },
  /** The replica's disk is nearly full; another region takes the append; details: freeBytes, limit. */
  DISK_FULL: { code: 14, noEffect: true, retry: true },
  /** The replica reaches no other, or is recovering. */
  NO_QUORUM: { code: 14, noEffect: true, retry: true },
  /** No connection, or the process is going down. */
  UNAVAILABLE: { code: 14, noEffect: true, retry: true },
  /** The deadline passed; whether it took effect is not known. */
  DEADLINE: { code: 4, noEffect: false, retry: true },
  /** Another holds the stream's lease; details: holder, token, expiresAt. */
  LEASE_HELD: { code: 9, noEffect: true, retry: false },
  /** The lease is not this holder's any more; details: expected, actual (tokens). */
  LEASE_LOST: { code: 9, noEffect: true, retry: false },
  STREAM_NOT_FOUND: { code: 5, noEffect: true, retry: false },
  /** The position was never in, or is no longer in, this journal. */
  OUT_OF_RANGE: { code: 11, noEffect: true, retry: false },
  /** The reader was slower than its bound; details: the cursor to resume from. */
  SLOW_READER: { code: 10, noEffect: true, retry: true },
  UNAUTHENTICATED: { code: 16, noEffect: true, retry: false },
  PERMISSION_DENIED: { code: 7, noEffect: true, retry: false },
  /** A replicated change does not fit the rows of the target; details: change, table, key. */
  CONFLICT: { code: 9, noEffect: true, retry: false },
  /** Configuration, data directory or environment forbids to start or go on; says what to do. */
  REFUSED: { code: 9, noEffect: true, retry: false },
  /** Stored bytes are not what was written; details: file, offset. */
  CORRUPT: { code: 15, noEffect: true, retry: false },
} as const satisfies Record<string, ReasonFacts>;

export type Reason = keyof typeof REASONS;

export class MeridianError extends Error {
  override readonly name = 'MeridianError';
  readonly reason: Reason;
  readonly details: Readonly<Record<string, string>>;

  constructor(
    reason: Reason,
    message: string,
    options: { details?: Readonly<Record<string, string | number>>; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.details = Object.fromEntries(
      Object.entries(options.details ?? {}).map(([name, value]) => [name, String(value)]),
    );
  }

  /** true: certainly without effect; false: not known. */
  get noEffect(): boolean {
    return REASONS[this.reason].noEffect;
  }

  get retry(): boolean {
    return REASONS[this.reason].retry;
  }
}

export function isReason(value: string): value is Reason {
  return Object.hasOwn(REASONS, value);
}
