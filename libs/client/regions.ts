/**
 * The replicas of an instance as a client sees them: one channel a region, nearest first. Chooses
 * where to go next; what is sent there is others' business.
 */
import type { Channel } from '../rpc/rpc.ts';
import { connect } from '../rpc/rpc.ts';
import { MeridianError } from '../errors/errors.ts';

export interface ReplicaAddress {
  readonly region: string;
  /** host:port */
  readonly address: string;
}

export interface Region {
  readonly name: string;
  readonly channel: Channel;
}

export class Regions {
  readonly list: readonly Region[];

  /** `nearest` names the region to prefer; the others follow in the order given. */
  constructor(replicas: readonly ReplicaAddress[], nearest?: string) {
    if (replicas.length === 0) throw new MeridianError('INVALID', 'no replica addresses given');
    const known = replicas.some(({ region }) => region === nearest);
    if (nearest !== undefined && !known) {
      const names = replicas.map(({ region }) => region).join(', ');
      throw new MeridianError('INVALID', `region ${nearest} is none of ${names}`);
    }
    const ordered = [...replicas].sort(
      (a, b) => Number(b.region === nearest) - Number(a.region === nearest),
    );
    this.list = ordered.map(({ region, address }) => ({ name: region, channel: connect(address) }));
  }

  at(attempt: number): Region {
    const region = this.list[attempt % this.list.length];
    if (region === undefined) throw new MeridianError('INVALID', 'no replica addresses given');
    return region;
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

const BACKOFF_FIRST_MS = 20;
const BACKOFF_MAX_MS = 2_000;

/** Full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter"), at most 2 s. */
export function backoffMs(attempt: number, random: () => number): number {
  return random() * Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 10));
}
