/**
 * Several servers that can each do the same, nearest first: which to use next. One that failed a moment
 * ago comes last, whatever its distance; after a round through all of them there is a pause that grows.
 */
import type { Channel } from './channel.ts';

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

/** One caller's way through all of them, each once in a round. */
export class Rounds<E extends Endpoint> {
  readonly #list: readonly E[];
  readonly #tried = new Set<E>();
  #pauses = 0;

  /** By preference. */
  constructor(list: readonly E[]) {
    this.#list = list;
  }

  /** In this round. */
  get triedAll(): boolean {
    return this.#tried.size === this.#list.length;
  }

  /** null: all were tried; the next round begins after `pauseMs`. */
  next(): E | null {
    const left = this.#list.filter((each) => !this.#tried.has(each));
    const endpoint = left.find((each) => !each.suspect) ?? left[0] ?? null;
    if (endpoint === null) this.#tried.clear();
    else this.#tried.add(endpoint);
    return endpoint;
  }

  /** Doubling from 50 ms to 2 s; between half of the step and the whole, so that clients spread. */
  pauseMs(): number {
    const step = Math.min(PAUSE_LAST_MS, PAUSE_FIRST_MS * 2 ** this.#pauses);
    this.#pauses += 1;
    return step * (0.5 + Math.random() / 2);
  }

  /** The next failure starts anew. */
  worked(endpoint: E): void {
    endpoint.worked();
    this.#tried.clear();
    this.#pauses = 0;
  }

  /** Not its fault: it may be tried again at once. */
  excuse(endpoint: E): void {
    this.#tried.delete(endpoint);
  }

  /** Begins a round, with the pauses as long as they have become. */
  restart(): void {
    this.#tried.clear();
  }
}
