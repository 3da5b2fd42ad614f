/**
 * The replicas of an instance as a client sees them: one channel a region, nearest first, and which
 * to use next. One that failed a moment ago comes last, whatever its distance.
 */
import type { Channel } from '../rpc/rpc.ts';
import { connect } from '../rpc/rpc.ts';
import { MeridianError } from '../errors/errors.ts';

export interface ReplicaAddress {
  /** Name of the region, for example `eu-central-1`. */
  readonly region: string;
  /** host:port of the replica's client port. */
  readonly address: string;
}

/** How long a failure counts against a region. */
const FAILURE_MEMORY_MS = 5_000;

export class Region {
  readonly name: string;
  readonly channel: Channel;
  #failedAt = -Infinity;

  constructor(name: string, channel: Channel) {
    this.name = name;
    this.channel = channel;
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

export class Regions {
  /** By preference. */
  readonly list: readonly Region[];

  /**
   * `nearest` names the region to prefer; the others follow in the order given. `windowBytes`: bytes
   * in flight towards this client on each connection.
   */
  constructor(replicas: readonly ReplicaAddress[], nearest?: string, windowBytes?: number) {
    if (replicas.length === 0) throw new MeridianError('INVALID', 'no replica addresses given');
    const ordered = [...replicas].sort(
      (a, b) => Number(b.region === nearest) - Number(a.region === nearest),
    );
    const limits = windowBytes === undefined ? {} : { windowBytes };
    this.list = ordered.map(({ region, address }) => new Region(region, connect(address, limits)));
    if (nearest !== undefined) this.named(nearest);
  }

  /** The best one that is not in `except`; null when all are. */
  best(except: ReadonlySet<Region>): Region | null {
    const left = this.list.filter((region) => !except.has(region));
    return left.find((region) => !region.suspect) ?? left[0] ?? null;
  }

  named(name: string): Region {
    const region = this.list.find((each) => each.name === name);
    if (region === undefined) {
      const names = this.list.map((each) => each.name).join(', ');
      throw new MeridianError('INVALID', `region ${name} is none of ${names}`);
    }
    return region;
  }

  close(): void {
    for (const { channel } of this.list) channel.close();
  }
}
