/**
 * A small S3 on a socket, for tests, that does what stores do on bad days: it is slow, answers 503, fails
 * after the write took effect, loses answers, cuts bodies, lets credentials expire, stays away. Knows just
 * what an archive uses, and enforces `If-None-Match: *`. It does not check signatures: a real server
 * does that in the tests that have one.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type S3Fault =
  /** 503 SlowDown, nothing done. */
  | 'slow-down'
  /** The write takes effect, the answer is 500. */
  | 'error-after'
  /** The write takes effect, the connection is cut instead of an answer. */
  | 'lost-answer'
  /** The connection is cut at once. */
  | 'reset'
  /** Half of the body is taken, or sent, then the connection is cut. */
  | 'cut-body'
  /** 200 without a body, whatever is there: something on the way has answered. */
  | 'empty'
  /** 400 ExpiredToken. */
  | 'expired'
  /** 409: another put of this key is under way. */
  | 'conflict'
  /** Never answers. */
  | 'hang';

export interface S3Call {
  readonly method: string;
  /** Behind the bucket. */
  readonly key: string;
}

export class FaultyS3 {
  readonly objects = new Map<string, Buffer>();
  readonly calls: S3Call[] = [];
  /** Asked for every call; what it says goes wrong. */
  fault: (call: S3Call) => S3Fault | null = () => null;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      void this.#serve(request, response);
    });
  }

  static async start(): Promise<FaultyS3> {
    const s3 = new FaultyS3();
    await new Promise<void>((resolve) => s3.#server.listen(0, '127.0.0.1', resolve));
    return s3;
  }

  get endpoint(): string {
    return `http://127.0.0.1:${String((this.#server.address() as AddressInfo).port)}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const key = decodeURIComponent(pathname.split('/').slice(2).join('/'));
    const call = { method: request.method ?? '', key };
    this.calls.push(call);
    const fault = this.fault(call);
    switch (fault) {
      case 'hang':
        return;
      case 'reset':
        request.socket.destroy();
        return;
      case 'slow-down':
        refuse(response, 503, 'SlowDown');
        return;
      case 'expired':
        refuse(response, 400, 'ExpiredToken');
        return;
      case 'conflict':
        refuse(response, 409, 'ConditionalRequestConflict');
        return;
      case 'cut-body':
        if (call.method === 'PUT') {
          request.once('data', () => request.socket.destroy());
          return;
        }
        break;
      default:
    }
    const body = await bodyOf(request).catch(() => null);
    if (body === null) return;
    const answer = this.#perform(call, request, body);
    if (fault === 'error-after') refuse(response, 500, 'InternalError');
    else if (fault === 'lost-answer') request.socket.destroy();
    else if (fault === 'empty') response.writeHead(200, { 'content-length': 0 }).end();
    else if (fault === 'cut-body' && answer.error === undefined) cut(response, answer.body);
    else if (answer.error !== undefined) refuse(response, answer.status, answer.error);
    else {
      response.writeHead(answer.status, { 'content-length': answer.body.length, etag: '"x"' });
      response.end(answer.body);
    }
  }

  /** A page of what is there, as S3 answers; few at once, so that there are several pages. */
  #listing(url: string): Buffer {
    const asked = new URL(url, 'http://localhost').searchParams;
    const prefix = asked.get('prefix') ?? '';
    const from = asked.get('continuation-token') ?? '';
    const keys = [...this.objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    const rest = keys.filter((key) => key > from);
    const page = rest.slice(0, PAGE_KEYS);
    const next = rest.length > page.length ? page.at(-1) : undefined;
    const contents = page.map(
      (key) =>
        `<Contents><Key>${key}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>`,
    );
    const more = next === undefined ? '' : `<NextContinuationToken>${next}</NextContinuationToken>`;
    return Buffer.from(
      `<?xml version="1.0"?><ListBucketResult><IsTruncated>${next !== undefined}</IsTruncated>${more}${contents.join('')}</ListBucketResult>`,
    );
  }

  #perform(
    { method, key }: S3Call,
    request: IncomingMessage,
    body: Buffer,
  ): { status: number; body: Buffer; error?: string } {
    const none = Buffer.alloc(0);
    const standing = this.objects.get(key);
    switch (method) {
      case 'PUT':
        if (request.headers['if-none-match'] === '*' && standing !== undefined) {
          return { status: 412, body: none, error: 'PreconditionFailed' };
        }
        this.objects.set(key, body);
        return { status: 200, body: none };
      case 'GET':
        if (key === '') return { status: 200, body: this.#listing(request.url ?? '/') };
        if (standing === undefined) return { status: 404, body: none, error: 'NoSuchKey' };
        return { status: 200, body: standing };
      case 'DELETE':
        this.objects.delete(key);
        return { status: 204, body: none };
      default:
        return { status: 405, body: none, error: 'MethodNotAllowed' };
    }
  }
}

const PAGE_KEYS = 2;

function refuse(response: ServerResponse, status: number, code: string): void {
  const body = `<?xml version="1.0"?><Error><Code>${code}</Code><Message>as told</Message></Error>`;
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(body);
}

function cut(response: ServerResponse, body: Buffer): void {
  response.writeHead(200, { 'content-length': body.length });
  response.write(body.subarray(0, Math.ceil(body.length / 2)), () => response.socket?.destroy());
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
