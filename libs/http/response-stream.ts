/**
 * The answer to a read as a stream of text over HTTP, with the face that a gRPC stream has for those who
 * write into it, so that one reader serves both. Owns what HTTP adds: the encoding of each message
 * (lines of JSON or server-sent events), a sign of life where nothing happens, and the end of a client
 * that takes nothing.
 *
 * `sent` is called when the kernel has taken the bytes and the pace allows the next: JSON costs several
 * times what frames do, and readers over HTTP must not take the event loop from everybody else.
 */
import { MeridianError } from '../errors/errors.ts';
import { errorJson } from './errors.ts';
import type { Exchange } from './exchange.ts';
import type { Pace } from './pace.ts';

export interface StreamFormat<Out> {
  readonly contentType: string;
  /** The text for a message; empty for none, null when nothing more is wanted: the stream ends well. */
  readonly encode: (message: Out) => string | null;
  readonly encodeError: (error: object) => string;
  /** What is sent now and then where nothing else is. */
  readonly signOfLife: string;
}

const SIGN_OF_LIFE_MS = 10_000;
/** What was said before the end has this long to be taken. */
const LAST_WORDS_MS = 2_000;

export class ResponseStream<Out> {
  readonly peer: string;
  /** Who makes the request was asked before it became a stream. */
  readonly caller = null;
  closed = false;
  queued = 0;
  readonly #exchange: Exchange;
  readonly #format: StreamFormat<Out>;
  readonly #pace: Pace;
  readonly #onError: (error: unknown) => void;
  readonly #alive: NodeJS.Timeout;
  #ended = false;
  #begun = false;
  #closeCallback: () => void = () => undefined;

  constructor(
    exchange: Exchange,
    format: StreamFormat<Out>,
    pace: Pace,
    onError: (error: unknown) => void,
  ) {
    this.peer = exchange.peer;
    this.#exchange = exchange;
    this.#format = format;
    this.#pace = pace;
    this.#onError = onError;
    this.#alive = setInterval(() => {
      if (this.#begun && !this.#ended && this.queued === 0) {
        exchange.response.write(format.signOfLife);
      }
    }, SIGN_OF_LIFE_MS);
    exchange.response.once('close', () => {
      clearInterval(this.#alive);
      this.closed = true;
      this.#closeCallback();
    });
  }

  write(message: Out, sent?: () => void): boolean {
    if (this.closed || this.#ended) return true;
    this.#begin();
    const text = this.#format.encode(message);
    if (text === null) {
      this.end();
      return true;
    }
    this.queued += 1;
    const done = (): void => {
      this.queued -= 1;
      sent?.();
    };
    // Never called from inside of `write`: its caller may not expect itself.
    if (text === '') setImmediate(done);
    else {
      const bytes = Buffer.from(text);
      this.#exchange.response.write(bytes, () => {
        this.#pace.wait(bytes.length, done);
      });
    }
    return this.queued < 16;
  }

  /** Readers go by `sent`; nobody is told twice. */
  onDrain(): void {
    return;
  }

  onClose(callback: () => void): void {
    this.#closeCallback = callback;
    if (this.closed) callback();
  }

  end(): void {
    this.#finish('');
  }

  /** Before the first message: an answer of its own status; after it: the last words of the stream. */
  fail(error: unknown): void {
    if (!(error instanceof MeridianError)) this.#onError(error);
    if (this.closed || this.#ended) return;
    if (this.#begun) this.#finish(this.#format.encodeError(errorJson(error)));
    else {
      this.#ended = true;
      this.#exchange.fail(error);
    }
  }

  /** Says that the read stands, though nothing has come yet. */
  #begin(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#exchange.begin({ 'content-type': this.#format.contentType });
  }

  #finish(lastWords: string): void {
    if (this.closed || this.#ended) return;
    this.#begin();
    this.#ended = true;
    const { response } = this.#exchange;
    const timer = setTimeout(() => response.destroy(), LAST_WORDS_MS);
    response.once('close', () => {
      clearTimeout(timer);
    });
    response.end(lastWords);
  }
}
