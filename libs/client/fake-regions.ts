/**
 * Three replicas in one process, for tests of this folder: real gRPC on loopback over one shared
 * order with the writer rules of libs/order/SPEC.md. They misbehave as told: sessions end before or
 * after an append took effect, outcomes get lost, a replica refuses or falls silent; reads break off,
 * fall silent or stall.
 */
import { create } from '@bufbuild/protobuf';
import { MeridianError } from '../errors/errors.ts';
import { decodeBatchHeader } from '../frames/batch.ts';
import { encodeDeliveries } from '../frames/delivery.ts';
import { splitFrames } from '../frames/frames.ts';
import {
  AppendResponseSchema,
  JournalService,
  ReadResponseSchema,
} from '../gen/meridian/journal/v1/journal_pb.ts';
import type {
  Ack,
  AppendRequest,
  AppendResponse,
  ReadRequest,
  ReadResponse,
} from '../gen/meridian/journal/v1/journal_pb.ts';
import { bind, startServer } from '../rpc/rpc.ts';
import type { BidiStream, RpcServer, ServerStream } from '../rpc/rpc.ts';
import type { SeqNum, Timestamp } from '../values/numbers.ts';
import { FakeStreams } from './fake-streams.ts';
import { Regions } from './regions.ts';
import type { ReplicaAddress } from './regions.ts';

type Session = BidiStream<AppendRequest, AppendResponse>;

/** What a replica does with the next batch. */
export type Mood =
  | 'answer'
  /** It takes effect, and the session ends without an answer. */
  | 'lose-answer'
  /** It takes no effect, and the session ends. */
  | 'lose-append'
  /** Refused for now, certainly without effect. */
  | 'refuse'
  /** It cannot be taken at all: the session ends with this. */
  | 'unfit'
  /** The order refuses it: the instance is to leave the database. */
  | 'retired'
  /** Nothing comes any more on this session. */
  | 'silence';

/** What a replica does with the next batch of a read. */
export type ReadMood =
  | 'answer'
  /** The call fails. */
  | 'break'
  /** The call fails, because what is stored cannot be read back. */
  | 'corrupt'
  /** Says progress below what was said before, again and again. */
  | 'lag'
  /** Nothing comes any more on this call. */
  | 'silence'
  /** Nothing comes any more but the word that the view does not move. */
  | 'stall';

interface Kept {
  readonly writer: string;
  readonly epoch: number;
  readonly seq: number;
  readonly stream: string;
  readonly timestamp: number;
  readonly firstSeqNum: number;
  readonly minTimestamp: number;
  readonly recordCount: number;
  readonly frame: Uint8Array;
}

export class FakeRegions {
  readonly kept: Kept[] = [];
  readonly hellos: { region: string; ack: Ack }[] = [];
  /** The region of every call that a witness refused. */
  readonly refusals: string[] = [];
  /** The region of every read that was opened. */
  readonly reads: string[] = [];
  mood: (region: string, frame: Uint8Array) => Mood = () => 'answer';
  readMood: (region: string) => ReadMood = () => 'answer';
  replicas: readonly ReplicaAddress[] = [];
  /** Regions that do not answer unary calls. */
  readonly deaf = new Set<string>();
  /** Regions that only vote. */
  readonly witnesses = new Set<string>();
  windowBytes = 1 << 20;
  readonly streams = new FakeStreams();
  private readonly servers: RpcServer[] = [];
  private readonly pumps = new Set<() => void>();
  private readonly tails = new Map<string, number>();
  private clock = 1_000;

  async start(): Promise<Regions> {
    const replicas = [];
    for (const region of ['a', 'b', 'c']) {
      const server = await startServer({
        address: '127.0.0.1:0',
        services: [
          this.streams.bound,
          bind(JournalService, {
            append: (stream) => {
              this.refuseAsWitness(region);
              this.serve(region, stream);
            },
            read: (request, stream) => {
              this.refuseAsWitness(region);
              this.serveRead(region, request, stream);
            },
            checkTail: ({ stream }) => {
              const nextSeqNum = BigInt(this.tails.get(stream) ?? 0);
              return Promise.resolve({ nextSeqNum, readPoint: BigInt(this.clock) });
            },
            heartbeat: () => {
              this.refuseAsWitness(region);
              if (this.deaf.has(region)) return new Promise<never>(() => undefined);
              return Promise.resolve({ readPoint: BigInt(this.clock) });
            },
            getWriter: ({ writerId }) => {
              const mine = this.kept.findLast(({ writer }) => writer === writerId);
              if (mine === undefined) return Promise.resolve({ known: false });
              return Promise.resolve({ known: true, epoch: mine.epoch, lastSeq: BigInt(mine.seq) });
            },
            status: () => {
              if (this.deaf.has(region)) {
                return Promise.reject(new MeridianError('UNAVAILABLE', 'as told'));
              }
              return Promise.resolve({
                region,
                voting: true,
                clockSafe: true,
                witness: this.witnesses.has(region),
              });
            },
            locate: () => Promise.resolve({ found: false }),
          }),
        ],
        onError: () => undefined,
        onWarning: () => undefined,
      });
      this.servers.push(server);
      replicas.push({ region, address: `127.0.0.1:${server.port}` });
    }
    this.replicas = replicas;
    return new Regions({ replicas, region: 'a' });
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close(0)));
  }

  private refuseAsWitness(region: string): void {
    if (!this.witnesses.has(region)) return;
    this.refusals.push(region);
    const details = { witness: region };
    throw new MeridianError('UNAVAILABLE', 'a witness serves no clients', { details });
  }

  private serve(region: string, stream: Session): void {
    let silent = false;
    stream.onMessage(({ message }) => {
      if (message.case === 'hello') {
        this.hellos.push({ region, ack: message.value.ack });
        const value = { windowBytes: BigInt(this.windowBytes), batchBytesMax: 1 << 20, region };
        stream.write(create(AppendResponseSchema, { message: { case: 'welcome', value } }));
      } else if (message.case === 'batches' && !silent) {
        const least = Number(message.value.minTimestamp);
        for (const frame of splitFrames(message.value.frames)) {
          const mood = this.mood(region, frame);
          silent = mood === 'silence';
          if (silent || !this.take(frame, least, mood, stream)) return;
        }
      }
    });
  }

  /** false: the session is over. */
  private take(frame: Uint8Array, least: number, mood: Mood, stream: Session): boolean {
    if (mood === 'lose-append' || mood === 'refuse') {
      const reason = mood === 'refuse' ? 'OVERLOADED' : 'UNAVAILABLE';
      stream.fail(new MeridianError(reason, 'as told'));
      return false;
    }
    if (mood === 'unfit') {
      stream.fail(new MeridianError('TOO_LARGE', 'as told'));
      return false;
    }
    if (mood === 'retired') {
      const details = { retiredFrom: '900' };
      write(stream, {
        count: 1,
        failure: { reason: 'REFUSED', message: 'as told', details, noEffect: true },
      });
      return true;
    }
    const header = decodeBatchHeader(frame);
    const { id, epoch, seq, previous } = header.writer ?? { id: '', epoch: 0, seq: 0, previous: 0 };
    const mine = this.kept.filter(({ writer }) => writer === id);
    const before = mine.find((each) => each.seq === seq && each.epoch === epoch);
    if (before === undefined && previous !== (mine.at(-1)?.seq ?? 0)) {
      const details = { previous: String(previous), last: String(mine.at(-1)?.seq ?? 0) };
      const failure = { reason: 'WRITER_GAP', message: 'gap', details, noEffect: true };
      write(stream, { count: 1, failure });
      return true;
    }
    const kept = before ?? this.keep(frame, { id, epoch, seq }, least);
    if (mood === 'lose-answer') {
      stream.fail(new MeridianError('UNAVAILABLE', 'as told'));
      return false;
    }
    write(stream, {
      count: 1,
      timestamp: BigInt(kept.timestamp),
      firstSeqNum: BigInt(kept.firstSeqNum),
      duplicate: before !== undefined,
    });
    return true;
  }

  private keep(
    frame: Uint8Array,
    writer: { id: string; epoch: number; seq: number },
    minTimestamp: number,
  ): Kept {
    const { stream, recordCount } = decodeBatchHeader(frame);
    const firstSeqNum = this.tails.get(stream) ?? 0;
    this.tails.set(stream, firstSeqNum + recordCount);
    this.clock = Math.max(this.clock, minTimestamp) + 8;
    const kept = {
      writer: writer.id,
      epoch: writer.epoch,
      seq: writer.seq,
      stream,
      timestamp: this.clock,
      firstSeqNum,
      minTimestamp,
      recordCount,
      frame,
    };
    this.kept.push(kept);
    for (const pump of this.pumps) pump();
    return kept;
  }

  /** One batch a message, progress after each, so that there are many places to break off at. */
  private serveRead(
    region: string,
    request: ReadRequest,
    stream: ServerStream<ReadResponse>,
  ): void {
    this.reads.push(region);
    let next = 0;
    let covered = 0;
    let over = false;
    let left = Number(request.limitRecords) || Infinity;
    const { from } = request;
    const isWanted = (kept: Kept): boolean => {
      if (request.stream !== '' && kept.stream !== request.stream) return false;
      if (from.case === 'seqNum') return kept.firstSeqNum + kept.recordCount > Number(from.value);
      if (from.case === 'timestamp') return kept.timestamp >= Number(from.value);
      if (from.case !== 'after') return true;
      const after = Number(from.value.timestamp);
      if (kept.timestamp !== after) return kept.timestamp > after;
      return kept.recordCount - 1 > from.value.recordOffset;
    };
    const pump = (): void => {
      while (!over && !stream.closed && next < this.kept.length && left > 0) {
        const kept = this.kept[next];
        next += 1;
        if (kept === undefined || !isWanted(kept)) continue;
        const mood = this.readMood(region);
        if (mood === 'break') stream.fail(new MeridianError('UNAVAILABLE', 'as told'));
        if (mood === 'corrupt') stream.fail(new MeridianError('CORRUPT', 'as told'));
        if (mood === 'lag') lag(stream);
        if (mood === 'stall') progress(stream, covered, true);
        over = mood !== 'answer';
        if (over) return;
        covered = kept.timestamp;
        left -= kept.recordCount;
        const delivery = {
          timestamp: kept.timestamp as Timestamp,
          recordOffset: 0,
          firstSeqNum: kept.firstSeqNum as SeqNum,
          instance: 0,
          batch: kept.frame,
        };
        const value = { frames: encodeDeliveries([delivery]) };
        stream.write(create(ReadResponseSchema, { message: { case: 'batches', value } }));
        progress(stream, covered, false);
      }
      if (!over && (!request.follow || left <= 0)) stream.end();
    };
    this.pumps.add(pump);
    stream.onClose(() => this.pumps.delete(pump));
    pump();
  }
}

/** Progress far below everything that was read, every few milliseconds until the call is over. */
function lag(stream: ServerStream<ReadResponse>): void {
  let watermark = 0;
  const timer = setInterval(() => {
    progress(stream, (watermark += 1), false);
  }, 5);
  stream.onClose(() => {
    clearInterval(timer);
  });
}

function progress(stream: ServerStream<ReadResponse>, watermark: number, stalled: boolean): void {
  const value = { watermark: BigInt(watermark), stalled };
  stream.write(create(ReadResponseSchema, { message: { case: 'progress', value } }));
}

function write(stream: Session, run: object): void {
  const value = { runs: [run] };
  stream.write(create(AppendResponseSchema, { message: { case: 'outcomes', value } }));
}
