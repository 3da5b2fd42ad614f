/**
 * The replicas of an instance as one client sees them: a channel to each, made when first needed,
 * and which to use first. One that failed a moment ago comes last, whatever its distance.
 */
import type { Channel } from '../rpc/rpc.ts';
import { connect } from '../rpc/rpc.ts';
import { MeridianError } from '../errors/errors.ts';
import type { JournalOptions } from './types.ts';

/** How long a failure counts against a replica. */
const FAILURE_MEMORY_MS = 5_000;

export interface Target {
  readonly cluster: string;
  readonly instance: string;
}

export class Replica {
  readonly region: string;
  readonly address: string;
  readonly #windowBytes: number | undefined;
  #channel: Channel | null = null;
  #failedAt = -Infinity;

  constructor(region: string, address: string, windowBytes: number | undefined) {
    this.region = region;
    this.address = address;
    this.#windowBytes = windowBytes;
  }

  get channel(): Channel {
    const limits = this.#windowBytes === undefined ? {} : { windowBytes: this.#windowBytes };
    this.#channel ??= connect(this.address, limits);
    return this.#channel;
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

  close(): void {
    this.#channel?.close();
    this.#channel = null;
  }
}

export class Replicas {
  readonly target: Target;
  /** By preference. */
  readonly all: readonly Replica[];

  constructor(options: JournalOptions) {
    const { cluster, instance, replicas, region, windowBytes } = options;
    if (replicas.length === 0) throw new MeridianError('INVALID', 'a journal needs a replica');
    if (region !== undefined && !replicas.some((replica) => replica.region === region)) {
      const known = replicas.map((replica) => replica.region).join(', ');
      throw new MeridianError('INVALID', `no replica in region ${region}; there are: ${known}`);
    }
    this.target = { cluster, instance };
    const near = replicas.filter((replica) => replica.region === region);
    const far = replicas.filter((replica) => replica.region !== region);
    this.all = [...near, ...far].map(
      (replica) => new Replica(replica.region, replica.address, windowBytes),
    );
  }

  /** The best one that is not in `except`; null when all are. */
  best(except: ReadonlySet<Replica>): Replica | null {
    const left = this.all.filter((replica) => !except.has(replica));
    return left.find((replica) => !replica.suspect) ?? left[0] ?? null;
  }

  inRegion(region: string): Replica {
    const found = this.all.find((replica) => replica.region === region);
    if (found !== undefined) return found;
    const known = this.all.map((replica) => replica.region).join(', ');
    throw new MeridianError('INVALID', `no replica in region ${region}; there are: ${known}`);
  }

  close(): void {
    for (const replica of this.all) replica.close();
  }
}
