/**
 * A client of the benchmarks: connections, a writer and a body of its own, which loads (load.ts) append and
 * nobody else does. It goes to the instance's first region.
 */
import { randomUUID } from 'node:crypto';
import { Appender } from '../../libs/client/appender.ts';
import { Regions } from '../../libs/client/regions.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { Instance } from './instance.ts';
import type { LoadOptions } from './load.ts';

export type Target = Pick<Instance, 'cluster' | 'name' | 'replicas'>;

export interface ClientOptions {
  /** Of a record's body. */
  readonly bytes: number;
  /** Default: `bench`. */
  readonly stream?: string;
  /** Default: QUORUM. */
  readonly ack?: 'QUORUM' | 'ORDERED';
}

export class Client {
  readonly appender: Appender;
  readonly #target: { readonly cluster: string; readonly instance: string };
  readonly #regions: Regions;
  readonly #load: Omit<LoadOptions, 'seconds'>;

  constructor({ cluster, name, replicas }: Target, options: ClientOptions) {
    const { bytes, stream = 'bench', ack = 'QUORUM' } = options;
    const writer = { id: randomUUID(), epoch: 1, lastSeq: 0 };
    this.#target = { cluster, instance: name };
    this.#regions = new Regions({ replicas, region: replicas[0]?.region });
    this.appender = new Appender({ ...this.#target, regions: this.#regions, ack, writer });
    this.#load = { appender: this.appender, stream, body: new Uint8Array(bytes).fill(120) };
  }

  load(seconds: number): LoadOptions {
    return { ...this.#load, seconds };
  }

  /** What the replica of a region says of itself. */
  status(region: string, deadlineMs: number): Promise<StatusResponse> {
    const { channel } = this.#regions.named(region);
    return channel.unary(JournalService.method.status, { target: this.#target }, { deadlineMs });
  }

  close(): void {
    this.appender.close();
    this.#regions.close();
  }
}
