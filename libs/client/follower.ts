/**
 * A read that survives its replica: when one fails, falls silent or says that its view does not move,
 * the read goes on at another, after the last position that was delivered or that progress covered;
 * nothing is lost, repeated or reordered. Hands over whole chunks as they came.
 *
 * While no replica can be read, a follower says so (progress with `stalled`) instead of being silent
 * on an old tail. A read that does not follow ends with an error after `deadlineMs` of that.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { MeridianError } from '../errors/errors.ts';
import { BATCH_BYTES_MIN, decodeBatchHeader, frameSize } from '../frames/batch.ts';
import { KeyFilter } from '../frames/key-filter.ts';
import { decodeDeliveries, DELIVERY_HEADER_BYTES } from '../frames/delivery.ts';
import { JournalService, ReadGap_Kind } from '../gen/meridian/journal/v1/journal_pb.ts';
import type {
  ReadGap as WireGap,
  ReadProgress as WireProgress,
  ReadRequestSchema,
  ReadResponse,
} from '../gen/meridian/journal/v1/journal_pb.ts';
import type { ReadStream } from '../rpc/rpc.ts';
import { callAnywhere } from './calls.ts';
import type { CallLimits } from './calls.ts';
import type { Region } from './regions.ts';
import { Route } from './route.ts';
import type { RouteSettings } from './route.ts';
import { OFFSET_END } from './types.ts';
import type { Follow, FollowHandler, Position, ReadFrom, ReadOptions } from './types.ts';

export interface FollowerSettings extends RouteSettings {
  readonly deadlineMs: number;
  readonly silenceMs: number;
  /** It has ended or was cancelled. */
  readonly onOver?: () => void;
}

type WireFrom = NonNullable<MessageInitShape<typeof ReadRequestSchema>['from']>;

const CHECK_MS = 100;
const NO_BYTES = new Uint8Array();

export class Follower implements Follow {
  readonly #settings: FollowerSettings;
  readonly #options: ReadOptions;
  readonly #handler: FollowHandler;
  readonly #route: Route;
  #start: WireFrom | null = null;
  #position: Position | null = null;
  #watermark = -1;
  #records = 0;
  #bytes = 0;
  readonly #filter: KeyFilter | null;
  #call: ReadStream | null = null;
  #region: Region | null = null;
  #paused = false;
  #ended = false;
  /** When a replica last showed that it moves. */
  #heardAt = performance.now();
  #saidStalled = false;
  #reopen: NodeJS.Timeout | null = null;
  readonly #timer: NodeJS.Timeout;

  /** Calls back only after the constructor has returned. */
  constructor(settings: FollowerSettings, options: ReadOptions, handler: FollowHandler) {
    this.#settings = settings;
    this.#route = new Route(settings);
    this.#options = options;
    this.#filter = filterOf(options);
    this.#handler = handler;
    this.#timer = setInterval(() => {
      this.#check();
    }, CHECK_MS);
    this.#beginning(options.from).then(
      (start) => {
        this.#start = start;
        this.#watermark = before(start);
        this.#open();
      },
      (error: unknown) => {
        this.#end(
          error instanceof MeridianError ? error : new MeridianError('INVALID', String(error)),
        );
      },
    );
  }

  get position(): Position | null {
    return this.#position;
  }

  get source(): string {
    return this.#call === null ? '' : (this.#region?.name ?? '');
  }

  pause(): void {
    this.#paused = true;
    this.#call?.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#heardAt = performance.now();
    this.#call?.resume();
  }

  cancel(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#call?.cancel();
    this.#call = null;
    clearInterval(this.#timer);
    if (this.#reopen !== null) clearTimeout(this.#reopen);
    this.#settings.onOver?.();
  }

  // ---- where to begin -------------------------------------------------------------------------

  /** The tail is asked for linearizably, so that "now" means now in every region. */
  async #beginning(from: ReadFrom): Promise<WireFrom> {
    const { stream } = this.#options;
    const { regions } = this.#settings;
    checkNumbers(this.#options);
    if (from === 'start') return { case: 'timestamp', value: 0n };
    if (from !== 'end' && 'timestamp' in from)
      return { case: 'timestamp', value: BigInt(from.timestamp) };
    if (from !== 'end' && 'after' in from) return after(from.after);
    if (from === 'end' && stream === undefined) {
      const request = { target: this.#target() };
      const { heartbeat } = JournalService.method;
      const answer = await callAnywhere(regions, heartbeat, request, this.#limits());
      return { case: 'timestamp', value: answer.readPoint + 1n };
    }
    if (stream === undefined) {
      throw new MeridianError('INVALID', 'a read from a number or the tail needs a stream');
    }
    if (from !== 'end' && 'seqNum' in from) return { case: 'seqNum', value: BigInt(from.seqNum) };
    const request = { target: this.#target(), stream };
    const { checkTail } = JournalService.method;
    const { nextSeqNum } = await callAnywhere(regions, checkTail, request, this.#limits());
    const back = BigInt(from === 'end' ? 0 : from.tailOffset);
    return { case: 'seqNum', value: nextSeqNum > back ? nextSeqNum - back : 0n };
  }

  #limits(): CallLimits {
    const { deadlineMs, silenceMs } = this.#settings;
    return { deadlineMs, silenceMs };
  }

  #target(): { cluster: string; instance: string } {
    const { cluster, instance } = this.#settings;
    return { cluster, instance };
  }

  // ---- calls ----------------------------------------------------------------------------------

  #open(): void {
    if (this.#ended || this.#start === null) return;
    const region = this.#route.next();
    if (region === null) {
      this.#reopen = setTimeout(() => {
        this.#reopen = null;
        this.#open();
      }, this.#route.pauseMs());
      return;
    }
    const { stream = '', until = 0, untilSeqNum = 0, follow = false } = this.#options;
    const { limit = Infinity, limitBytes = Infinity, keys = [] } = this.#options;
    const request = {
      target: this.#target(),
      stream,
      from: this.#position === null ? this.#start : after(this.#position),
      untilTimestamp: BigInt(until),
      untilSeqNum: BigInt(untilSeqNum),
      limitRecords: limit === Infinity ? 0n : BigInt(limit - this.#records),
      limitBytes: limitBytes === Infinity ? 0n : BigInt(limitBytes - this.#bytes),
      keyRanges: keys.map(({ from, to }) => ({ from: from ?? NO_BYTES, to: to ?? NO_BYTES })),
      follow,
    };
    this.#region = region;
    const call: ReadStream = region.channel.serverStream(JournalService.method.read, request, {
      onMessage: (message) => {
        if (this.#call === call) this.#handleMessage(call, region, message);
      },
      onEnd: (error) => {
        if (this.#call === call) this.#handleEnd(region, error);
      },
    });
    this.#call = call;
    if (this.#paused) call.pause();
  }

  #handleMessage(call: ReadStream, region: Region, { message }: ReadResponse): void {
    if (message.case !== 'progress' || this.#isNews(message.value)) this.#moving(region);
    try {
      if (message.case === 'batches') {
        this.#deliver(message.value.frames, region);
        const { progress } = message.value;
        if (progress !== undefined && !this.#ended) this.#progress(progress, region);
      } else if (message.case === 'progress') this.#progress(message.value, region);
      else if (message.case === 'gap') this.#gap(message.value);
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      call.cancel();
      this.#end(error);
    }
  }

  /** A replica that lags behind what an earlier one has shown does not move, from here, until it is past. */
  #isNews({ watermark, stalled }: WireProgress): boolean {
    return !stalled && Number(watermark) > this.#watermark;
  }

  #moving(region: Region): void {
    this.#heardAt = performance.now();
    this.#saidStalled = false;
    this.#route.worked(region);
  }

  #handleEnd(region: Region, error: MeridianError | null): void {
    this.#call = null;
    if (error === null) {
      this.#end(null);
      return;
    }
    // Too slow a reader is no fault of the replica's: it goes on from its position.
    if (error.reason === 'SLOW_READER') this.#route.excuse(region);
    else region.failed(error);
    // Bytes that one replica cannot read back another one can.
    const elsewhere = error.reason === 'WRONG_TARGET' || error.reason === 'CORRUPT';
    if (!error.retry && (!elsewhere || this.#route.triedAll)) this.#end(error);
    else this.#open();
  }

  /** Ends the read with an error, as if it had come from the journal. */
  abort(error: MeridianError): void {
    this.#end(error);
  }

  #end(error: MeridianError | null): void {
    if (this.#ended) return;
    this.cancel();
    this.#handler.onEnd(error);
  }

  // ---- what comes -----------------------------------------------------------------------------

  #deliver(frames: Uint8Array, region: Region): void {
    if (frames.length === 0) return;
    const { firstEnd, lastEnd } = ends(frames);
    const before = this.#position;
    if (before !== null && !isAfter(firstEnd, before)) {
      const found = `${firstEnd.timestamp}/${firstEnd.recordOffset}`;
      const message = `${region.name} delivered ${found} after ${before.timestamp}/${before.recordOffset}`;
      throw new MeridianError('CORRUPT', message, { details: { region: region.name } });
    }
    const { limit = Infinity, limitBytes = Infinity } = this.#options;
    if (limit !== Infinity) this.#records += recordsIn(frames, this.#filter);
    if (limitBytes !== Infinity) this.#bytes += batchBytesIn(frames);
    this.#position = lastEnd;
    this.#handler.onBatches(frames, lastEnd, region.name);
    // The replica ends such a call by itself; should it fail just before, there is nothing to resume.
    if (this.#records >= limit || this.#bytes >= limitBytes) this.#end(null);
  }

  /** A replica that lags behind the one before, or behind the start, says nothing new until it has caught up. */
  #progress({ watermark, tailSeqNum, stalled }: WireProgress, region: Region): void {
    const value = Number(watermark);
    if (value > this.#watermark) {
      this.#watermark = value;
      if (this.#position === null || value >= this.#position.timestamp) {
        this.#position = { timestamp: value, recordOffset: OFFSET_END };
      }
    } else if (!stalled) return;
    const progress = { type: 'progress', watermark: this.#watermark, stalled } as const;
    this.#handler.onProgress({ ...progress, tailSeqNum: Number(tailSeqNum) }, region.name);
  }

  #gap({ kind, from, to, fromSeqNum, toSeqNum }: WireGap): void {
    const end = positionOf(to);
    const names = {
      [ReadGap_Kind.TRIMMED]: 'trimmed',
      [ReadGap_Kind.FILTERED]: 'filtered',
      [ReadGap_Kind.LOST]: 'lost',
      [ReadGap_Kind.UNSPECIFIED]: 'lost',
    } as const;
    this.#position =
      end.recordOffset === 0
        ? { timestamp: Math.max(0, end.timestamp - 1), recordOffset: OFFSET_END }
        : { timestamp: end.timestamp, recordOffset: end.recordOffset - 1 };
    const gap = { type: 'gap', kind: names[kind], from: positionOf(from), to: end } as const;
    const numbers =
      toSeqNum === 0n
        ? {}
        : { seqNums: { from: Number(fromSeqNum), to: Number(toSeqNum) } as const };
    this.#handler.onGap({ ...gap, ...numbers });
  }

  // ---- time -----------------------------------------------------------------------------------

  #check(): void {
    const now = performance.now();
    if (this.#paused || this.#start === null) return;
    const { silenceMs, deadlineMs } = this.#settings;
    const silentMs = now - this.#heardAt;
    if (silentMs > silenceMs) this.#sayStalled();
    if (this.#ended) return;
    if (this.#options.follow !== true && silentMs > deadlineMs) {
      const message = `no replica could be read for ${Math.round(silentMs)} ms`;
      this.#end(new MeridianError('UNAVAILABLE', message));
    } else if (this.#call !== null && silentMs > this.#route.patienceMs) {
      this.#route.growPatience();
      this.#region?.failed();
      this.#reopenElsewhere();
    } else if (this.#call !== null && this.#region !== null) {
      const call = this.#call;
      this.#route.maybeReturn(this.#region, () => {
        if (this.#call === call) this.#reopenElsewhere();
      });
    }
  }

  #sayStalled(): void {
    if (this.#saidStalled || this.#options.follow !== true) return;
    this.#saidStalled = true;
    const watermark = Math.max(0, this.#watermark);
    this.#handler.onProgress({ type: 'progress', watermark, tailSeqNum: 0, stalled: true }, '');
  }

  #reopenElsewhere(): void {
    this.#call?.cancel();
    this.#call = null;
    this.#open();
  }
}

/** Throws INVALID or TOO_LARGE. */
export function filterOf({ keys = [] }: ReadOptions): KeyFilter | null {
  return keys.length === 0 ? null : new KeyFilter(keys);
}

function checkNumbers(options: ReadOptions): void {
  const { from, until = 0, untilSeqNum = 0, limit = 1, limitBytes = 1 } = options;
  const numbers: Record<string, unknown> = {
    until,
    untilSeqNum,
    limit: limit === Infinity ? 1 : limit,
    limitBytes: limitBytes === Infinity ? 1 : limitBytes,
  };
  if (untilSeqNum !== 0 && options.stream === undefined) {
    throw new MeridianError('INVALID', 'a read until a number needs a stream');
  }
  if (typeof from === 'object') {
    if ('after' in from) {
      numbers['timestamp'] = from.after.timestamp;
      numbers['recordOffset'] = from.after.recordOffset;
    } else Object.assign(numbers, from);
  }
  for (const [name, value] of Object.entries(numbers)) {
    if (Number.isSafeInteger(value) && Number(value) >= (name.startsWith('limit') ? 1 : 0))
      continue;
    throw new MeridianError('INVALID', `${name} ${String(value)} of a read is not a whole number`);
  }
}

/** The highest timestamp of which nothing was asked for; -1 where it cannot be known. */
function before(start: WireFrom): number {
  if (start.case === 'timestamp') return Number(start.value) - 1;
  if (start.case !== 'after') return -1;
  const { timestamp = 0n, recordOffset = 0 } = start.value;
  return recordOffset === OFFSET_END ? Number(timestamp) : Number(timestamp) - 1;
}

function after(position: Position): WireFrom {
  const { timestamp, recordOffset } = position;
  return { case: 'after', value: { timestamp: BigInt(timestamp), recordOffset } };
}

function positionOf(wire: WireGap['from']): Position {
  return { timestamp: Number(wire?.timestamp ?? 0n), recordOffset: wire?.recordOffset ?? 0 };
}

function isAfter(one: Position, other: Position): boolean {
  if (one.timestamp !== other.timestamp) return one.timestamp > other.timestamp;
  return one.recordOffset > other.recordOffset;
}

/** Positions of the last record of the first and of the last batch. */
function ends(frames: Uint8Array): { firstEnd: Position; lastEnd: Position } {
  let last = 0;
  for (let offset = 0; offset < frames.length;) {
    last = offset;
    offset += frameSize(frames, offset, DELIVERY_HEADER_BYTES + BATCH_BYTES_MIN, 'delivery');
  }
  const lastEnd = endOf(frames.subarray(last));
  if (last === 0) return { firstEnd: lastEnd, lastEnd };
  const firstBytes = frameSize(frames, 0, DELIVERY_HEADER_BYTES + BATCH_BYTES_MIN, 'delivery');
  return { firstEnd: endOf(frames.subarray(0, firstBytes)), lastEnd };
}

function endOf(frame: Uint8Array): Position {
  const [delivery] = decodeDeliveries(frame);
  if (delivery === undefined) throw new MeridianError('INVALID', 'an empty delivery');
  const { recordCount } = decodeBatchHeader(delivery.batch);
  return { timestamp: delivery.timestamp, recordOffset: delivery.recordOffset + recordCount - 1 };
}

function recordsIn(frames: Uint8Array, filter: KeyFilter | null): number {
  return decodeDeliveries(frames).reduce((sum, { batch }) => {
    const { recordsOffset, recordCount } = decodeBatchHeader(batch);
    return sum + (filter?.countIn(batch, recordsOffset, recordCount) ?? recordCount);
  }, 0);
}

function batchBytesIn(frames: Uint8Array): number {
  return decodeDeliveries(frames).reduce((sum, { batch }) => sum + batch.length, 0);
}
