/**
 * Calls between simulated processes, in the place of gRPC: the same `Channel` for who calls and the same
 * `ServerStream` for who answers, over lines that delay, lose their connection, or fall silent without a word.
 * Messages are encoded and decoded, so that nobody shares memory; a stream has a window, so that a slow reader is felt.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { DescMessage, Message } from '@bufbuild/protobuf';
import { MeridianError } from '../../../libs/errors/errors.ts';
import type {
  BidiStream,
  Channel,
  ReadStream,
  ServerStream,
  StreamHandlers,
} from '../../../libs/rpc/rpc.ts';
import type { Prng } from '../prng.ts';
import { BidiCall } from './virtual-bidi.ts';
import type { VirtualTime } from './virtual-time.ts';

/** What a process answers with while it lives. */
export interface Service {
  /** Throws what is wrong with the request at once. */
  stream(method: string, request: Message, stream: ServerStream<Message>): void;
  unary(method: string, request: Message, signal: AbortSignal): Promise<object>;
  bidi?(method: string, stream: BidiStream<Message, Message>): void;
}

export interface Server {
  /** null: there is no process. */
  readonly service: Service | null;
  /** It stands still: what arrives waits, and nothing leaves. */
  readonly paused: boolean;
}

/** Between one caller and one server. */
export class Line {
  readonly server: Server;
  readonly calls = new Set<StreamCall>();
  /** Faults that cut it now: nothing passes, and nobody is told. */
  cuts = 0;
  /** Faults that keep back what the server says, while it hears everything. */
  mutes = 0;
  /** Microseconds one way. */
  delay: number;

  constructor(server: Server, delay: number) {
    this.server = server;
    this.delay = delay;
  }
}

/** Messages on their way to a client, or in its hands unread. */
export const WINDOW = 16;
/** A connection that says nothing is given up, microseconds. */
const KEEPALIVE = 8_000_000;
const CONNECT = 1_000_000;
/** While one end stands still, it is looked at so often. */
export const LOOK = 20_000;

export class Calls {
  private readonly time: VirtualTime;
  private readonly prng: Prng;

  constructor(time: VirtualTime, prng: Prng) {
    this.time = time;
    this.prng = prng;
  }

  channel(address: string, line: Line): Channel {
    return {
      address,
      unary: (method, request, options) => {
        const sent = copy(method.input, create(method.input, request));
        return this.unary(line, method.name, sent, options.deadlineMs).then(
          (answer) => copy(method.output, create(method.output, answer as never)) as never,
        );
      },
      serverStream: (method, request, handlers) => {
        const sent = copy(method.input, create(method.input, request));
        const call = new StreamCall(this.time, line, {
          output: method.output,
          handlers: handlers,
          delay: () => this.delay(line),
        });
        this.open(call, line, () => line.server.service?.stream(method.name, sent, call.server));
        return call.client;
      },
      bidi: (method, handlers, encode) => {
        const { input, output } = method;
        const delay = (): number => this.delay(line);
        const call = new StreamCall(this.time, line, { output, handlers, delay });
        const both = new BidiCall(this.time, line, call, {
          encode: (message) => encode?.(message as never) ?? toBinary(input, message as never),
          decode: (bytes) => fromBinary(input, bytes),
          delay,
          onDrain: () => handlers.onDrain?.(),
        });
        this.open(call, line, () => {
          line.server.service?.bidi?.(method.name, both.server);
          both.open();
        });
        return both.client;
      },
      close: () => {
        for (const call of line.calls) call.hangUp();
      },
    };
  }

  /** Every connection of the line ends; both ends are told, or find out by the silence. */
  break(line: Line): void {
    for (const call of line.calls) call.lose(this.prng.chance(0.7) ? 1_000 : KEEPALIVE);
  }

  private open(call: StreamCall, line: Line, arrive: () => void): void {
    const refused = line.cuts > 0;
    this.time.after(refused ? CONNECT : this.delay(line), () => {
      if (refused || line.server.service === null) call.lose(0);
      else {
        this.whenAwake(line, () => {
          try {
            if (!call.over) arrive();
          } catch (error) {
            call.server.fail(error);
          }
        });
      }
    });
  }

  private unary(line: Line, name: string, request: Message, deadlineMs: number): Promise<object> {
    return new Promise((resolve, reject) => {
      const nobodyWaits = new AbortController();
      let isOver = false;
      this.time.after(deadlineMs * 1000, () => {
        if (isOver) return;
        reject(new MeridianError('DEADLINE', `${name}: no answer within ${deadlineMs} ms`));
        nobodyWaits.abort();
      });
      if (line.cuts > 0) return;
      this.time.after(this.delay(line), () => {
        const { service } = line.server;
        if (service === null) {
          isOver = true;
          reject(new MeridianError('UNAVAILABLE', `${name}: nobody listens there`));
          return;
        }
        this.whenAwake(line, () => {
          const back = (answer: () => void): void => {
            this.time.after(this.delay(line), () => {
              // A process that has died meanwhile has not said anything.
              const isHeard = line.cuts === 0 && line.mutes === 0;
              if (isHeard && line.server.service === service) this.whenAwake(line, answer);
            });
          };
          // As a gRPC server, which never throws at its caller.
          new Promise<object>((answer) => {
            answer(service.unary(name, request, nobodyWaits.signal));
          }).then(
            (answer) => {
              back(() => {
                isOver = true;
                resolve(answer);
              });
            },
            (error: unknown) => {
              back(() => {
                isOver = true;
                if (error instanceof MeridianError) reject(error);
                else this.time.fail(error);
              });
            },
          );
        });
      });
    });
  }

  private whenAwake(line: Line, action: () => void): void {
    if (!line.server.paused) action();
    else {
      this.time.after(LOOK, () => {
        this.whenAwake(line, action);
      });
    }
  }

  private delay(line: Line): number {
    return line.delay + this.prng.below(line.delay / 4 + 100);
  }
}

interface CallOptions {
  readonly output: DescMessage;
  readonly handlers: StreamHandlers<DescMessage>;
  readonly delay: () => number;
}

/** A call whose answer is a stream: both of its ends, and what is between them. */
export class StreamCall {
  over = false;
  /** The client hears nothing more, whatever comes. */
  private cancelled = false;
  readonly client: ReadStream;
  readonly server: ServerStream<Message>;
  private readonly time: VirtualTime;
  private readonly line: Line;
  private readonly options: CallOptions;
  private readonly waiting: { readonly message: Message; readonly sent: () => void }[] = [];
  private readonly arrived: Message[] = [];
  private flying = 0;
  private isLooking = false;
  private paused = false;
  private arrivalAt = 0;
  private ended: { readonly error: MeridianError | null } | null = null;
  /** The server hears nothing more, and is not heard. */
  gone = false;
  private onClose: () => void = () => undefined;

  constructor(time: VirtualTime, line: Line, options: CallOptions) {
    this.time = time;
    this.line = line;
    this.options = options;
    line.calls.add(this);
    this.client = {
      pause: () => {
        this.paused = true;
      },
      resume: () => {
        this.paused = false;
        this.time.after(0, () => {
          this.consume();
        });
      },
      cancel: () => {
        this.hangUp();
      },
    };
    this.server = this.serverEnd();
  }

  /** The client is gone, or wants no more. */
  hangUp(): void {
    this.cancelled = true;
    if (this.over) return;
    this.over = true;
    this.line.calls.delete(this);
    this.time.after(this.line.cuts > 0 ? KEEPALIVE : this.options.delay(), () => {
      this.closeServer();
    });
  }

  /** The connection is gone; the client hears of it after so long. */
  lose(after: number): void {
    this.closeServer();
    this.waiting.length = 0;
    this.time.after(after, () => {
      if (this.over) return;
      this.over = true;
      this.line.calls.delete(this);
      const error = new MeridianError('INDEFINITE', 'the connection was lost');
      this.options.handlers.onEnd(error);
    });
  }

  private closeServer(): void {
    if (this.gone) return;
    this.gone = true;
    this.onClose();
  }

  private serverEnd(): ServerStream<Message> {
    const isGone = (): boolean => this.gone;
    const queued = (): number => this.waiting.length;
    return {
      peer: 'client',
      caller: null,
      get closed() {
        return isGone();
      },
      get queued() {
        return queued();
      },
      write: (message, sent = () => undefined) => {
        if (this.gone || this.ended !== null) return true;
        this.waiting.push({ message: copy(this.options.output, message), sent });
        this.time.after(0, () => {
          this.pump();
        });
        return this.waiting.length < WINDOW;
      },
      onDrain: () => undefined,
      onClose: (callback) => {
        this.onClose = callback;
        if (this.gone) callback();
      },
      end: () => {
        this.finish(null);
      },
      fail: (error) => {
        if (!(error instanceof MeridianError)) this.time.fail(error);
        else this.finish(error);
      },
    };
  }

  private finish(error: MeridianError | null): void {
    if (this.ended !== null || this.gone) return;
    this.ended = { error };
    this.time.after(0, () => {
      this.pump();
    });
  }

  /** From the server onto the line, as far as the window goes. */
  private pump(): void {
    if (this.gone) return;
    if (this.line.server.paused || this.line.cuts > 0 || this.line.mutes > 0) {
      this.lookAgain();
      return;
    }
    while (this.flying + this.arrived.length < WINDOW) {
      const next = this.waiting.shift();
      if (next === undefined) break;
      this.flying += 1;
      this.arrivalAt = Math.max(this.arrivalAt + 1, this.time.now + this.options.delay());
      this.time.after(this.arrivalAt - this.time.now, () => {
        this.flying -= 1;
        if (this.over || this.gone) return;
        this.arrived.push(next.message);
        this.consume();
      });
      next.sent();
    }
    this.maybeEnd();
  }

  private lookAgain(): void {
    if (this.isLooking) return;
    this.isLooking = true;
    this.time.after(LOOK, () => {
      this.isLooking = false;
      this.pump();
    });
  }

  private consume(): void {
    while (!this.paused && !this.over) {
      const message = this.arrived.shift();
      if (message === undefined) break;
      this.options.handlers.onMessage(message);
    }
    this.pump();
  }

  private maybeEnd(): void {
    const { ended } = this;
    const left = this.waiting.length + this.flying + this.arrived.length;
    if (ended === null || left > 0 || this.over) return;
    this.over = true;
    this.line.calls.delete(this);
    this.closeServer();
    this.time.after(this.options.delay(), () => {
      if (!this.cancelled) this.options.handlers.onEnd(ended.error);
    });
  }
}

function copy(schema: DescMessage, message: Message): Message {
  return fromBinary(schema, toBinary(schema, message));
}
