/** A port in front of another one: every connection to it goes on through two wires, one each way. */
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Wire } from './wire.ts';

export class Proxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  /** `there` carries what the callers say to `port`, `back` what they are told. */
  static async start(port: number, there: Wire, back: Wire): Promise<Proxy> {
    const server = createServer({ noDelay: true });
    const proxy = new Proxy(server);
    server.on('connection', (caller) => {
      const callee = connect({ host: '127.0.0.1', port, noDelay: true });
      for (const socket of [caller, callee]) proxy.#adopt(socket);
      there.carry(caller, callee);
      back.carry(callee, caller);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Breaks every connection, at once and for both ends. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  stop(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #adopt(socket: Socket): void {
    this.#sockets.add(socket);
    // Whatever breaks one side ends the other (wire.ts); there is nobody else to tell.
    socket.on('error', () => undefined);
    socket.once('close', () => {
      this.#sockets.delete(socket);
    });
  }
}
