/**
 * How the yardstick's processes talk: bytes in both directions, over plain TCP or as messages of one
 * gRPC stream with the settings of our own channels (libs/rpc). What a pipe is handed at once travels
 * as one message; it does not parse and does not copy.
 */
import { Client, Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import type { ClientDuplexStream, ServerDuplexStream } from '@grpc/grpc-js';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import {
  channelOptions,
  DEFAULT_CHANNEL_LIMITS,
  DEFAULT_SERVER_LIMITS,
  serverOptions,
} from '../../libs/rpc/settings.ts';
import { openServerWindow } from '../../libs/rpc/window.ts';

export type Transport = 'tcp' | 'grpc';

export interface Pipe {
  write(bytes: Buffer): void;
  onBytes(listener: (bytes: Buffer) => void): void;
  close(): void;
}

type Call = ClientDuplexStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

const METHOD = {
  path: '/bare/pipe',
  requestStream: true,
  responseStream: true,
  requestSerialize: (bytes: Buffer): Buffer => bytes,
  requestDeserialize: (bytes: Buffer): Buffer => bytes,
  responseSerialize: (bytes: Buffer): Buffer => bytes,
  responseDeserialize: (bytes: Buffer): Buffer => bytes,
} as const;

export function dial(transport: Transport, port: number): Pipe {
  if (transport === 'tcp') return ofSocket(connect(port, '127.0.0.1'));
  const options = channelOptions(DEFAULT_CHANNEL_LIMITS, false);
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
  const { path, requestSerialize, responseDeserialize } = METHOD;
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
  const close = (): void => {
    call.cancel();
    client.close();
  };
  return { ...ofCall(call), close };
}

export function accept(transport: Transport, port: number, onPipe: (pipe: Pipe) => void): void {
  if (transport === 'tcp') {
    createServer((socket) => {
      onPipe(ofSocket(socket));
    }).listen(port, '127.0.0.1');
    return;
  }
  const server = new Server(serverOptions(DEFAULT_SERVER_LIMITS));
  openServerWindow(server, DEFAULT_SERVER_LIMITS.windowBytes);
  const pipe = (call: ServerDuplexStream<Buffer, Buffer>): void => {
    onPipe(ofCall(call));
  };
  server.addService({ pipe: METHOD }, { pipe });
  server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error) => {
    if (error !== null) throw error;
  });
}

function ofSocket(socket: Socket): Pipe {
  socket.setNoDelay(true);
  return {
    write: (bytes) => {
      socket.write(bytes);
    },
    onBytes: (listener) => {
      socket.on('data', listener);
    },
    close: () => {
      socket.destroy();
    },
  };
}

function ofCall(call: Call): Pipe {
  // A call that is cut at the end of a measurement is no failure of it.
  call.on('error', () => undefined);
  return {
    write: (bytes) => {
      call.write(bytes);
    },
    onBytes: (listener) => {
      call.on('data', listener);
    },
    close: () => {
      call.end();
    },
  };
}
