/**
 * Joins a service descriptor with its handlers, typed method by method. Owns what happens to errors
 * of handlers: a MeridianError reaches the client with reason and details, anything else as INTERNAL
 * without its text, and is reported once on this side.
 */
import { create } from '@bufbuild/protobuf';
import type {
  DescMessage,
  DescMethod,
  DescService,
  Message,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import type {
  Metadata,
  sendUnaryData,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { assert } from '../values/assert.ts';
import { MeridianError } from '../errors/errors.ts';
import { Malformed } from './codec.ts';
import type { Decoded } from './codec.ts';
import type { Caller } from './gate.ts';
import { toStatus } from './status.ts';
import { BidiStreamAdapter, ServerStreamAdapter } from './streams.ts';
import type { BidiStream, Report, ServerStream } from './streams.ts';

/** About a unary call. */
export interface CallContext {
  /** Address of the client, for logs. */
  readonly peer: string;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** When the client stops waiting: milliseconds since 1970, Infinity for never. */
  readonly deadline: number;
  /** null: the server asks nobody who they are. */
  readonly caller: Caller | null;
}

/** Who makes a call that has been let in; null where everybody may do everything. */
export type Admission = (method: string, peer: string, metadata: Metadata) => Caller;

type Handler<M> = M extends {
  methodKind: infer Kind;
  input: infer I extends DescMessage;
  output: infer O extends DescMessage;
}
  ? Kind extends 'unary'
    ? (request: MessageShape<I>, context: CallContext) => Promise<MessageInitShape<O>>
    : Kind extends 'server_streaming'
      ? (request: MessageShape<I>, stream: ServerStream<MessageShape<O>>) => void
      : Kind extends 'bidi_streaming'
        ? (stream: BidiStream<MessageShape<I>, MessageShape<O>>) => void
        : never
  : never;

/** A handler for every method of a service, by its name in camel case. */
export type Handlers<S extends { method: object }> = {
  readonly [K in keyof S['method']]: Handler<S['method'][K]>;
};

/** A service with its handlers, for `startServer`. */
export interface ServiceBinding {
  readonly service: DescService;
  /** By method, as given to `bind`: for those who serve the same calls in another way. */
  readonly handlers: Readonly<Record<string, (...parameters: never[]) => unknown>>;
  /** The functions grpc-js calls; errors that are no MeridianError go to `report`. */
  implement(report: Report, admission: Admission | null): UntypedServiceImplementation;
  /** See `Serializers`. */
  readonly serializers: Readonly<Record<string, (message: never) => Buffer>>;
}

/**
 * Own encoders of answers, by method: for a message whose bytes are large and made on the way out.
 * grpc-js copies the result before it returns, so an encoder may use the same memory again.
 */
export type Serializers<S extends { method: object }> = {
  readonly [K in keyof S['method']]?: S['method'][K] extends { output: infer O extends DescMessage }
    ? (message: MessageShape<O>) => Buffer
    : never;
};

export function bind<S extends Omit<DescService, 'method'> & { method: object }>(
  service: S,
  handlers: Handlers<S>,
  serializers: Serializers<S> = {},
): ServiceBinding {
  const descriptor = service as unknown as DescService;
  return {
    service: descriptor,
    handlers: handlers,
    serializers: serializers as ServiceBinding['serializers'],
    implement: (report, admission) => {
      const functions = handlers as unknown as Record<string, AnyHandler>;
      return Object.fromEntries(
        descriptor.methods.map((method) => {
          const handler = functions[method.localName];
          assert(
            handler !== undefined,
            `${method.localName} of ${descriptor.typeName} has no handler`,
          );
          const parts = { method, handler: handler.bind<AnyHandler>(functions), report, admission };
          return [method.localName, glue(parts)];
        }),
      );
    },
  };
}

type AnyHandler = (...parameters: unknown[]) => unknown;
type AnyGlue = UntypedServiceImplementation[string];

interface Parts {
  readonly method: DescMethod;
  readonly handler: AnyHandler;
  readonly report: Report;
  readonly admission: Admission | null;
}

function glue(parts: Parts): AnyGlue {
  const { method, handler, report } = parts;
  switch (method.methodKind) {
    case 'unary':
      return (call: ServerUnaryCall<Decoded, Message>, callback: sendUnaryData<Message>) => {
        void answer(parts, call, callback);
      };
    case 'server_streaming':
      return (call: ServerWritableStream<Decoded, Message>) => {
        const stream = new ServerStreamAdapter(call, report);
        stream.guard(() => {
          if (call.request instanceof Malformed) throw call.request.error;
          stream.caller = callerOf(parts, call);
          stream.caller?.checkRequest(call.getPath(), call.request);
          handler(call.request, stream);
        });
      };
    case 'bidi_streaming':
      return (call: ServerDuplexStream<Decoded, Message>) => {
        const stream = new BidiStreamAdapter(call, report);
        stream.guard(() => {
          stream.caller = callerOf(parts, call);
          handler(stream);
        });
      };
    case 'client_streaming':
      assert(false, `${method.name}: streams from a client with one answer are not used here`);
  }
}

function callerOf(
  { admission }: Parts,
  call: ServerUnaryCall<Decoded, Message> | ServerWritableStream<Decoded, Message> | AnyDuplex,
): Caller | null {
  return admission === null ? null : admission(call.getPath(), call.getPeer(), call.metadata);
}

type AnyDuplex = ServerDuplexStream<Decoded, Message>;

async function answer(
  parts: Parts,
  call: ServerUnaryCall<Decoded, Message>,
  callback: sendUnaryData<Message>,
): Promise<void> {
  const { method, handler, report } = parts;
  const abort = new AbortController();
  call.once('cancelled', () => {
    abort.abort();
  });
  try {
    if (call.request instanceof Malformed) throw call.request.error;
    const caller = callerOf(parts, call);
    caller?.checkRequest(call.getPath(), call.request);
    const deadline = call.getDeadline();
    const context: CallContext = {
      peer: call.getPeer(),
      signal: abort.signal,
      deadline: typeof deadline === 'number' ? deadline : deadline.getTime(),
      caller,
    };
    const response = await (handler(call.request, context) as Promise<Message>);
    callback(null, create(method.output, response));
  } catch (error) {
    if (!(error instanceof MeridianError)) report(error, call.getPath());
    callback(toStatus(error));
  }
}
