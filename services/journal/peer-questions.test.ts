import { afterEach, describe, expect, it } from 'vitest';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { encodeEntry } from '../../libs/frames/entry.ts';
import { connect, startServer } from '../../libs/rpc/rpc.ts';
import type { RpcServer } from '../../libs/rpc/rpc.ts';
import { epoch, index, timestamp } from '../../libs/values/numbers.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { LaneStore } from './lane-store.ts';
import { PeerQuestions } from './peer-questions.ts';
import { Peers } from './peers.ts';
import { ReleaseMarks } from '../../libs/order/release-marks.ts';
import { Target } from './target.ts';

const servers: RpcServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});

/** Lane 1 with entries 1 to 3, all in memory. */
function storeOfThree(): { store: LaneStore; frames: Uint8Array[] } {
  const store = new LaneStore(1 << 20);
  const frames = [1, 2, 3].map((slot) => {
    const header = {
      lane: 1 as const,
      epoch: epoch(9),
      index: index(slot),
      timestamp: timestamp(slot * 8 + 1),
      kind: 'batches' as const,
    };
    const content = encodeEntry(header, [
      encodeBatch({ stream: 's', records: [{ body: Buffer.of(slot) }] }),
    ]);
    const location = { segment: 1, offset: slot * 1000, bytes: content.length };
    store.add({ ...header, bytes: content.length, content }, location);
    return content;
  });
  return { store, frames };
}

function questionsOf(self: ReplicaId, store: LaneStore, marks: ReleaseMarks, address: string) {
  const peers = ([0, 1, 2] as const)
    .filter((replica) => replica !== self)
    .map((replica) => ({ replica, region: `r${replica}`, address }));
  const target = new Target('c', 'i');
  const dial = (): ReturnType<typeof connect> => connect(address);
  return { questions: new PeerQuestions({ target, self, peers, dial, store, marks }), peers };
}

/** Replica 0 answers on a real port. */
async function serve(store: LaneStore, marks: ReleaseMarks): Promise<string> {
  const { questions, peers } = questionsOf(0, store, marks, '127.0.0.1:1');
  const { service } = new Peers({
    target: new Target('c', 'i'),
    self: 0,
    peers,
    dial: (peer) => connect(peer.address),
    queuedBytesMax: 1 << 20,
    baseCheckpoint: () => null,
    questions,
    contentOf: () => new Uint8Array(),
    onPacket: () => undefined,
    onLinked: () => undefined,
    onChange: () => undefined,
    view: () => Promise.resolve({}),
  });
  const server = await startServer({
    address: '127.0.0.1:0',
    services: [service],
    onError: (error) => {
      throw error;
    },
    onWarning: () => undefined,
  });
  servers.push(server);
  return `127.0.0.1:${server.port}`;
}

describe('what a replica asks another', () => {
  it('entries come as they are stored, without those that are not there', async () => {
    const { store, frames } = storeOfThree();
    const address = await serve(store, new ReleaseMarks());
    const { questions } = questionsOf(1, new LaneStore(0), new ReleaseMarks(), address);
    const wanted = [3, 7, 1].map(index);
    const got = await questions.entries(0, 1, wanted);
    expect(got.map((frame) => Buffer.from(frame))).toEqual([frames[2], frames[0]]);
    expect(await questions.entries(0, 2, wanted)).toEqual([]);
    await expect(questions.entries(2, 1, wanted)).rejects.toMatchObject({
      reason: 'WRONG_TARGET',
    });
  });

  it('hashes of the release come with their numbers', async () => {
    const marks = new ReleaseMarks();
    for (let entry = 1; entry <= 40; entry += 1)
      marks.released(entry, entry * 8, () => `h${entry}`);
    const address = await serve(new LaneStore(0), marks);
    const { questions } = questionsOf(1, new LaneStore(0), new ReleaseMarks(), address);
    expect(await questions.releaseMarks(0)).toEqual(marks.list());
    expect(marks.list()).toHaveLength(2);
    const nobody = questionsOf(1, new LaneStore(0), new ReleaseMarks(), '127.0.0.1:1').questions;
    await expect(nobody.releaseMarks(0)).rejects.toMatchObject({ reason: 'UNAVAILABLE' });
  });
});
