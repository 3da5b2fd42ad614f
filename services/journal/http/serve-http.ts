/**
 * The HTTP listener of a replica: the calls of gRPC as JSON, appends and reads for curl, and the console.
 * Nothing is decided here; every route ends in the handler, session or reader that gRPC calls use too.
 *
 * Off unless `httpListen` is set. With certificates it is HTTPS, and a client may show its own instead of a token;
 * without, on loopback only, because it is neither encrypted nor, without rules at the gate, restricted to anybody.
 */
import type { Message } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import {
  CheckTailRequestSchema,
  HeartbeatRequestSchema,
  TargetSchema,
} from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  AppendRequest,
  AppendResponse,
  CheckTailRequest,
  HeartbeatRequest,
  ReadRequest,
  ReadResponse,
} from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { connectRoutes, startHttpServer } from '../../../libs/http/http.ts';
import type { HttpGate, HttpTls, Listener, UnaryContext } from '../../../libs/http/http.ts';
import type { BidiStream, ServerStream, ServiceBinding } from '../../../libs/rpc/rpc.ts';
import type { JournalConfig } from '../config.ts';
import { appendRoute } from './append-route.ts';
import { consoleRoutes } from './console-routes.ts';
import type { ConsoleSource } from './console-routes.ts';
import { readRoutes } from './read-route.ts';

export interface ServeHttpOptions {
  readonly config: JournalConfig;
  readonly gate: HttpGate | null;
  readonly tls: HttpTls | null;
  readonly journal: ServiceBinding;
  readonly streams: ServiceBinding;
  readonly console: ConsoleSource;
  readonly onError: (error: unknown, what: string) => void;
}

export interface HttpFront extends Listener {
  /** Reads as lines or events that are open. */
  readonly readCount: number;
}

const REQUESTS_MAX = 256;
const DEADLINE_MS = 60_000;
const RECORDS_AT = 'GET and POST /v1/streams/STREAM/records';

interface JournalHandlers {
  append(stream: BidiStream<AppendRequest, AppendResponse>): void;
  read(request: ReadRequest, stream: ServerStream<ReadResponse>): void;
  checkTail(request: CheckTailRequest, context: UnaryContext): Promise<{ nextSeqNum: bigint }>;
  heartbeat(request: HeartbeatRequest, context: UnaryContext): Promise<{ readPoint: bigint }>;
}

/** null: no address is set. Errors: REFUSED when it cannot be listened on. */
export async function serveHttp(options: ServeHttpOptions): Promise<HttpFront | null> {
  const { config, gate, journal, streams, onError } = options;
  const { httpListen: address, cluster, instance, region, limits } = config;
  if (address === undefined) return null;
  const target = create(TargetSchema, { cluster, instance });
  const handlers = journal.handlers as unknown as JournalHandlers;
  const contextOf = (signal: AbortSignal): UnaryContext => ({
    peer: 'http',
    signal,
    deadline: Date.now() + DEADLINE_MS,
  });
  // Whoever asks at this address means this replica, unless the request says otherwise.
  const prepare = (request: Message): void => {
    const named = request as Message & { target?: Message };
    named.target ??= target;
  };
  const services = [journal, streams].flatMap(({ service, handlers: functions }) =>
    connectRoutes({ service, handlers: functions, streamsAt: RECORDS_AT, prepare }),
  );
  const openReads = { streams: 0 };
  const listener = await startHttpServer({
    address,
    gate,
    tls: options.tls,
    routes: [
      ...services,
      ...consoleRoutes(options.console),
      appendRoute({
        target,
        region,
        limits: { batchBytesMax: limits.batchBytesMax, recordsMax: limits.recordsPerBatchMax },
        openSession: (stream) => {
          handlers.append(stream);
        },
      }),
      ...readRoutes({
        target,
        openRead: (request, stream) => {
          handlers.read(request, stream);
        },
        tail: async (stream, signal) => {
          const request = create(CheckTailRequestSchema, { target, stream });
          return Number((await handlers.checkTail(request, contextOf(signal))).nextSeqNum);
        },
        readPoint: async (signal) => {
          const request = create(HeartbeatRequestSchema, { target, waitForWatermark: true });
          return Number((await handlers.heartbeat(request, contextOf(signal))).readPoint);
        },
        streamsMax: limits.httpReadsMax,
        open: openReads,
        onError,
      }),
    ],
    connectionsMax: limits.httpConnectionsMax,
    requestsMax: REQUESTS_MAX,
    // Base64 and JSON around it make a batch larger.
    bodyBytesMax: 2 * limits.batchBytesMax,
    deadlineMs: DEADLINE_MS,
    onError,
  });
  return {
    port: listener.port,
    get connectionCount() {
      return listener.connectionCount;
    },
    get readCount() {
      return openReads.streams;
    },
    close: () => listener.close(),
  };
}
