/** The replicas of an instance as a client sees them: one channel a region, nearest first. */
import type { Channel } from '../rpc/rpc.ts';
import { Endpoint, connect } from '../rpc/rpc.ts';
import { openClientSecurity } from '../security/client-security.ts';
import type { ClientSecurity } from '../security/client-security.ts';
import { MeridianError } from '../errors/errors.ts';

export interface ReplicaAddress {
  /** Name of the region, for example `eu-central-1`. */
  readonly region: string;
  /** host:port of the replica's client port. */
  readonly address: string;
}

export interface RegionsOptions {
  readonly replicas: readonly ReplicaAddress[];
  /** The region to prefer; the others follow in the order given. */
  readonly region?: string | undefined;
  /** Bytes in flight towards this client on each connection. */
  readonly windowBytes?: number | undefined;
  /** With what the certificates of the replicas must name. Default: calls go in the clear. */
  readonly security?:
    (ClientSecurity & { readonly cluster: string; readonly instance: string }) | undefined;
}

/** A witness may be made a replica that serves, one day. */
const WITNESS_MEMORY_MS = 600_000;

export class Region extends Endpoint {
  readonly name: string;
  #witnessSince = -Infinity;

  constructor(name: string, channel: Channel) {
    super(channel);
    this.name = name;
  }

  /** A witness counts as suspect for much longer than one that merely failed: it is asked after all others. */
  override get suspect(): boolean {
    return super.suspect || performance.now() - this.#witnessSince < WITNESS_MEMORY_MS;
  }

  override failed(error?: MeridianError): void {
    super.failed();
    if (error?.details['witness'] !== undefined) this.#witnessSince = performance.now();
  }
}

export class Regions {
  /** By preference. */
  readonly list: readonly Region[];

  /** `dial`: how a connection is made; a simulation has its own. */
  constructor(options: RegionsOptions, dial: typeof connect = connect) {
    const { replicas, region: nearest, windowBytes, security } = options;
    if (replicas.length === 0) throw new MeridianError('INVALID', 'no replica addresses given');
    const ordered = [...replicas].sort(
      (a, b) => Number(b.region === nearest) - Number(a.region === nearest),
    );
    const limits = windowBytes === undefined ? {} : { windowBytes };
    const { cluster = '', instance = '' } = security ?? {};
    const secure = openClientSecurity(security);
    this.list = ordered.map(({ region, address }) => {
      const expected = { cluster, role: 'replica', names: [instance, region] } as const;
      return new Region(region, dial(address, limits, secure?.(expected) ?? null));
    });
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
