/**
 * What users of the library do with streams beyond appending and reading: create, configure, delete,
 * describe, list, fence, trim, lease, and ask what became of an append. Every action carries a request
 * id, so that trying it again elsewhere takes effect once and gives the first answer.
 */
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import { MeridianError } from '../errors/errors.ts';
import {
  Fencing,
  ResolveAppendResponse_State as State,
  StreamService,
} from '../gen/meridian/journal/v1/streams_pb.ts';
import type {
  Lease as LeaseMessage,
  StreamConfig as ConfigMessage,
  StreamDescription as DescriptionMessage,
} from '../gen/meridian/journal/v1/streams_pb.ts';
import { errorOf } from './pipe.ts';

export interface StreamConfig {
  /**
   * `required`: an append or a trim without the stream's current fencing token is refused as FENCED.
   * `none`: a token is compared when it is given. Default `none`.
   */
  readonly fencing: 'none' | 'required';
}

export interface LeaseGrant {
  /** The name that the holder gave itself. */
  readonly holder: string;
  /** The stream's fencing token since this grant: append with it. */
  readonly token: number;
  /** Journal time, microseconds since 1970, from which on somebody else can have the lease. */
  readonly expiresAt: number;
}

export interface StreamDescription {
  readonly name: string;
  /** The number the next record will get. */
  readonly nextSeqNum: number;
  /** Number of the first record that is not trimmed; `nextSeqNum` when there is none. */
  readonly firstSeqNum: number;
  /** Of the last record, microseconds; 0 when there is none. */
  readonly timestamp: number;
  /** Of its creation, microseconds. */
  readonly createdAt: number;
  /** 0: none was ever set. */
  readonly fencingToken: number;
  readonly config: StreamConfig;
  /** null: nobody holds it. */
  readonly lease: LeaseGrant | null;
}

export interface ListStreamsOptions {
  /** Only names that begin with this. Default: all. */
  readonly prefix?: string;
  /** Only names behind this one, in ascending order: the last one of the page before. */
  readonly after?: string;
  /** Most streams of a page, up to 1,000. Default 1,000. */
  readonly limit?: number;
}

export interface StreamPage {
  /** By name, ascending. */
  readonly streams: readonly StreamDescription[];
  /** true: others follow; ask again with `after`. */
  readonly more: boolean;
}

export interface FenceOptions {
  /** The token to set; the current one or above. Default: one above the current one. */
  readonly token?: number;
  /** Only if this is the current token, else fails as CONDITION_FAILED. */
  readonly expected?: number;
}

export interface TrimOptions {
  /** Gives up the records below this number; at most `nextSeqNum`. */
  readonly before: number;
  /** Only if this is the stream's current token, else FENCED. Needed where fencing is required. */
  readonly fencingToken?: number;
}

export interface AcquireLeaseOptions {
  /** Who asks, 1 to 255 bytes: the same name again gets a new token, as after a restart. */
  readonly holder: string;
  /** How long it lasts without renewal, 1 ms to 1 day. */
  readonly ttlMs: number;
}

export interface LeaseHolder {
  readonly holder: string;
  readonly token: number;
}

export interface AppendIdentity {
  readonly writerId: string;
  readonly epoch: number;
  readonly seq: number;
}

/** What became of an append. */
export type AppendResolution =
  | { readonly state: 'appended'; readonly timestamp: number; readonly firstSeqNum: number }
  /** It was decided and left no record; this is what it was told or would have been told. */
  | { readonly state: 'failed'; readonly error: MeridianError }
  /** It has not taken effect and certainly never will. */
  | { readonly state: 'never' }
  /** It has not taken effect so far; it may still arrive. A writer of a higher epoch ends that. */
  | { readonly state: 'pending' }
  /** Not known any more: if it was decided, then at or before this timestamp (microseconds). */
  | { readonly state: 'forgotten'; readonly forgottenBefore: number };

/** A tail as one replica sees it, which may be behind: not to be mistaken for `Tail`. */
export interface LocalTail {
  readonly localNextSeqNum: number;
  readonly localFirstSeqNum: number;
  /** Timestamp of the last record seen, microseconds; 0 when there is none. */
  readonly localTimestamp: number;
  /** Everything up to here is in this view. */
  readonly watermark: number;
  /** true: the view has not moved for a while; the journal may be far ahead of it. */
  readonly stalled: boolean;
}

export interface StreamCallsOptions {
  readonly target: { readonly cluster: string; readonly instance: string };
  /** Asks one replica after the other; with `region`, that one only. */
  readonly call: <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    limits?: { readonly region?: string | undefined; readonly deadlineMs?: number | undefined },
  ) => Promise<MessageShape<O>>;
}

export class StreamCalls {
  readonly #options: StreamCallsOptions;

  constructor(options: StreamCallsOptions) {
    this.#options = options;
  }

  async create(stream: string, config: Partial<StreamConfig>): Promise<boolean> {
    const { target, call } = this.#options;
    const request = { target, stream, config: configMessage(config), requestId: randomUUID() };
    return (await call(StreamService.method.createStream, request)).created;
  }

  async configure(stream: string, config: Partial<StreamConfig>): Promise<StreamConfig> {
    const { target, call } = this.#options;
    const request = { target, stream, config: configMessage(config), requestId: randomUUID() };
    return configOf((await call(StreamService.method.configureStream, request)).config);
  }

  async delete(stream: string): Promise<boolean> {
    const { target, call } = this.#options;
    const request = { target, stream, requestId: randomUUID() };
    return (await call(StreamService.method.deleteStream, request)).deleted;
  }

  async describe(stream: string): Promise<StreamDescription> {
    const { target, call } = this.#options;
    const answer = await call(StreamService.method.describeStream, { target, stream });
    if (answer.stream === undefined) throw incomplete('describeStream');
    return descriptionOf(answer.stream);
  }

  async list({ prefix = '', after = '', limit = 0 }: ListStreamsOptions): Promise<StreamPage> {
    const { target, call } = this.#options;
    const request = { target, prefix, after, limit: whole('limit', limit) };
    const { streams, more } = await call(StreamService.method.listStreams, request);
    return { streams: streams.map(descriptionOf), more };
  }

  async fence(stream: string, { token, expected }: FenceOptions): Promise<{ token: number }> {
    const { target, call } = this.#options;
    const request = {
      target,
      stream,
      ...(token === undefined ? {} : { token: big('token', token) }),
      ...(expected === undefined ? {} : { expected: big('expected', expected) }),
      requestId: randomUUID(),
    };
    return { token: Number((await call(StreamService.method.fence, request)).token) };
  }

  async trim(
    stream: string,
    { before, fencingToken }: TrimOptions,
  ): Promise<{ firstSeqNum: number }> {
    const { target, call } = this.#options;
    const request = {
      target,
      stream,
      before: big('before', before),
      ...(fencingToken === undefined ? {} : { fencingToken: big('fencingToken', fencingToken) }),
      requestId: randomUUID(),
    };
    const { firstSeqNum } = await call(StreamService.method.trim, request);
    return { firstSeqNum: Number(firstSeqNum) };
  }

  async acquire(stream: string, { holder, ttlMs }: AcquireLeaseOptions): Promise<LeaseGrant> {
    const { target, call } = this.#options;
    const request = {
      target,
      stream,
      holder,
      ttlMs: whole('ttlMs', ttlMs),
      requestId: randomUUID(),
    };
    return leaseOf((await call(StreamService.method.acquireLease, request)).lease, 'acquireLease');
  }

  async renew(
    stream: string,
    lease: LeaseHolder,
    ttlMs: number,
    deadlineMs?: number,
  ): Promise<LeaseGrant> {
    const { target, call } = this.#options;
    const { holder } = lease;
    const token = big('token', lease.token);
    const request = { target, stream, holder, token, ttlMs: whole('ttlMs', ttlMs) };
    const answer = await call(StreamService.method.renewLease, request, { deadlineMs });
    return leaseOf(answer.lease, 'renewLease');
  }

  async release(stream: string, lease: LeaseHolder): Promise<boolean> {
    const { target, call } = this.#options;
    const { holder } = lease;
    const request = {
      target,
      stream,
      holder,
      token: big('token', lease.token),
      requestId: randomUUID(),
    };
    return (await call(StreamService.method.releaseLease, request)).released;
  }

  async resolveAppend({ writerId, epoch, seq }: AppendIdentity): Promise<AppendResolution> {
    const { target, call } = this.#options;
    const request = { target, writerId, epoch: whole('epoch', epoch), seq: big('seq', seq) };
    const answer = await call(StreamService.method.resolveAppend, request);
    switch (answer.state) {
      case State.APPENDED: {
        const { timestamp, firstSeqNum } = answer;
        return {
          state: 'appended',
          timestamp: Number(timestamp),
          firstSeqNum: Number(firstSeqNum),
        };
      }
      case State.FAILED: {
        if (answer.failure === undefined) throw incomplete('resolveAppend');
        return { state: 'failed', error: errorOf(answer.failure) };
      }
      case State.NEVER:
        return { state: 'never' };
      case State.PENDING:
        return { state: 'pending' };
      case State.FORGOTTEN:
        return { state: 'forgotten', forgottenBefore: Number(answer.forgottenBefore) };
      default:
        throw incomplete('resolveAppend');
    }
  }

  async localTail(stream: string, region?: string): Promise<LocalTail> {
    const { target, call } = this.#options;
    const tail = await call(StreamService.method.localTail, { target, stream }, { region });
    return {
      localNextSeqNum: Number(tail.nextSeqNum),
      localFirstSeqNum: Number(tail.firstSeqNum),
      localTimestamp: Number(tail.timestamp),
      watermark: Number(tail.watermark),
      stalled: tail.stalled,
    };
  }
}

function configMessage({ fencing }: Partial<StreamConfig>): { fencing: Fencing } {
  switch (fencing) {
    case undefined:
      return { fencing: Fencing.UNSPECIFIED };
    case 'none':
      return { fencing: Fencing.NONE };
    case 'required':
      return { fencing: Fencing.REQUIRED };
    default:
      throw new MeridianError('INVALID', `fencing is none or required, not ${String(fencing)}`);
  }
}

function configOf(config: ConfigMessage | undefined): StreamConfig {
  return { fencing: config?.fencing === Fencing.REQUIRED ? 'required' : 'none' };
}

function descriptionOf(message: DescriptionMessage): StreamDescription {
  const { lease } = message;
  return {
    name: message.stream,
    nextSeqNum: Number(message.nextSeqNum),
    firstSeqNum: Number(message.firstSeqNum),
    timestamp: Number(message.timestamp),
    createdAt: Number(message.createdAt),
    fencingToken: Number(message.fencingToken),
    config: configOf(message.config),
    lease: lease === undefined ? null : leaseOf(lease, 'describeStream'),
  };
}

function leaseOf(lease: LeaseMessage | undefined, method: string): LeaseGrant {
  if (lease === undefined) throw incomplete(method);
  const { holder, token, expiresAt } = lease;
  return { holder, token: Number(token), expiresAt: Number(expiresAt) };
}

function incomplete(method: string): MeridianError {
  const message = `${method} was answered in a way this version does not know; update the client`;
  return new MeridianError('INDEFINITE', message);
}

function whole(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff) return value;
  throw new MeridianError('INVALID', `${name} ${value} is not a whole number below 2^32`);
}

function big(name: string, value: number): bigint {
  if (Number.isSafeInteger(value) && value >= 0) return BigInt(value);
  throw new MeridianError('INVALID', `${name} ${value} is not a whole number below 2^53`);
}
