/**
 * Opens the server's receive window. HTTP/2 starts with 64 KiB in flight; over 70 ms that is
 * 0.6 MB/s, and grpc-js has a public option for clients only (upstream pull request 3058). So this
 * one file reaches into the server for two private things, `commonServerOptions` (window of a call)
 * and `createHttp2Server` (window of a connection).
 *
 * `probeWindow` then looks from outside, with a plain HTTP/2 connection, whether it worked. When
 * grpc-js has moved its internals, the server runs on with the small window and says so.
 */
import http2 from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import type { Credentials } from '../security/credentials.ts';

interface Internals {
  commonServerOptions?: { settings?: http2.Settings };
  createHttp2Server?: (credentials: unknown) => http2.Http2Server;
}

/** Must run before the server is bound. Does nothing where the internals are not as expected. */
export function openServerWindow(server: Server, windowBytes: number): void {
  const internals = server as unknown as Internals;
  if (typeof internals.commonServerOptions === 'object') {
    const settings = internals.commonServerOptions.settings;
    internals.commonServerOptions.settings = { ...settings, initialWindowSize: windowBytes };
  }
  const create = internals.createHttp2Server;
  if (typeof create !== 'function') return;
  internals.createHttp2Server = (credentials) => {
    const listener = create.call(server, credentials);
    listener.on('session', (session: http2.ServerHttp2Session) => {
      session.setLocalWindowSize(windowBytes);
    });
    return listener;
  };
}

/** What a server really grants: bytes per call and per connection; 0 where it did not say in time. */
export interface GrantedWindow {
  readonly perCall: number;
  readonly perConnection: number;
}

export function probeWindow(
  address: { readonly host: string; readonly port: number },
  credentials: Credentials | null,
  expectedBytes: number,
  timeoutMs: number,
): Promise<GrantedWindow> {
  return new Promise((resolve) => {
    const host = address.host.includes(':') ? `[${address.host}]` : address.host;
    const session = http2.connect(
      `${credentials === null ? 'http' : 'https'}://${host}:${String(address.port)}`,
      credentials === null ? {} : withOwnCertificate(credentials),
    );
    const granted = { perCall: 0, perConnection: 0 };
    const finish = (): void => {
      clearTimeout(timer);
      session.destroy();
      resolve(granted);
    };
    const timer = setTimeout(finish, timeoutMs);
    const look = (): void => {
      if (session.destroyed) return;
      granted.perConnection = session.state.remoteWindowSize ?? 0;
      if (granted.perConnection >= expectedBytes) finish();
      // The update of the connection's window has no event; a ping's answer comes behind it.
      else session.ping((error) => setImmediate(error === null ? look : finish));
    };
    session.once('error', finish);
    session.once('remoteSettings', (settings: http2.Settings) => {
      granted.perCall = settings.initialWindowSize ?? 0;
      look();
    });
  });
}

/** The server looks at itself, so whose certificate it shows is known. */
function withOwnCertificate({ current }: Credentials): http2.SecureClientSessionOptions {
  const { ca, own } = current;
  return {
    ca,
    checkServerIdentity: () => undefined,
    ...(own === null ? {} : { cert: own.certificate, key: own.key }),
  };
}
