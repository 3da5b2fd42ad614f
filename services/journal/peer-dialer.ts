/**
 * The receiving side of a link: dials one peer, hears what it says, and dials again when the link ends
 * or falls silent. Every attempt makes a connection of its own, because an old one may hang in a
 * network that swallows packets long after the network has healed.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { PeerService } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { LinkResponse } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { Channel, ReadStream } from '../../libs/rpc/rpc.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import type { JournalPacket } from './content.ts';
import { PACKET_VERSION, PACKET_VERSION_MAX, decodePacket, splitPackets } from './packet.ts';
import type { Target } from './target.ts';

export interface PeerDialerOptions {
  readonly target: Target;
  readonly self: ReplicaId;
  readonly peer: ReplicaId;
  readonly dial: () => Channel;
  readonly onPacket: (packet: JournalPacket) => void;
  /** The link came up, or ended for this reason; told once per change. */
  readonly onChange: (error: MeridianError | null) => void;
  readonly random: () => number;
}

/** A peer sends a beacon every few milliseconds: this long without a word, the link is dead. */
const SILENCE_MS = 2_000;
const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 1_000;

export class PeerDialer {
  readonly #options: PeerDialerOptions;
  #channel: Channel | null = null;
  #call: ReadStream | null = null;
  #silence: NodeJS.Timeout | null = null;
  #retry: NodeJS.Timeout | null = null;
  #failures = 0;
  #up = false;
  #lastReason = '';
  #stopped = false;

  constructor(options: PeerDialerOptions) {
    this.#options = options;
  }

  start(): void {
    const { target, self, peer, dial } = this.#options;
    const channel = dial();
    this.#channel = channel;
    this.#silence = setTimeout(() => {
      this.#lost(new MeridianError('UNAVAILABLE', `nothing heard for ${SILENCE_MS} ms`));
    }, SILENCE_MS);
    const request = {
      cluster: target.cluster,
      instance: target.instance,
      from: self,
      to: peer,
      formatVersion: PACKET_VERSION,
      formatVersionMax: PACKET_VERSION_MAX,
    };
    this.#call = channel.serverStream(PeerService.method.link, request, {
      onMessage: (message) => {
        this.#hear(message);
      },
      onEnd: (error) => {
        this.#lost(error ?? new MeridianError('UNAVAILABLE', 'the peer ended the link'));
      },
    });
  }

  stop(): void {
    this.#stopped = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#hangUp();
  }

  #hear({ packets }: LinkResponse): void {
    try {
      const bytes = Buffer.from(packets.buffer, packets.byteOffset, packets.byteLength);
      for (const one of splitPackets(bytes)) {
        const packet = decodePacket(one);
        this.#checkSender(packet);
        this.#options.onPacket(packet);
      }
    } catch (error) {
      if (!(error instanceof MeridianError)) throw error;
      this.#lost(error);
      return;
    }
    this.#silence?.refresh();
    this.#failures = 0;
    if (this.#up) return;
    this.#up = true;
    this.#lastReason = '';
    this.#options.onChange(null);
  }

  #checkSender({ status }: JournalPacket): void {
    if (status.replica === this.#options.peer) return;
    throw new MeridianError(
      'WRONG_TARGET',
      `replica ${status.replica} answers where replica ${this.#options.peer} was dialled`,
      { details: { expected: this.#options.peer, actual: status.replica } },
    );
  }

  #lost(error: MeridianError): void {
    this.#hangUp();
    if (this.#stopped) return;
    if (this.#up || this.#lastReason !== error.reason) this.#options.onChange(error);
    this.#up = false;
    this.#lastReason = error.reason;
    const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#retry = setTimeout(
      () => {
        this.start();
      },
      ceiling * (0.5 + this.#options.random() / 2),
    );
  }

  #hangUp(): void {
    if (this.#silence !== null) clearTimeout(this.#silence);
    this.#call?.cancel();
    this.#channel?.close();
    this.#call = null;
    this.#channel = null;
  }
}
