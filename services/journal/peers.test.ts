/** One link between two real servers in this process, and the bound of an outbox. */
import { fromBinary } from '@bufbuild/protobuf';
import type { Message } from '@bufbuild/protobuf';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { MeridianError } from '../../libs/errors/errors.ts';
import { LinkResponseSchema } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { LinkResponse } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import { connect, startServer } from '../../libs/rpc/rpc.ts';
import type { RpcServer } from '../../libs/rpc/rpc.ts';
import { epoch, index, micros, timestamp } from '../../libs/values/numbers.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import type { JournalPacket } from './content.ts';
import { FakeStream } from './fake-streams.ts';
import { linkSerializer } from './link-codec.ts';
import { PACKET_VERSION_MAX, decodePacket, packetBytes, splitPackets } from './packet.ts';
import { PeerDialer } from './peer-dialer.ts';
import { PeerOutbox } from './peer-outbox.ts';
import { Peers } from './peers.ts';
import { Target } from './target.ts';

const lane = {
  promised: epoch(8),
  tail: { epoch: epoch(8), index: index(1) },
  closed: timestamp(5),
  feeder: 0 as const,
  base: { epoch: epoch(0), index: index(0) },
};

function packetOf(replica: ReplicaId, clock: number): JournalPacket {
  return {
    status: {
      replica,
      incarnation: 1,
      life: { number: 7, previous: 6, reservation: timestamp(3) },
      lives: [7, 8, 9],
      descent: null,
      version: clock,
      hears: [true, true, true],
      lanes: [lane, lane, lane],
      voting: true,
    },
    sentAt: micros(1),
    echo: null,
    wall: 1,
    clock: timestamp(clock),
    heardThird: 0,
    announcements: [],
    feeds: [],
    relayed: null,
    letters: [],
  };
}

describe('PeerOutbox', () => {
  type Link = FakeStream<Message, LinkResponse>;
  const serialize = linkSerializer(() => new Uint8Array());
  const clocksIn = (message: LinkResponse): number[] => {
    const { packets } = fromBinary(LinkResponseSchema, Buffer.from(serialize(message)));
    return [...splitPackets(Buffer.from(packets))].map((bytes) => decodePacket(bytes).clock);
  };

  it('keeps a bounded number of packets for a peer that does not take them, in order', () => {
    const outbox = new PeerOutbox(10 * packetBytes(packetOf(0, 0)));
    const stream: Link = new FakeStream();
    stream.room = 2;
    outbox.attach(stream, PACKET_VERSION_MAX);
    for (let i = 0; i < 50; i += 1) outbox.send(packetOf(0, i));
    expect(outbox.dropped).toBe(50 - 2 - 10);
    stream.room = Infinity;
    const sent = [...stream.take(), ...stream.take()].flatMap(clocksIn);
    expect(sent).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(outbox.queuedBytes).toBe(0);
  });

  it('drops everything while nobody listens, and ends an older link for a newer one', () => {
    const outbox = new PeerOutbox(1000);
    outbox.send(packetOf(0, 1));
    const [older, newer]: Link[] = [new FakeStream(), new FakeStream()];
    if (older === undefined || newer === undefined) throw new Error('two streams');
    outbox.attach(older, PACKET_VERSION_MAX);
    outbox.attach(newer, PACKET_VERSION_MAX);
    expect(older.reason).toBe('UNAVAILABLE');
    outbox.send(packetOf(0, 2));
    expect(newer.written.length).toBe(1);
    older.hangUp();
    expect(outbox.linked).toBe(true);
    newer.hangUp();
    expect(outbox.linked).toBe(false);
  });
});

describe('a link', () => {
  const servers: RpcServer[] = [];
  const dialers: PeerDialer[] = [];
  afterEach(async () => {
    for (const dialer of dialers.splice(0)) dialer.stop();
    for (const server of servers.splice(0)) await server.close(0);
  });

  async function serve(
    self: ReplicaId,
    address = '127.0.0.1:1',
  ): Promise<{ peers: Peers; port: number; linked: number[] }> {
    const linked: number[] = [];
    const others = ([0, 1, 2] as const).filter((replica) => replica !== self);
    const peers = new Peers({
      target: new Target('c', 'i'),
      self,
      peers: others.map((replica) => ({ replica, region: `r${replica}`, address })),
      dial: (peer) => connect(peer.address),
      queuedBytesMax: 1 << 20,
      baseCheckpoint: () => null,
      questions: {
        fetchEntries: () => undefined,
        compareRelease: () => Promise.resolve({ hashes: [] }),
      },
      contentOf: () => new Uint8Array(),
      onPacket: () => undefined,
      onLinked: (peer) => linked.push(peer),
      onChange: () => undefined,
      view: () => Promise.resolve({ obstacle: `of ${self}` }),
    });
    const failed = (error: unknown): void => {
      throw error;
    };
    const server = await startServer({
      address: '127.0.0.1:0',
      services: [peers.service],
      onError: failed,
      onWarning: () => undefined,
    });
    servers.push(server);
    return { peers, port: server.port, linked };
  }

  interface Heard {
    readonly packets: JournalPacket[];
    readonly changes: (string | null)[];
  }

  function dial(port: number, cluster: string, self: ReplicaId, peer: ReplicaId): Heard {
    const heard: Heard = { packets: [], changes: [] };
    const dialer = new PeerDialer({
      target: new Target(cluster, 'i'),
      self,
      peer,
      dial: () => connect(`127.0.0.1:${port}`),
      onPacket: (packet) => heard.packets.push(packet),
      onChange: (error: MeridianError | null) => heard.changes.push(error?.reason ?? null),
      random: () => 0,
    });
    dialers.push(dialer);
    dialer.start();
    return heard;
  }

  it('carries packets from the dialled replica to the dialler, and comes back after it broke', async () => {
    const { peers, port, linked } = await serve(1);
    const heard = dial(port, 'c', 0, 1);
    await vi.waitFor(() => {
      expect(linked).toEqual([0]);
    });
    peers.send(0, packetOf(1, 7));
    await vi.waitFor(() => {
      expect(heard.packets.map((packet) => packet.clock)).toEqual([7]);
    });
    peers.stop();
    await vi.waitFor(() => {
      expect(linked).toEqual([0, 0]);
    });
    peers.send(0, packetOf(1, 8));
    await vi.waitFor(() => {
      expect(heard.packets.length).toBe(2);
    });
    expect(heard.changes).toEqual([null, 'UNAVAILABLE', null]);
  });

  it('is refused by a replica of another cluster, and told once', async () => {
    const { port, linked } = await serve(1);
    const heard = dial(port, 'other', 0, 1);
    await vi.waitFor(() => {
      expect(heard.changes).toEqual(['WRONG_TARGET']);
    });
    expect(linked).toEqual([]);
  });

  it('is not needed for a view of a peer, which only the one that is meant gives', async () => {
    const { port } = await serve(1);
    const { peers } = await serve(0, `127.0.0.1:${port}`);
    expect((await peers.view(1, 5000)).obstacle).toBe('of 1');
    await expect(peers.view(2, 5000)).rejects.toMatchObject({ reason: 'WRONG_TARGET' });
    peers.stop();
  });

  it('is given up by the dialler when another replica speaks on it', async () => {
    const { peers, port } = await serve(1);
    const heard = dial(port, 'c', 0, 1);
    await vi.waitFor(() => {
      peers.send(0, packetOf(2, 7));
      expect(heard.changes).toEqual(['WRONG_TARGET']);
    });
    expect(heard.packets).toEqual([]);
  });
});
