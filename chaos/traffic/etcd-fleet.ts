/**
 * The fleet's counterpart for etcd: in each region one client that writes keys and reads one linearizably, at
 * the same rates, going to the next member on an error or on the same silence. Recorded like ours, so
 * that the same measure applies; it is not judged: etcd is the yardstick here and not the subject.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import type { EtcdCluster } from '../cluster/etcd.ts';
import { post } from '../cluster/etcd.ts';
import type { Region } from '../cluster/wide-area.ts';
import { nearestFirst, REGIONS } from '../cluster/wide-area.ts';
import type { Recorder } from '../model/recorder.ts';
import type { LoopClient, Rates } from './open-loop.ts';
import { openLoop } from './open-loop.ts';

const DEADLINE_MS = 8_000;
const SILENCE_MS = 1_000;
const PAUSE_MS = 20;
/** As our client library: away from the nearest, it looks now and then whether that one works again. */
const RETURN_MS = 5_000;

export async function runEtcdFleet(
  cluster: EtcdCluster,
  rates: Rates,
  record: Recorder,
  until: AbortSignal,
): Promise<void> {
  await Promise.all(
    REGIONS.map((region) => openLoop(rates, until, new Client(cluster, region, record))),
  );
}

class Client implements LoopClient {
  readonly #cluster: EtcdCluster;
  readonly #region: Region;
  readonly #record: Recorder;
  readonly #order: readonly Region[];
  /** Index of the member in use: all operations go where the last one found an answer. */
  #current = 0;
  #leftAt = 0;

  constructor(cluster: EtcdCluster, region: Region, record: Recorder) {
    this.#cluster = cluster;
    this.#region = region;
    this.#record = record;
    this.#order = nearestFirst(cluster.network.area, region);
  }

  async append(number: number): Promise<void> {
    const stream = `etcd-${this.#region}`;
    const value = String(number);
    await this.#record.run(
      { workload: 'etcd', client: `${this.#region}/writer`, region: this.#region },
      { kind: 'append', instance: 1, stream, values: [value], ack: 'ORDERED' },
      async () => {
        const servedBy = await this.#anywhere('/v3/kv/put', {
          key: base64(`${stream}/${String(number % 100)}`),
          value: base64(value),
        });
        return { servedBy };
      },
    );
  }

  async read(): Promise<void> {
    const stream = `etcd-${this.#region}`;
    await this.#record.run(
      { workload: 'etcd', client: `${this.#region}/reader`, region: this.#region },
      { kind: 'read', instance: 1, stream, from: 0 },
      async () => ({
        servedBy: await this.#anywhere('/v3/kv/range', { key: base64(`${stream}/0`) }),
      }),
    );
  }

  /** Name of the region that answered. */
  async #anywhere(path: string, body: object): Promise<string> {
    const endsAt = performance.now() + DEADLINE_MS;
    if (this.#current !== 0 && performance.now() - this.#leftAt > RETURN_MS) this.#current = 0;
    for (;;) {
      const tried = this.#current;
      const region = this.#order[tried] ?? this.#region;
      const left = endsAt - performance.now();
      if (left <= 0) throw new MeridianError('DEADLINE', 'no member answered in time');
      try {
        const port = this.#cluster.clientPort(this.#region, region);
        await post(port, path, body, Math.min(left, SILENCE_MS));
        return region;
      } catch {
        // Only the first of those that were under way moves on.
        if (this.#current === tried) {
          this.#current = (tried + 1) % this.#order.length;
          this.#leftAt = performance.now();
        }
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      }
    }
  }
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
