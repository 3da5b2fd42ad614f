/**
 * A running Toxiproxy, ours or the one that TOXIPROXY_URL names, and its proxies as `Proxy`. Knows
 * nothing of replicas and regions (network.ts does). The client library drops the server's words on an
 * error; so every call here says what was being done.
 */
import { join } from 'node:path';
import { Toxiproxy } from 'toxiproxy-node-client';
import type { Proxy as RemoteProxy, Toxic } from 'toxiproxy-node-client';
import { MeridianError } from '../../libs/errors/errors.ts';
import { spawnChild } from '../../libs/processes/child.ts';
import type { Child } from '../../libs/processes/child.ts';
import { releasePorts, reservePorts } from '../../libs/processes/ports.ts';
import { findToxiproxy } from './toxiproxy-program.ts';

const HOST = '127.0.0.1';
const READY_MS = 20_000;

export type Direction = 'upstream' | 'downstream';

/** A toxic by type and attributes, as Toxiproxy's own documentation has them. */
export type ToxicOf =
  | { readonly type: 'latency'; readonly attributes: { latency: number; jitter: number } }
  | { readonly type: 'bandwidth'; readonly attributes: { rate: number } }
  | { readonly type: 'slow_close'; readonly attributes: { delay: number } }
  | { readonly type: 'timeout' | 'reset_peer'; readonly attributes: { timeout: number } }
  | {
      readonly type: 'slicer';
      readonly attributes: { average_size: number; size_variation: number; delay: number };
    }
  | { readonly type: 'limit_data'; readonly attributes: { bytes: number } };

export interface ProxyPlan {
  readonly name: string;
  /** Port it listens on. */
  readonly port: number;
  /** Port it goes on to. */
  readonly upstream: number;
}

export class ToxiproxyServer {
  readonly url: string;
  readonly version: string;
  readonly #client: Toxiproxy;
  readonly #child: Child | null;
  readonly #ports: readonly number[];

  private constructor(
    url: string,
    version: string,
    client: Toxiproxy,
    child: Child | null,
    ports: readonly number[],
  ) {
    this.url = url;
    this.version = version;
    this.#client = client;
    this.#child = child;
    this.#ports = ports;
  }

  /** Logs of a server of ours go to `directory`. */
  static async open(
    directory: string,
    onEvent: (text: string) => void = () => undefined,
  ): Promise<ToxiproxyServer> {
    const named = process.env['TOXIPROXY_URL'];
    if (named !== undefined && named !== '') {
      const client = new Toxiproxy(named.replace(/\/$/, ''));
      const version = await attempt(`reach TOXIPROXY_URL ${named}`, () => client.getVersion());
      return new ToxiproxyServer(named, versionOf(version), client, null, []);
    }
    const ports = await reservePorts(1);
    const port = ports[0] ?? 0;
    const url = `http://${HOST}:${String(port)}`;
    const client = new Toxiproxy(url);
    const child = await spawnChild({
      name: 'toxiproxy-server',
      command: findToxiproxy(onEvent),
      args: ['-host', HOST, '-port', String(port)],
      env: { LOG_LEVEL: 'error' },
      logFile: join(directory, 'toxiproxy.log'),
    });
    try {
      let version = '';
      const probe = async (): Promise<boolean> => {
        version = await client.getVersion();
        return true;
      };
      await child.ready({ probe }, READY_MS);
      return new ToxiproxyServer(url, versionOf(version), client, child, ports);
    } catch (error) {
      await child.kill();
      releasePorts(ports);
      throw error;
    }
  }

  /** Makes them all at once. */
  async create(plans: readonly ProxyPlan[]): Promise<Proxy[]> {
    const bodies = plans.map(({ name, port, upstream }) => ({
      name,
      listen: `${HOST}:${String(port)}`,
      upstream: `${HOST}:${String(upstream)}`,
      enabled: true,
    }));
    const what = `make ${String(plans.length)} proxies`;
    const made = await attempt(what, () => this.#client.populate(bodies));
    return plans.map(({ name, port }) => {
      const remote = made[name];
      if (remote === undefined) throw new MeridianError('UNAVAILABLE', `no proxy ${name} was made`);
      return new Proxy(remote, port);
    });
  }

  async close(): Promise<void> {
    await this.#child?.kill();
    releasePorts(this.#ports);
  }
}

export class Proxy {
  readonly name: string;
  /** Where it listens. */
  readonly port: number;
  readonly #remote: RemoteProxy;
  readonly #toxics = new Map<string, Toxic<ToxicOf['attributes']>>();
  #enabled = true;

  constructor(remote: RemoteProxy, port: number) {
    this.name = remote.name;
    this.port = port;
    this.#remote = remote;
  }

  /** Disabled: its connections end, new ones are refused. */
  async enable(enabled: boolean): Promise<void> {
    if (this.#enabled === enabled) return;
    const { listen, upstream } = this.#remote;
    const what = enabled ? 'enable' : 'disable';
    await this.#do(what, () => this.#remote.update({ enabled, listen, upstream }));
    this.#enabled = enabled;
  }

  /** One that is there under this name gets the new attributes, without a gap. */
  async put(name: string, stream: Direction, toxic: ToxicOf): Promise<void> {
    const body = { name, stream, toxicity: 1, ...toxic };
    const present = this.#toxics.get(name);
    const made = await this.#do(`put ${toxic.type} on`, () =>
      present === undefined
        ? this.#remote.addToxic<ToxicOf['attributes']>(body)
        : present.update(body),
    );
    this.#toxics.set(name, made);
  }

  /** Nothing, where there is none of that name. Removing a `timeout` ends the connections. */
  async remove(name: string): Promise<void> {
    const toxic = this.#toxics.get(name);
    if (toxic === undefined) return;
    this.#toxics.delete(name);
    await this.#do(`remove ${name} from`, () => toxic.remove());
  }

  /** Removes the proxy itself. */
  async discard(): Promise<void> {
    await this.#do('discard', () => this.#remote.remove());
  }

  #do<T>(what: string, act: () => Promise<T>): Promise<T> {
    return attempt(`${what} the proxy ${this.name}`, act);
  }
}

async function attempt<T>(what: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MeridianError('UNAVAILABLE', `Toxiproxy could not ${what}: ${why}`, { cause });
  }
}

function versionOf(text: string): string {
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? text.trim();
}
