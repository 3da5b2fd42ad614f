/**
 * What this replica has to say to one peer, on the link that the peer has opened (the receiver dials).
 * Bounded: when the peer does not take it, packets wait up to a number of bytes and are then dropped,
 * which the lane core is made for; it sends again what was not confirmed.
 */
import { create } from '@bufbuild/protobuf';
import { LinkResponseSchema } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { LinkResponse } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { ServerStream } from '../../libs/rpc/rpc.ts';
import type { JournalPacket } from './content.ts';

export type LinkStream = ServerStream<LinkResponse>;

/** Packets that waited are sent together in messages of about this size. */
const MESSAGE_BYTES = 4 * 1024 * 1024;

export class PeerOutbox {
  readonly #encode: (packet: JournalPacket) => Buffer;
  readonly #queuedBytesMax: number;
  #stream: LinkStream | null = null;
  /** The stream said that it has enough; wait for it to drain. */
  #full = false;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  dropped = 0;

  constructor(encode: (packet: JournalPacket) => Buffer, queuedBytesMax: number) {
    this.#encode = encode;
    this.#queuedBytesMax = queuedBytesMax;
  }

  get linked(): boolean {
    return this.#stream !== null;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** A new link of the peer; an older one is ended, so that there is one writer and one order. */
  attach(stream: LinkStream): void {
    const before = this.#stream;
    this.#stream = stream;
    this.#full = false;
    this.#queue = [];
    this.#queuedBytes = 0;
    before?.fail(new MeridianError('UNAVAILABLE', 'the peer has opened a newer link'));
    stream.onDrain(() => {
      if (this.#stream === stream) this.#drain();
    });
    stream.onClose(() => {
      if (this.#stream === stream) this.detach();
    });
  }

  detach(error?: MeridianError): void {
    const stream = this.#stream;
    this.#stream = null;
    this.#queue = [];
    this.#queuedBytes = 0;
    if (error !== undefined) stream?.fail(error);
  }

  send(packet: JournalPacket): void {
    if (this.#stream === null) return;
    if (this.#full && this.#queuedBytes >= this.#queuedBytesMax) {
      this.dropped += 1;
      return;
    }
    const bytes = this.#encode(packet);
    if (!this.#full) this.#write(bytes);
    else {
      this.#queue.push(bytes);
      this.#queuedBytes += bytes.length;
    }
  }

  #drain(): void {
    this.#full = false;
    while (this.#queue.length > 0) {
      let bytes = 0;
      let count = 0;
      for (const packet of this.#queue) {
        if (count > 0 && bytes + packet.length > MESSAGE_BYTES) break;
        bytes += packet.length;
        count += 1;
      }
      this.#queuedBytes -= bytes;
      if (!this.#write(Buffer.concat(this.#queue.splice(0, count), bytes))) return;
    }
  }

  /** false: the stream has enough for now. */
  #write(packets: Buffer): boolean {
    const takesMore = this.#stream?.write(create(LinkResponseSchema, { packets })) ?? true;
    this.#full = !takesMore;
    return takesMore;
  }
}
