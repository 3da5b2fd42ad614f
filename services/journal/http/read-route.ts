/**
 * `GET /v1/streams/STREAM/records` and `GET /v1/records`: reads. Three forms, by `Accept`: a page as one
 * JSON document, lines of JSON, server-sent events. All are the reads of gRPC with another encoding: the
 * same plan, the same bounds, the same cut-off for who takes nothing.
 */
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { MeridianError } from '../../../libs/errors/errors.ts';
import { ReadRequestSchema } from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  PositionSchema,
  ReadRequest,
  ReadResponse,
} from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { Pace, ResponseStream } from '../../../libs/http/http.ts';
import type { Exchange, Route, StreamFormat } from '../../../libs/http/http.ts';
import type { ServerStream } from '../../../libs/rpc/rpc.ts';
import type { NamedTarget } from '../target.ts';
import { collected } from './collected.ts';
import { OFFSET_END } from '../read-plan.ts';
import { invalid, Parameters, placeFrom } from './parameters.ts';
import type { Place } from './parameters.ts';
import { ReadItems } from './read-items.ts';
import type { Item } from './read-items.ts';

export interface ReadRouteOptions {
  readonly target: NamedTarget;
  /** Throws what is wrong with the request at once. */
  readonly openRead: (request: ReadRequest, stream: ServerStream<ReadResponse>) => void;
  /** The stream's next number, linearizable. */
  readonly tail: (stream: string, signal: AbortSignal) => Promise<number>;
  readonly readPoint: (signal: AbortSignal) => Promise<number>;
  /** Reads as lines or events that may be open at once. */
  readonly streamsMax: number;
  /** Those that are; counted here. */
  readonly open: { streams: number };
  readonly onError: (error: unknown, what: string) => void;
}

const READ = '/meridian.journal.v1.JournalService/Read';
const KNOWN = [
  'fromSeqNum',
  'fromTimestamp',
  'after',
  'last',
  'until',
  'untilSeqNum',
  'limit',
  'follow',
  'encoding',
  'progress',
];
const STARTS = ['fromSeqNum', 'fromTimestamp', 'after', 'last'];
const PAGE_RECORDS = 100;
const PAGE_RECORDS_MAX = 1_000;
const PAGE_BYTES = 1024 * 1024;
/** All reads over HTTP together: JSON must leave the processor to appends. */
const BYTES_PER_SECOND = 16 * 1024 * 1024;

type Form = 'page' | 'lines' | 'events';

export function readRoutes(options: ReadRouteOptions): Route[] {
  // What all reads over HTTP have in common.
  const pace = new Pace(BYTES_PER_SECOND);
  const handle = (exchange: Exchange): Promise<void> => read(exchange, options, pace);
  return ['/v1/streams/:stream/records', '/v1/records'].map((pattern) => ({
    method: 'GET',
    pattern,
    handle,
  }));
}

async function read(exchange: Exchange, options: ReadRouteOptions, pace: Pace): Promise<void> {
  const { open } = options;
  const caller = exchange.admit(READ);
  const parameters = new Parameters(exchange.query, KNOWN);
  const stream = exchange.params['stream'] ?? '';
  // Before anything is asked about the stream: whether it exists is not for everybody.
  caller.checkRequest(READ, create(ReadRequestSchema, { stream }));
  const follow = parameters.flag('follow');
  const form = formOf(exchange, follow);
  const from = await startOf(exchange, parameters, stream, options);
  const asked = parameters.number('limit');
  if (asked === 0) throw invalid('limit=0: expected at least 1');
  const limit =
    form === 'page' ? Math.min(asked ?? PAGE_RECORDS, PAGE_RECORDS_MAX) : (asked ?? Infinity);
  const untilSeqNum = parameters.number('untilSeqNum');
  const { cluster, instance } = options.target;
  const request = create(ReadRequestSchema, {
    target: { cluster, instance },
    stream,
    ...(from === null ? {} : { from }),
    follow,
    untilTimestamp: BigInt(parameters.number('until') ?? 0),
    untilSeqNum: BigInt(untilSeqNum ?? 0),
    limitRecords: BigInt(limit === Infinity ? 0 : limit),
    limitBytes: BigInt(form === 'page' ? PAGE_BYTES : 0),
  });
  const items = new ReadItems({
    encoding: parameters.encoding,
    fromSeqNum: from?.case === 'seqNum' ? Number(from.value) : 0,
    after: from?.case === 'after' ? placeOf(from.value) : null,
    untilSeqNum: untilSeqNum ?? Infinity,
    limit,
    progress: parameters.flag('progress', form === 'events'),
    now: () => performance.now(),
  });
  if (form === 'page') {
    const page = await exchange.within((signal) =>
      collected(items, exchange.peer, signal, (into) => {
        options.openRead(request, into);
      }),
    );
    exchange.json(200, page);
    return;
  }
  if (open.streams >= options.streamsMax) {
    throw new MeridianError('OVERLOADED', `${options.streamsMax} reads over HTTP are open`, {
      details: { retryAfterMs: 1000, limit: options.streamsMax },
    });
  }
  open.streams += 1;
  exchange.response.once('close', () => {
    open.streams -= 1;
  });
  const format = form === 'events' ? eventsFormat(items) : linesFormat(items);
  const answer = new ResponseStream(exchange, format, pace, (error) => {
    options.onError(error, READ);
  });
  options.openRead(request, answer);
}

type From = Exclude<MessageInitShape<typeof ReadRequestSchema>['from'], undefined>;

/** null: from the beginning. */
async function startOf(
  exchange: Exchange,
  parameters: Parameters,
  stream: string,
  { tail, readPoint }: ReadRouteOptions,
): Promise<From | null> {
  const given = STARTS.filter((name) => parameters.text(name) !== undefined);
  if (given.length > 1) {
    throw invalid(`where to start? ${given.join(' and ')} say different things`);
  }
  // A browser that lost its stream of events goes on where it was.
  const resumed = exchange.header('last-event-id');
  const place = resumed === undefined ? parameters.position('after') : placeFrom('id', resumed);
  if (place !== undefined) return after(place);
  const seqNum = parameters.number('fromSeqNum');
  if (seqNum !== undefined) return { case: 'seqNum', value: BigInt(seqNum) };
  const timestamp = parameters.number('fromTimestamp');
  if (timestamp !== undefined) return { case: 'timestamp', value: BigInt(timestamp) };
  const last = parameters.number('last');
  if (last === undefined) return null;
  if (stream === '') {
    if (last > 0) throw invalid(`last=${last} needs a stream; last=0 is from now on`);
    const point = await exchange.within(readPoint);
    return after({ timestamp: point, recordOffset: OFFSET_END });
  }
  const next = await exchange.within((signal) => tail(stream, signal));
  return { case: 'seqNum', value: BigInt(Math.max(0, next - last)) };
}

function after({ timestamp, recordOffset }: Place): From {
  return { case: 'after', value: { timestamp: BigInt(timestamp), recordOffset } };
}

function placeOf(value: MessageInitShape<typeof PositionSchema>): Place {
  return { timestamp: Number(value.timestamp ?? 0n), recordOffset: value.recordOffset ?? 0 };
}

function formOf(exchange: Exchange, follow: boolean): Form {
  const accept = exchange.header('accept') ?? '';
  if (accept.includes('text/event-stream')) return 'events';
  return follow || accept.includes('application/x-ndjson') ? 'lines' : 'page';
}

function linesFormat(items: ReadItems): StreamFormat<ReadResponse> {
  return {
    contentType: 'application/x-ndjson',
    encode: (message) => textOf(items, message, ({ json }) => `${JSON.stringify(json)}\n`),
    encodeError: (error) => `${JSON.stringify({ type: 'error', error })}\n`,
    signOfLife: '\n',
  };
}

function eventsFormat(items: ReadItems): StreamFormat<ReadResponse> {
  const event = ({ type, place, json }: Item): string =>
    `event: ${type}\nid: ${place.timestamp}/${place.recordOffset}\ndata: ${JSON.stringify(json)}\n\n`;
  return {
    contentType: 'text/event-stream',
    encode: (message) => textOf(items, message, event),
    encodeError: (error) => `event: failed\ndata: ${JSON.stringify({ type: 'error', error })}\n\n`,
    signOfLife: ':\n\n',
  };
}

/** null: nothing more is wanted. */
function textOf(
  items: ReadItems,
  message: ReadResponse,
  encode: (item: Item) => string,
): string | null {
  if (items.isComplete()) return null;
  return items.from(message).map(encode).join('');
}
