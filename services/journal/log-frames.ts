/**
 * What a replica's log holds: the lane core's writes, one frame each. The storage knows a frame's
 * type as a number and its body as bytes; this file gives both a meaning. Numbers are part of the
 * format on disk and never reused. Entry bodies are entry frames, unchanged.
 *
 * What a peer has named is a `life` frame of an incarnation that nobody has: the build before there were such frames
 * passes over it, so a directory may go back to that build and forth again.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { readU64, writeU64 } from '../../libs/frames/ints.ts';
import type { Write } from '../../libs/lane/types.ts';
import type { Epoch, Index, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { isReplicaId } from '../../libs/values/numbers.ts';
import type { Frame } from './content.ts';

export const FRAME_TYPES = {
  entry: 1,
  truncate: 2,
  promise: 3,
  reserve: 4,
  recovered: 5,
  incarnation: 6,
  life: 7,
  named: 7,
} as const satisfies Record<Write<Frame>['type'], number>;

export type StateWrite = Exclude<Write<Frame>, { type: 'entry' }>;

/** The body of every write that is not an entry. */
export function encodeWrite(write: StateWrite): Uint8Array {
  switch (write.type) {
    case 'truncate':
      return pair(write.lane, write.from);
    case 'promise':
      return pair(write.lane, write.epoch);
    case 'reserve':
      return pair(0, write.timestamp);
    case 'incarnation':
      return pair(write.replica, write.incarnation);
    case 'life':
      return lifeBody(write.replica, write.incarnation, write.life, write.clock);
    case 'named':
      return lifeBody(write.replica, NAMED, write.life, 0);
    case 'recovered':
      return new Uint8Array(0);
  }
}

/** Throws `CORRUPT`: the storage has verified the checksum, so these bytes were never ours. */
export function decodeWrite(type: number, body: Uint8Array): StateWrite {
  switch (type) {
    case FRAME_TYPES.truncate:
      return { type: 'truncate', lane: replicaIn(type, body), from: readU64(body, 1) as Index };
    case FRAME_TYPES.promise:
      return { type: 'promise', lane: replicaIn(type, body), epoch: readU64(body, 1) as Epoch };
    case FRAME_TYPES.reserve:
      replicaIn(type, body);
      return { type: 'reserve', timestamp: readU64(body, 1) as Timestamp };
    case FRAME_TYPES.incarnation:
      return {
        type: 'incarnation',
        replica: replicaIn(type, body),
        incarnation: readU64(body, 1),
      };
    case FRAME_TYPES.life: {
      const replica = replicaIn(type, body, LIFE_BYTES);
      const incarnation = readU64(body, 1);
      const life = readU64(body, 9);
      if (incarnation === NAMED) return { type: 'named', replica, life };
      return { type: 'life', replica, incarnation, life, clock: readU64(body, 17) };
    }
    case FRAME_TYPES.recovered:
      return { type: 'recovered' };
    default:
      throw new MeridianError('CORRUPT', `log frame of unknown type ${type}`);
  }
}

const PAIR_BYTES = 9;
const LIFE_BYTES = 25;
/** Incarnations are microseconds since 1970. */
const NAMED = Number.MAX_SAFE_INTEGER;

function lifeBody(replica: number, incarnation: number, life: number, clock: number): Uint8Array {
  const body = new Uint8Array(LIFE_BYTES);
  body[0] = replica;
  writeU64(body, 1, incarnation);
  writeU64(body, 9, life);
  writeU64(body, 17, clock);
  return body;
}

function pair(replica: number, value: number): Uint8Array {
  const body = new Uint8Array(PAIR_BYTES);
  body[0] = replica;
  writeU64(body, 1, value);
  return body;
}

function replicaIn(type: number, body: Uint8Array, bytes = PAIR_BYTES): ReplicaId {
  const replica = body[0] ?? 0;
  if (body.length !== bytes || !isReplicaId(replica)) {
    throw new MeridianError('CORRUPT', `log frame of type ${type} has a malformed body`);
  }
  return replica;
}
