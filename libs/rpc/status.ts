/**
 * MeridianError to gRPC status and back, so that every reason survives the wire: reason and details
 * travel as google.rpc.ErrorInfo of domain `meridian` in the trailer `grpc-status-details-bin`.
 *
 * A failure that did not come from Meridian is translated here, once, on the side of caution, and
 * says so in its detail `grpc`:
 *
 * | gRPC | reason | certainly no effect |
 * | --- | --- | --- |
 * | UNAVAILABLE before a connection stood, or the stream was refused | UNAVAILABLE | yes |
 * | UNAVAILABLE otherwise, CANCELLED, UNKNOWN, ABORTED, INTERNAL | INDEFINITE | unknown |
 * | DEADLINE_EXCEEDED before a connection stood | UNAVAILABLE | yes |
 * | DEADLINE_EXCEEDED otherwise | DEADLINE | unknown |
 * | RESOURCE_EXHAUSTED by the server's limit on message size | TOO_LARGE | yes |
 * | RESOURCE_EXHAUSTED by our own limit (the answer is too large) | INDEFINITE | unknown |
 * | RESOURCE_EXHAUSTED otherwise | OVERLOADED | yes |
 * | INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS | INVALID | yes |
 * | FAILED_PRECONDITION | REFUSED | yes |
 * | UNIMPLEMENTED (something else listens there) | WRONG_TARGET | yes |
 * | OUT_OF_RANGE, DATA_LOSS, UNAUTHENTICATED, PERMISSION_DENIED | the reason of that name | yes |
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { Metadata, status as grpcStatus } from '@grpc/grpc-js';
import type { ServiceError, StatusObject } from '@grpc/grpc-js';
import { isReason, MeridianError, REASONS } from '../errors/errors.ts';
import type { Reason } from '../errors/errors.ts';
import { ErrorInfoSchema, StatusSchema } from '../gen/meridian/status/v1/status_pb.ts';

const TRAILER = 'grpc-status-details-bin';
const DOMAIN = 'meridian';
const TYPE_URL = 'type.googleapis.com/google.rpc.ErrorInfo';
/** Trailers share one HTTP/2 header block, which other stacks limit to 8 or 16 KiB. */
const MESSAGE_CHARS_MAX = 1024;
const DETAIL_CHARS_MAX = 512;
const DETAILS_MAX = 8;

/** What a client receives for `error`. Anything but a MeridianError becomes INTERNAL, without its text. */
export function toStatus(error: unknown): StatusObject {
  if (!(error instanceof MeridianError)) {
    return {
      code: grpcStatus.INTERNAL,
      details: 'internal error; the log of the server has it',
      metadata: new Metadata(),
    };
  }
  const code = grpcStatus[grpcStatus[REASONS[error.reason].code] as keyof typeof grpcStatus];
  const message = clipped(error.message, MESSAGE_CHARS_MAX);
  const details = Object.entries(error.details)
    .slice(0, DETAILS_MAX)
    .map(([name, value]) => [name, clipped(value, DETAIL_CHARS_MAX)]);
  const info = create(ErrorInfoSchema, {
    reason: error.reason,
    domain: DOMAIN,
    metadata: Object.fromEntries(details) as Record<string, string>,
  });
  const packed = create(AnySchema, { typeUrl: TYPE_URL, value: toBinary(ErrorInfoSchema, info) });
  const metadata = new Metadata();
  const status = create(StatusSchema, { code, message, details: [packed] });
  metadata.set(TRAILER, Buffer.from(toBinary(StatusSchema, status)));
  return { code, details: message, metadata };
}

/**
 * What a failed call means to its caller. `receiveBytesMax` is the caller's own limit: a message
 * that broke it was an answer, so the call may have taken effect.
 */
export function fromStatus(
  error: StatusObject | ServiceError,
  context: { readonly address: string; readonly receiveBytesMax?: number },
): MeridianError {
  const typed = fromTrailer(error);
  if (typed !== null) return typed;
  const { reason, details } = reasonOf(error, context.receiveBytesMax);
  const name = (grpcStatus[error.code] as string | undefined) ?? `status ${error.code}`;
  return new MeridianError(reason, `${context.address}: ${wordsOf(error.details, name)}`, {
    details: { ...details, grpc: name },
  });
}

/** grpc-js has the cause in the middle of its sentences; of anybody else's words none is left out. */
function wordsOf(text: string, name: string): string {
  const refused = NO_CONNECTION.exec(text);
  if (refused !== null) {
    const [, why = '', note = ''] = refused;
    return `no connection: ${why}${note === '' ? '' : ` (${note})`}`;
  }
  const [, after] = TIMED_OUT.exec(text) ?? [];
  if (after === undefined) return `${name}: ${text}`;
  return NEVER_PICKED.test(text) ? `no connection within ${after}` : `no answer within ${after}`;
}

function fromTrailer(error: StatusObject | ServiceError): MeridianError | null {
  const trailer = error.metadata.get(TRAILER)[0];
  if (!Buffer.isBuffer(trailer)) return null;
  try {
    const status = fromBinary(StatusSchema, trailer);
    for (const any of status.details) {
      if (any.typeUrl !== TYPE_URL) continue;
      const info = fromBinary(ErrorInfoSchema, any.value);
      if (info.domain !== DOMAIN || !isReason(info.reason)) continue;
      return new MeridianError(info.reason, status.message, { details: info.metadata });
    }
  } catch {
    // Damaged or foreign: the plain status still says what it can.
  }
  return null;
}

interface Translation {
  readonly reason: Reason;
  readonly details: Readonly<Record<string, string | number>>;
}

function reasonOf(error: StatusObject | ServiceError, receiveBytesMax?: number): Translation {
  const plain = (reason: Reason): Translation => ({ reason, details: {} });
  switch (error.code) {
    case grpcStatus.UNAVAILABLE:
      return plain(NEVER_SENT.test(error.details) ? 'UNAVAILABLE' : 'INDEFINITE');
    case grpcStatus.DEADLINE_EXCEEDED:
      return plain(NEVER_PICKED.test(error.details) ? 'UNAVAILABLE' : 'DEADLINE');
    case grpcStatus.RESOURCE_EXHAUSTED: {
      const sizes = LARGER_THAN_MAX.exec(error.details);
      if (sizes === null) return plain('OVERLOADED');
      const [bytes, limit] = [Number(sizes[1]), Number(sizes[2])];
      const ours = error.details.startsWith('Received') && limit === receiveBytesMax;
      return { reason: ours ? 'INDEFINITE' : 'TOO_LARGE', details: { bytes, limit } };
    }
    case grpcStatus.INVALID_ARGUMENT:
    case grpcStatus.NOT_FOUND:
    case grpcStatus.ALREADY_EXISTS:
      return plain('INVALID');
    case grpcStatus.FAILED_PRECONDITION:
      return plain('REFUSED');
    case grpcStatus.UNIMPLEMENTED:
      return plain('WRONG_TARGET');
    case grpcStatus.OUT_OF_RANGE:
      return plain('OUT_OF_RANGE');
    case grpcStatus.DATA_LOSS:
      return plain('CORRUPT');
    case grpcStatus.UNAUTHENTICATED:
      return plain('UNAUTHENTICATED');
    case grpcStatus.PERMISSION_DENIED:
      return plain('PERMISSION_DENIED');
    default:
      return plain('INDEFINITE');
  }
}

/** grpc-js' words for a call that never left this process, or that the server never looked at. */
const NEVER_SENT =
  /^(No connection established|Name resolution|Channel closed|Stream refused by server)/;
/** The same, where the time ran out before: what was waited for stands last. */
const NEVER_PICKED =
  /^Deadline exceeded after [^,]*,(.*,)?waiting for (LB pick|name resolution|metadata filters)$/i;
const NO_CONNECTION =
  /^No connection established\. Last error: (?:Error: )?(.*?)(?: \(\d{4}-[^()]*Z\))?\. Resolution note: ?(.*)$/s;
const TIMED_OUT = /^Deadline exceeded after ([\d.]+s)/;
const LARGER_THAN_MAX = /message larger than max \((\d+) vs\.? (\d+)\)/;

/** Shortened, and without lone surrogates, which `encodeURI` of the message header refuses. */
function clipped(text: string, charsMax: number): string {
  const short = text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`;
  return Buffer.from(short, 'utf8').toString('utf8');
}
