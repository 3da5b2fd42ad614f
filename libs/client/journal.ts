/**
 * The face of the library: one journal instance, reached through whichever of its regions answers.
 * Owns nothing but the parts: appenders (appender.ts), readers (follower.ts), streams (streams.ts),
 * calls (calls.ts).
 */
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import { MeridianError } from '../errors/errors.ts';
import type { RecordInput } from '../frames/batch.ts';
import { JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { StatusResponse } from '../gen/meridian/journal/v1/journal_pb.ts';
import { Appender } from './appender.ts';
import { callAnywhere } from './calls.ts';
import { isConditional } from './pipeline.ts';
import { filterOf, Follower } from './follower.ts';
import type { WriterStart } from './identity.ts';
import { HeldLease } from './lease.ts';
import { ReadIterator, recordsOf } from './read.ts';
import { Regions } from './regions.ts';
import { StreamCalls } from './streams.ts';
import type {
  AcquireLeaseOptions,
  AppendIdentity,
  AppendResolution,
  FenceOptions,
  LeaseGrant,
  LeaseHolder,
  ListStreamsOptions,
  LocalTail,
  StreamConfig,
  StreamDescription,
  StreamPage,
  TrimOptions,
} from './streams.ts';
import type {
  AckMode,
  AppendOptions,
  AppendResult,
  Follow,
  FollowHandler,
  HeartbeatOptions,
  JournalOptions,
  ReadItem,
  ReadOptions,
  ReadPoint,
  ReadRecord,
  Tail,
  WriterOptions,
  WriterState,
} from './types.ts';
import { Writer } from './writer.ts';

const DEADLINE_MS = 30_000;
const SILENCE_MS = 2_000;
const STATUS_DEADLINE_MS = 2_000;
const DRAIN_MS = 5_000;
/** The journal remembers what an action has done for five minutes: no repetition may come later. */
const ACTION_MS = 120_000;

/** Connects when first needed; never fails because a replica is away. INVALID for bad options. */
export function connectJournal(options: JournalOptions): Journal {
  return new Journal(options);
}

export class Journal {
  readonly #options: JournalOptions;
  readonly #regions: Regions;
  readonly #streams: StreamCalls;
  readonly #deadlineMs: number;
  readonly #silenceMs: number;
  readonly #implicit = new Map<AckMode, Appender>();
  readonly #appenders = new Set<Appender>();
  readonly #followers = new Set<Follower>();
  #closed = false;

  /** Use `connectJournal`. `dial`: how connections are made; a simulation has its own. */
  constructor(options: JournalOptions, dial?: ConstructorParameters<typeof Regions>[1]) {
    this.#options = options;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    const nearest = options.region ?? options.replicas[0]?.region;
    const { cluster, instance, replicas, windowBytes, security } = options;
    const secured = security && { ...security, cluster, instance };
    const regions = { replicas, region: nearest, windowBytes, security: secured };
    this.#regions = new Regions(regions, dial);
    this.#streams = new StreamCalls({
      target: this.#target(),
      call: (method, request, { region, deadlineMs = this.#deadlineMs } = {}) =>
        region === undefined
          ? this.#call(method, request, this.#silenceMs, Math.min(deadlineMs, ACTION_MS))
          : this.#callAt(region, method, request),
    });
  }

  /**
   * Appends records to a stream as one batch: all or none, one after the other. Takes effect once,
   * whatever fails on the way. Call it many times without waiting: appends share messages and are
   * decided in the order of the calls (`QUORUM` and `ORDERED` ones each among themselves). The bytes
   * must not change before the answer.
   *
   * Errors: CONDITION_FAILED, FENCED (the journal said no; details: expected, actual);
   * STREAM_NOT_FOUND (with `mustExist`); TOO_LARGE, INVALID; OVERLOADED (`queueBytesMax` is reached); UNAVAILABLE (no replica took it in time); all of
   * these certainly without effect. DEADLINE, INDEFINITE, WRITER_FORGOTTEN: it may have taken effect.
   */
  append(
    stream: string,
    records: readonly RecordInput[],
    options: AppendOptions = {},
  ): Promise<AppendResult> {
    const { ack = 'ORDERED', deadlineMs = this.#deadlineMs, ...wish } = options;
    return new Promise((resolve, reject) => {
      const appender = this.#implicitAppender(isConditional(wish) ? 'ORDERED' : ack);
      appender.append({ stream, records, ...wish }, deadlineMs, (error, result) => {
        if (result !== null) resolve(result);
        else reject(error ?? new MeridianError('INDEFINITE', 'no answer'));
      });
    });
  }

  /** A writer with a name of its own, whose appends take effect once across restarts of the program. */
  writer(options: WriterOptions = {}): Writer {
    this.#checkOpen();
    return new Writer({
      ...options,
      deadlineMs: this.#deadlineMs,
      getWriter: (id) => this.getWriter(id),
      createAppender: (start) => this.#newAppender(options.ack ?? 'ORDERED', start),
    });
  }

  /**
   * Reads a stream, or all streams in their one order: batches, progress and gaps in one sequence, in
   * which progress never overtakes a record. Goes on at another replica when one fails, without
   * loss, repetition or reordering. Leave the loop to stop.
   *
   * Errors: STREAM_NOT_FOUND; OUT_OF_RANGE (the position is not of this journal); UNAVAILABLE (not
   * with `follow`: no replica could be read for `deadlineMs`).
   */
  read(options: ReadOptions): AsyncIterableIterator<ReadItem, undefined> {
    return new ReadIterator(filterOf(options), (handler) => this.follow(options, handler));
  }

  /**
   * The same, a record at a time and exactly those asked for, also where a batch holds others too.
   * Easier, and several times slower than `read`. Begins behind what was trimmed; OUT_OF_RANGE where
   * records are lost, or were trimmed while it was reading.
   */
  records(options: ReadOptions): AsyncGenerator<ReadRecord, void, undefined> {
    const { from, stream } = options;
    if (typeof from === 'object' && 'tailOffset' in from && stream !== undefined) {
      return this.#lastRecords(options, stream, from.tailOffset);
    }
    return recordsOf(this.read(withoutLimit(options)), options);
  }

  async *#lastRecords(
    options: ReadOptions,
    stream: string,
    count: number,
  ): AsyncGenerator<ReadRecord, void, undefined> {
    const { nextSeqNum } = await this.checkTail(stream);
    const exact = { ...options, from: { seqNum: Math.max(0, nextSeqNum - count) } };
    yield* recordsOf(this.read(withoutLimit(exact)), exact);
  }

  /** The same for services: chunks of delivery frames as they came, with callbacks. */
  follow(options: ReadOptions, handler: FollowHandler): Follow {
    this.#checkOpen();
    const { cluster, instance } = this.#options;
    const settings = {
      cluster,
      instance,
      regions: this.#regions,
      deadlineMs: this.#deadlineMs,
      silenceMs: this.#silenceMs,
      onOver: () => {
        this.#followers.delete(follower);
      },
    };
    const follower: Follower = new Follower(settings, options, handler);
    this.#followers.add(follower);
    return follower;
  }

  /** The stream's tail, linearizable: it covers every append completed before the call, anywhere. */
  async checkTail(stream: string): Promise<Tail> {
    const request = { target: this.#target(), stream };
    const tail = await this.#call(JournalService.method.checkTail, request, this.#silenceMs);
    return {
      nextSeqNum: Number(tail.nextSeqNum),
      timestamp: Number(tail.timestamp),
      readPoint: Number(tail.readPoint),
    };
  }

  /**
   * A linearizable read point: no append completed before the call, by anyone, lies above it. Who has
   * applied the journal up to it reads the newest state. Stores nothing; costs a round trip.
   */
  async heartbeat(options: HeartbeatOptions = {}): Promise<ReadPoint> {
    const { waitForWatermark = false, deadlineMs = this.#deadlineMs } = options;
    const request = { target: this.#target(), waitForWatermark };
    const answer = await this.#call(
      JournalService.method.heartbeat,
      request,
      this.#silenceMs,
      deadlineMs,
    );
    return { readPoint: Number(answer.readPoint), watermark: Number(answer.watermark) };
  }

  /** What the journal knows of a writer, linearizable; null when it knows none of that id. */
  async getWriter(id: string): Promise<WriterState | null> {
    const request = { target: this.#target(), writerId: id };
    const writer = await this.#call(JournalService.method.getWriter, request, this.#silenceMs);
    if (!writer.known) return null;
    const { epoch, lastSeq, timestamp } = writer;
    return { epoch, lastSeq: Number(lastSeq), timestamp: Number(timestamp) };
  }

  /**
   * What became of one append of an explicit writer, linearizable. After DEADLINE or INDEFINITE, and
   * for another program that takes over.
   */
  resolveAppend(append: AppendIdentity): Promise<AppendResolution> {
    return this.#streams.resolveAppend(append);
  }

  /**
   * Creates a stream; false when it existed, whatever its configuration. An append to a stream that
   * does not exist creates it too, unless it says `mustExist`.
   */
  createStream(stream: string, config: Partial<StreamConfig> = {}): Promise<boolean> {
    return this.#streams.create(stream, config);
  }

  /** Changes what `config` names and returns the whole. STREAM_NOT_FOUND. */
  configureStream(stream: string, config: Partial<StreamConfig>): Promise<StreamConfig> {
    return this.#streams.configure(stream, config);
  }

  /**
   * Deletes a stream; false when there was none. Readers hear that it is gone; a stream of the same name
   * that is created later goes on with its sequence numbers and fencing tokens.
   */
  deleteStream(stream: string): Promise<boolean> {
    return this.#streams.delete(stream);
  }

  /** Where a stream stands, linearizable. STREAM_NOT_FOUND. */
  describeStream(stream: string): Promise<StreamDescription> {
    return this.#streams.describe(stream);
  }

  /** The streams that exist, by name, linearizable, a page at a time. */
  listStreams(options: ListStreamsOptions = {}): Promise<StreamPage> {
    return this.#streams.list(options);
  }

  /**
   * Sets a higher fencing token of the stream, or mints one, and ends the lease that came with the one
   * before. Errors: STREAM_NOT_FOUND; FENCED (`token` is below the current one); CONDITION_FAILED.
   */
  fence(stream: string, options: FenceOptions = {}): Promise<{ token: number }> {
    return this.#streams.fence(stream, options);
  }

  /**
   * Gives up the oldest records of a stream, for ever; `firstSeqNum` never goes back. Errors:
   * STREAM_NOT_FOUND; FENCED; OUT_OF_RANGE (`before` is behind the tail).
   */
  trim(stream: string, options: TrimOptions): Promise<{ firstSeqNum: number }> {
    return this.#streams.trim(stream, options);
  }

  /**
   * Becomes the holder of the stream's lease, with a new fencing token; until it expires nobody else
   * can. Errors: STREAM_NOT_FOUND; LEASE_HELD (details: holder, expiresAt).
   */
  acquireLease(stream: string, options: AcquireLeaseOptions): Promise<LeaseGrant> {
    return this.#streams.acquire(stream, options);
  }

  /**
   * Acquires the lease and keeps it by itself until it is released or lost; `signal` of what it returns
   * is aborted then. Errors: those of `acquireLease`.
   */
  holdLease(stream: string, options: AcquireLeaseOptions): Promise<HeldLease> {
    return HeldLease.acquire(this.#streams, stream, options);
  }

  /**
   * Prolongs a lease to `ttlMs` from now; also one that has expired, as long as nobody else has got it.
   * LEASE_LOST: a higher token was minted, or it was released.
   */
  renewLease(
    stream: string,
    lease: LeaseHolder,
    options: { readonly ttlMs: number },
  ): Promise<LeaseGrant> {
    return this.#streams.renew(stream, lease, options.ttlMs);
  }

  /** Gives a lease back; false when it was lost already. Its token stays the current one. */
  releaseLease(stream: string, lease: LeaseHolder): Promise<boolean> {
    return this.#streams.release(stream, lease);
  }

  /**
   * The tail as one replica (of `region`, else the nearest that answers) sees it at the moment, without
   * asking the others: may be behind completed appends. `checkTail` is the one that is not.
   */
  localTail(stream: string, options: { readonly region?: string } = {}): Promise<LocalTail> {
    return this.#streams.localTail(stream, options.region);
  }

  /** The view of the replica in one region; fails after two seconds, without trying another. */
  status(region: string): Promise<StatusResponse> {
    const { channel } = this.#regions.named(region);
    const options = { deadlineMs: STATUS_DEADLINE_MS };
    return channel.unary(JournalService.method.status, { target: this.#target() }, options);
  }

  /**
   * Ends reads, waits up to `drainMs` (default 5,000) for appends that are not answered, then rejects
   * the rest and disconnects.
   */
  async close(options: { readonly drainMs?: number } = {}): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const closed = new MeridianError('UNAVAILABLE', 'the journal client was closed');
    for (const follower of [...this.#followers]) follower.abort(closed);
    const appenders = [...this.#appenders];
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, options.drainMs ?? DRAIN_MS);
    });
    await Promise.race([Promise.all(appenders.map((appender) => appender.whenIdle())), late]);
    clearTimeout(timer);
    for (const appender of appenders) appender.close();
    this.#regions.close();
  }

  #implicitAppender(ack: AckMode): Appender {
    const known = this.#implicit.get(ack);
    if (known !== undefined && !this.#closed) return known;
    const made = this.#newAppender(ack);
    this.#implicit.set(ack, made);
    return made;
  }

  #newAppender(ack: AckMode, writer?: WriterStart): Appender {
    this.#checkOpen();
    const { cluster, instance, queueBytesMax, tracer } = this.#options;
    const appender = new Appender({
      cluster,
      instance,
      regions: this.#regions,
      ack,
      silenceMs: this.#silenceMs,
      tracer,
      ...(writer === undefined ? {} : { writer }),
      ...(queueBytesMax === undefined ? {} : { queueBytesMax }),
    });
    this.#appenders.add(appender);
    return appender;
  }

  #call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    silenceMs: number,
    deadlineMs = this.#deadlineMs,
  ): Promise<MessageShape<O>> {
    this.#checkOpen();
    return callAnywhere(this.#regions, method, request, { deadlineMs, silenceMs });
  }

  /** At this region only. */
  async #callAt<I extends DescMessage, O extends DescMessage>(
    region: string,
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    this.#checkOpen();
    const { channel } = this.#regions.named(region);
    return channel.unary(method, request, { deadlineMs: this.#silenceMs });
  }

  #target(): { cluster: string; instance: string } {
    const { cluster, instance } = this.#options;
    return { cluster, instance };
  }

  #checkOpen(): void {
    if (this.#closed) throw new MeridianError('UNAVAILABLE', 'the journal client was closed');
  }
}

/** A replica counts whole batches; who wants exactly so many records counts them itself. */
function withoutLimit(options: ReadOptions): ReadOptions {
  return { ...options, limit: Infinity };
}
