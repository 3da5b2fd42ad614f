/**
 * A subscription that survives its crossbar: when one fails, falls silent or does not get on, it goes on at
 * another from the last cursor. The cursor is the whole state, so nothing is lost, repeated or reordered;
 * that is checked (order-check.ts), because what comes after this may be a database.
 */
import { MeridianError } from '../errors/errors.ts';
import { CrossbarService, Gap_Kind } from '../gen/meridian/crossbar/v1/crossbar_pb.ts';
import type { SubscribeResponse } from '../gen/meridian/crossbar/v1/crossbar_pb.ts';
import { Rounds } from '../rpc/rpc.ts';
import type { Endpoint, ReadStream } from '../rpc/rpc.ts';
import { OrderCheck } from './order-check.ts';
import type { SourceHandler, SourceSubscription, Wish } from './source.ts';

export interface ResumingSettings {
  readonly cluster: string;
  /** Nearest first. */
  readonly endpoints: readonly Endpoint[];
  readonly silenceMs: number;
  readonly returnMs: number;
}

const NO_BYTES = new Uint8Array();
/** Standstill that no other crossbar ends is waited for longer each time, up to this factor. */
const PATIENCE_FACTOR_MAX = 8;
const PROBE_MS = 1_000;

export class ResumingSubscription implements SourceSubscription {
  readonly #settings: ResumingSettings;
  readonly #wish: Wish;
  readonly #handler: SourceHandler;
  readonly #onOver: () => void;
  readonly #rounds: Rounds<Endpoint>;
  readonly #check = new OrderCheck();
  readonly #timer: NodeJS.Timeout;
  #reopen: NodeJS.Timeout | null = null;
  #cursor: Uint8Array;
  #call: ReadStream | null = null;
  #endpoint: Endpoint | null = null;
  #paused = false;
  #over = false;
  /** When something new last came. */
  #movedAt = performance.now();
  #patienceFactor = 1;
  #probedAt = performance.now();

  /** Calls back only after the constructor has returned. */
  constructor(
    settings: ResumingSettings,
    wish: Wish,
    { handler, onOver }: { readonly handler: SourceHandler; readonly onOver: () => void },
  ) {
    this.#settings = settings;
    this.#wish = wish;
    this.#handler = handler;
    this.#onOver = onOver;
    this.#rounds = new Rounds(settings.endpoints);
    this.#cursor = wish.after ?? NO_BYTES;
    this.#timer = setInterval(() => {
      this.#tick();
    }, settings.silenceMs / 10);
    this.#open();
  }

  get source(): string {
    return this.#call === null ? '' : (this.#endpoint?.address ?? '');
  }

  pause(): void {
    this.#paused = true;
    this.#call?.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#movedAt = performance.now();
    this.#call?.resume();
  }

  cancel(): void {
    if (this.#over) return;
    this.#over = true;
    this.#call?.cancel();
    this.#call = null;
    clearInterval(this.#timer);
    if (this.#reopen !== null) clearTimeout(this.#reopen);
    this.#onOver();
  }

  fail(error: MeridianError): void {
    if (this.#over) return;
    this.cancel();
    this.#handler.onEnd(error);
  }

  #open(): void {
    if (this.#over) return;
    const endpoint = this.#rounds.next();
    if (endpoint === null) {
      this.#reopen = setTimeout(() => {
        this.#reopen = null;
        this.#open();
      }, this.#rounds.pauseMs());
      return;
    }
    const { streams, keys } = this.#wish;
    const request = {
      cluster: this.#settings.cluster,
      cursor: this.#cursor,
      streams: [...streams],
      keyRanges: keys.map(({ from, to }) => ({ from: from ?? NO_BYTES, to: to ?? NO_BYTES })),
    };
    this.#endpoint = endpoint;
    const call: ReadStream = endpoint.channel.serverStream(
      CrossbarService.method.subscribe,
      request,
      {
        onMessage: (response) => {
          if (this.#call === call) this.#take(endpoint, response);
        },
        onEnd: (error) => {
          if (this.#call === call) this.#ended(endpoint, error);
        },
      },
    );
    this.#call = call;
    if (this.#paused) call.pause();
  }

  #take(endpoint: Endpoint, { message }: SubscribeResponse): void {
    try {
      if (message.case === 'batches') {
        const { frames, cursor } = message.value;
        this.#check.batches(frames);
        this.#moved(endpoint, cursor);
        this.#handler.onBatches(frames, this.#cursor);
      } else if (message.case === 'progress') {
        const { cursor, stalledBy } = message.value;
        const watermark = Number(message.value.watermark);
        // One that lags behind the crossbar before says nothing new until it has caught up.
        if (watermark > this.#check.watermark) {
          this.#check.progress(watermark);
          this.#moved(endpoint, cursor);
        } else if (stalledBy.length === 0) return;
        this.#handler.onProgress(this.#check.watermark, this.#cursor, stalledBy);
      } else if (message.case === 'gap') {
        const { kind, instance, fromTimestamp, toTimestamp } = message.value;
        this.#handler.onGap({
          kind: kind === Gap_Kind.TRIMMED ? 'trimmed' : 'lost',
          instance,
          from: Number(fromTimestamp),
          to: Number(toTimestamp),
        });
      }
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      this.fail(error);
    }
  }

  /** The cursor is copied: kept as a view it would keep its whole message. */
  #moved(endpoint: Endpoint, cursor: Uint8Array): void {
    this.#cursor = Uint8Array.from(cursor);
    this.#movedAt = performance.now();
    this.#patienceFactor = 1;
    this.#rounds.worked(endpoint);
  }

  #ended(endpoint: Endpoint, error: MeridianError | null): void {
    this.#call = null;
    if (error !== null && !error.retry) {
      this.fail(error);
      return;
    }
    // Too slow a subscriber is no fault of the crossbar's.
    if (error?.reason === 'SLOW_READER') this.#rounds.excuse(endpoint);
    else endpoint.failed();
    this.#open();
  }

  #tick(): void {
    if (this.#paused || this.#call === null || this.#endpoint === null) return;
    const { silenceMs } = this.#settings;
    if (performance.now() - this.#movedAt > silenceMs * this.#patienceFactor) {
      this.#patienceFactor = Math.min(this.#patienceFactor * 2, PATIENCE_FACTOR_MAX);
      this.#movedAt = performance.now();
      this.#endpoint.failed();
      this.#reopenElsewhere();
    } else this.#maybeReturn();
  }

  /** Away from the nearest crossbar: asks it now and then. */
  #maybeReturn(): void {
    const { endpoints, cluster, returnMs } = this.#settings;
    const [nearest] = endpoints;
    const now = performance.now();
    if (nearest === undefined || nearest === this.#endpoint || now - this.#probedAt < returnMs) {
      return;
    }
    this.#probedAt = now;
    const call = this.#call;
    const { status } = CrossbarService.method;
    nearest.channel.unary(status, { cluster }, { deadlineMs: PROBE_MS }).then(
      ({ watermark }) => {
        // Behind us it would only make us wait.
        if (this.#over || this.#call !== call || Number(watermark) < this.#check.watermark) return;
        this.#rounds.worked(nearest);
        this.#reopenElsewhere();
      },
      () => undefined,
    );
  }

  #reopenElsewhere(): void {
    this.#call?.cancel();
    this.#call = null;
    this.#open();
  }
}
