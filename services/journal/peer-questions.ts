/**
 * What one replica asks another beside their link, seldom and in calls of their own: entries that its disk
 * has lost, and hashes of the release to compare. The answering side reads from its own log, checked; what
 * it cannot read it leaves out. Whether an answer is believed is the asker's decision.
 */
import { create } from '@bufbuild/protobuf';
import { MeridianError } from '../../libs/errors/errors.ts';
import {
  FetchEntriesResponseSchema,
  PeerService,
} from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type {
  CompareReleaseRequest,
  FetchEntriesRequest,
  FetchEntriesResponse,
} from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import type { Channel, ServerStream } from '../../libs/rpc/rpc.ts';
import { assert } from '../../libs/values/assert.ts';
import { isReplicaId } from '../../libs/values/numbers.ts';
import type { Index, LaneId, ReplicaId } from '../../libs/values/numbers.ts';
import type { Frame } from './content.ts';
import type { LaneStore } from './lane-store.ts';
import type { PeerAddress } from './peers.ts';
import type { ReleaseMark, ReleaseMarks } from '../../libs/order/release-marks.ts';
import type { Target } from './target.ts';

const ANSWER_MS = 10_000;
/** Of one question; more are asked for again. */
const INDEXES_MAX = 256;

export interface PeerQuestionsOptions {
  readonly target: Target;
  readonly self: ReplicaId;
  readonly peers: readonly PeerAddress[];
  readonly dial: (peer: PeerAddress) => Channel;
  readonly store: LaneStore;
  readonly marks: ReleaseMarks;
}

interface Question {
  readonly cluster: string;
  readonly instance: string;
  readonly from: number;
  readonly to: number;
}

export class PeerQuestions {
  readonly #options: PeerQuestionsOptions;

  constructor(options: PeerQuestionsOptions) {
    this.#options = options;
  }

  /** Of this replica. */
  get marks(): ReleaseMarks {
    return this.#options.marks;
  }

  // ---- asking ---------------------------------------------------------------------------------

  /** As many of the entries as the peer can read. Rejects when it cannot be asked. */
  async entries(peer: ReplicaId, lane: LaneId, indexes: readonly Index[]): Promise<Frame[]> {
    const frames: Frame[] = [];
    for (let from = 0; from < indexes.length; from += INDEXES_MAX) {
      const part = indexes.slice(from, from + INDEXES_MAX).map((index) => BigInt(index));
      frames.push(...(await this.#some(peer, lane, part)));
    }
    return frames;
  }

  /** Rejects when it cannot be asked. */
  async releaseMarks(peer: ReplicaId): Promise<ReleaseMark[]> {
    const channel = this.#dial(peer);
    try {
      const { hashes } = await channel.unary(PeerService.method.compareRelease, this.#to(peer), {
        deadlineMs: ANSWER_MS,
      });
      return hashes.map(({ entries, timestamp, hash }) => ({
        entries: Number(entries),
        timestamp: Number(timestamp),
        hash,
      }));
    } finally {
      channel.close();
    }
  }

  #some(peer: ReplicaId, lane: LaneId, indexes: readonly bigint[]): Promise<Frame[]> {
    const channel = this.#dial(peer);
    return new Promise<Frame[]>((resolve, reject) => {
      const frames: Frame[] = [];
      const request = { ...this.#to(peer), lane, indexes: [...indexes] };
      const timer = setTimeout(() => {
        call.cancel();
        channel.close();
        reject(new MeridianError('UNAVAILABLE', `replica ${peer} did not answer in time`));
      }, ANSWER_MS);
      const call = channel.serverStream(PeerService.method.fetchEntries, request, {
        onMessage: ({ entry }) => {
          timer.refresh();
          frames.push(entry);
        },
        onEnd: (error) => {
          clearTimeout(timer);
          channel.close();
          if (error === null) resolve(frames);
          else reject(error);
        },
      });
    });
  }

  #to(peer: ReplicaId): Question {
    const { target, self } = this.#options;
    const { cluster, instance } = target;
    return { cluster, instance, from: self, to: peer };
  }

  #dial(peer: ReplicaId): Channel {
    const named = this.#options.peers.find(({ replica }) => replica === peer);
    assert(named !== undefined, `replica ${peer} is a peer`);
    return this.#options.dial(named);
  }

  // ---- answering ------------------------------------------------------------------------------

  readonly fetchEntries = (
    request: FetchEntriesRequest,
    stream: ServerStream<FetchEntriesResponse>,
  ): void => {
    this.#check(request);
    const { lane, indexes } = request;
    if (!isReplicaId(lane) || indexes.length > INDEXES_MAX) {
      throw new MeridianError('INVALID', `${indexes.length} entries of lane ${lane}`);
    }
    const { store } = this.#options;
    let next = 0;
    const send = (): void => {
      while (next < indexes.length) {
        const frame = readable(store, lane, Number(indexes[next]));
        next += 1;
        if (frame === null) continue;
        if (!stream.write(create(FetchEntriesResponseSchema, { entry: frame }))) return;
      }
      stream.end();
    };
    stream.onDrain(send);
    send();
  };

  readonly compareRelease = (
    request: CompareReleaseRequest,
  ): Promise<{ hashes: { entries: bigint; timestamp: bigint; hash: string }[] }> => {
    this.#check(request);
    const hashes = this.#options.marks.list().map(({ entries, timestamp, hash }) => ({
      entries: BigInt(entries),
      timestamp: BigInt(timestamp),
      hash,
    }));
    return Promise.resolve({ hashes });
  };

  #check(request: Question): void {
    const { target, self } = this.#options;
    target.check(request);
    if (request.to === self && isReplicaId(request.from) && request.from !== self) return;
    throw new MeridianError(
      'WRONG_TARGET',
      `this is replica ${self}, the call is from replica ${request.from} to ${request.to}`,
      { details: { field: 'replica', expected: request.to, actual: self } },
    );
  }
}

/** null: it is not here, or not what was written. */
function readable(store: LaneStore, lane: LaneId, index: number): Frame | null {
  if (store.segmentOf(lane, index) === null) return null;
  try {
    // A copy: what the store gives is good until its next write only.
    return Uint8Array.from(store.content(lane, index as Index));
  } catch (error) {
    if (error instanceof MeridianError) return null;
    throw error;
  }
}
