/**
 * The public calls about streams: create, configure, delete, describe, list, fence, trim, lease, resolve.
 * Translates messages; what an action does stands in libs/order, how it gets into the order in
 * actions.ts. Answers of calls that only look are linearizable, but for `localTail`, which says so.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { ControlConfig } from '../../libs/frames/control.ts';
import {
  Fencing,
  ResolveAppendResponse_State as State,
  StreamService,
} from '../../libs/gen/meridian/journal/v1/streams_pb.ts';
import type {
  LeaseSchema,
  ResolveAppendResponseSchema,
  StreamConfig,
  StreamDescriptionSchema,
} from '../../libs/gen/meridian/journal/v1/streams_pb.ts';
import type { LeaseState, OrderMachine, Resolution, StreamState } from '../../libs/order/types.ts';
import { bind } from '../../libs/rpc/rpc.ts';
import type { Handlers, ServiceBinding } from '../../libs/rpc/rpc.ts';
import { unreachable } from '../../libs/values/assert.ts';
import type { Actions } from './actions.ts';
import type { Clocks } from './clocks.ts';
import type { Linearizer } from './linearizer.ts';
import { failureOf } from './outcomes.ts';
import type { Target } from './target.ts';
import type { Watermark } from './watermark.ts';

const PAGE_STREAMS_MAX = 1000;

export interface StreamServiceOptions {
  readonly target: Target;
  readonly order: OrderMachine;
  readonly watermark: Watermark;
  readonly linearizer: Linearizer;
  readonly actions: Actions;
  readonly clocks: Clocks;
  /** Standstill of the watermark after which the view counts as stalled. */
  readonly stalledMicros: number;
}

export function streamService(options: StreamServiceOptions): ServiceBinding {
  const { target, order, watermark, linearizer, actions, clocks, stalledMicros } = options;
  const handlers: Handlers<typeof StreamService> = {
    createStream: async (request, { signal }) => {
      target.check(request.target);
      const action = { kind: 'create', config: configFrom(request.config) } as const;
      const { created, config } = await actions.perform(request, action, signal);
      return { created, config: configMessage(config) };
    },
    configureStream: async (request, { signal }) => {
      target.check(request.target);
      const action = { kind: 'configure', config: configFrom(request.config) } as const;
      const { config } = await actions.perform(request, action, signal);
      return { config: configMessage(config) };
    },
    deleteStream: async (request, { signal }) => {
      target.check(request.target);
      const { deleted } = await actions.perform(request, { kind: 'delete' }, signal);
      return { deleted };
    },
    describeStream: async (request, { signal }) => {
      target.check(request.target);
      const readPoint = await linearizer.readPoint(true, signal);
      const stream = order.stream(request.stream);
      if (stream === null) throw noStream(request.stream);
      const description = descriptionOf(stream, watermark.value);
      return { stream: description, readPoint: BigInt(readPoint) };
    },
    listStreams: async (request, { signal }) => {
      target.check(request.target);
      await linearizer.readPoint(true, signal);
      const { prefix, after, limit } = request;
      const most = limit === 0 ? PAGE_STREAMS_MAX : Math.min(limit, PAGE_STREAMS_MAX);
      const query = { prefix, after: after === '' ? null : after, limit: most };
      const { streams, more } = order.streams(query);
      return { streams: streams.map((stream) => descriptionOf(stream, watermark.value)), more };
    },
    localTail: (request) => {
      target.check(request.target);
      const stream = order.stream(request.stream);
      if (stream === null) return Promise.reject(noStream(request.stream));
      return Promise.resolve({
        nextSeqNum: BigInt(stream.nextSeqNum),
        firstSeqNum: BigInt(stream.firstSeqNum),
        timestamp: BigInt(stream.lastTimestamp),
        watermark: BigInt(watermark.value),
        stalled: clocks.monotonic() - watermark.movedAt > stalledMicros,
      });
    },
    resolveAppend: async (request, { signal }) => {
      target.check(request.target);
      const { writerId, epoch } = request;
      const seq = numberFrom('seq', request.seq);
      if (seq === 0) throw new MeridianError('INVALID', 'seq 0 is before the first append');
      await linearizer.readPoint(true, signal);
      return resolutionOf(order.resolve({ id: writerId, epoch, seq }));
    },
    fence: async (request, { signal }) => {
      target.check(request.target);
      const { token, expected } = request;
      const action = {
        kind: 'fence',
        token: token === undefined ? null : numberFrom('token', token),
        expected: expected === undefined ? null : numberFrom('expected', expected),
      } as const;
      return { token: BigInt((await actions.perform(request, action, signal)).token) };
    },
    trim: async (request, { signal }) => {
      target.check(request.target);
      const { fencingToken } = request;
      const action = { kind: 'trim', before: numberFrom('before', request.before) } as const;
      const { firstSeqNum } = await actions.perform(
        {
          ...request,
          fencingToken:
            fencingToken === undefined ? undefined : numberFrom('fencing_token', fencingToken),
        },
        action,
        signal,
      );
      return { firstSeqNum: BigInt(firstSeqNum) };
    },
    acquireLease: async (request, { signal }) => {
      target.check(request.target);
      const { holder, ttlMs } = request;
      const action = { kind: 'acquire', holder, ttlMicros: ttlMs * 1000 } as const;
      return { lease: leaseMessage((await actions.perform(request, action, signal)).lease) };
    },
    renewLease: async (request, { signal }) => {
      target.check(request.target);
      const { stream, holder, ttlMs } = request;
      const token = numberFrom('token', request.token);
      const action = { kind: 'renew', holder, token, ttlMicros: ttlMs * 1000 } as const;
      const { lease } = await actions.perform({ stream, requestId: '' }, action, signal);
      return { lease: leaseMessage(lease) };
    },
    releaseLease: async (request, { signal }) => {
      target.check(request.target);
      const { holder } = request;
      const action = {
        kind: 'release',
        holder,
        token: numberFrom('token', request.token),
      } as const;
      const { released } = await actions.perform(request, action, signal);
      return { released };
    },
  };
  return bind(StreamService, handlers);
}

function configFrom(config: StreamConfig | undefined): ControlConfig {
  switch (config?.fencing) {
    case undefined:
    case Fencing.UNSPECIFIED:
      return { fencing: null };
    case Fencing.NONE:
      return { fencing: 'none' };
    case Fencing.REQUIRED:
      return { fencing: 'required' };
    default:
      throw new MeridianError('INVALID', `unknown kind of fencing ${String(config?.fencing)}`);
  }
}

function configMessage({ fencing }: StreamState['config']): { fencing: Fencing } {
  return { fencing: fencing === 'required' ? Fencing.REQUIRED : Fencing.NONE };
}

function descriptionOf(
  stream: StreamState,
  now: number,
): MessageInitShape<typeof StreamDescriptionSchema> {
  const { lease } = stream;
  return {
    stream: stream.name,
    nextSeqNum: BigInt(stream.nextSeqNum),
    firstSeqNum: BigInt(stream.firstSeqNum),
    timestamp: BigInt(stream.lastTimestamp),
    createdAt: BigInt(stream.createdAt),
    fencingToken: BigInt(stream.fencingToken),
    config: configMessage(stream.config),
    ...(lease === null || lease.expiresAt <= now ? {} : { lease: leaseMessage(lease) }),
  };
}

function leaseMessage({
  holder,
  token,
  expiresAt,
}: LeaseState): MessageInitShape<typeof LeaseSchema> {
  return { holder, token: BigInt(token), expiresAt: BigInt(expiresAt) };
}

function resolutionOf(
  resolution: Resolution,
): MessageInitShape<typeof ResolveAppendResponseSchema> {
  switch (resolution.state) {
    case 'appended': {
      const { timestamp, firstSeqNum } = resolution;
      return {
        state: State.APPENDED,
        timestamp: BigInt(timestamp),
        firstSeqNum: BigInt(firstSeqNum),
      };
    }
    case 'failed':
      return { state: State.FAILED, failure: failureOf(resolution.failure) };
    case 'never':
      return { state: State.NEVER };
    case 'pending':
      return { state: State.PENDING };
    case 'forgotten':
      return { state: State.FORGOTTEN, forgottenBefore: BigInt(resolution.before) };
    default:
      return unreachable(resolution);
  }
}

function numberFrom(name: string, value: bigint): number {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
  throw new MeridianError('INVALID', `${name} ${value} is not below 2^53`);
}

function noStream(stream: string): MeridianError {
  return new MeridianError('STREAM_NOT_FOUND', `there is no stream ${JSON.stringify(stream)}`, {
    details: { stream },
  });
}
