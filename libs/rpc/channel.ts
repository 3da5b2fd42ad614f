/**
 * The client's side: one channel is one connection to one address, made when first needed and made
 * anew by itself. Owns translation of failures (status.ts) and the order of a stream's events:
 * every message, then `onEnd` exactly once. Does not retry and does not choose another address:
 * callers know what may be repeated, and where.
 */
import { create } from '@bufbuild/protobuf';
import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  Message,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { Client, credentials, Metadata, status as grpcStatus } from '@grpc/grpc-js';
import type {
  CallOptions,
  ClientDuplexStream,
  ClientReadableStream,
  StatusObject,
} from '@grpc/grpc-js';
import { MeridianError } from '../errors/errors.ts';
import { deserializer, Malformed, pathOf, serializer } from './codec.ts';
import type { Decoded } from './codec.ts';
import { channelOptions, DEFAULT_CHANNEL_LIMITS } from './settings.ts';
import type { ChannelLimits } from './settings.ts';
import { fromStatus } from './status.ts';
import { ChannelTls } from './tls.ts';
import type { ChannelSecurity } from './tls.ts';

export interface UnaryOptions {
  /** How long to wait, ms; there is no call without a limit. */
  readonly deadlineMs: number;
  /** Gives up early; the call then fails as INDEFINITE. */
  readonly signal?: AbortSignal;
}

export interface StreamHandlers<Out extends DescMessage> {
  onMessage(message: MessageShape<Out>): void;
  /** Once, after the last message: null when the server ended well. Not after `cancel`. */
  onEnd(error: MeridianError | null): void;
}

export interface BidiHandlers<Out extends DescMessage> extends StreamHandlers<Out> {
  /** Everything written has left after `write` returned false. */
  onDrain?(): void;
}

export interface ReadStream {
  /** Stops `onMessage`; at most 16 messages and the window are held, then the server must wait. */
  pause(): void;
  resume(): void;
  /** Ends the call; no callback comes any more. */
  cancel(): void;
}

export interface DuplexStream<In extends DescMessage> extends ReadStream {
  /** Messages that were written and have not yet left this process. */
  readonly queued: number;
  /** false: 16 or more wait, so stop until `onDrain`. */
  write(message: MessageShape<In>): boolean;
  /** Says that nothing more will be written. */
  end(): void;
}

export interface Channel {
  readonly address: string;
  /** Rejects with a MeridianError. */
  unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    options: UnaryOptions,
  ): Promise<MessageShape<O>>;
  serverStream<I extends DescMessage, O extends DescMessage>(
    method: DescMethodServerStreaming<I, O>,
    request: MessageInitShape<I>,
    handlers: StreamHandlers<O>,
  ): ReadStream;
  /** `encode` replaces the encoding of what is written. */
  bidi<I extends DescMessage, O extends DescMessage>(
    method: DescMethodBiDiStreaming<I, O>,
    handlers: BidiHandlers<O>,
    encode?: (message: MessageShape<I>) => Buffer,
  ): DuplexStream<I>;
  /** No new calls; those that run go on until they end. */
  close(): void;
}

/** `security` null: in the clear, and without a word on who calls. */
export function connect(
  address: string,
  limits: Partial<ChannelLimits> = {},
  security: ChannelSecurity | null = null,
): Channel {
  const all = { ...DEFAULT_CHANNEL_LIMITS, ...limits };
  const secrecy = security === null ? credentials.createInsecure() : new ChannelTls(security);
  const client = new Client(address, secrecy, channelOptions(all, security !== null));
  const metadata = (): Metadata => {
    const made = new Metadata();
    const token = security?.token?.();
    if (token !== undefined) made.set('authorization', `Bearer ${token}`);
    return made;
  };
  const translate = (error: StatusObject): MeridianError =>
    fromStatus(error, { address, receiveBytesMax: all.receiveBytesMax });
  return {
    address,
    unary: (method, request, options) =>
      unary({ client, translate, metadata: metadata() }, method, request, options),
    serverStream: (method, request, handlers) => {
      const { path, encode, decode } = wire(method);
      const call = client.makeServerStreamRequest(
        path,
        encode,
        decode,
        create(method.input, request),
        metadata(),
      );
      return receive(call, handlers, translate);
    },
    bidi: (method, handlers, encode) => {
      const { path, decode, ...usual } = wire(method);
      const written = (encode as Wire['encode'] | undefined) ?? usual.encode;
      const call = client.makeBidiStreamRequest(path, written, decode, metadata());
      return duplex(call, handlers, translate);
    },
    close: () => {
      client.close();
    },
  };
}

type Translate = (error: StatusObject) => MeridianError;

interface Wire {
  readonly path: string;
  readonly encode: (message: Message) => Buffer;
  readonly decode: (bytes: Buffer) => Decoded;
}

const wires = new WeakMap<DescMethod, Wire>();

function wire(method: DescMethod): Wire {
  const known = wires.get(method);
  if (known !== undefined) return known;
  const made = {
    path: pathOf(method),
    encode: serializer(method.input),
    decode: deserializer(method.output),
  };
  wires.set(method, made);
  return made;
}

interface Calling {
  readonly client: Client;
  readonly translate: Translate;
  readonly metadata: Metadata;
}

function unary<I extends DescMessage, O extends DescMessage>(
  { client, translate, metadata }: Calling,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  options: UnaryOptions,
): Promise<MessageShape<O>> {
  return new Promise((resolve, reject) => {
    const { path, encode, decode } = wire(method);
    const callOptions: CallOptions = { deadline: Date.now() + options.deadlineMs };
    const cancel = (): void => {
      call.cancel();
    };
    const call = client.makeUnaryRequest(
      path,
      encode,
      decode,
      create(method.input, request),
      metadata,
      callOptions,
      (error, response) => {
        options.signal?.removeEventListener('abort', cancel);
        if (error !== null) reject(translate(error));
        else if (response === undefined || response instanceof Malformed) {
          const cause = response?.error;
          const message = `${path}: unreadable answer: ${cause?.message ?? 'none'}`;
          reject(new MeridianError('INDEFINITE', message, { cause }));
        } else resolve(response as MessageShape<O>);
      },
    );
    options.signal?.addEventListener('abort', cancel, { once: true });
    if (options.signal?.aborted === true) cancel();
  });
}

/**
 * Order of events: grpc-js reports a failure at once, while messages received before it may still
 * be on their way through the stream; `end` comes behind them, so `onEnd` waits for both.
 */
function receive<Out extends DescMessage>(
  call: ClientReadableStream<Decoded>,
  handlers: StreamHandlers<Out>,
  translate: Translate,
): ReadStream {
  let state: 'open' | 'cancelled' | 'ended' = 'open';
  let status: StatusObject | null = null;
  let drained = false;
  const maybeEnd = (): void => {
    if (state !== 'open' || !drained || status === null) return;
    state = 'ended';
    const error = status.code === grpcStatus.OK ? null : translate(status);
    call.destroy();
    handlers.onEnd(error);
  };
  call.on('data', (message: Decoded) => {
    if (state !== 'open') return;
    if (message instanceof Malformed) {
      state = 'ended';
      call.cancel();
      handlers.onEnd(message.error);
    } else handlers.onMessage(message as MessageShape<Out>);
  });
  call.on('status', (received: StatusObject) => {
    status = received;
    maybeEnd();
  });
  call.on('end', () => {
    drained = true;
    maybeEnd();
  });
  // The status says the same, with its trailers; the listener keeps the error from being uncaught.
  call.on('error', () => undefined);
  return {
    pause: () => {
      call.pause();
    },
    resume: () => {
      call.resume();
    },
    cancel: () => {
      if (state !== 'open') return;
      state = 'cancelled';
      call.cancel();
      call.resume();
    },
  };
}

function duplex<In extends DescMessage, Out extends DescMessage>(
  call: ClientDuplexStream<Message, Decoded>,
  handlers: BidiHandlers<Out>,
  translate: Translate,
): DuplexStream<In> {
  const stream = receive(call, handlers, translate);
  const onDrain = handlers.onDrain?.bind(handlers);
  if (onDrain !== undefined) call.on('drain', onDrain);
  return {
    ...stream,
    get queued() {
      return call.writableLength;
    },
    write: (message) => (call.destroyed ? true : call.write(message)),
    end: () => {
      call.end();
    },
  };
}
