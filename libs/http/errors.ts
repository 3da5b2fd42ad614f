/**
 * Errors as the Connect protocol writes them in JSON: a code, a message, and typed details, which are
 * the `google.rpc.ErrorInfo` that gRPC clients get and a `Failure` that also says whether it certainly
 * had no effect. `debug` of each is the same in plain JSON, for people and for curl.
 *
 * What only HTTP knows (no such path, the wrong content type) is an `HttpProblem` with a status of its own.
 */
import { create, toBinary, toJson } from '@bufbuild/protobuf';
import type { DescMessage, JsonValue, MessageShape } from '@bufbuild/protobuf';
import { MeridianError, REASONS } from '../errors/errors.ts';
import type { Reason } from '../errors/errors.ts';
import { FailureSchema } from '../gen/meridian/journal/v1/journal_pb.ts';
import { ErrorInfoSchema } from '../gen/meridian/status/v1/status_pb.ts';

/** By gRPC status code: Connect's name, and its HTTP status. */
const CODES: readonly (readonly [name: string, status: number])[] = [
  ['ok', 200],
  ['canceled', 499],
  ['unknown', 500],
  ['invalid_argument', 400],
  ['deadline_exceeded', 504],
  ['not_found', 404],
  ['already_exists', 409],
  ['permission_denied', 403],
  ['resource_exhausted', 429],
  ['failed_precondition', 400],
  ['aborted', 409],
  ['out_of_range', 400],
  ['unimplemented', 501],
  ['internal', 500],
  ['unavailable', 503],
  ['data_loss', 500],
  ['unauthenticated', 401],
];

const DOMAIN = 'meridian';
const MESSAGE_CHARS_MAX = 1024;

/** A request that no route can take. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly status: number;
  readonly code: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: object;
}

/** Anything but a MeridianError or an HttpProblem becomes `internal`, without its text. */
export function errorAnswer(error: unknown): ErrorAnswer {
  if (error instanceof HttpProblem) {
    const { status, headers, code, message } = error;
    return { status, headers, body: { code, message } };
  }
  const status = statusOf(error instanceof MeridianError ? error.reason : null);
  const wait = error instanceof MeridianError ? error.details['retryAfterMs'] : undefined;
  const headers: Record<string, string> = {};
  if (wait !== undefined) headers['retry-after'] = String(Math.ceil(Number(wait) / 1000));
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  return { status, headers, body: errorJson(error) };
}

/** The JSON of a failed call; also inside of streams. */
export function errorJson(error: unknown): object {
  if (error instanceof HttpProblem) return { code: error.code, message: error.message };
  if (!(error instanceof MeridianError)) {
    return { code: 'internal', message: 'internal error; the log of the replica has it' };
  }
  const { reason, noEffect } = error;
  const code = CODES[REASONS[reason].code]?.[0] ?? 'unknown';
  const message = clipped(error.message);
  const details = Object.fromEntries(
    Object.entries(error.details).map(([name, value]) => [name, clipped(value)]),
  );
  const info = create(ErrorInfoSchema, { reason, domain: DOMAIN, metadata: details });
  const failure = create(FailureSchema, { reason, message, details, noEffect });
  return {
    code,
    message,
    details: [
      detail('google.rpc.ErrorInfo', ErrorInfoSchema, info),
      detail(FailureSchema.typeName, FailureSchema, failure),
    ],
  };
}

/** Connect's HTTP status; null for a bug. */
function statusOf(reason: Reason | null): number {
  return (reason === null ? undefined : CODES[REASONS[reason].code]?.[1]) ?? 500;
}

function detail<S extends DescMessage>(type: string, schema: S, message: MessageShape<S>): object {
  const value = Buffer.from(toBinary(schema, message)).toString('base64').replace(/=+$/, '');
  const debug: JsonValue = toJson(schema, message, { alwaysEmitImplicit: true });
  return { type, value, debug };
}

/** Without lone surrogates, which have no UTF-8. */
function clipped(text: string): string {
  const short =
    text.length <= MESSAGE_CHARS_MAX ? text : `${text.slice(0, MESSAGE_CHARS_MAX - 1)}…`;
  return Buffer.from(short, 'utf8').toString('utf8');
}
