/**
 * Control letters inside a packet: u8 from, u8 to, u8 kind, then the fields of the kind in the order
 * of libs/lane/types.ts. The numbers of the kinds are part of the format and never reused.
 */
import type { Control, Letter, Tail } from '../../libs/lane/types.ts';
import { at, unreachable } from '../../libs/values/assert.ts';
import type { Epoch, Index, LaneId, ReplicaId, Timestamp } from '../../libs/values/numbers.ts';
import { REPLICAS, isReplicaId } from '../../libs/values/numbers.ts';
import type { ByteReader, ByteWriter } from './packet-bytes.ts';

const KINDS = {
  prepare: 1,
  promise: 2,
  mismatch: 3,
  ask: 4,
  answer: 5,
  fetch: 6,
  heartbeat: 7,
  heartbeatAnswer: 8,
  recover: 9,
  recoverAnswer: 10,
  void: 11,
} as const satisfies Record<Control['type'], number>;

const TYPES = new Map<number, Control['type']>(
  Object.entries(KINDS).map(([type, kind]) => [kind, type as Control['type']]),
);

/** Letters that a replica which reads packets of version 2 does not know. */
export function isOfVersion3({ control }: Letter): boolean {
  return control.type === 'void';
}

export function writeLetter(writer: ByteWriter, letter: Letter): void {
  const { control } = letter;
  writer.u8(letter.from);
  writer.u8(letter.to);
  writer.u8(KINDS[control.type]);
  switch (control.type) {
    case 'prepare':
      writeLaneEpoch(writer, control);
      break;
    case 'promise':
      writeLaneEpoch(writer, control);
      writeTail(writer, control.tail);
      writer.u64(control.committed);
      writer.u64(control.clock);
      break;
    case 'mismatch':
      writeLaneEpoch(writer, control);
      writeTail(writer, control.resume);
      break;
    case 'ask':
      writeLaneEpoch(writer, control);
      writer.u64(control.nonce);
      break;
    case 'answer':
      writeLaneEpoch(writer, control);
      writer.u64(control.nonce);
      writer.u8(control.hears ? 1 : 0);
      break;
    case 'fetch':
      writeLaneEpoch(writer, control);
      writeTail(writer, control.after);
      break;
    case 'heartbeat':
      writer.u64(control.round);
      break;
    case 'heartbeatAnswer':
      writer.u64(control.round);
      writer.u64(control.persisted);
      break;
    case 'recover':
      writer.u64(control.nonce);
      writer.u64(control.incarnation);
      break;
    case 'recoverAnswer':
      writer.u64(control.nonce);
      writer.u64(control.clock);
      for (const replica of REPLICAS) {
        const lane = at(control.lanes, replica);
        writer.u64(lane.promised);
        writeTail(writer, lane.tail);
        writer.u64(lane.committed);
      }
      break;
    case 'void':
      writer.u64(control.incarnation);
      writer.u64(control.life);
      writer.u64(control.known);
      break;
    default:
      unreachable(control);
  }
}

export function readLetter(reader: ByteReader): Letter {
  const from = readReplica(reader);
  const to = readReplica(reader);
  return { from, to, control: readControl(reader) };
}

function readControl(reader: ByteReader): Control {
  const kind = reader.u8();
  const type = TYPES.get(kind);
  if (type === undefined) throw reader.invalid(`unknown kind of letter ${kind}`);
  switch (type) {
    case 'prepare':
      return { type, ...readLaneEpoch(reader) };
    case 'promise':
      return {
        type,
        ...readLaneEpoch(reader),
        tail: readTail(reader),
        committed: reader.u64() as Index,
        clock: reader.u64() as Timestamp,
      };
    case 'mismatch':
      return { type, ...readLaneEpoch(reader), resume: readTail(reader) };
    case 'ask':
      return { type, ...readLaneEpoch(reader), nonce: reader.u64() };
    case 'answer':
      return { type, ...readLaneEpoch(reader), nonce: reader.u64(), hears: reader.flag() };
    case 'fetch':
      return { type, ...readLaneEpoch(reader), after: readTail(reader) };
    case 'heartbeat':
      return { type, round: reader.u64() };
    case 'heartbeatAnswer':
      return { type, round: reader.u64(), persisted: reader.u64() as Timestamp };
    case 'recover':
      return { type, nonce: reader.u64(), incarnation: reader.u64() };
    case 'recoverAnswer':
      return {
        type,
        nonce: reader.u64(),
        clock: reader.u64() as Timestamp,
        lanes: REPLICAS.map(() => ({
          promised: reader.u64() as Epoch,
          tail: readTail(reader),
          committed: reader.u64() as Index,
        })),
      };
    case 'void':
      return { type, incarnation: reader.u64(), life: reader.u64(), known: reader.u64() };
    default:
      return unreachable(type);
  }
}

export function readReplica(reader: ByteReader): ReplicaId {
  const replica = reader.u8();
  if (!isReplicaId(replica)) throw reader.invalid(`${replica} is no replica`, reader.offset - 1);
  return replica;
}

function writeLaneEpoch(writer: ByteWriter, value: { lane: LaneId; epoch: Epoch }): void {
  writer.u8(value.lane);
  writer.u64(value.epoch);
}

function readLaneEpoch(reader: ByteReader): { lane: LaneId; epoch: Epoch } {
  return { lane: readReplica(reader), epoch: reader.u64() as Epoch };
}

function writeTail(writer: ByteWriter, tail: Tail): void {
  writer.u64(tail.epoch);
  writer.u64(tail.index);
}

function readTail(reader: ByteReader): Tail {
  return { epoch: reader.u64() as Epoch, index: reader.u64() as Index };
}
