/** One client of `bench -- fairness`, with connections, a session and a stream of its own. */
import { randomUUID } from 'node:crypto';
import { Appender } from '../../libs/client/appender.ts';
import { Regions } from '../../libs/client/regions.ts';
import type { Instance } from './instance.ts';
import { closedLoop } from './load.ts';
import type { LoadResult } from './load.ts';

export type Target = Pick<Instance, 'cluster' | 'name' | 'replicas'>;

export interface LoudWork {
  readonly instance: Target;
  readonly bytes: number;
  readonly clients: number;
  readonly seconds: number;
}

export interface Client {
  readonly load: (inflight: number, seconds: number) => Promise<LoadResult>;
  readonly close: () => void;
}

/** Of each loud client: more than the window of a session. */
const LOUD_BYTES = 10 * 1024 * 1024;

export function inflightOf(bytes: number): number {
  return Math.ceil(LOUD_BYTES / bytes);
}

export function clientOf({ cluster, name, replicas }: Target, bytes: number): Client {
  const regions = new Regions({ replicas, region: 'a' });
  const writer = { id: randomUUID(), epoch: 1, lastSeq: 0 };
  const appender = new Appender({ cluster, instance: name, regions, ack: 'QUORUM', writer });
  const body = new Uint8Array(bytes).fill(120);
  const { id: stream } = writer;
  return {
    load: (inflight, seconds) => closedLoop({ appender, stream, body, seconds }, inflight),
    close: () => {
      appender.close();
      regions.close();
    },
  };
}
