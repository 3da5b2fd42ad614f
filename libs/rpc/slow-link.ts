/**
 * A TCP relay that delays every byte, for tests: a long line on one machine. Bytes are delayed, not
 * throttled; what is under way is bounded only by the end points' own windows, as on a real line.
 */
import net from 'node:net';
import type { AddressInfo } from 'node:net';

export interface SlowLink {
  readonly address: string;
  close(): Promise<void>;
}

export function startSlowLink(targetPort: number, oneWayMs: number): Promise<SlowLink> {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((near) => {
    const far = net.connect(targetPort, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (bytes) => {
        setTimeout(() => {
          if (!to.destroyed) to.write(bytes);
        }, oneWayMs);
      });
      from.on('error', () => undefined);
      from.on('close', () => {
        sockets.delete(from);
        to.destroy();
      });
    }
  });
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      resolve({
        address: `127.0.0.1:${port}`,
        close: () =>
          new Promise((closed) => {
            sockets.forEach((socket) => socket.destroy());
            server.close(() => {
              closed();
            });
          }),
      });
    });
  });
}
