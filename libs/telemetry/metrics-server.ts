/**
 * The endpoint of a process for its keepers, on an address of its own: `/metrics` for Prometheus, `/livez` (the
 * event loop turns) and `/readyz` (it can do its work) for an orchestrator. The latter two tell nothing and are
 * answered to anybody. Metrics are for this machine or, with TLS, for who shows a certificate of the cluster.
 *
 * Bounded: a few connections, no bodies, short timeouts; a storm of scrapes is answered with the text
 * of the same second.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createListener, isFromLoopback, listenOn, whoIs } from '../http/listening.ts';
import type { HttpTls, Listener } from '../http/listening.ts';
import type { Registry } from './metrics.ts';

export interface MetricsServerOptions {
  /** host:port; port 0 takes a free one. */
  readonly address: string;
  readonly registry: Registry;
  /** null: ready; else why not, for people. */
  readonly notReady: () => string | null;
  /** Default null: in the clear. */
  readonly tls?: HttpTls | null | undefined;
  /** Default false; true: everybody who can connect is a keeper. */
  readonly forAnybody?: boolean | undefined;
}

const CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const CONNECTIONS_MAX = 32;
const TIMEOUT_MS = 5_000;
const FRESH_MS = 1_000;

/** Errors: REFUSED when the address cannot be listened on. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<Listener> {
  const { registry, notReady, address, tls = null, forAnybody = false } = options;
  let text: Promise<string> | null = null;
  let readAt = -Infinity;
  const scrape = (): Promise<string> => {
    if (text === null || performance.now() - readAt > FRESH_MS) {
      readAt = performance.now();
      text = registry.text();
    }
    return text;
  };
  const whyNot = ({ socket }: IncomingMessage): string | null => {
    if (forAnybody || isFromLoopback(socket)) return null;
    const { identity, refusal } = whoIs(socket, tls);
    if (identity !== null) return null;
    return tls === null
      ? 'without TLS metrics are for this machine alone (metricsTls)'
      : (refusal ?? 'metrics are for who shows a certificate of the cluster');
  };
  const server = createListener({}, tls, (request, response) => {
    const { method, url = '' } = request;
    const path = url.split('?', 1)[0];
    request.resume();
    if (method !== 'GET' && method !== 'HEAD') answer(response, 405, 'only GET\n');
    else if (path === '/metrics') {
      const refusal = whyNot(request);
      if (refusal !== null) {
        answer(response, 403, `${refusal}\n`);
        return;
      }
      scrape().then(
        (metrics) => {
          answer(response, 200, metrics, CONTENT_TYPE);
        },
        (error: unknown) => {
          text = null;
          answer(response, 500, `${error instanceof Error ? error.message : String(error)}\n`);
        },
      );
    } else if (path === '/livez') answer(response, 200, 'ok\n');
    else if (path === '/readyz') {
      const reason = notReady();
      answer(response, reason === null ? 200 : 503, `${reason ?? 'ok'}\n`);
    } else answer(response, 404, 'there are /metrics, /livez and /readyz\n');
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.headersTimeout = TIMEOUT_MS;
  server.requestTimeout = TIMEOUT_MS;
  server.keepAliveTimeout = TIMEOUT_MS;
  const at = { serving: 'metrics', setting: 'metricsListen' };
  const listener = await listenOn(server, address, at);
  server.unref();
  return listener;
}

function answer(
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
