/**
 * The console: its files, and what it shows. A browser asks only the replica that served it; that one asks
 * the others over the links that replicas have to each other, so that three regions are seen from any one
 * of them and a browser needs to reach only one.
 *
 * However many consoles are open, the replicas are asked at most once in a while (`FRESH_MS`), and not at
 * all while nobody looks.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { create, toJson } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { ViewResponseSchema } from '../../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { ViewResponse } from '../../../libs/gen/meridian/peer/v1/peer_pb.ts';
import { errorJson, HttpProblem } from '../../../libs/http/http.ts';
import type { Exchange, Route } from '../../../libs/http/http.ts';
import type { ReplicaId } from '../../../libs/values/numbers.ts';
import { REPLICAS } from '../../../libs/values/numbers.ts';

export interface ConsoleSource {
  readonly cluster: string;
  readonly instance: string;
  readonly self: ReplicaId;
  readonly regionOf: (replica: ReplicaId) => string;
  readonly ownView: () => Promise<MessageInitShape<typeof ViewResponseSchema>>;
  readonly peerView: (peer: ReplicaId, deadlineMs: number) => Promise<ViewResponse>;
}

const STATUS = '/meridian.journal.v1.JournalService/Status';
const FRESH_MS = 500;
const PEER_MS = 1_000;

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Only its own files run, nothing is loaded from elsewhere, and no other page may show it inside. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
].join('; ');

/** Errors: REFUSED when the console's files are not where they belong. */
export function consoleRoutes(source: ConsoleSource): Route[] {
  const files = readFiles();
  const overview = refreshed(() => overviewOf(source));
  const toConsole = (exchange: Exchange): void => {
    exchange.send(308, new Uint8Array(), { location: '/console/' });
  };
  return [
    { method: 'GET', pattern: '/', handle: toConsole },
    { method: 'GET', pattern: '/console', handle: toConsole },
    {
      method: 'GET',
      pattern: '/console/overview',
      handle: async (exchange) => {
        exchange.admit(STATUS);
        exchange.json(200, await exchange.within(overview));
      },
    },
    {
      method: 'GET',
      pattern: '/console/*',
      handle: (exchange) => {
        const name = exchange.params['rest'] ?? '';
        sendFile(exchange, files.get(name === '' ? 'index.html' : name));
      },
    },
  ];
}

/** Everybody who asks shortly after one another gets the same answer. */
function refreshed<T>(ask: () => Promise<T>): () => Promise<T> {
  let answer: Promise<T> | null = null;
  let askedAt = -Infinity;
  return () => {
    const now = performance.now();
    if (answer === null || now - askedAt > FRESH_MS) {
      askedAt = now;
      answer = ask();
    }
    return answer;
  };
}

async function overviewOf(source: ConsoleSource): Promise<object> {
  const { cluster, instance, self, regionOf, ownView, peerView } = source;
  const replicas = await Promise.all(
    REPLICAS.map(async (replica) => {
      const askedAt = performance.now();
      const answer = await viewOrError(replica === self ? ownView() : peerView(replica, PEER_MS));
      const tookMs = Math.round((performance.now() - askedAt) * 10) / 10;
      return { replica, region: regionOf(replica), tookMs, ...answer };
    }),
  );
  return { cluster, instance, self, wallClock: Date.now(), replicas };
}

async function viewOrError(
  asked: Promise<MessageInitShape<typeof ViewResponseSchema>>,
): Promise<{ view: unknown; error: object | null }> {
  try {
    const view = create(ViewResponseSchema, await asked);
    return { view: toJson(ViewResponseSchema, view, { alwaysEmitImplicit: true }), error: null };
  } catch (error) {
    if (!(error instanceof MeridianError)) throw error;
    return { view: null, error: errorJson(error) };
  }
}

interface File {
  readonly bytes: Buffer;
  readonly type: string;
  readonly tag: string;
}

/** A dozen small files, kept in memory: no request names a path of the disk. */
function readFiles(): ReadonlyMap<string, File> {
  const directory = directoryOfFiles();
  const files = new Map<string, File>();
  for (const name of readdirSync(directory)) {
    const type = TYPES[extname(name)];
    if (type === undefined) continue;
    const bytes = readFileSync(`${directory}${name}`);
    const tag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}"`;
    files.set(name, { bytes, type, tag });
  }
  return files;
}

/** They are not compiled: beside the sources, also when this module runs from dist/. */
function directoryOfFiles(): string {
  for (const path of ['../../console/', '../../../../services/console/']) {
    const directory = fileURLToPath(new URL(path, import.meta.url));
    if (existsSync(`${directory}index.html`)) return directory;
  }
  const message = 'the files of the console (services/console) are missing from this installation';
  throw new MeridianError('REFUSED', `${message}; install all of it, or leave out httpListen`);
}

function sendFile(exchange: Exchange, file: File | undefined): void {
  if (file === undefined) throw new HttpProblem(404, 'not_found', 'the console has no such file');
  const { bytes, type, tag } = file;
  const headers = {
    'content-type': type,
    'content-security-policy': POLICY,
    'cross-origin-opener-policy': 'same-origin',
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-cache',
    etag: tag,
  };
  if (exchange.header('if-none-match') === tag) exchange.send(304, new Uint8Array(), headers);
  else exchange.send(200, bytes, headers);
}
