/** Those who mean no good, from an address of their own, each as a function that says how it ended. */
import http2 from 'node:http2';
import net from 'node:net';
import { connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { rapidReset } from '../../libs/rpc/rapid-reset.ts';
import type { CutOff } from '../../libs/rpc/rapid-reset.ts';

const FROM = '127.0.0.2';
/** So that who says nothing and who drips do not take each other's place. */
export const FROM_ANOTHER = '127.0.0.3';

/** Opens connections and says nothing, or a byte now and then; resolves with how many were closed. */
export async function hangAround(
  port: number,
  count: number,
  byte: Uint8Array | null,
  localAddress = FROM,
): Promise<{ readonly closed: () => number; readonly stop: () => void }> {
  let closed = 0;
  const sockets = await Promise.all(
    Array.from(
      { length: count },
      () =>
        new Promise<net.Socket>((resolve) => {
          const socket = net.connect({ port, host: '127.0.0.1', localAddress });
          socket.on('error', () => undefined);
          // What is never read would keep its end from being seen: an alert, say.
          socket.resume();
          socket.once('close', () => {
            closed += 1;
            resolve(socket);
          });
          socket.once('connect', () => {
            resolve(socket);
          });
        }),
    ),
  );
  const timer = setInterval(() => {
    if (byte === null) return;
    for (const socket of sockets) if (socket.writable) socket.write(byte);
  }, 200);
  return {
    closed: () => closed,
    stop: () => {
      clearInterval(timer);
      for (const socket of sockets) socket.destroy();
    },
  };
}

export interface Tls {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

export function session(port: number, tls: Tls): http2.ClientHttp2Session {
  const made = http2.connect(`https://127.0.0.1:${port}`, {
    ...tls,
    localAddress: FROM,
    checkServerIdentity: () => undefined,
  } as http2.SecureClientSessionOptions);
  made.on('error', () => undefined);
  return made;
}

/** Opens calls and cancels each at once, until it is cut off or `most` are through. */
export function resetRapidly(port: number, tls: Tls, path: string, most: number): Promise<CutOff> {
  const socket = connect({
    ...tls,
    port,
    host: '127.0.0.1',
    localAddress: FROM,
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  } as ConnectionOptions);
  return rapidReset(socket, 'secureConnect', { path, most });
}

/** One call with these headers and body; resolves with the status of gRPC, or what ended it instead. */
export function call(
  port: number,
  tls: Tls,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<string> {
  return new Promise((resolve) => {
    const client = session(port, tls);
    const request = client.request({ ...HEADERS, ...headers });
    let status = 'no answer';
    const take = (got: http2.IncomingHttpHeaders): void => {
      const [code, text] = [got['grpc-status'], got['grpc-message']].map((each) =>
        each?.toString(),
      );
      if (code !== undefined) status = `${code} ${decodeURI(text ?? '')}`;
    };
    request.on('response', take);
    request.on('trailers', take);
    request.on('error', (error: Error) => {
      if (status === 'no answer') status = error.message;
    });
    request.on('close', () => {
      client.close();
      resolve(status);
    });
    request.resume();
    request.end(body);
  });
}

const HEADERS = { ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers' };
