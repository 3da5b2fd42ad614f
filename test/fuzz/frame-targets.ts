/** Frames (libs/frames), cursors, and what a replica's log and its peers' packets are made of. */
import { crc32 } from 'node:zlib';
import { decodeBatchHeader, decodeRecords, encodeBatch } from '../../libs/frames/batch.ts';
import { encodeControlBatch, verifyBatch, writeCrc } from '../../libs/frames/batch.ts';
import type { ControlAction } from '../../libs/frames/control.ts';
import { decodeCursor, encodeCursor } from '../../libs/frames/cursor.ts';
import { decodeDeliveries, encodeDeliveries } from '../../libs/frames/delivery.ts';
import { DeliveryWalker } from '../../libs/frames/delivery-walker.ts';
import { encodeEntry, entryBatches, verifyEntry } from '../../libs/frames/entry.ts';
import { epoch, index, seqNum, timestamp } from '../../libs/values/numbers.ts';
import { decodeWrite, encodeWrite } from '../../services/journal/log-frames.ts';
import { same } from './target.ts';
import type { Target } from './target.ts';

const body = (text: string): Uint8Array => Buffer.from(text);
const RECORD = { key: body('key'), headers: [], body: body('body') };
const ACTIONS: readonly ControlAction[] = [
  { kind: 'create', config: { fencing: 'required' } },
  { kind: 'configure', config: { fencing: null } },
  { kind: 'delete' },
  { kind: 'fence', token: 7, expected: null },
  { kind: 'trim', before: 9 },
  { kind: 'acquire', holder: 'x', ttlMicros: 5_000 },
  { kind: 'renew', holder: 'x', token: 3, ttlMicros: 5_000 },
  { kind: 'release', holder: 'x', token: 3 },
];

export const BATCHES: readonly Uint8Array[] = [
  encodeBatch({ stream: 's', records: [{ body: body('') }] }),
  encodeBatch({
    stream: 'a/stream',
    records: [RECORD, { body: body('x'.repeat(300)) }],
    writer: { id: 'writer', epoch: 3, seq: 9, previous: 8 },
    matchSeqNum: 12,
    fencingToken: 4,
    mustExist: true,
  }),
  ...ACTIONS.map((action) =>
    encodeControlBatch({ stream: 's', control: { requestId: 'r', notAfter: 99, action } }),
  ),
];
const identity = {
  lane: 1 as const,
  epoch: epoch(9),
  index: index(4),
  timestamp: timestamp(8 * 9 + 1),
};
export const ENTRIES: readonly Uint8Array[] = [
  encodeEntry({ ...identity, kind: 'batches' }, BATCHES.slice(0, 3)),
  encodeEntry(
    { ...identity, index: index(5), timestamp: timestamp(8 * 10 + 1), kind: 'batches' },
    BATCHES.slice(1),
  ),
];

const batch: Target = {
  name: 'batch',
  seeds: BATCHES,
  repair: framed,
  run: (bytes) => {
    const header = verifyBatch(bytes);
    const records = decodeRecords(bytes);
    const { stream, control, fencingToken: token, matchSeqNum, writer, mustExist } = header;
    const fencingToken = token ?? undefined;
    const again =
      control === null
        ? encodeBatch({
            stream,
            records: records.map((record) => ({ ...record, key: record.key ?? undefined })),
            writer: writer ?? undefined,
            matchSeqNum: matchSeqNum ?? undefined,
            fencingToken,
            mustExist,
          } as Parameters<typeof encodeBatch>[0])
        : encodeControlBatch({ stream, control, fencingToken });
    // A trace is left out when a batch is encoded anew: sizes and places may differ by it.
    const plain = { checksum: 0, bytes: 0, recordsOffset: 0 };
    same({ ...header, ...plain }, { ...decodeBatchHeader(again), ...plain });
    same(records, decodeRecords(again));
  },
};

const entry: Target = {
  name: 'entry',
  seeds: ENTRIES,
  repair: framed,
  run: (bytes) => {
    const header = verifyEntry(bytes);
    const batches = entryBatches(bytes);
    for (const it of batches) decodeRecords(it);
    same(header, verifyEntry(encodeEntry(header, batches)));
  },
};

const delivery: Target = {
  name: 'delivery',
  seeds: [
    encodeDeliveries(
      BATCHES.map((it, i) => ({
        timestamp: timestamp(8 * (i + 1)),
        recordOffset: i,
        firstSeqNum: seqNum(i * 3),
        instance: i,
        batch: it,
      })),
    ),
  ],
  run: (bytes) => {
    const items = decodeDeliveries(bytes);
    const walker = new DeliveryWalker(bytes);
    const walked = [];
    while (walker.next()) walked.push([walker.timestamp, walker.instance, walker.batch]);
    same(
      walked,
      items.map((it) => [it.timestamp, it.instance, it.batch]),
    );
    same(items, decodeDeliveries(encodeDeliveries(items)));
    for (const it of items) decodeRecords(it.batch);
  },
};

const cursor: Target = {
  name: 'cursor',
  seeds: [
    encodeCursor('cluster', []),
    encodeCursor('cluster', [
      { instance: 1, timestamp: 8, recordOffset: 0 },
      { instance: 2, timestamp: 2 ** 52, recordOffset: 0xffff_ffff },
    ]),
  ],
  repair: (bytes) => {
    if (bytes.length < 10) return bytes;
    bytes[0] = 1;
    bytes[1] = Math.floor((bytes.length - 10) / 14);
    bytes.writeUInt32LE(crc32('cluster'), 2);
    bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), bytes.length - 4);
    return bytes;
  },
  run: (bytes) => {
    const parts = decodeCursor('cluster', bytes);
    same(parts, decodeCursor('cluster', encodeCursor('cluster', parts)));
  },
};

/** The first byte stands for the frame's type. */
const logFrame: Target = {
  name: 'log-frame',
  seeds: [
    [2, encodeWrite({ type: 'truncate', lane: 1, from: index(7) })] as const,
    [3, encodeWrite({ type: 'promise', lane: 2, epoch: epoch(17) })] as const,
    [4, encodeWrite({ type: 'reserve', timestamp: timestamp(800) })] as const,
    [5, encodeWrite({ type: 'recovered' })] as const,
    [6, encodeWrite({ type: 'incarnation', replica: 0, incarnation: 4 })] as const,
    [7, encodeWrite({ type: 'life', replica: 2, incarnation: 4, life: 8, clock: 9 })] as const,
    [7, encodeWrite({ type: 'named', replica: 1, life: 8 })] as const,
  ].map(([type, bytes]) => Buffer.from([type, ...bytes])),
  run: (bytes) => {
    const write = decodeWrite(bytes[0] ?? 0, bytes.subarray(1));
    same(write, decodeWrite(bytes[0] ?? 0, encodeWrite(write)));
  },
};

export const FRAME_TARGETS: readonly Target[] = [batch, entry, delivery, cursor, logFrame];

/** Length and checksum of a frame. */
function framed(bytes: Buffer): Buffer {
  if (bytes.length < 8) return bytes;
  bytes.writeUInt32LE(bytes.length, 0);
  writeCrc(bytes);
  return bytes;
}
