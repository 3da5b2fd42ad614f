/**
 * The client's half of a call in which both sides send: what it writes goes its own way to the server, in order,
 * late, and through a window. The answers go the way of any stream (virtual-calls.ts).
 *
 * What was written before a line was cut arrives when the cut ends, although the client may have hung up long ago and
 * gone elsewhere: for as long as the server does not know that it has. So appends come late, beside their own repetition.
 */
import type { Message } from '@bufbuild/protobuf';
import type { BidiStream, DuplexStream } from '../../../libs/rpc/rpc.ts';
import type { DescMessage } from '@bufbuild/protobuf';
import { LOOK, WINDOW, type Line, type StreamCall } from './virtual-calls.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface BidiOptions {
  readonly encode: (message: Message) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => Message;
  readonly delay: () => number;
  /** Everything written has left after `write` returned false. */
  readonly onDrain: () => void;
}

export class BidiCall {
  readonly client: DuplexStream<DescMessage>;
  readonly server: BidiStream<Message, Message>;
  private readonly time: VirtualTime;
  private readonly line: Line;
  private readonly call: StreamCall;
  private readonly options: BidiOptions;
  /** Written and not on its way; null: the end. */
  private readonly waiting: (Uint8Array | null)[] = [];
  private readonly arrived: (Uint8Array | null)[] = [];
  private flying = 0;
  private arrivalAt = 0;
  private isOpen = false;
  private isFull = false;
  private isPaused = false;
  private isLooking = false;
  private onMessage: ((message: Message) => void) | null = null;
  private onHalfClose: () => void = () => undefined;

  constructor(time: VirtualTime, line: Line, call: StreamCall, options: BidiOptions) {
    this.time = time;
    this.line = line;
    this.call = call;
    this.options = options;
    this.client = this.clientEnd();
    this.server = this.serverEnd();
  }

  /** The call has reached the server; what was written may follow. */
  open(): void {
    this.isOpen = true;
    this.pump();
  }

  private clientEnd(): DuplexStream<DescMessage> {
    const { call, options, waiting } = this;
    return {
      ...call.client,
      get queued() {
        return waiting.length;
      },
      write: (message) => {
        if (call.over) return true;
        waiting.push(options.encode(message));
        this.pump();
        this.isFull ||= waiting.length >= WINDOW;
        return !this.isFull;
      },
      end: () => {
        waiting.push(null);
        this.pump();
      },
    };
  }

  private serverEnd(): BidiStream<Message, Message> {
    const { server } = this.call;
    return {
      peer: server.peer,
      caller: server.caller,
      get closed() {
        return server.closed;
      },
      get queued() {
        return server.queued;
      },
      write: (message, sent) => server.write(message, sent),
      onDrain: (callback) => {
        server.onDrain(callback);
      },
      onClose: (callback) => {
        server.onClose(callback);
      },
      end: () => {
        server.end();
      },
      fail: (error) => {
        server.fail(error);
      },
      onMessage: (callback) => {
        this.onMessage = callback;
      },
      onHalfClose: (callback) => {
        this.onHalfClose = callback;
      },
      pause: () => {
        this.isPaused = true;
      },
      resume: () => {
        this.isPaused = false;
        this.time.after(0, () => {
          this.consume();
        });
      },
    };
  }

  /** From the client onto the line, as far as the window goes. */
  private pump(): void {
    if (!this.isOpen || this.call.gone) return;
    if (this.line.cuts > 0) {
      this.lookAgain();
      return;
    }
    const { waiting, arrived } = this;
    while (waiting.length > 0 && this.flying + arrived.length < WINDOW) {
      const next = waiting.shift() ?? null;
      this.flying += 1;
      this.arrivalAt = Math.max(this.arrivalAt + 1, this.time.now + this.options.delay());
      this.time.after(this.arrivalAt - this.time.now, () => {
        this.flying -= 1;
        arrived.push(next);
        this.consume();
      });
    }
    if (!this.isFull || waiting.length > 0 || this.call.over) return;
    this.isFull = false;
    this.time.after(0, () => {
      if (!this.call.over) this.options.onDrain();
    });
  }

  private consume(): void {
    while (this.arrived.length > 0 && !this.isPaused && !this.call.gone) {
      if (this.line.server.paused) {
        this.lookAgain();
        return;
      }
      const next = this.arrived.shift() ?? null;
      try {
        if (next === null) this.onHalfClose();
        else this.onMessage?.(this.options.decode(next));
      } catch (error) {
        this.server.fail(error);
      }
    }
    this.pump();
  }

  private lookAgain(): void {
    if (this.isLooking) return;
    this.isLooking = true;
    this.time.after(LOOK, () => {
      this.isLooking = false;
      this.consume();
    });
  }
}
