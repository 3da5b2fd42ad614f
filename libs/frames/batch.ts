/**
 * Batches (SPEC.md): the frame a client encodes once and that travels unchanged through session,
 * log, peers and readers. `decodeBatchHeader` is on the path of every append and every release and
 * trusts the bytes behind the header; `verifyBatch` is for bytes from outside and trusts nothing.
 */
import { crc32 } from 'node:zlib';
import { MeridianError } from '../errors/errors.ts';
import type { SeqNum } from '../values/numbers.ts';
import {
  isU32,
  isU64,
  readU16,
  readU32,
  readU64,
  readU8,
  writeU16,
  writeU32,
  writeU64,
} from './ints.ts';
import { decodeControl, encodeControl } from './control.ts';
import type { Control } from './control.ts';
import { decodeName, encodeName } from './names.ts';
import {
  RECORD_BYTES_MIN,
  bodyOffset,
  readRecord,
  recordBytes,
  recordEnd,
  skipRecord,
  writeRecord,
} from './record.ts';
import type { RecordInput, RecordView } from './record.ts';
import { TRACE_BYTES, TRACE_CONTEXT_BYTES, writeTrace } from './trace.ts';

export type { RecordInput, RecordView } from './record.ts';

export interface BatchWriter {
  readonly id: string;
  readonly epoch: number;
  readonly seq: number;
  readonly previous: number;
}

export interface BatchInput {
  /** 1 to 255 bytes of UTF-8. */
  readonly stream: string;
  /** At least one. */
  readonly records: readonly RecordInput[];
  /** Makes the append take effect once; id 1 to 64 bytes of UTF-8, previous < seq. */
  readonly writer?: BatchWriter | undefined;
  /** The stream's next sequence number must be this. */
  readonly matchSeqNum?: number | undefined;
  /** The stream's fencing token must be this. */
  readonly fencingToken?: number | undefined;
  /** The append does not create the stream. */
  readonly mustExist?: boolean | undefined;
  /** Context of a sampled trace (trace.ts). */
  readonly trace?: Uint8Array | undefined;
}

/** A batch without records: an action that is decided in the order (control.ts). */
export interface ControlBatchInput {
  readonly stream: string;
  readonly control: Control;
  /** The stream's fencing token must be this. */
  readonly fencingToken?: number | undefined;
}

export interface BatchHeaderView {
  readonly stream: string;
  readonly recordCount: number;
  readonly writer: BatchWriter | null;
  readonly matchSeqNum: SeqNum | null;
  readonly fencingToken: number | null;
  readonly mustExist: boolean;
  /** Set where `recordCount` is 0. */
  readonly control: Control | null;
  /** As stored in the frame. */
  readonly checksum: number;
  /** Of the whole frame. */
  readonly bytes: number;
  /** Of the first record, from the start of the frame. */
  readonly recordsOffset: number;
}

export interface BatchLimits {
  /** Largest frame. Default 1 MiB. */
  readonly batchBytesMax: number;
  /** Most records. Default 10,000. */
  readonly recordsMax: number;
}

export const BATCH_LIMITS: BatchLimits = { batchBytesMax: 1024 * 1024, recordsMax: 10_000 };
export const BATCH_VERSION = 1;
export const STREAM_BYTES_MAX = 255;
export const WRITER_ID_BYTES_MAX = 64;

const FIXED_BYTES = 20;
/** The smallest batch: a name of one byte, one empty record; one with an action is larger. */
export const BATCH_BYTES_MIN = FIXED_BYTES + 1 + RECORD_BYTES_MIN;

const HAS_WRITER = 1;
const HAS_MATCH_SEQ_NUM = 2;
const HAS_FENCING_TOKEN = 4;
const IS_CONTROL = 8;
const MUST_EXIST = 16;
const KNOWN_FLAGS = HAS_WRITER | HAS_MATCH_SEQ_NUM | HAS_FENCING_TOKEN | IS_CONTROL | MUST_EXIST;
/** What makes no sense for an action. */
const APPEND_FLAGS = HAS_WRITER | HAS_MATCH_SEQ_NUM | MUST_EXIST;
const WRITER_FIXED_BYTES = 1 + 4 + 8 + 8;

/** One allocation. TOO_LARGE beyond the limits, INVALID for what the format cannot express. */
export function encodeBatch(input: BatchInput, limits: BatchLimits = BATCH_LIMITS): Uint8Array {
  const { stream, records, writer, matchSeqNum, fencingToken, trace } = input;
  const name = nameBytes('stream name', stream, STREAM_BYTES_MAX);
  const writerId =
    writer === undefined ? null : nameBytes('writer id', writer.id, WRITER_ID_BYTES_MAX);
  checkConditions(input);
  let recordsOffset = FIXED_BYTES + name.length;
  if (writerId !== null) recordsOffset += WRITER_FIXED_BYTES + writerId.length;
  if (matchSeqNum !== undefined) recordsOffset += 8;
  if (fencingToken !== undefined) recordsOffset += 8;
  if (trace !== undefined) recordsOffset += TRACE_BYTES;
  if (trace !== undefined && trace.length !== TRACE_CONTEXT_BYTES) {
    throw new MeridianError('INVALID', `a trace context has 24 bytes, not ${trace.length}`);
  }

  if (records.length === 0) throw new MeridianError('INVALID', 'a batch needs a record');
  checkRecordCount(records.length, limits);
  let bytes = recordsOffset;
  for (const record of records) bytes += recordBytes(record);
  checkBytes(bytes, limits);

  const frame = Buffer.allocUnsafe(bytes);
  writeU32(frame, 0, bytes);
  frame[8] = BATCH_VERSION;
  frame[9] =
    (writerId === null ? 0 : HAS_WRITER) |
    (matchSeqNum === undefined ? 0 : HAS_MATCH_SEQ_NUM) |
    (fencingToken === undefined ? 0 : HAS_FENCING_TOKEN) |
    (input.mustExist === true ? MUST_EXIST : 0);
  writeU16(frame, 10, name.length);
  writeU32(frame, 12, records.length);
  writeU32(frame, 16, recordsOffset);
  frame.set(name, FIXED_BYTES);
  let offset = FIXED_BYTES + name.length;
  if (writer !== undefined && writerId !== null) {
    frame[offset] = writerId.length;
    frame.set(writerId, offset + 1);
    offset += 1 + writerId.length;
    writeU32(frame, offset, writer.epoch);
    writeU64(frame, offset + 4, writer.seq);
    writeU64(frame, offset + 12, writer.previous);
    offset += 20;
  }
  if (matchSeqNum !== undefined) {
    writeU64(frame, offset, matchSeqNum);
    offset += 8;
  }
  if (fencingToken !== undefined) {
    writeU64(frame, offset, fencingToken);
    offset += 8;
  }
  if (trace !== undefined) {
    writeTrace(frame, offset, trace);
    offset += TRACE_BYTES;
  }
  for (const record of records) offset = writeRecord(frame, offset, record);
  writeCrc(frame);
  return frame;
}

/** The frame of an action. INVALID for what may not be asked. */
export function encodeControlBatch({
  stream,
  control,
  fencingToken,
}: ControlBatchInput): Uint8Array {
  const name = nameBytes('stream name', stream, STREAM_BYTES_MAX);
  checkToken(fencingToken);
  const region = encodeControl(control);
  const tokenBytes = fencingToken === undefined ? 0 : 8;
  const bytes = FIXED_BYTES + name.length + tokenBytes + region.length;
  const frame = Buffer.allocUnsafe(bytes);
  writeU32(frame, 0, bytes);
  frame[8] = BATCH_VERSION;
  frame[9] = IS_CONTROL | (fencingToken === undefined ? 0 : HAS_FENCING_TOKEN);
  writeU16(frame, 10, name.length);
  writeU32(frame, 12, 0);
  writeU32(frame, 16, bytes);
  frame.set(name, FIXED_BYTES);
  if (fencingToken !== undefined) writeU64(frame, FIXED_BYTES + name.length, fencingToken);
  frame.set(region, FIXED_BYTES + name.length + tokenBytes);
  writeCrc(frame);
  return frame;
}

/**
 * The header of the batch that starts at `offset`. Checks every field and that the frame lies inside
 * `bytes`; not the checksum and not the records.
 */
export function decodeBatchHeader(bytes: Uint8Array, offset = 0): BatchHeaderView {
  const size = frameSize(bytes, offset, BATCH_BYTES_MIN, 'batch');
  const version = readU8(bytes, offset + 8);
  if (version !== BATCH_VERSION) {
    throw new MeridianError('INVALID', `batch at byte ${offset} has format version ${version}`);
  }
  const flags = readU8(bytes, offset + 9);
  if ((flags & ~KNOWN_FLAGS) !== 0) {
    // One of them may be a condition: to ignore it would be to append what must not be appended.
    throw new MeridianError('INVALID', `batch at byte ${offset} has unknown flags ${flags}`);
  }
  const streamBytes = readU16(bytes, offset + 10);
  const recordCount = readU32(bytes, offset + 12);
  const recordsOffset = readU32(bytes, offset + 16);
  if (streamBytes < 1 || streamBytes > STREAM_BYTES_MAX) {
    throw new MeridianError('INVALID', `stream name of ${streamBytes} bytes; 1 to 255 are allowed`);
  }
  let at = FIXED_BYTES + streamBytes;
  const writerAt = at;
  if ((flags & HAS_WRITER) !== 0) at += WRITER_FIXED_BYTES + readU8(bytes, offset + at);
  const conditionsAt = at;
  if ((flags & HAS_MATCH_SEQ_NUM) !== 0) at += 8;
  if ((flags & HAS_FENCING_TOKEN) !== 0) at += 8;
  if (recordsOffset < at || recordsOffset > size) {
    throw new MeridianError('INVALID', `batch at byte ${offset}: its header exceeds it`);
  }
  const isControl = (flags & IS_CONTROL) !== 0;
  const recordsFit = isControl
    ? recordCount === 0 && recordsOffset === size && (flags & APPEND_FLAGS) === 0
    : recordCount >= 1 && recordCount <= (size - recordsOffset) / RECORD_BYTES_MIN;
  if (!recordsFit) {
    throw new MeridianError(
      'INVALID',
      `batch at byte ${offset}: ${recordCount} records in ${size - recordsOffset} bytes with flags ${flags}`,
    );
  }
  const stream = decodeName(bytes, offset + FIXED_BYTES, streamBytes);
  const writer = (flags & HAS_WRITER) === 0 ? null : readWriter(bytes, offset + writerAt);
  let condition = offset + conditionsAt;
  let matchSeqNum: SeqNum | null = null;
  if ((flags & HAS_MATCH_SEQ_NUM) !== 0) {
    matchSeqNum = readU64(bytes, condition) as SeqNum;
    condition += 8;
  }
  const fencingToken = (flags & HAS_FENCING_TOKEN) === 0 ? null : readU64(bytes, condition);
  return {
    stream,
    recordCount,
    writer,
    matchSeqNum,
    fencingToken,
    mustExist: (flags & MUST_EXIST) !== 0,
    control: isControl ? decodeControl(bytes, offset + at, offset + recordsOffset) : null,
    checksum: readU32(bytes, offset + 4),
    bytes: size,
    recordsOffset,
  };
}

/** Records of the batch at `offset`, without a look at the rest; for bytes that were verified before. */
export function recordCountAt(bytes: Uint8Array, offset: number): number {
  return readU32(bytes, offset + 12);
}

/** Whether the batch at `offset` is of the stream with this name; for bytes that were verified before. */
export function isOfStream(bytes: Uint8Array, offset: number, name: Uint8Array): boolean {
  if (readU16(bytes, offset + 10) !== name.length) return false;
  for (let i = 0; i < name.length; i += 1) {
    if (bytes[offset + FIXED_BYTES + i] !== name[i]) return false;
  }
  return true;
}

/** For a batch from outside, alone in `bytes`: limits, checksum, every size and record boundary. */
export function verifyBatch(
  bytes: Uint8Array,
  limits: BatchLimits = BATCH_LIMITS,
): BatchHeaderView {
  checkBytes(bytes.length, limits);
  const size = frameSize(bytes, 0, BATCH_BYTES_MIN, 'batch');
  if (size !== bytes.length) {
    throw new MeridianError('INVALID', `batch says ${size} bytes and has ${bytes.length}`);
  }
  checkCrc(bytes, 'batch');
  const header = decodeBatchHeader(bytes);
  checkRecordCount(header.recordCount, limits);
  let offset = header.recordsOffset;
  for (let i = 0; i < header.recordCount; i += 1) offset = skipRecord(bytes, offset);
  if (offset !== size) {
    throw new MeridianError('INVALID', `batch has ${size - offset} bytes after its last record`);
  }
  return header;
}

/** The records of one batch as views into it. */
export function decodeRecords(batch: Uint8Array): RecordView[] {
  const header = decodeBatchHeader(batch);
  const frame = header.bytes === batch.length ? batch : batch.subarray(0, header.bytes);
  const records: RecordView[] = [];
  let offset = header.recordsOffset;
  for (let i = 0; i < header.recordCount; i += 1) {
    const end = recordEnd(frame, offset);
    records.push(readRecord(frame, offset));
    offset = end;
  }
  return records;
}

/** Bodies of the `count` records that begin at `offset` of a batch, as views. */
export function bodiesOf(batch: Uint8Array, offset: number, count: number): Uint8Array[] {
  const bodies: Uint8Array[] = [];
  for (let i = 0, start = offset; i < count; i += 1) {
    const end = recordEnd(batch, start);
    bodies.push(batch.subarray(bodyOffset(batch, start, end), end));
    start = end;
  }
  return bodies;
}

/** Size of the frame at `offset`, which lies inside `bytes` and is at least `least` long. */
export function frameSize(bytes: Uint8Array, offset: number, least: number, what: string): number {
  const available = bytes.length - offset;
  const size = available < 4 ? 0 : readU32(bytes, offset);
  if (size < least || size > available) {
    throw new MeridianError(
      'INVALID',
      available < 4
        ? `${what} at byte ${offset} is cut off`
        : `${what} at byte ${offset} says ${size} bytes; ${least} to ${available} are possible`,
    );
  }
  return size;
}

/** Puts the checksum of byte 8 to the end at byte 4. */
export function writeCrc(frame: Uint8Array): void {
  writeU32(frame, 4, crc32(frame.subarray(8)));
}

/** The checksum at byte 4 covers byte 8 to the end. */
export function checkCrc(frame: Uint8Array, what: string): void {
  const stored = readU32(frame, 4);
  const actual = crc32(frame.subarray(8));
  if (stored === actual) return;
  throw new MeridianError('INVALID', `${what} checksum is ${actual}, its header says ${stored}`);
}

function readWriter(bytes: Uint8Array, start: number): BatchWriter {
  const idBytes = readU8(bytes, start);
  if (idBytes < 1 || idBytes > WRITER_ID_BYTES_MAX) {
    throw new MeridianError('INVALID', `writer id of ${idBytes} bytes; 1 to 64 are allowed`);
  }
  const id = decodeName(bytes, start + 1, idBytes);
  const offset = start + 1 + idBytes;
  const epoch = readU32(bytes, offset);
  const seq = readU64(bytes, offset + 4);
  const previous = readU64(bytes, offset + 12);
  if (previous >= seq) {
    throw new MeridianError('INVALID', `writer seq ${seq} is not above its previous ${previous}`);
  }
  return { id, epoch, seq, previous };
}

function nameBytes(what: string, name: string, most: number): Uint8Array {
  const bytes = encodeName(name);
  if (bytes.length < 1 || bytes.length > most) {
    throw new MeridianError(
      'INVALID',
      `${what} of ${bytes.length} bytes; 1 to ${most} are allowed`,
    );
  }
  return bytes;
}

function checkConditions({ writer, matchSeqNum, fencingToken }: BatchInput): void {
  if (writer !== undefined) {
    const { epoch, seq, previous } = writer;
    if (!isU32(epoch) || !isU64(seq) || !isU64(previous) || previous >= seq) {
      throw new MeridianError(
        'INVALID',
        `writer epoch ${epoch}, seq ${seq}, previous ${previous}: whole numbers with previous < seq are needed`,
      );
    }
  }
  if (matchSeqNum !== undefined && !isU64(matchSeqNum)) {
    throw new MeridianError('INVALID', `matchSeqNum ${matchSeqNum} is not a sequence number`);
  }
  checkToken(fencingToken);
}

function checkToken(fencingToken: number | undefined): void {
  if (fencingToken === undefined || isU64(fencingToken)) return;
  throw new MeridianError('INVALID', `fencingToken ${fencingToken} is not a token`);
}

function checkBytes(bytes: number, limits: BatchLimits): void {
  if (bytes <= limits.batchBytesMax) return;
  throw new MeridianError(
    'TOO_LARGE',
    `batch of ${bytes} bytes; at most ${limits.batchBytesMax} are allowed: append fewer or smaller records at once`,
    { details: { bytes, limit: limits.batchBytesMax } },
  );
}

function checkRecordCount(count: number, limits: BatchLimits): void {
  if (count <= limits.recordsMax) return;
  throw new MeridianError(
    'TOO_LARGE',
    `batch of ${count} records; at most ${limits.recordsMax} are allowed`,
    { details: { records: count, limit: limits.recordsMax } },
  );
}
