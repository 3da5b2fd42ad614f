/**
 * Three replicas in one process, for tests of this folder: real gRPC on loopback over one shared
 * order with the writer rules of libs/order/SPEC.md. They misbehave as told: sessions end before or
 * after an append took effect, outcomes get lost, a replica refuses or falls silent.
 */
import { create } from '@bufbuild/protobuf';
import { MeridianError } from '../errors/errors.ts';
import { decodeBatchHeader } from '../frames/batch.ts';
import { splitFrames } from '../frames/frames.ts';
import { AppendResponseSchema, JournalService } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { AppendRequest, AppendResponse, Ack } from '../gen/meridian/journal/v1/journal_pb.ts';
import { bind, startServer } from '../rpc/rpc.ts';
import type { BidiStream, RpcServer } from '../rpc/rpc.ts';
import { Regions } from './regions.ts';

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
  /** Nothing comes any more on this session. */
  | 'silence';

interface Kept {
  readonly writer: string;
  readonly seq: number;
  readonly stream: string;
  readonly timestamp: number;
  readonly firstSeqNum: number;
  readonly minTimestamp: number;
}

export class FakeRegions {
  readonly kept: Kept[] = [];
  readonly hellos: { region: string; ack: Ack }[] = [];
  mood: (region: string) => Mood = () => 'answer';
  windowBytes = 1 << 20;
  private readonly servers: RpcServer[] = [];
  private readonly tails = new Map<string, number>();
  private clock = 1_000;

  async start(): Promise<Regions> {
    const replicas = [];
    for (const region of ['a', 'b', 'c']) {
      const server = await startServer({
        address: '127.0.0.1:0',
        services: [
          bind(JournalService, {
            append: (stream) => {
              this.serve(region, stream);
            },
            read: (_request, stream) => {
              stream.end();
            },
            checkTail: unused,
            heartbeat: unused,
            getWriter: unused,
            createStream: unused,
            status: unused,
          }),
        ],
        onError: () => undefined,
        onWarning: () => undefined,
      });
      this.servers.push(server);
      replicas.push({ region, address: `127.0.0.1:${server.port}` });
    }
    return new Regions(replicas, 'a');
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close(0)));
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
          const mood = this.mood(region);
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
    const header = decodeBatchHeader(frame);
    const { id, seq, previous } = header.writer ?? { id: '', seq: 0, previous: 0 };
    const mine = this.kept.filter(({ writer }) => writer === id);
    const before = mine.find((each) => each.seq === seq);
    if (before === undefined && previous !== (mine.at(-1)?.seq ?? 0)) {
      const details = { previous: String(previous), last: String(mine.at(-1)?.seq ?? 0) };
      const failure = { reason: 'WRITER_GAP', message: 'gap', details, noEffect: true };
      write(stream, { count: 1, failure });
      return true;
    }
    const kept = before ?? this.keep(header.stream, id, seq, header.recordCount, least);
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
    stream: string,
    writer: string,
    seq: number,
    records: number,
    minTimestamp: number,
  ): Kept {
    const firstSeqNum = this.tails.get(stream) ?? 0;
    this.tails.set(stream, firstSeqNum + records);
    this.clock = Math.max(this.clock, minTimestamp) + 8;
    const kept = { writer, seq, stream, timestamp: this.clock, firstSeqNum, minTimestamp };
    this.kept.push(kept);
    return kept;
  }
}

const unused = (): Promise<never> => Promise.reject(new MeridianError('REFUSED', 'not used here'));

function write(stream: Session, run: object): void {
  const value = { runs: [run] };
  stream.write(create(AppendResponseSchema, { message: { case: 'outcomes', value } }));
}
