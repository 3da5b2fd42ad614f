/**
 * What runs in the process of a replica beside its cores: the release index, readers, read points and, where a run
 * has one, the archive. All of it is the code of services/journal; here it is put together for one life after the
 * other, and given the simulated disk to read from.
 *
 * An entry holds its operations by reference in the cores' world and bytes in this one: it is encoded when first read.
 */
import type { Message } from '@bufbuild/protobuf';
import { encodeBatch } from '../../../libs/frames/batch.ts';
import { encodeEntry } from '../../../libs/frames/entry.ts';
import type { RecordInput } from '../../../libs/frames/record.ts';
import { assert } from '../../../libs/values/assert.ts';
import { MeridianError } from '../../../libs/errors/errors.ts';
import type { ReadRequest } from '../../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { Entry, RefusalReason } from '../../../libs/lane/types.ts';
import type { HashedOrderMachine } from '../../../libs/order/machine.ts';
import type { OrderMachine, Outcome } from '../../../libs/order/types.ts';
import type { BidiStream } from '../../../libs/rpc/rpc.ts';
import type { Index, LaneId, Micros, SeqNum, Timestamp } from '../../../libs/values/numbers.ts';
import { Linearizer } from '../../../services/journal/linearizer.ts';
import { Readers } from '../../../services/journal/readers.ts';
import { ReleaseIndex } from '../../../services/journal/release-index.ts';
import { streamService } from '../../../services/journal/stream-service.ts';
import { Target } from '../../../services/journal/target.ts';
import { Watermark } from '../../../services/journal/watermark.ts';
import type { StoredCheckpoint } from '../disk.ts';
import type { Attempt, Content, Operation } from '../operations.ts';
import type { OrderChecker, ReleasedEntry } from '../order-checker.ts';
import { isMarker } from '../order-checker.ts';
import type { Replica } from '../replica.ts';
import type { ReplicaSide } from '../replica-parts.ts';
import { EPOCH_MICROS } from '../clocks.ts';
import { AppendSide } from './append-side.ts';
import type { ArchiveSide, SimulatedArchive } from './archive-side.ts';
import type { ClientChecker } from './client-checker.ts';
import type { SessionSwarm } from './client-options.ts';
import { memberRecordOf } from './members.ts';
import type { SystemBug } from './system-bugs.ts';
import type { Server, Service } from './virtual-calls.ts';
import type { VirtualTime } from './virtual-time.ts';

export const CLUSTER = 'simulated';

export interface ReplicaServerOptions {
  readonly replica: Replica;
  readonly instance: string;
  /** What the instance has released, as its checkers know it. */
  readonly order: () => OrderChecker | undefined;
  readonly time: VirtualTime;
  /** null: the run has no archive, and log never goes. */
  readonly archive: SimulatedArchive | null;
  /** Bytes that may wait for a reader. */
  readonly shareBytes: number;
  /** null: no client of the library is there. */
  readonly clients: ClientsOfReplica | null;
}

export interface ClientsOfReplica {
  readonly checker: ClientChecker;
  readonly settings: SessionSwarm;
  readonly bug: SystemBug | null;
}

/** Readers are looked after so often at least, while there are steps. */
const PUMP_MICROS = 5_000;

/** Of one life of the process. */
interface Life {
  readonly index: ReleaseIndex;
  readonly watermark: Watermark;
  readonly readers: Readers;
  readonly archive: ArchiveSide | null;
  readonly appends: AppendSide | null;
  readonly service: Service;
}

export class ReplicaServer implements ReplicaSide, Server {
  private readonly options: ReplicaServerOptions;
  private life: Life | null = null;
  private pumpedAt = 0;
  /** The process is gone, and its connections are too. */
  onCrash: () => void = () => undefined;

  constructor(options: ReplicaServerOptions) {
    this.options = options;
  }

  get paused(): boolean {
    return this.options.replica.paused;
  }

  get service(): Service | null {
    return this.life?.service ?? null;
  }

  started(): void {
    const { replica, instance, time, archive, shareBytes } = this.options;
    const index = this.indexOnDisk();
    const store = { content: (lane: LaneId, at: Index) => this.frameOf(lane, at) };
    const monotonic = (): Micros => time.now as Micros;
    const watermark = new Watermark(monotonic());
    const readPoints = {
      heartbeat: (done: (readPoint: Timestamp) => void) =>
        replica.askReadPoint((readPoint) => {
          time.enter(() => {
            done(readPoint as Timestamp);
          });
        }),
    };
    const linearizer = new Linearizer(readPoints, watermark, 5_000);
    const side = archive?.join({ index, entries: store, watermark, replica }) ?? null;
    const target = new Target(CLUSTER, instance);
    const clocks = { monotonic, wall: () => Math.floor(replica.clocks.wall(time.now)) };
    const { order } = replica;
    const { clients } = this.options;
    const readers = new Readers({
      target,
      index,
      store: store,
      order: clients?.bug === 'trim-forgotten' ? untrimmed(order) : order,
      watermark,
      history: side?.history ?? null,
      clocks,
      linearizer,
      readersMax: 100,
      chunkBytes: shareBytes,
      progressMicros: 20_000,
      stalledMicros: 1_000_000,
      slowReaderMicros: 20_000_000,
      readersBytesMax: 100 * shareBytes,
      onUnreadable: () => undefined,
    });
    const common = { target, order, watermark, clocks };
    const appends = clients && new AppendSide({ ...common, ...clients, replica, time });
    const stalledMicros = 1_000_000;
    const streams =
      appends &&
      streamService({ ...common, linearizer, actions: appends.actions, stalledMicros }).handlers;
    const service: Service = {
      stream: (_method, request, stream) => {
        readers.open(request as ReadRequest, stream);
      },
      unary: (method, request, signal) => {
        const handler = streams?.[method.charAt(0).toLowerCase() + method.slice(1)];
        return handler === undefined
          ? this.unary(method, request, watermark, linearizer)
          : (handler as UnaryHandler)(request, { signal });
      },
      ...(appends && {
        bidi: (_method: string, stream: BidiStream<Message, Message>) => {
          appends.open(stream);
        },
      }),
    };
    this.life = { index, watermark, readers, archive: side, appends, service };
  }

  crashed(): void {
    const { life } = this;
    this.life = null;
    life?.archive?.stop();
    life?.appends?.stop();
    life?.readers.stop(new MeridianError('UNAVAILABLE', 'the process is gone'));
    this.onCrash();
  }

  released(entry: Entry<Content>, outcomes: readonly Outcome[]): void {
    const { life } = this;
    if (life === null || entry.kind === 'marker') return;
    add(life.index, entry, entry.content ?? [], outcomes);
  }

  watermarkShown(watermark: Timestamp): void {
    const { life } = this;
    if (life === null) return;
    const { now } = this.options.time;
    // Most steps move nothing, and each look of readers costs as much as one.
    if (watermark === life.watermark.value && now - this.pumpedAt < PUMP_MICROS) return;
    this.pumpedAt = now;
    this.options.time.enter(() => {
      if (watermark > life.watermark.value) {
        life.watermark.publish(watermark, this.options.time.now as Micros);
      }
      life.readers.pump();
      life.appends?.stepped();
    });
  }

  resumed(): void {
    this.options.time.enter(() => this.life?.readers.pump());
    this.life?.appends?.resumed();
  }

  taken(): readonly Attempt[] {
    return this.life?.appends?.take() ?? [];
  }

  committed(entry: Entry<Content>, attempt: Attempt): void {
    this.life?.appends?.committed(entry, attempt);
  }

  decided(entry: Entry<Content>, attempt: Attempt, outcome: Outcome): void {
    this.life?.appends?.decided(entry, attempt, outcome);
  }

  refused(attempt: Attempt, reason: RefusalReason): void {
    this.life?.appends?.refused(attempt, reason);
  }

  /** Entries that left the log are in the archive. */
  mayTrim(base: StoredCheckpoint): boolean {
    const { archive } = this.options;
    const side = this.life?.archive;
    if (archive === null || side == null) return false;
    const ordinal = this.order.ordinalAt(base.count);
    if (ordinal > side.archivedTo) return false;
    this.options.time.judge(() => {
      archive.checker.mayTrim(this.options.replica.id, ordinal);
    });
    return true;
  }

  trimmed(base: StoredCheckpoint): void {
    this.life?.index.dropBefore(this.order.ordinalAt(base.count));
  }

  /** As a checkpoint holds it: what the log begins behind, and what was released up to the checkpoint. */
  private indexOnDisk(): ReleaseIndex {
    const { disk } = this.options.replica;
    const { order } = this;
    const index = new ReleaseIndex();
    const from = disk.base?.count ?? 0;
    const last = order.list.slice(0, from).findLast((entry) => !isMarker(entry));
    const goneTo = last?.timestamp ?? 0;
    index.startAt(order.ordinalAt(from), goneTo, goneTo as Timestamp);
    for (const entry of order.list.slice(from, disk.checkpoints.at(-1)?.count ?? 0)) {
      if (!isMarker(entry)) add(index, headerOf(entry), entry.content ?? [], entry.outcomes);
    }
    return index;
  }

  private get order(): OrderChecker {
    const order = this.options.order();
    assert(order !== undefined, 'a replica starts when its instance is there');
    return order;
  }

  private frameOf(lane: LaneId, at: Index): Uint8Array {
    const entry = this.options.replica.disk.readBack(lane, at);
    if (entry !== null) return frameOf(entry);
    throw new MeridianError('UNAVAILABLE', 'stored bytes are not what was written');
  }

  private async unary(
    method: string,
    request: Message,
    watermark: Watermark,
    linearizer: Linearizer,
  ): Promise<object> {
    const { replica } = this.options;
    if (method === 'Heartbeat') {
      const { waitForWatermark } = request as Message & { waitForWatermark: boolean };
      const never = new AbortController().signal;
      const readPoint = await linearizer.readPoint(waitForWatermark, never);
      return { readPoint: BigInt(readPoint), watermark: BigInt(watermark.value) };
    }
    if (method === 'CheckTail' || method === 'LocalTail') {
      const never = new AbortController().signal;
      if (method === 'CheckTail') await linearizer.readPoint(true, never);
      const { stream } = request as Message & { stream: string };
      const state = replica.order.stream(stream);
      if (state === null) {
        throw new MeridianError('STREAM_NOT_FOUND', `there is no stream ${stream}`);
      }
      const { nextSeqNum, lastTimestamp } = state;
      return { nextSeqNum: BigInt(nextSeqNum), timestamp: BigInt(lastTimestamp) };
    }
    if (method === 'GetWriter') {
      await linearizer.readPoint(true, new AbortController().signal);
      const { writerId } = request as Message & { writerId: string };
      const writer = replica.order.writer(writerId);
      if (writer === null) return { known: false };
      const { epoch, lastSeq, timestamp } = writer;
      return { known: true, epoch, lastSeq: BigInt(lastSeq), timestamp: BigInt(timestamp) };
    }
    if (method !== 'Status') throw new Error(`nobody asks for ${method} here`);
    return {
      watermark: BigInt(watermark.value),
      wallClock: BigInt(EPOCH_MICROS + Math.floor(this.options.time.now)),
      clockSafe: true,
      voting: replica.core?.inspect().voting ?? false,
    };
  }
}

type UnaryHandler = (request: Message, context: { signal: AbortSignal }) => Promise<object>;

/** Planted: readers are shown a stream as if nothing of it had been trimmed. */
function untrimmed(order: HashedOrderMachine): OrderMachine {
  return {
    apply: (batch, timestamp) => order.apply(batch, timestamp),
    streamCount: order.streamCount,
    retiredFrom: order.retiredFrom,
    writer: (id) => order.writer(id),
    streams: (query) => order.streams(query),
    resolve: (append) => order.resolve(append),
    demandsToken: (name) => order.demandsToken(name),
    stream: (name) => {
      const state = order.stream(name);
      return state && { ...state, firstSeqNum: 0 as SeqNum };
    },
  };
}

type Header = Parameters<ReleaseIndex['addEntry']>[0];

function headerOf({ lane, index, epoch, timestamp }: ReleasedEntry): Header {
  return { lane, index, epoch, timestamp, kind: 'batches' } as Header;
}

/** As the releaser of services/journal does. */
function add(
  index: ReleaseIndex,
  header: Header,
  content: Content,
  outcomes: readonly Outcome[],
): void {
  const ordinal = index.addEntry(header);
  content.forEach(({ operation }, number) => {
    const outcome = outcomes[number];
    if (outcome?.kind === 'appended') {
      index.addBatch(operation.batch.stream, ordinal, outcome.firstSeqNum);
    } else index.addRecordless(ordinal, number);
  });
}

const frames = new WeakMap<Content, Uint8Array>();
const batches = new WeakMap<Operation, Uint8Array>();

/** Every replica has the same content, and so the same bytes. */
export function frameOf(entry: Entry<Content>): Uint8Array {
  const content = entry.content ?? [];
  const known = frames.get(content);
  if (known !== undefined) return known;
  const frame = encodeEntry(
    entry,
    content.map(({ operation }) => batchOf(operation)),
  );
  frames.set(content, frame);
  return frame;
}

/** The same of an entry as the checkers of its instance know it. */
export function releasedFrame(entry: ReleasedEntry): Uint8Array {
  return frameOf({ ...headerOf(entry), bytes: 0, content: entry.content });
}

/** An operation of a client of the library is the bytes that it has sent. */
export function keepFrame(operation: Operation, frame: Uint8Array): void {
  batches.set(operation, frame);
}

/** The records say which operation they are of, and which key they set. */
export function batchOf(operation: Operation): Uint8Array {
  const known = batches.get(operation);
  if (known !== undefined) return known;
  const { stream, recordCount, writer, matchSeqNum, fencingToken } = operation.batch;
  const change = memberRecordOf(operation);
  const plain = (_: unknown, record: number): RecordInput => ({
    key: Buffer.from(`key-${(operation.id + record) % 17}`),
    body: Buffer.from(`${operation.id}/${record}`),
  });
  const records = change === null ? Array.from({ length: recordCount }, plain) : [change];
  const batch = encodeBatch({
    stream,
    records,
    writer: writer ?? undefined,
    matchSeqNum: matchSeqNum ?? undefined,
    fencingToken: fencingToken ?? undefined,
  });
  batches.set(operation, batch);
  return batch;
}
