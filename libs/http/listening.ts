/** The beginning and the end of an HTTP listener, whatever it serves, with TLS or without. */
import { createServer } from 'node:http';
import type { RequestListener, Server, ServerOptions } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import { MeridianError } from '../errors/errors.ts';

export interface Listener {
  readonly port: number;
  /** Open connections. */
  readonly connectionCount: number;
  /** Takes nothing more and cuts off what is under way. */
  close(): Promise<void>;
}

/** Certificates of a listener, and whom those of its clients name. */
export interface HttpTls {
  /** For the next handshake; the same object until there are new ones. */
  context(): SecureContextOptions;
  judge(socket: TLSSocket): { readonly identity: object | null; readonly refusal: string | null };
}

const HANDSHAKE_MS = 5_000;
const NOBODY = { identity: null, refusal: null };

/** `tls` null: in the clear. With it every handshake uses the newest certificates; open connections go on. */
export function createListener(
  options: ServerOptions,
  tls: HttpTls | null,
  handle: RequestListener,
): Server {
  if (tls === null) return createServer(options, handle);
  let context = tls.context();
  // Who shows no certificate may have a token; who shows a bad one is told so.
  const asked = { requestCert: true, rejectUnauthorized: false, handshakeTimeout: HANDSHAKE_MS };
  const server = createTlsServer({ ...options, ...context, ...asked }, handle);
  server.prependListener('connection', () => {
    const newest = tls.context();
    if (newest === context) return;
    context = newest;
    server.setSecureContext(newest);
  });
  // A handshake that fails is its client's affair.
  server.on('tlsClientError', (_error, socket) => {
    socket.destroy();
  });
  return server;
}

/** Whom the certificate of a connection names. */
export function whoIs(
  socket: Socket,
  tls: HttpTls | null,
): { readonly identity: object | null; readonly refusal: string | null } {
  return tls !== null && socket instanceof TLSSocket ? tls.judge(socket) : NOBODY;
}

/** Of the other side: this machine, by whatever way it says so. */
export function isFromLoopback({ remoteAddress = '' }: Socket): boolean {
  return /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/.test(remoteAddress);
}

/** The host of `host:port`, an IPv6 address without its brackets. */
export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
}

/**
 * Listens on host:port; port 0 takes a free one. `serving` and `setting` are for the message of a
 * failure: what was to be served, and the setting that names the address. Errors: REFUSED.
 */
export async function listenOn(
  server: Server,
  address: string,
  { serving, setting }: { readonly serving: string; readonly setting: string },
): Promise<Listener> {
  let connectionCount = 0;
  server.on('connection', (socket) => {
    connectionCount += 1;
    socket.once('close', () => {
      connectionCount -= 1;
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const message = `cannot serve ${serving} on ${address}: ${cause.message}; choose another ${setting}`;
      reject(new MeridianError('REFUSED', message, { details: { address }, cause }));
    });
    server.listen(Number(address.slice(address.lastIndexOf(':') + 1)), hostOf(address), () => {
      server.removeAllListeners('error');
      // A connection that breaks off is its own affair.
      server.on('error', () => undefined);
      resolve();
    });
  });
  return {
    port: (server.address() as AddressInfo).port,
    get connectionCount() {
      return connectionCount;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}
