/**
 * `POST /v1/streams/STREAM/records`: one batch a request. It goes the way of every append, through an
 * append session of its own that lives in this process, so bounds, checks, conditions and answers are
 * those of gRPC, and nothing is decided here. A request is not retried elsewhere: who must not append
 * twice gives `writer` and `seq`, and repeats the same request at any replica.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { isReason, MeridianError } from '../../../libs/errors/errors.ts';
import { encodeBatch } from '../../../libs/frames/batch.ts';
import type { BatchLimits, BatchWriter, RecordInput } from '../../../libs/frames/batch.ts';
import { recordFromJson, recordFromValue } from '../../../libs/frames/record-json.ts';
import { decodeText } from '../../../libs/frames/text-encoding.ts';
import type { Encoding } from '../../../libs/frames/text-encoding.ts';
import { Ack, AppendRequestSchema } from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  AppendRequest,
  AppendResponse,
  AppendRun,
} from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { HttpProblem } from '../../../libs/http/http.ts';
import type { Exchange, Route } from '../../../libs/http/http.ts';
import type { BidiStream } from '../../../libs/rpc/rpc.ts';
import type { NamedTarget } from '../target.ts';
import { invalid, Parameters, timeOrNull } from './parameters.ts';

export interface AppendRouteOptions {
  readonly target: NamedTarget;
  readonly region: string;
  readonly limits: BatchLimits;
  readonly openSession: (stream: BidiStream<AppendRequest, AppendResponse>) => void;
}

const APPEND = '/meridian.journal.v1.JournalService/Append';
const KNOWN = [
  'ack',
  'encoding',
  'key',
  'matchSeqNum',
  'fencingToken',
  'mustExist',
  'minTimestamp',
  'writer',
  'writerEpoch',
  'seq',
  'previous',
];
const U32_MAX = 0xffff_ffff;

export function appendRoute(options: AppendRouteOptions): Route {
  const { limits, region } = options;
  const handle = async (exchange: Exchange): Promise<void> => {
    const caller = exchange.admit(APPEND);
    const stream = exchange.params['stream'] ?? '';
    caller.checkAppend(stream);
    const parameters = new Parameters(exchange.query, KNOWN);
    const records = recordsFrom(exchange.contentType, await exchange.body(), parameters);
    const frame = encodeBatch(
      {
        stream,
        records,
        writer: writerFrom(parameters),
        matchSeqNum: parameters.number('matchSeqNum'),
        fencingToken: parameters.number('fencingToken'),
        mustExist: parameters.flag('mustExist'),
      },
      limits,
    );
    const ack = parameters.oneOf('ack', ['ordered', 'quorum']) ?? 'ordered';
    const wish = parameters.number('minTimestamp') ?? 0;
    const run = await exchange.within(async (signal) => {
      // Over its rate: there is no window to hold it back, so the append itself waits.
      const waitMs = caller.charge(frame.length);
      if (waitMs > 0) await pause(waitMs);
      if (signal.aborted) throw new MeridianError('UNAVAILABLE', 'the client has gone');
      return append(options, frame, ack, wish, exchange.peer, signal);
    });
    // As the client library has it: a QUORUM answer knows no number.
    const isPlaced = ack === 'ordered' || run.firstSeqNum > 0n;
    const timestamp = Number(run.timestamp);
    exchange.json(200, {
      stream,
      firstSeqNum: isPlaced ? Number(run.firstSeqNum) : null,
      recordCount: records.length,
      timestamp,
      time: timeOrNull(timestamp),
      duplicate: run.duplicate,
      region,
      forwardedVia: run.forwardedVia === '' ? null : run.forwardedVia,
    });
  };
  return { method: 'POST', pattern: '/v1/streams/:stream/records', handle };
}

/** One append on a session of its own, without a connection in between. */
function append(
  { openSession, target }: AppendRouteOptions,
  frames: Uint8Array,
  ack: 'ordered' | 'quorum',
  minTimestamp: number,
  peer: string,
  signal: AbortSignal,
): Promise<AppendRun> {
  return new Promise((resolve, reject) => {
    let onMessage: (message: AppendRequest) => void = () => undefined;
    let onHalfClose: () => void = () => undefined;
    const stream = {
      peer,
      // Asked before: see exchange.admit.
      caller: null,
      closed: false,
      queued: 0,
      write: ({ message }: AppendResponse): boolean => {
        const run = message.case === 'outcomes' ? message.value.runs[0] : undefined;
        if (run?.failure !== undefined) reject(errorFrom(run));
        else if (run !== undefined) resolve(run);
        return true;
      },
      onMessage: (callback: typeof onMessage) => (onMessage = callback),
      onHalfClose: (callback: () => void) => (onHalfClose = callback),
      onDrain: () => undefined,
      onClose: (callback: () => void) => {
        signal.addEventListener('abort', () => {
          stream.closed = true;
          callback();
        });
      },
      pause: () => undefined,
      resume: () => undefined,
      end: () => undefined,
      fail: reject,
    };
    openSession(stream);
    const kind = ack === 'quorum' ? Ack.QUORUM : Ack.ORDERED;
    const { cluster, instance } = target;
    const hello = { target: { cluster, instance }, ack: kind };
    const batches = { frames, minTimestamp: BigInt(minTimestamp) };
    onMessage(create(AppendRequestSchema, { message: { case: 'hello', value: hello } }));
    onMessage(create(AppendRequestSchema, { message: { case: 'batches', value: batches } }));
    onHalfClose();
  });
}

function errorFrom({ failure }: AppendRun): MeridianError {
  const { reason = '', message = 'no answer', details = {} } = failure ?? {};
  return new MeridianError(isReason(reason) ? reason : 'INDEFINITE', message, { details });
}

/** JSON: a record or a list of them; lines of JSON; anything else is one record as it is. */
function recordsFrom(type: string, body: Buffer, parameters: Parameters): RecordInput[] {
  const { encoding } = parameters;
  switch (type) {
    case 'application/json':
      return fromJson(body.toString('utf8'), encoding);
    case 'application/x-ndjson':
      return fromLines(body.toString('utf8'), encoding);
    case 'application/x-www-form-urlencoded':
    case 'multipart/form-data':
    case '': {
      const message =
        "say what the body is: 'content-type: text/plain' (one record, as it is), application/octet-stream, application/json or application/x-ndjson";
      throw new HttpProblem(415, 'invalid_argument', message);
    }
    default: {
      const key = parameters.text('key');
      const keyBytes = key === undefined ? undefined : decodeText(key, encoding);
      if (keyBytes === null) throw invalid(`key is not ${encoding}`);
      return [keyBytes === undefined ? { body } : { body, key: keyBytes }];
    }
  }
}

function fromJson(text: string, encoding: Encoding): RecordInput[] {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw invalid(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const values: unknown[] = Array.isArray(parsed) ? parsed : [parsed];
  return values.map((value, i) => checked(recordFromValue(value, encoding), `record ${i}`));
}

function fromLines(text: string, encoding: Encoding): RecordInput[] {
  return text.split('\n').flatMap((line, i) => {
    if (line.trim() === '') return [];
    return [checked(recordFromJson(line, encoding), `line ${i + 1}`)];
  });
}

function checked(record: RecordInput | string, where: string): RecordInput {
  if (typeof record === 'string') throw invalid(`${where}: ${record}`);
  return record;
}

function writerFrom(parameters: Parameters): BatchWriter | undefined {
  const id = parameters.text('writer');
  const seq = parameters.number('seq');
  if ((id === undefined) !== (seq === undefined)) {
    throw invalid('writer and seq: expected both, or none');
  }
  if (id === undefined || seq === undefined) return undefined;
  const epoch = parameters.number('writerEpoch', U32_MAX) ?? 1;
  return { id, epoch, seq, previous: parameters.number('previous') ?? Math.max(0, seq - 1) };
}
