/** The replicas of an instance as a client sees them: one channel a region, nearest first. */
import type { Channel } from '../rpc/rpc.ts';
import { Endpoint, connect } from '../rpc/rpc.ts';
import { MeridianError } from '../errors/errors.ts';

export interface ReplicaAddress {
  /** Name of the region, for example `eu-central-1`. */
  readonly region: string;
  /** host:port of the replica's client port. */
  readonly address: string;
}

export class Region extends Endpoint {
  readonly name: string;

  constructor(name: string, channel: Channel) {
    super(channel);
    this.name = name;
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
