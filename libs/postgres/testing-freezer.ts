/**
 * For tests: a way to a Postgres that can be frozen. Connections stay, nothing arrives any more on either
 * side, not even an end, and no goodbye comes back: what a stopped process or a paused host looks like.
 */
import { once } from 'node:events';
import { createServer, connect as dial } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export class Freezer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #frozen = false;

  static async before(port: number): Promise<Freezer> {
    const freezer = new Freezer(port);
    freezer.#server.listen(0, '127.0.0.1');
    await once(freezer.#server, 'listening');
    return freezer;
  }

  private constructor(port: number) {
    this.#server = createServer({ allowHalfOpen: true }, (near) => {
      const far = dial({ port, host: '127.0.0.1', allowHalfOpen: true });
      this.#join(near, far);
      this.#join(far, near);
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What comes from now on is taken by nobody. */
  freeze(): void {
    this.#frozen = true;
    for (const socket of this.#sockets) socket.pause();
  }

  thaw(): void {
    this.#frozen = false;
    for (const socket of this.#sockets) socket.resume();
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('error', () => undefined);
    from.on('data', (bytes) => {
      to.write(bytes);
    });
    from.on('end', () => {
      to.end();
    });
    from.on('close', () => {
      this.#sockets.delete(from);
      if (!this.#frozen) to.destroy();
    });
    if (this.#frozen) from.pause();
  }
}
