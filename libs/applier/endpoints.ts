/**
 * Several servers that can each do the same, nearest first: which to use next. One that failed a moment
 * ago comes last; after a round through all of them there is a pause that grows.
 */
import { MeridianError } from '../errors/errors.ts';
import { connect } from '../rpc/rpc.ts';
import type { Channel } from '../rpc/rpc.ts';

/** How long a failure counts against a server. */
const FAILURE_MEMORY_MS = 5_000;
const PAUSE_FIRST_MS = 50;
const PAUSE_LAST_MS = 2_000;

export class Endpoint {
  readonly channel: Channel;
  #failedAt = -Infinity;

  constructor(channel: Channel) {
    this.channel = channel;
  }

  get address(): string {
    return this.channel.address;
  }

  get suspect(): boolean {
    return performance.now() - this.#failedAt < FAILURE_MEMORY_MS;
  }

  failed(): void {
    this.#failedAt = performance.now();
  }

  worked(): void {
    this.#failedAt = -Infinity;
  }
}

export class Endpoints {
  readonly list: readonly Endpoint[];

  /** `windowBytes`: bytes in flight towards this process on each connection. */
  constructor(addresses: readonly string[], windowBytes?: number) {
    if (addresses.length === 0) throw new MeridianError('INVALID', 'no addresses given');
    const limits = windowBytes === undefined ? {} : { windowBytes };
    this.list = addresses.map((address) => new Endpoint(connect(address, limits)));
  }

  /** A way through all of them, one after the other. */
  route(): EndpointRoute {
    return new EndpointRoute(this.list);
  }

  close(): void {
    for (const { channel } of this.list) channel.close();
  }
}

export class EndpointRoute {
  readonly #list: readonly Endpoint[];
  readonly #tried = new Set<Endpoint>();
  #rounds = 0;

  constructor(list: readonly Endpoint[]) {
    this.#list = list;
  }

  /** null: all were tried; a new round begins after `pauseMs`. */
  next(): Endpoint | null {
    const left = this.#list.filter((each) => !this.#tried.has(each));
    const endpoint = left.find((each) => !each.suspect) ?? left[0] ?? null;
    if (endpoint === null) this.#tried.clear();
    else this.#tried.add(endpoint);
    return endpoint;
  }

  /** Between half of the step and the whole, so that clients spread. */
  pauseMs(): number {
    const step = Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** this.#rounds);
    this.#rounds += 1;
    return step * (0.5 + Math.random() / 2);
  }

  worked(endpoint: Endpoint): void {
    endpoint.worked();
    this.#tried.clear();
    this.#rounds = 0;
  }

  /** Not its fault: it may be tried again at once. */
  excuse(endpoint: Endpoint): void {
    this.#tried.delete(endpoint);
  }
}
