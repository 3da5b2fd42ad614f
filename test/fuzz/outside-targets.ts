/** What comes from outside: calls as protobuf, Postgres's replication messages, configuration. */
import type { DescField, DescMessage, DescService } from '@bufbuild/protobuf';
import { create, ScalarType, toBinary } from '@bufbuild/protobuf';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../libs/config/config.ts';
import { CrossbarService } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { StreamService } from '../../libs/gen/meridian/journal/v1/streams_pb.ts';
import { PeerService } from '../../libs/gen/meridian/peer/v1/peer_pb.ts';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import {
  decodeChangeBatch,
  encodeFragments,
  encodeHandover,
  encodeHeader,
  encodeWatermark,
  fragmentOf,
} from '../../libs/postgres/change-format.ts';
import type { ChangeBatch } from '../../libs/postgres/change-format.ts';
import { decodeDefinition } from '../../libs/postgres/definitions.ts';
import { lsn } from '../../libs/postgres/lsn.ts';
import { decodeMessage, encodeMessage } from '../../libs/postgres/pgoutput.ts';
import { deserializer, Malformed, serializer } from '../../libs/rpc/codec.ts';
import { journalSchema } from '../../services/journal/config.ts';
import { same } from './target.ts';
import type { Target } from './target.ts';

const SERVICES: readonly DescService[] = [
  JournalService,
  StreamService,
  CrossbarService,
  PeerService,
  SidecarService,
];

/** The first byte chooses the message: requests and answers of every method. */
function protobufTarget(): Target {
  const all = SERVICES.flatMap(({ methods }) => methods.flatMap((it) => [it.input, it.output]));
  const messages = [...new Set(all)];
  const filled = messages.map((schema, i) => {
    return Buffer.concat([Buffer.from([i]), toBinary(schema, create(schema)), anyFields(schema)]);
  });
  return {
    name: 'protobuf',
    seeds: filled,
    run: (bytes) => {
      const schema = messages[(bytes[0] ?? 0) % messages.length];
      if (schema === undefined) return;
      const decode = deserializer(schema);
      const once = decode(Buffer.from(bytes.subarray(1)));
      if (once instanceof Malformed) throw once.error;
      const again = decode(serializer(schema)(once));
      if (again instanceof Malformed) throw new Error('cannot read what it wrote');
      same(once, again);
    },
  };
}

/** One field of each number that the message has: its wire type, and something in it. */
function anyFields(schema: DescMessage): Buffer {
  const parts = schema.fields.map((field) => {
    const [wireType, value] = wireOf(field);
    const tag = field.number * 8 + wireType;
    return Buffer.from([...(tag < 128 ? [tag] : [(tag & 0x7f) | 0x80, tag >> 7]), ...value]);
  });
  return Buffer.concat(parts);
}

/** Wire type, and a value of it. */
function wireOf(field: DescField): readonly [type: number, value: readonly number[]] {
  if (field.fieldKind === 'enum') return [0, [1]];
  if (field.fieldKind !== 'scalar') return [2, [0]];
  switch (field.scalar) {
    case ScalarType.STRING:
    case ScalarType.BYTES:
      return [2, [1, 0x61]];
    case ScalarType.DOUBLE:
    case ScalarType.FIXED64:
    case ScalarType.SFIXED64:
      return [1, [1, 2, 3, 4, 5, 6, 7, 8]];
    case ScalarType.FLOAT:
    case ScalarType.FIXED32:
    case ScalarType.SFIXED32:
      return [5, [1, 2, 3, 4]];
    default:
      return [0, [5]];
  }
}

const relation = {
  kind: 'relation',
  id: 7,
  schema: 'public',
  table: 't',
  identity: 'default',
  columns: [
    { key: true, name: 'id', typeId: 23, typeModifier: -1 },
    { key: false, name: 'text', typeId: 25, typeModifier: -1 },
  ],
} as const;
const insert = { kind: 'insert', relation: 7, values: ['1', null] } as const;
const DEFINITION = JSON.stringify({
  version: 1,
  tag: 'CREATE TABLE',
  statement: 'CREATE TABLE t ()',
  settings: { TimeZone: 'UTC' },
});

const pgoutput: Target = {
  name: 'pgoutput',
  seeds: [
    encodeMessage(relation),
    encodeMessage(insert),
    Buffer.from('42000000000100000000000000000000010000002a', 'hex'),
    Buffer.from('4300000000000001000000000000000200000000000000030000', 'hex'),
    Buffer.from('55000000074b00017400000001314e0001740000000132', 'hex'),
    Buffer.from('44000000074b0001740000000131', 'hex'),
    Buffer.from('5400000002030000000700000008', 'hex'),
    Buffer.from('590000001770756200696e7400', 'hex'),
    Buffer.concat([
      Buffer.from('4d010000000000000001', 'hex'),
      Buffer.from('meridian.definition\0'),
      Buffer.from([0, 0, 0, DEFINITION.length]),
      Buffer.from(DEFINITION),
    ]),
  ],
  run: (bytes) => {
    const message = decodeMessage(bytes);
    if (message.kind === 'message') decodeDefinition(message);
    if (message.kind === 'relation') same(message, decodeMessage(encodeMessage(message)));
    if (message.kind !== 'insert') return;
    const row = { ...message, values: message.values.values() };
    const again = decodeMessage(encodeMessage(row));
    if (again.kind === 'insert') same(row, { ...again, values: again.values.values() });
    else same(row, again);
  },
};

const source = { systemId: '7000000000000000001', timeline: 1, database: 'app' };
const changes: Target = {
  name: 'changes',
  seeds: [
    encodeHeader({
      kind: 'transaction',
      source,
      snapshot: false,
      part: 0,
      final: true,
      attempt: 1,
      xid: 9,
      commitLsn: lsn(0x100_0000),
      endLsn: lsn(0x100_0008),
      commitTime: 5,
    }),
    encodeWatermark({ kind: 'watermark', source, lsn: lsn(0x100_0000) }),
    ...encodeFragments(Buffer.from('a message'), 6),
  ],
  run: (bytes) => {
    if (fragmentOf(bytes) !== null) return;
    const { header } = decodeChangeBatch([bytes]);
    same(header, decodeChangeBatch([encodedHeader(header)]).header);
  },
};

function encodedHeader(header: ChangeBatch['header']): Uint8Array {
  switch (header.kind) {
    case 'transaction':
      return encodeHeader(header);
    case 'watermark':
      return encodeWatermark(header);
    case 'handover':
      return encodeHandover(header);
  }
}

const CONFIG = `cluster: demo
instance: one
replica: 0
region: eu
dataDirectory: data
listen: 127.0.0.1:7401
peerListen: 127.0.0.1:7411
peers:
  - { replica: 1, region: north, address: 127.0.0.1:7412 }
  - { replica: 2, region: us, address: 127.0.0.1:7413 }
timings: { sealTimeoutMs: 1000 }
`;

/** A file, a flag and a variable: all of the input. */
function configTarget(): Target {
  const directory = mkdtempSync(join(tmpdir(), 'meridian-fuzz-'));
  process.on('exit', () => {
    rmSync(directory, { recursive: true, force: true });
  });
  const file = join(directory, 'config.yaml');
  return {
    name: 'config',
    seeds: [Buffer.from(CONFIG), Buffer.from(JSON.stringify({ cluster: 'demo', peers: [] }))],
    run: (bytes) => {
      writeFileSync(file, bytes);
      const text = Buffer.from(bytes.subarray(0, 40)).toString().replaceAll('\0', '');
      const options = { name: 'journal', schema: journalSchema };
      loadConfig({ ...options, argv: ['--config', file], env: {} });
      loadConfig({ ...options, argv: ['--region', text, text], env: { MERIDIAN_REGION: text } });
    },
  };
}

export function outsideTargets(): Target[] {
  return [protobufTarget(), pgoutput, changes, configTarget()];
}
