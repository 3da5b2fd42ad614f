/**
 * What we need from `pg` beyond its public interface: for replication the raw copy messages and a way to
 * send one; the socket, to pause it, and to destroy it when nobody answers. Checked when a session starts, so
 * that a `pg` that changed says so instead of failing in the dark. Nothing else in the repository touches these.
 */
import type { Socket } from 'node:net';
import type pg from 'pg';
import { MeridianError } from '../errors/errors.ts';

export interface CopyChannel {
  /** The chunk is a view on a buffer that `pg` uses again: copy it before returning. */
  onData(handler: (chunk: Buffer) => void): void;
  /** The server has switched to copying in both directions. */
  onStart(handler: () => void): void;
  send(chunk: Buffer): void;
  /** Tells the server that we are done. */
  finish(): void;
  readonly socket: Socket;
}

interface Connection {
  readonly stream: Socket;
  on(event: 'copyData', handler: (message: { chunk: Buffer }) => void): void;
  on(event: 'replicationStart', handler: () => void): void;
  sendCopyFromChunk(chunk: Buffer): void;
  endCopyFrom(): void;
}

/** The socket as it is at the moment of the question: TLS puts another one in its place. */
export function connectionSocket(client: pg.Client): () => Socket {
  const connection = connectionOf(client);
  return () => connection.stream;
}

export function copyChannel(client: pg.Client): CopyChannel {
  const connection = connectionOf(client);
  return {
    onData: (handler) => {
      connection.on('copyData', ({ chunk }) => {
        handler(chunk);
      });
    },
    onStart: (handler) => {
      connection.on('replicationStart', handler);
    },
    send: (chunk) => {
      connection.sendCopyFromChunk(chunk);
    },
    finish: () => {
      connection.endCopyFrom();
    },
    get socket() {
      return connection.stream;
    },
  };
}

function connectionOf(client: pg.Client): Connection {
  const connection = (client as unknown as { connection?: unknown }).connection;
  if (isConnection(connection)) return connection;
  throw new MeridianError('REFUSED', 'this version of the package pg lacks what we need of it');
}

function isConnection(value: unknown): value is Connection {
  if (typeof value !== 'object' || value === null) return false;
  const it = value as Partial<Record<keyof Connection, unknown>>;
  return (
    typeof it.on === 'function' &&
    typeof it.sendCopyFromChunk === 'function' &&
    typeof it.endCopyFrom === 'function' &&
    typeof it.stream === 'object'
  );
}
