/**
 * The unary calls of a gRPC service as the Connect protocol has them in JSON: `POST
 * /package.Service/Method` with `application/json`, from the same descriptors and answered by the same
 * handlers. Not here: Connect's binary encoding and its envelopes for streams.
 *
 * Strict: an unknown field is refused, because over curl it is a typing error. Numbers of 64 bits are
 * text in the answers, as in all JSON of protobuf.
 */
import { create, fromJsonString, toJson } from '@bufbuild/protobuf';
import type { DescMessage, DescMethod, DescService, Message } from '@bufbuild/protobuf';
import { MeridianError } from '../errors/errors.ts';
import { assert } from '../values/assert.ts';
import { HttpProblem } from './errors.ts';
import type { Exchange } from './exchange.ts';
import type { Route } from './server.ts';

export interface ConnectService {
  readonly service: DescService;
  /** Those of gRPC, by method in camel case. */
  readonly handlers: Readonly<Record<string, ((...parameters: never[]) => unknown) | undefined>>;
  /** Where to send those who ask for a stream. */
  readonly streamsAt: string;
  /** May complete a request before it is handled. */
  readonly prepare: (request: Message) => void;
}

/** What gRPC handlers get besides the request. */
export interface UnaryContext {
  readonly peer: string;
  readonly signal: AbortSignal;
  readonly deadline: number;
}

type UnaryHandler = (request: Message, context: UnaryContext) => Promise<Message>;

export function connectRoutes(options: ConnectService): Route[] {
  const { service, handlers, streamsAt } = options;
  return service.methods.map((method) => {
    const pattern = `/${service.typeName}/${method.name}`;
    if (method.methodKind !== 'unary') {
      const handle = (): never => {
        throw new HttpProblem(501, 'unimplemented', `streams of records are at ${streamsAt}`);
      };
      return { method: 'POST', pattern, handle };
    }
    const handler = handlers[method.localName] as UnaryHandler | undefined;
    assert(handler !== undefined, `${pattern} has no handler`);
    return {
      method: 'POST',
      pattern,
      handle: (exchange) => answer(exchange, method, handler, options),
    };
  });
}

async function answer(
  exchange: Exchange,
  method: DescMethod,
  handler: UnaryHandler,
  { prepare }: ConnectService,
): Promise<void> {
  const path = exchange.path;
  const caller = exchange.admit(path);
  expectJson(exchange);
  const request = requestFrom(method.input, (await exchange.body()).toString('utf8'));
  prepare(request);
  caller.checkRequest(path, request);
  const response = await exchange.within((signal, deadline) =>
    handler(request, { peer: exchange.peer, signal, deadline }),
  );
  const message = create(method.output, response);
  exchange.json(200, toJson(method.output, message, { alwaysEmitImplicit: true }) as object);
}

export function expectJson(exchange: Exchange): void {
  const version = exchange.header('connect-protocol-version') ?? '1';
  if (version !== '1') {
    throw new HttpProblem(400, 'invalid_argument', 'connect-protocol-version: expected 1');
  }
  const { contentType } = exchange;
  if (contentType === 'application/json') return;
  const said = contentType === '' ? 'no content-type' : contentType;
  const message = `${said}: expected content-type: application/json`;
  throw new HttpProblem(415, 'invalid_argument', message, { 'accept-post': 'application/json' });
}

/** No body at all is the message with nothing set. */
function requestFrom(schema: DescMessage, text: string): Message {
  try {
    return fromJsonString(schema, text.trim() === '' ? '{}' : text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MeridianError('INVALID', `not a ${schema.typeName} in JSON: ${why}`, { cause });
  }
}
