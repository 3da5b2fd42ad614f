/**
 * One request and its answer. Owns what every route would otherwise do by itself: reading a body within
 * its bound, knowing when the client is gone or the time is up, answering once, and cutting off a
 * client that does not take its answer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { MeridianError } from '../errors/errors.ts';
import { errorAnswer, HttpProblem } from './errors.ts';
import { ANYBODY, bearerToken } from './gate.ts';
import type { HttpCaller, HttpGate } from './gate.ts';
import { whoIs } from './listening.ts';
import type { HttpTls } from './listening.ts';

/** An answer that the client has not taken by then is cut off. */
const TAKE_MS = 10_000;

/** What every answer says: nothing of it is kept, guessed at, or shown inside of another page. */
const HEADERS = {
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
} as const;

export interface ExchangeOptions {
  readonly gate: HttpGate | null;
  /** Default null: in the clear. */
  readonly tls?: HttpTls | null;
  readonly bodyBytesMax: number;
  /** For answers that are no streams. */
  readonly deadlineMs: number;
}

export class Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** Parts of the path that the route's pattern names. */
  params: Readonly<Record<string, string>> = {};
  readonly #options: ExchangeOptions;
  readonly #abort = new AbortController();

  constructor(request: IncomingMessage, response: ServerResponse, options: ExchangeOptions) {
    this.request = request;
    this.response = response;
    this.#options = options;
    this.method = request.method ?? 'GET';
    const url = request.url ?? '/';
    const mark = url.indexOf('?');
    this.path = mark === -1 ? url : url.slice(0, mark);
    this.query = new URLSearchParams(mark === -1 ? '' : url.slice(mark + 1));
    response.once('close', () => {
      this.#abort.abort();
    });
    response.on('error', () => undefined);
  }

  /** Aborted when nobody waits for the answer any more. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** For logs. */
  get peer(): string {
    const { remoteAddress = 'unknown', remotePort = 0 } = this.request.socket;
    return `${remoteAddress}:${remotePort}`;
  }

  header(name: string): string | undefined {
    const value = this.request.headers[name];
    return typeof value === 'string' ? value : value?.[0];
  }

  /** Media type of the body, without parameters; the empty text for none. */
  get contentType(): string {
    return (this.header('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
  }

  /** Asks the gate; before the body is read. */
  admit(method: string): HttpCaller {
    const { gate } = this.#options;
    if (gate === null) return ANYBODY;
    const who = whoIs(this.request.socket, this.#options.tls ?? null);
    const connection = { address: this.peer, ...who };
    return gate.admit(method, connection, bearerToken(this.header('authorization')), true);
  }

  /** Errors: TOO_LARGE, INVALID for a compressed one, UNAVAILABLE when the client goes away. */
  body(): Promise<Buffer> {
    const { request } = this;
    const bytesMax = this.#options.bodyBytesMax;
    const encoding = this.header('content-encoding') ?? 'identity';
    if (encoding !== 'identity') {
      const message = `bodies are taken as they are, not compressed (content-encoding ${encoding})`;
      return Promise.reject(new MeridianError('INVALID', message));
    }
    const said = Number(this.header('content-length') ?? 0);
    return new Promise((resolve, reject) => {
      const tooLarge = (bytes: number): void => {
        request.removeAllListeners('data');
        const message = `a body of ${bytes} bytes or more; at most ${bytesMax}`;
        reject(new MeridianError('TOO_LARGE', message, { details: { bytes, limit: bytesMax } }));
      };
      if (said > bytesMax) {
        tooLarge(said);
        return;
      }
      const chunks: Buffer[] = [];
      let bytes = 0;
      request.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > bytesMax) tooLarge(bytes);
        else chunks.push(chunk);
      });
      request.once('end', () => {
        resolve(Buffer.concat(chunks));
      });
      const gone = (): void => {
        reject(new MeridianError('UNAVAILABLE', 'the client went away before its body was here'));
      };
      request.once('error', gone);
      request.once('close', gone);
    });
  }

  /**
   * Waits for `work`, no longer than the client does (Connect-Timeout-Ms) or the listener lets it.
   * `work` hears of the end by its signal. DEADLINE: its outcome is not known.
   */
  async within<T>(work: (signal: AbortSignal, deadlineAt: number) => Promise<T>): Promise<T> {
    const deadlineMs = Math.min(this.#askedMs(), this.#options.deadlineMs);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new MeridianError('DEADLINE', `no answer within ${deadlineMs} ms`));
        this.#abort.abort();
      }, deadlineMs);
    });
    try {
      return await Promise.race([work(this.signal, Date.now() + deadlineMs), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  json(status: number, value: object, headers: Readonly<Record<string, string>> = {}): void {
    const bytes = Buffer.from(`${JSON.stringify(value)}\n`);
    this.send(status, bytes, { 'content-type': 'application/json', ...headers });
  }

  send(status: number, bytes: Uint8Array, headers: Readonly<Record<string, string>>): void {
    const { response, request } = this;
    if (response.headersSent || response.destroyed) return;
    // What is left of a body that nobody reads: not on this connection.
    const hasRest = !request.complete && this.method !== 'GET' && this.method !== 'HEAD';
    const over = hasRest ? { connection: 'close' } : {};
    const all = { ...HEADERS, ...headers, ...over, 'content-length': String(bytes.length) };
    response.writeHead(status, all);
    const timer = setTimeout(() => response.destroy(), TAKE_MS);
    response.once('close', () => {
      clearTimeout(timer);
    });
    response.end(this.method === 'HEAD' ? undefined : bytes);
  }

  /** Begins an answer that goes on; `write` what follows to the response. */
  begin(headers: Readonly<Record<string, string>>): void {
    this.response.writeHead(200, { ...HEADERS, ...headers });
    this.response.flushHeaders();
  }

  fail(error: unknown): void {
    const { status, headers, body } = errorAnswer(error);
    this.json(status, body, headers);
  }

  #askedMs(): number {
    const asked = this.header('connect-timeout-ms');
    if (asked === undefined) return Infinity;
    if (/^\d{1,10}$/.test(asked) && Number(asked) > 0) return Number(asked);
    throw new HttpProblem(
      400,
      'invalid_argument',
      'connect-timeout-ms: expected milliseconds, 1 to 9999999999',
    );
  }
}
