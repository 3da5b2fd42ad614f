/**
 * The message of a link, made on its way out: packets wait as what they are and become bytes when
 * grpc-js asks for them, in memory that is used again for the next message. With a buffer for each
 * packet, one for its message and one for the transport, and that for two peers, the garbage collector
 * ran full collections several times a second.
 */
import { create } from '@bufbuild/protobuf';
import { LinkResponseSchema } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { LinkResponse } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { Frame, JournalEntry, JournalPacket } from './content.ts';
import { ByteWriter } from './packet-bytes.ts';
import { writePacket } from './packet.ts';

/** Field 1, length-delimited. */
const TAG = 0x0a;
const PREFIX_BYTES = 5;

const EMPTY = create(LinkResponseSchema);
interface Source {
  readonly packets: readonly JournalPacket[];
  /** Of the format that the receiver reads. */
  readonly version: number;
}

const sources = new WeakMap<LinkResponse, Source>();

export function linkMessage(packets: readonly JournalPacket[], version: number): LinkResponse {
  const message = { ...EMPTY };
  sources.set(message, { packets, version });
  return message;
}

/** Encodes what `linkMessage` made; the result is good until the next call. */
export function linkSerializer(
  contentOf: (entry: JournalEntry) => Frame,
): (message: LinkResponse) => Buffer {
  const writer = new ByteWriter();
  return (message) => {
    writer.reset();
    writer.u8(TAG);
    writer.u32(0);
    const source = sources.get(message);
    for (const packet of source?.packets ?? []) {
      writePacket(writer, packet, contentOf, source?.version);
    }
    // The length as a varint of always four bytes, since it is known only now.
    const length = writer.length - PREFIX_BYTES;
    const septet = (number: number): number => (length >>> (7 * number)) & 0x7f;
    const low = (septet(0) | 0x80) + (septet(1) | 0x80) * 0x100;
    writer.patchU32(1, low + (septet(2) | 0x80) * 0x1_0000 + septet(3) * 0x100_0000);
    return writer.bytes();
  };
}
