/**
 * protobuf-es messages to and from the buffers of grpc-js, and a service descriptor to the
 * definition that grpc-js wants.
 *
 * A `bytes` field of a received message is a view on the buffer of that message: nothing is copied,
 * and whoever keeps the view keeps the whole message in memory.
 */
import { create, fromBinary, ScalarType, toBinary } from '@bufbuild/protobuf';
import type { DescMessage, DescMethod, DescService, Message } from '@bufbuild/protobuf';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { MeridianError } from '../errors/errors.ts';

/** Wire type of the protobuf encoding. */
const LENGTH_DELIMITED = 2;
/** Of the length of anything that fits into memory. */
const LENGTH_BYTES_MAX = 6;

/** Stands for a message that could not be parsed, so that the call ends as INVALID and not INTERNAL. */
export class Malformed {
  readonly error: MeridianError;
  constructor(error: MeridianError) {
    this.error = error;
  }
}

export type Decoded = Message | Malformed;

export function serializer(schema: DescMessage): (message: Message) => Buffer {
  return (message) => {
    const bytes = toBinary(schema, message);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

export function deserializer(schema: DescMessage): (bytes: Buffer) => Decoded {
  const open = envelope(schema);
  return (bytes) => {
    try {
      return open?.(bytes) ?? fromBinary(schema, bytes);
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      const message = `not a ${schema.typeName} (${bytes.length} bytes): ${text}`;
      return new Malformed(new MeridianError('INVALID', message, { cause }));
    }
  };
}

/**
 * Opens a message that is one `bytes` field and nothing else, as those that carry much are: there is
 * nothing to interpret, and the general way took 4 % of a replica's processor time. Returns null for
 * bytes that say more, or not exactly this; null when the schema is not of this kind.
 */
function envelope(schema: DescMessage): ((bytes: Buffer) => Message | null) | null {
  const [field, ...others] = schema.fields;
  if (field?.fieldKind !== 'scalar' || field.scalar !== ScalarType.BYTES) return null;
  if (others.length > 0 || field.oneof !== undefined) return null;
  // Larger numbers take more than one byte.
  if (field.number > 15) return null;
  const tag = (field.number << 3) | LENGTH_DELIMITED;
  const empty = create(schema);
  const { localName } = field;
  return (bytes) => {
    if (bytes[0] !== tag) return null;
    let length = 0;
    let offset = 1;
    for (let scale = 1, more = true; more; scale *= 128, offset += 1) {
      const byte = bytes[offset];
      if (byte === undefined || offset > LENGTH_BYTES_MAX) return null;
      length += (byte & 0x7f) * scale;
      more = byte >= 0x80;
    }
    if (offset + length !== bytes.length) return null;
    const content = new Uint8Array(bytes.buffer, bytes.byteOffset + offset, length);
    return { ...empty, [localName]: content };
  };
}

export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** `serializers` replace the encoding of a method's answers. */
export function definitionOf(
  service: DescService,
  serializers: Readonly<Record<string, (message: never) => Buffer>> = {},
): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => {
      const definition = methodDefinition(method);
      const own = serializers[method.localName] as ((message: Decoded) => Buffer) | undefined;
      const responseSerialize = own ?? definition.responseSerialize;
      return [method.localName, { ...definition, responseSerialize }];
    }),
  );
}

function methodDefinition(method: DescMethod): MethodDefinition<Decoded, Decoded> {
  const streams = method.methodKind;
  return {
    path: pathOf(method),
    originalName: method.localName,
    requestStream: streams === 'bidi_streaming' || streams === 'client_streaming',
    responseStream: streams === 'bidi_streaming' || streams === 'server_streaming',
    requestSerialize: serializer(method.input) as (message: Decoded) => Buffer,
    requestDeserialize: deserializer(method.input),
    responseSerialize: serializer(method.output) as (message: Decoded) => Buffer,
    responseDeserialize: deserializer(method.output),
  };
}
