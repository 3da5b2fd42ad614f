/** A read over a journal in memory, for tests: what it was sent, as one checked sequence. */
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { decodeBatchHeader } from '../../libs/frames/batch.ts';
import { decodeDeliveries } from '../../libs/frames/delivery.ts';
import type { Delivery } from '../../libs/frames/delivery.ts';
import { ReadGap_Kind, ReadRequestSchema } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type {
  Position,
  ReadGap,
  ReadProgress,
  ReadResponse,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { Message } from '@bufbuild/protobuf';
import { assert } from '../../libs/values/assert.ts';
import { micros } from '../../libs/values/numbers.ts';
import { FakeStream } from './fake-streams.ts';
import type { MemoryJournal } from './memory-journal.ts';
import { planRead } from './read-plan.ts';
import type { ReadPlan } from './read-plan.ts';
import { Reader } from './reader.ts';
import { SharedChunks } from './shared-chunks.ts';

export type Request = MessageInitShape<typeof ReadRequestSchema>;

export function plan(journal: MemoryJournal, request: Request, settled = true): ReadPlan | 'later' {
  const { index, store, order, watermark, history } = journal;
  const state = { index, store, order, history, watermark: watermark.value, futureFrom: 1_000_000 };
  return planRead(create(ReadRequestSchema, request), state, settled);
}

export interface Open {
  readonly room: { shareBytes: number; heldBytes: number };
  readonly stream: FakeStream<Message, ReadResponse>;
  readonly reader: Reader;
  readonly pump: () => void;
}

export const SLOW_MICROS = 5_000_000;

export function open(
  journal: MemoryJournal,
  request: Request,
  chunkBytes = 200,
  chunks = new SharedChunks(journal.index, journal.store),
): Open {
  const planned = plan(journal, request);
  if (planned === 'later') throw new Error('not planned');
  const stream = new FakeStream<Message, ReadResponse>();
  const { index, store, order, watermark, history } = journal;
  const room = { shareBytes: 2 * chunkBytes, heldBytes: 0 };
  const context = { index, store, order, history, watermark, room, now: () => micros(journal.now) };
  const figures = { bytes: 0, batches: 0 };
  const times = { progressMicros: 10_000, stalledMicros: 1_000_000, slowReaderMicros: SLOW_MICROS };
  const reader = new Reader(
    { ...context, ...times, figures, chunks, onUnreadable: () => undefined },
    stream,
    planned,
  );
  const pump = (): void => {
    if (!reader.done) reader.pump(micros(journal.now));
  };
  return { room, stream, reader, pump };
}

export interface Seen {
  readonly deliveries: Delivery[];
  readonly progress: ReadProgress[];
  /** `kind from to`, and the numbers of a trim. */
  readonly gaps: string[];
}

/** Pumps until nothing comes, checking that progress and records are one ordered sequence. */
export function drain({ stream, pump }: Open): Seen {
  const deliveries: Delivery[] = [];
  const progress: ReadProgress[] = [];
  const gaps: string[] = [];
  for (let quiet = false; !quiet;) {
    pump();
    const messages = stream.take();
    quiet = messages.length === 0;
    for (const { message } of messages) {
      if (message.case === 'progress') progress.push(message.value);
      if (message.case === 'gap') gaps.push(gapText(message.value));
      if (message.case !== 'batches') continue;
      for (const delivery of decodeDeliveries(message.value.frames)) {
        const claimed = progress.at(-1)?.watermark ?? 0n;
        assert(BigInt(delivery.timestamp) > claimed, 'progress overtook a record');
        deliveries.push(delivery);
      }
      if (message.value.progress !== undefined) progress.push(message.value.progress);
    }
  }
  return { deliveries, progress, gaps };
}

function gapText({ kind, from, to, fromSeqNum, toSeqNum }: ReadGap): string {
  const place = (position: Position | undefined): string =>
    `${position?.timestamp}+${position?.recordOffset}`;
  const numbers = toSeqNum === 0n ? '' : ` #${fromSeqNum}-${toSeqNum}`;
  return `${ReadGap_Kind[kind]} ${place(from)} to ${place(to)}${numbers}`;
}

export const place = ({ timestamp: time, recordOffset, firstSeqNum, batch }: Delivery): string =>
  `${time}+${recordOffset} ${decodeBatchHeader(batch).stream}#${firstSeqNum}`;

export const records = (count: number): { body: Uint8Array }[] =>
  Array.from({ length: count }, () => ({ body: Buffer.alloc(20) }));
