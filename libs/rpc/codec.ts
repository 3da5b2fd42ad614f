/**
 * protobuf-es messages to and from the buffers of grpc-js, and a service descriptor to the
 * definition that grpc-js wants.
 *
 * A `bytes` field of a received message is a view on the buffer of that message: nothing is copied,
 * and whoever keeps the view keeps the whole message in memory.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import type { DescMessage, DescMethod, DescService, Message } from '@bufbuild/protobuf';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { MeridianError } from '../errors/errors.ts';

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
  return (bytes) => {
    try {
      return fromBinary(schema, bytes);
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      const message = `not a ${schema.typeName} (${bytes.length} bytes): ${text}`;
      return new Malformed(new MeridianError('INVALID', message, { cause }));
    }
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
