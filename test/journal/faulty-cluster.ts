/**
 * Three replica processes whose every connection, between two of them and from a client to one, goes
 * through a proxy: a test cuts, slows and breaks single directions, as networks do.
 */
import type { Channel } from '../../libs/rpc/rpc.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import { Cluster } from './cluster.ts';
import { Proxy } from './proxy.ts';
import { Wire } from './wire.ts';

const ALL = [0, 1, 2] as const;

export class FaultyCluster extends Cluster {
  /** By sender and receiver. */
  readonly #wires = ALL.map(() => ALL.map(() => new Wire()));
  /** By caller and callee. */
  readonly #links = new Map<string, Proxy>();
  readonly #clientProxies: Proxy[] = [];
  readonly #clientWires = ALL.map(() => ({ there: new Wire(), back: new Wire() }));
  readonly #clients: Channel[] = [];

  protected override async beforeStart(): Promise<void> {
    for (const caller of ALL) {
      for (const callee of ALL) {
        if (caller === callee) continue;
        const port = this.peerPorts[callee] ?? 0;
        const [there, back] = [this.wire(caller, callee), this.wire(callee, caller)];
        this.#links.set(`${caller}-${callee}`, await Proxy.start(port, there, back));
      }
    }
    for (const replica of ALL) {
      const { there, back } = this.clientWire(replica);
      const proxy = await Proxy.start(this.clientPorts[replica] ?? 0, there, back);
      this.#clientProxies[replica] = proxy;
    }
  }

  protected override peerAddress(caller: number, callee: number): string {
    return `127.0.0.1:${this.#link(caller, callee).port}`;
  }

  /** What `from` says to `to`, over whichever connection. */
  wire(from: number, to: number): Wire {
    const wire = this.#wires[from]?.[to];
    if (wire === undefined) throw new Error(`no wire from ${from} to ${to}`);
    return wire;
  }

  clientWire(replica: number): { readonly there: Wire; readonly back: Wire } {
    const wires = this.#clientWires[replica];
    if (wires === undefined) throw new Error(`no replica ${replica}`);
    return wires;
  }

  /** A new connection through the proxy. */
  client(replica: number): Channel {
    const channel = connect(this.clientAddress(replica));
    this.#clients.push(channel);
    return channel;
  }

  clientAddress(replica: number): string {
    return `127.0.0.1:${this.#clientProxies[replica]?.port ?? 0}`;
  }

  /** Breaks the connections between the two. */
  reset(a: number, b: number): void {
    this.#link(a, b).reset();
    this.#link(b, a).reset();
  }

  heal(): void {
    for (const from of ALL) for (const to of ALL) this.wire(from, to).heal();
  }

  override async stop(): Promise<void> {
    for (const channel of this.#clients) channel.close();
    await super.stop();
    for (const proxy of [...this.#links.values(), ...this.#clientProxies]) proxy.stop();
  }

  #link(caller: number, callee: number): Proxy {
    const proxy = this.#links.get(`${caller}-${callee}`);
    if (proxy === undefined) throw new Error(`no link from ${caller} to ${callee}`);
    return proxy;
  }
}
