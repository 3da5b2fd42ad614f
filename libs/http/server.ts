/**
 * An HTTP server for people and programs without gRPC: routes, limits, errors as JSON. Owns listening,
 * who may talk to it at all (`refuseStrangers`), how many at once, and stopping. Knows no route.
 *
 * Bounded: connections, requests under way, bytes of a body, the time for headers, body, answer and for
 * taking it. Beyond the bound of connections a new one is closed; beyond that of requests the answer is
 * OVERLOADED at once, so that a flood here does not take the process from other clients.
 */
import { MeridianError } from '../errors/errors.ts';
import { HttpProblem } from './errors.ts';
import { Exchange } from './exchange.ts';
import type { ExchangeOptions } from './exchange.ts';
import { createListener, hostOf, listenOn } from './listening.ts';
import type { Listener } from './listening.ts';

export interface Route {
  readonly method: 'GET' | 'POST';
  /** `/v1/streams/:stream/records`; a `*` at the end takes any rest, as the parameter `rest`. */
  readonly pattern: string;
  /** Answers, now or later; what it throws is the answer. */
  readonly handle: (exchange: Exchange) => Promise<void> | void;
}

export interface HttpServerOptions extends ExchangeOptions {
  /** host:port; port 0 takes a free one. */
  readonly address: string;
  readonly routes: readonly Route[];
  readonly connectionsMax: number;
  /** Under way at once, streams included. */
  readonly requestsMax: number;
  /** What a route threw that is neither MeridianError nor HttpProblem: a bug. */
  readonly onError: (error: unknown, what: string) => void;
}

const HEADERS_MS = 5_000;
const BODY_MS = 15_000;
const IDLE_MS = 10_000;
const HEADER_BYTES_MAX = 16 * 1024;
const REQUESTS_PER_CONNECTION_MAX = 10_000;

/** Errors: REFUSED when the address cannot be listened on. */
export async function startHttpServer(options: HttpServerOptions): Promise<Listener> {
  const { routes, requestsMax, address, tls = null } = options;
  const host = hostOf(address);
  let underWay = 0;
  const server = createListener({ maxHeaderSize: HEADER_BYTES_MAX }, tls, (request, response) => {
    const exchange = new Exchange(request, response, options);
    underWay += 1;
    response.once('close', () => {
      underWay -= 1;
    });
    answer(exchange).catch((error: unknown) => {
      if (!(error instanceof MeridianError || error instanceof HttpProblem)) {
        options.onError(error, `${exchange.method} ${exchange.path}`);
      }
      exchange.fail(error);
    });
  });

  async function answer(exchange: Exchange): Promise<void> {
    refuseStrangers(exchange, tls === null ? host : null);
    if (underWay > requestsMax) {
      throw new MeridianError('OVERLOADED', `${requestsMax} requests are under way`, {
        details: { retryAfterMs: 1000, limit: requestsMax },
      });
    }
    await routeOf(exchange, routes).handle(exchange);
  }

  server.maxConnections = options.connectionsMax;
  server.headersTimeout = HEADERS_MS;
  server.requestTimeout = BODY_MS;
  server.keepAliveTimeout = IDLE_MS;
  server.maxRequestsPerSocket = REQUESTS_PER_CONNECTION_MAX;
  return listenOn(server, address, { serving: 'HTTP', setting: 'httpListen' });
}

/**
 * A browser on the same machine may be told by a foreign page to send requests here, also under a name
 * of that page's making (DNS rebinding). So the Host must be a name of this listener or of loopback, and
 * what a page of another origin sends is refused. Programs send no Origin. With TLS (`listening` null) a name of
 * another's making is none in our certificate, so the browser has refused already.
 */
function refuseStrangers(exchange: Exchange, listening: string | null): void {
  const host = exchange.header('host') ?? '';
  const name = hostOf(host.includes(':') ? host : `${host}:`);
  const names = ['localhost', '127.0.0.1', '::1', listening];
  if (listening !== null && !names.includes(name)) {
    const said = JSON.stringify(host.slice(0, 100));
    throw new HttpProblem(
      421,
      'permission_denied',
      `this listener does not go by the name ${said}; ask for localhost or its address`,
    );
  }
  const origin = exchange.header('origin');
  const scheme = listening === null ? 'https' : 'http';
  if (origin === undefined || origin === `${scheme}://${host}`) return;
  throw new HttpProblem(403, 'permission_denied', 'pages of other origins are not served');
}

function routeOf(exchange: Exchange, routes: readonly Route[]): Route {
  const wanted = exchange.method === 'HEAD' ? 'GET' : exchange.method;
  const there: string[] = [];
  for (const route of routes) {
    const params = match(route.pattern, exchange.path);
    if (params === null) continue;
    if (route.method === wanted) {
      exchange.params = params;
      return route;
    }
    there.push(route.method);
  }
  if (there.length > 0) {
    const allow = there.join(', ');
    const message = `${exchange.method} is not for this path; expected ${allow}`;
    throw new HttpProblem(405, 'unimplemented', message, { allow });
  }
  throw new HttpProblem(
    404,
    'unimplemented',
    'there is nothing under this path; in a name, / is written %2F',
  );
}

/** The named parts of a path; null when it is of another pattern. */
function match(pattern: string, path: string): Record<string, string> | null {
  const names = pattern.split('/');
  const parts = path.split('/');
  const params: Record<string, string> = {};
  for (const [i, name] of names.entries()) {
    const part = parts[i];
    if (name === '*') {
      params['rest'] = parts.slice(i).join('/');
      return params;
    }
    if (part === undefined) return null;
    if (!name.startsWith(':')) {
      if (name !== part) return null;
    } else {
      try {
        params[name.slice(1)] = decodeURIComponent(part);
      } catch {
        throw new HttpProblem(400, 'invalid_argument', `${part}: not percent-encoded UTF-8`);
      }
    }
  }
  return parts.length === names.length ? params : null;
}
