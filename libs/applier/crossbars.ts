/**
 * The crossbars of a database, as one: whichever answers serves, nearest first, and each understands the
 * cursors of the others. This is the only place that knows how to fail over between them.
 */
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { setTimeout as pause } from 'node:timers/promises';
import { MeridianError } from '../errors/errors.ts';
import { CrossbarService } from '../gen/meridian/crossbar/v1/crossbar_pb.ts';
import type { StatusResponse } from '../gen/meridian/crossbar/v1/crossbar_pb.ts';
import { Endpoint, Rounds, connect } from '../rpc/rpc.ts';
import { openClientSecurity } from '../security/client-security.ts';
import type { ClientSecurity } from '../security/client-security.ts';
import { ResumingSubscription } from './resuming-subscription.ts';
import type { Source, SourceHandler, SourceSubscription, Wish } from './source.ts';

export interface CrossbarsOptions {
  /** Name of the cluster; crossbars of another one refuse every call. */
  readonly cluster: string;
  /** host:port of each, nearest first. */
  readonly crossbars: readonly string[];
  /** How long a call is tried before it fails, ms. Default 30,000. */
  readonly deadlineMs?: number;
  /** How long a crossbar may leave the watermark where it is before another is tried, ms. Default 5,000. */
  readonly silenceMs?: number;
  /** How often one that had to move looks whether the nearest works again, ms. Default 5,000. */
  readonly returnMs?: number;
  /** Bytes in flight towards this process, per connection. */
  readonly windowBytes?: number;
  /** Default: calls go in the clear, which crossbars take on loopback only. */
  readonly security?: ClientSecurity | undefined;
}

export interface CrossbarReadPoint {
  /** No append completed before the call, in any instance, lies above this. */
  readonly readPoint: number;
  readonly watermark: number;
  /** The place right behind the read point: a subscription from here gives what comes later only. */
  readonly cursor: Uint8Array;
}

const DEADLINE_MS = 30_000;
const SILENCE_MS = 5_000;
const RETURN_MS = 5_000;
/** For one attempt of a call that should be answered at once. */
const ATTEMPT_MS = 3_000;

export class Crossbars implements Source {
  readonly #cluster: string;
  readonly #options: CrossbarsOptions;
  readonly #endpoints: readonly Endpoint[];
  readonly #subscriptions = new Set<ResumingSubscription>();
  #closed = false;

  /**
   * Connects when first needed; never fails because a crossbar is away. `dial`: how connections are made; a
   * simulation has its own.
   */
  constructor(options: CrossbarsOptions, dial: typeof connect = connect) {
    this.#cluster = options.cluster;
    this.#options = options;
    const { crossbars, windowBytes } = options;
    if (crossbars.length === 0) throw new MeridianError('INVALID', 'no addresses given');
    const limits = windowBytes === undefined ? {} : { windowBytes };
    const { cluster, security } = options;
    const secure = openClientSecurity(security)?.({ cluster, role: 'crossbar' }) ?? null;
    this.#endpoints = crossbars.map((address) => new Endpoint(dial(address, limits, secure)));
  }

  /**
   * Ends only with what no crossbar can help with: INVALID, WRONG_TARGET, OUT_OF_RANGE, TOO_LARGE; or
   * CORRUPT when a crossbar breaks the order it promises.
   */
  subscribe(wish: Wish, handler: SourceHandler): SourceSubscription {
    this.#checkOpen();
    const { silenceMs = SILENCE_MS, returnMs = RETURN_MS } = this.#options;
    const cluster = this.#cluster;
    const settings = { cluster, endpoints: this.#endpoints, silenceMs, returnMs };
    const subscription: ResumingSubscription = new ResumingSubscription(settings, wish, {
      handler,
      onOver: () => {
        this.#subscriptions.delete(subscription);
      },
    });
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async readPoint(deadlineMs: number): Promise<number> {
    const { readPoint } = await this.heartbeat({ deadlineMs });
    return readPoint;
  }

  /** A linearizable read point over all instances. `wait`: until a crossbar's watermark has reached it. */
  async heartbeat(
    options: { readonly deadlineMs?: number; readonly wait?: boolean } = {},
  ): Promise<CrossbarReadPoint> {
    const request = { cluster: this.#cluster, waitForWatermark: options.wait === true };
    const answer = await this.#call(CrossbarService.method.heartbeat, request, {
      deadlineMs: options.deadlineMs,
      attemptMs: options.wait === true ? Infinity : ATTEMPT_MS,
    });
    const { readPoint, watermark, cursor } = answer;
    return { readPoint: Number(readPoint), watermark: Number(watermark), cursor };
  }

  /** Resolves with the watermark once everything up to the cursor or timestamp is final at a crossbar. */
  async waitFor(
    place: Uint8Array | number,
    options: { readonly deadlineMs?: number } = {},
  ): Promise<number> {
    const where =
      typeof place === 'number'
        ? { case: 'timestamp' as const, value: BigInt(place) }
        : { case: 'cursor' as const, value: place };
    const { watermark } = await this.#call(
      CrossbarService.method.waitFor,
      { cluster: this.#cluster, place: where },
      { deadlineMs: options.deadlineMs, attemptMs: Infinity },
    );
    return Number(watermark);
  }

  /** What is merged and who holds it up, as one of them sees it. */
  status(): Promise<StatusResponse> {
    const request = { cluster: this.#cluster };
    const limits = { deadlineMs: undefined, attemptMs: ATTEMPT_MS };
    return this.#call(CrossbarService.method.status, request, limits);
  }

  /** Ends subscriptions and disconnects. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const error = new MeridianError('UNAVAILABLE', 'the client of the crossbars was closed');
    for (const subscription of [...this.#subscriptions]) subscription.fail(error);
    for (const { channel } of this.#endpoints) channel.close();
  }

  /** Every call may be repeated, so a failure elsewhere is only a delay. */
  async #call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    limits: { readonly deadlineMs: number | undefined; readonly attemptMs: number },
  ): Promise<MessageShape<O>> {
    this.#checkOpen();
    const limitMs = limits.deadlineMs ?? this.#options.deadlineMs ?? DEADLINE_MS;
    const endsAt = performance.now() + limitMs;
    const rounds = new Rounds(this.#endpoints);
    let last: MeridianError | null = null;
    for (;;) {
      const left = endsAt - performance.now();
      if (left <= 0 || this.#closed) {
        const why = last === null ? 'no answer' : last.message;
        const message = `${method.name}: no crossbar answered within ${Math.round(limitMs)} ms; last: ${why}`;
        throw new MeridianError('DEADLINE', message, { cause: last });
      }
      const endpoint = rounds.next();
      if (endpoint === null) {
        await pause(Math.min(rounds.pauseMs(), left));
        continue;
      }
      try {
        const deadlineMs = Math.min(left, limits.attemptMs);
        const answer = await endpoint.channel.unary(method, request, { deadlineMs });
        endpoint.worked();
        return answer;
      } catch (error) {
        if (!(error instanceof MeridianError) || !error.retry) throw error;
        last = error;
        endpoint.failed();
      }
    }
  }

  #checkOpen(): void {
    if (this.#closed) throw new MeridianError('UNAVAILABLE', 'the client was closed');
  }
}

export function connectCrossbars(options: CrossbarsOptions): Crossbars {
  return new Crossbars(options);
}
