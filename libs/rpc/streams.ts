/**
 * The server's side of streaming calls, callback style: one function call per message, no promise.
 * Owns the bookkeeping that grpc-js leaves to its users: a stream is closed exactly once, whoever
 * ended it; an error thrown by a callback ends this one call and is reported, and never becomes an
 * unhandled rejection of the process.
 */
import type { Message } from '@bufbuild/protobuf';
import type { ServerDuplexStream, ServerWritableStream } from '@grpc/grpc-js';
import { MeridianError } from '../errors/errors.ts';
import type { Decoded } from './codec.ts';
import { Malformed } from './codec.ts';
import type { Caller } from './gate.ts';
import { toStatus } from './status.ts';

/** A call whose answer is a stream. */
export interface ServerStream<Out extends Message> {
  /** Address of the client, for logs. */
  readonly peer: string;
  /** Who makes the call; null: the server asks nobody who they are. */
  readonly caller: Caller | null;
  /** true once the call is over: written messages go nowhere. */
  readonly closed: boolean;
  /** Messages that were written and have not yet left this process. */
  readonly queued: number;
  /**
   * Sends a message. false: 16 or more wait, so stop until `onDrain`; what is written all the same
   * is kept in memory without bound. Ignored once the call is over. `sent` is called when the message
   * has left this process, which flow control may delay; not when the call ends before.
   */
  write(message: Out, sent?: () => void): boolean;
  /** Called each time everything has left after `write` returned false. */
  onDrain(callback: () => void): void;
  /** Called once when the call is over: cancelled, connection lost, ended or failed. */
  onClose(callback: () => void): void;
  /** Ends the call well, after what was written. */
  end(): void;
  /** Ends the call with an error, after what was written. Anything but a MeridianError is reported. */
  fail(error: unknown): void;
}

/** A call in which both sides send. */
export interface BidiStream<In extends Message, Out extends Message> extends ServerStream<Out> {
  /** Called for every message. Messages flow once this is set. */
  onMessage(callback: (message: In) => void): void;
  /** Called when the client has sent its last message. */
  onHalfClose(callback: () => void): void;
  /** Stops `onMessage`; at most 16 messages and the window are held, then the client must wait. */
  pause(): void;
  resume(): void;
}

export type Report = (error: unknown, method: string) => void;

type AnyCall = ServerWritableStream<Decoded, Message> | ServerDuplexStream<Decoded, Message>;

export class ServerStreamAdapter<Out extends Message> implements ServerStream<Out> {
  readonly peer: string;
  caller: Caller | null = null;
  closed = false;
  readonly #call: AnyCall;
  readonly #report: Report;
  #ended = false;
  #closeCallback: (() => void) | null = null;

  constructor(call: AnyCall, report: Report) {
    this.#call = call;
    this.#report = report;
    this.peer = call.getPeer();
    call.once('cancelled', () => {
      this.closed = true;
      const callback = this.#closeCallback;
      if (callback !== null) this.guard(callback);
    });
    // grpc-js answers `error` with the status; a listener keeps a late one from being uncaught.
    call.on('error', () => undefined);
  }

  get queued(): number {
    return this.#call.writableLength;
  }

  write(message: Out, sent?: () => void): boolean {
    if (this.closed || this.#ended) return true;
    return sent === undefined ? this.#call.write(message) : this.#call.write(message, sent);
  }

  onDrain(callback: () => void): void {
    this.#call.on('drain', () => {
      this.guard(callback);
    });
  }

  onClose(callback: () => void): void {
    this.#closeCallback = callback;
    if (this.closed) this.guard(callback);
  }

  end(): void {
    if (this.closed || this.#ended) return;
    this.#ended = true;
    this.#call.end();
  }

  fail(error: unknown): void {
    if (!(error instanceof MeridianError)) this.#report(error, this.#call.getPath());
    if (this.closed || this.#ended) return;
    this.#ended = true;
    this.#call.emit('error', toStatus(error));
  }

  /** Runs a callback of the service; what it throws ends the call. */
  guard(callback: () => void): void {
    try {
      callback();
    } catch (error) {
      this.fail(error);
    }
  }
}

export class BidiStreamAdapter<In extends Message, Out extends Message>
  extends ServerStreamAdapter<Out>
  implements BidiStream<In, Out>
{
  readonly #duplex: ServerDuplexStream<Decoded, Message>;

  constructor(call: ServerDuplexStream<Decoded, Message>, report: Report) {
    super(call, report);
    this.#duplex = call;
  }

  onMessage(callback: (message: In) => void): void {
    this.#duplex.on('data', (message: Decoded) => {
      if (this.closed) return;
      try {
        if (message instanceof Malformed) throw message.error;
        callback(message as In);
      } catch (error) {
        this.fail(error);
      }
    });
  }

  onHalfClose(callback: () => void): void {
    this.#duplex.on('end', () => {
      if (!this.closed) this.guard(callback);
    });
  }

  pause(): void {
    this.#duplex.pause();
  }

  resume(): void {
    this.#duplex.resume();
  }
}
