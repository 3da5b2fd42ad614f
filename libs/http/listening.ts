/** The beginning and the end of an HTTP listener, whatever it serves. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { MeridianError } from '../errors/errors.ts';

export interface Listener {
  readonly port: number;
  /** Open connections. */
  readonly connectionCount: number;
  /** Takes nothing more and cuts off what is under way. */
  close(): Promise<void>;
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
