/**
 * The other two replicas: one outbox each for what we say, one dialer each for what we hear. Owns who
 * may link: cluster, instance and both replica numbers must be right on both sides, so two clusters
 * whose addresses were mixed up never exchange a packet.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { create } from '@bufbuild/protobuf';
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  FetchCheckpointResponseSchema,
  PeerService,
} from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type {
  FetchCheckpointRequest,
  FetchCheckpointResponse,
  LinkRequest,
  ViewResponse,
  ViewResponseSchema,
} from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import { bind } from '../../libs/rpc/rpc.ts';
import type {
  Caller,
  Channel,
  Handlers,
  ServerStream,
  ServiceBinding,
} from '../../libs/rpc/rpc.ts';
import { assert } from '../../libs/values/assert.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { isReplicaId } from '../../libs/values/numbers.ts';
import type { JournalEntry, JournalPacket } from './content.ts';
import type { Frame } from './content.ts';
import { linkSerializer } from './link-codec.ts';
import { PACKET_VERSION, PACKET_VERSION_MAX } from './packet.ts';
import { PeerDialer } from './peer-dialer.ts';
import { PeerOutbox } from './peer-outbox.ts';
import type { LinkStream } from './peer-outbox.ts';
import type { PeerQuestions } from './peer-questions.ts';
import type { Target } from './target.ts';

type CheckpointStream = ServerStream<FetchCheckpointResponse>;

export interface PeerAddress {
  readonly replica: ReplicaId;
  readonly region: string;
  readonly address: string;
}

export interface PeersOptions {
  readonly target: Target;
  readonly self: ReplicaId;
  readonly peers: readonly PeerAddress[];
  readonly dial: (peer: PeerAddress) => Channel;
  readonly queuedBytesMax: number;
  readonly contentOf: (entry: JournalEntry) => Frame;
  /** Sections of the checkpoint behind which the log begins; null while the log is whole. */
  readonly baseCheckpoint: () => Iterator<Uint8Array> | null;
  /** Answers what the peers ask beside the link. */
  readonly questions: Pick<PeerQuestions, 'fetchEntries' | 'compareRelease'>;
  readonly onPacket: (from: ReplicaId, packet: JournalPacket) => void;
  /** The peer listens to us on a new link: what was under way on the old one may be lost. */
  readonly onLinked: (peer: ReplicaId) => void;
  readonly onChange: (peer: ReplicaId, error: MeridianError | null) => void;
  /** What a peer's console is told of this replica. */
  readonly view: () => Promise<MessageInitShape<typeof ViewResponseSchema>>;
}

/** What waits for a peer. */
export interface PeerFigures {
  readonly replica: ReplicaId;
  /** The peer listens to this replica. */
  readonly linked: boolean;
  readonly queuedBytes: number;
  /** Packets dropped at the bound. */
  readonly dropped: number;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #outboxes = new Map<ReplicaId, PeerOutbox>();
  readonly #dialers: PeerDialer[];
  /** For questions, which must not wait behind packets; opened with the first one. */
  readonly #channels = new Map<ReplicaId, Channel>();
  readonly service: ServiceBinding;

  constructor(options: PeersOptions) {
    this.#options = options;
    for (const { replica } of options.peers) {
      this.#outboxes.set(replica, new PeerOutbox(options.queuedBytesMax));
    }
    this.#dialers = options.peers.map(
      (peer) =>
        new PeerDialer({
          target: options.target,
          self: options.self,
          peer: peer.replica,
          dial: () => options.dial(peer),
          onPacket: (packet) => {
            options.onPacket(peer.replica, packet);
          },
          onChange: (error) => {
            options.onChange(peer.replica, error);
          },
          random: Math.random,
        }),
    );
    const link = (request: LinkRequest, stream: LinkStream): void => {
      this.#link(request, stream);
    };
    const fetchCheckpoint = (request: FetchCheckpointRequest, stream: CheckpointStream): void => {
      this.#sendCheckpoint(request, stream);
    };
    const serializers = { link: linkSerializer(options.contentOf) };
    const view: Handlers<typeof PeerService>['view'] = (request, { caller }) => {
      options.target.check(request);
      if (request.to !== options.self) throw wrongReplica('this is', options.self, request.to);
      this.#checkCaller(request.from, caller);
      return options.view();
    };
    const handlers: Handlers<typeof PeerService> = {
      link,
      fetchCheckpoint,
      view,
      fetchEntries: (request, stream) => {
        this.#checkCaller(request.from, stream.caller);
        options.questions.fetchEntries(request, stream);
      },
      compareRelease: async (request, { caller }) => {
        this.#checkCaller(request.from, caller);
        return options.questions.compareRelease(request);
      },
    };
    this.service = bind(PeerService, handlers, serializers);
  }

  start(): void {
    for (const dialer of this.#dialers) dialer.start();
  }

  stop(): void {
    for (const dialer of this.#dialers) dialer.stop();
    for (const channel of this.#channels.values()) channel.close();
    const error = new MeridianError('UNAVAILABLE', 'the replica is going down');
    for (const outbox of this.#outboxes.values()) outbox.detach(error);
  }

  figures(): PeerFigures[] {
    return [...this.#outboxes].map(([replica, { linked, queuedBytes, dropped }]) => ({
      replica,
      linked,
      queuedBytes,
      dropped,
    }));
  }

  send(to: ReplicaId, packet: JournalPacket): void {
    this.#outboxes.get(to)?.send(packet);
  }

  /** How a peer sees itself; fails after `deadlineMs`. */
  view(peer: ReplicaId, deadlineMs: number): Promise<ViewResponse> {
    const { target, self, dial } = this.#options;
    const channel = this.#channels.get(peer) ?? dial(this.#named(peer));
    this.#channels.set(peer, channel);
    const { cluster, instance } = target;
    const request = { cluster, instance, from: self, to: peer };
    return channel.unary(PeerService.method.view, request, { deadlineMs });
  }

  /** Asks a peer for the checkpoint behind which its log begins; the handlers hear of the sections. */
  fetchCheckpoint(
    peer: ReplicaId,
    onSection: (section: Uint8Array) => void,
    onEnd: (error: MeridianError | null) => void,
  ): void {
    const { target, self, dial } = this.#options;
    const channel = dial(this.#named(peer));
    const { cluster, instance } = target;
    channel.serverStream(
      PeerService.method.fetchCheckpoint,
      { cluster, instance, from: self, to: peer },
      {
        onMessage: ({ section }) => {
          onSection(section);
        },
        onEnd: (error) => {
          channel.close();
          onEnd(error);
        },
      },
    );
  }

  #named(peer: ReplicaId): PeerAddress {
    const named = this.#options.peers.find(({ replica }) => replica === peer);
    assert(named !== undefined, `replica ${peer} is a peer`);
    return named;
  }

  #sendCheckpoint(request: FetchCheckpointRequest, stream: CheckpointStream): void {
    const { target, self, baseCheckpoint } = this.#options;
    target.check(request);
    if (request.to !== self) throw wrongReplica('this is', self, request.to);
    this.#checkCaller(request.from, stream.caller);
    const sections = baseCheckpoint();
    if (sections === null) {
      throw new MeridianError('UNAVAILABLE', 'the log is whole: there is nothing it does not hold');
    }
    const send = (): void => {
      try {
        for (let next = sections.next(); ; next = sections.next()) {
          if (next.done === true) {
            stream.end();
            return;
          }
          const response = create(FetchCheckpointResponseSchema, { section: next.value });
          if (!stream.write(response)) return;
        }
      } catch (error) {
        stream.fail(error);
      }
    };
    stream.onDrain(send);
    stream.onClose(() => sections.return?.());
    send();
  }

  #link(request: LinkRequest, stream: LinkStream): void {
    const { target, self, onLinked } = this.#options;
    target.check(request);
    if (request.to !== self) throw wrongReplica('this is', self, request.to);
    const outbox = isReplicaId(request.from) ? this.#outboxes.get(request.from) : undefined;
    if (outbox === undefined) throw wrongReplica('the caller is', request.from, request.to);
    this.#checkCaller(request.from, stream.caller);
    if (request.formatVersion !== PACKET_VERSION) {
      throw new MeridianError(
        'INVALID',
        `the caller reads packet format ${request.formatVersion}, this replica speaks ${PACKET_VERSION}`,
      );
    }
    // A peer from before there were two versions says nothing of a highest one.
    const newest = Math.max(request.formatVersion, request.formatVersionMax);
    outbox.attach(stream, Math.min(newest, PACKET_VERSION_MAX));
    onLinked(request.from as ReplicaId);
  }

  /** A replica speaks for itself alone: its certificate names the region of the number it gives. */
  #checkCaller(from: number, caller: Caller | null): void {
    const region = caller?.identity?.names[1];
    if (caller === null) return;
    const claimed = this.#options.peers.find(({ replica }) => replica === from)?.region;
    if (region !== undefined && region === claimed) return;
    throw new MeridianError(
      'PERMISSION_DENIED',
      `${caller.principal} says it is replica ${from}, which is that of ${claimed ?? 'nobody'}`,
      { details: { principal: caller.principal, replica: from } },
    );
  }
}

function wrongReplica(what: string, actual: number, expected: number): MeridianError {
  return new MeridianError(
    'WRONG_TARGET',
    `${what} replica ${actual}, the link is meant for another: check the addresses of the peers`,
    { details: { field: 'replica', expected, actual } },
  );
}
