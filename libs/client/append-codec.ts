/**
 * The message that carries batches of a session, made on its way out: the frames go straight into the
 * buffer that grpc-js takes. Joined first and encoded after, a message was copied three times, and the
 * buffers of the copies made the garbage collector run full collections several times a second.
 */
import { create } from '@bufbuild/protobuf';
import { AppendRequestSchema } from '../gen/meridian/journal/v1/journal_pb.ts';
import type { AppendRequest } from '../gen/meridian/journal/v1/journal_pb.ts';
import { serializer } from '../rpc/rpc.ts';

/** `batches`, field 2 of the request; `frames`, field 1 of it, `min_timestamp`, field 2. */
const BATCHES_TAG = 0x12;
const FRAMES_TAG = 0x0a;
const MIN_TIMESTAMP_TAG = 0x10;

interface Parcel {
  readonly frames: readonly Uint8Array[];
  readonly bytes: number;
  readonly minTimestamp: number;
}

const EMPTY = create(AppendRequestSchema);
const encodePlain = serializer(AppendRequestSchema);
const parcels = new WeakMap<AppendRequest, Parcel>();

/** Batch frames of `bytes` bytes together; they must not change before the message is encoded. */
export function batchesMessage(
  frames: readonly Uint8Array[],
  bytes: number,
  minTimestamp: number,
): AppendRequest {
  const message = { ...EMPTY };
  parcels.set(message, { frames, bytes, minTimestamp });
  return message;
}

/** Encodes what `batchesMessage` made, and every other request. */
export function encodeAppendRequest(message: AppendRequest): Buffer {
  const parcel = parcels.get(message);
  if (parcel === undefined) return encodePlain(message);
  const { frames, bytes, minTimestamp } = parcel;
  const inner =
    1 + varintBytes(bytes) + bytes + (minTimestamp > 0 ? 1 + varintBytes(minTimestamp) : 0);
  const out = Buffer.allocUnsafe(1 + varintBytes(inner) + inner);
  let offset = writeVarint(out, out.writeUInt8(BATCHES_TAG, 0), inner);
  offset = writeVarint(out, out.writeUInt8(FRAMES_TAG, offset), bytes);
  for (const frame of frames) {
    out.set(frame, offset);
    offset += frame.length;
  }
  if (minTimestamp > 0) writeVarint(out, out.writeUInt8(MIN_TIMESTAMP_TAG, offset), minTimestamp);
  return out;
}

/** Numbers reach beyond 32 bits, so this divides instead of shifting. */
function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

function writeVarint(out: Buffer, start: number, value: number): number {
  let offset = start;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) {
    out[offset] = (rest % 128) | 0x80;
    offset += 1;
  }
  out[offset] = rest;
  return offset + 1;
}
