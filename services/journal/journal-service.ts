/**
 * The public calls of a replica, each checked and handed to the part that knows. Unary answers that
 * claim linearizability ask for a read point first, which starts after the call arrived.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  AppendRequest,
  AppendResponse,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { OrderMachine } from '../../libs/order/types.ts';
import { bind } from '../../libs/rpc/rpc.ts';
import type { BidiStream, Handlers, ServiceBinding } from '../../libs/rpc/rpc.ts';
import type { Linearizer } from './linearizer.ts';
import { locate } from './locate.ts';
import type { LocateSource } from './locate.ts';
import type { Readers } from './readers.ts';
import { serializeRead } from './shared-chunks.ts';
import { statusOf } from './status.ts';
import type { StatusSource } from './status.ts';
import type { Target } from './target.ts';
import type { Watermark } from './watermark.ts';

export interface JournalServiceOptions {
  readonly target: Target;
  readonly order: OrderMachine;
  readonly watermark: Watermark;
  readonly linearizer: Linearizer;
  readonly readers: Readers;
  readonly openSession: (stream: BidiStream<AppendRequest, AppendResponse>) => void;
  readonly status: StatusSource;
  readonly locate: LocateSource;
}

export function journalService(options: JournalServiceOptions): ServiceBinding {
  const { target, order, watermark, linearizer, readers, openSession, status } = options;
  const handlers: Handlers<typeof JournalService> = {
    append: openSession,
    read: (request, stream) => {
      readers.open(request, stream);
    },
    checkTail: async (request, { signal }) => {
      target.check(request.target);
      const readPoint = await linearizer.readPoint(true, signal);
      const stream = order.stream(request.stream);
      if (stream === null) throw noStream(request.stream);
      return {
        nextSeqNum: BigInt(stream.nextSeqNum),
        timestamp: BigInt(stream.lastTimestamp),
        readPoint: BigInt(readPoint),
      };
    },
    heartbeat: async (request, { signal }) => {
      target.check(request.target);
      const readPoint = await linearizer.readPoint(request.waitForWatermark, signal);
      return { readPoint: BigInt(readPoint), watermark: BigInt(watermark.value) };
    },
    getWriter: async (request, { signal }) => {
      target.check(request.target);
      await linearizer.readPoint(true, signal);
      const writer = order.writer(request.writerId);
      if (writer === null) return { known: false };
      const { epoch, lastSeq, timestamp } = writer;
      return { known: true, epoch, lastSeq: BigInt(lastSeq), timestamp: BigInt(timestamp) };
    },
    status: (request) => {
      target.check(request.target);
      return statusOf(status);
    },
    locate: async (request) => {
      target.check(request.target);
      return Promise.resolve(locate(options.locate, request));
    },
  };
  return bind(JournalService, handlers, { read: serializeRead });
}

function noStream(stream: string): MeridianError {
  return new MeridianError('STREAM_NOT_FOUND', `there is no stream ${JSON.stringify(stream)}`, {
    details: { stream },
  });
}
