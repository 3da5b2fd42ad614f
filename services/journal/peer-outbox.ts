/**
 * What this replica has to say to one peer, on the link that the peer has opened (the receiver dials).
 * Bounded: when the peer does not take it, packets wait up to a number of bytes and are then dropped,
 * which the lane core is made for; it sends again what was not confirmed.
 */
import type { LinkResponse } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import { MeridianError } from '../../libs/errors/errors.ts';
import type { ServerStream } from '../../libs/rpc/rpc.ts';
import type { JournalPacket } from './content.ts';
import { linkMessage } from './link-codec.ts';
import { packetBytes } from './packet.ts';

export type LinkStream = ServerStream<LinkResponse>;

/** Packets that waited are sent together in messages of about this size. */
const MESSAGE_BYTES = 4 * 1024 * 1024;

export class PeerOutbox {
  readonly #queuedBytesMax: number;
  #stream: LinkStream | null = null;
  /** Of the packets that the peer reads. */
  #version = 0;
  /** The stream said that it has enough; wait for it to drain. */
  #full = false;
  #queue: JournalPacket[] = [];
  #queuedBytes = 0;
  dropped = 0;

  constructor(queuedBytesMax: number) {
    this.#queuedBytesMax = queuedBytesMax;
  }

  get linked(): boolean {
    return this.#stream !== null;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** A new link of the peer, which reads packets of this version; an older one is ended, so that there is one writer and one order. */
  attach(stream: LinkStream, version: number): void {
    const before = this.#stream;
    this.#stream = stream;
    this.#version = version;
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
    if (!this.#full) this.#write([packet]);
    else {
      this.#queue.push(packet);
      this.#queuedBytes += packetBytes(packet);
    }
  }

  #drain(): void {
    this.#full = false;
    while (this.#queue.length > 0) {
      let bytes = 0;
      let count = 0;
      for (const packet of this.#queue) {
        const more = packetBytes(packet);
        if (count > 0 && bytes + more > MESSAGE_BYTES) break;
        bytes += more;
        count += 1;
      }
      this.#queuedBytes -= bytes;
      if (!this.#write(this.#queue.splice(0, count))) return;
    }
  }

  /** false: the stream has enough for now. */
  #write(packets: readonly JournalPacket[]): boolean {
    const takesMore = this.#stream?.write(linkMessage(packets, this.#version)) ?? true;
    this.#full = !takesMore;
    return takesMore;
  }
}
