/**
 * Asks every process of the local cluster how it is, for the live view. A process that does not
 * answer within the deadline is shown as such and holds nothing else up.
 */
import { CrossbarService } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import type { Instance, Ports, Region } from './topology.ts';
import { CLUSTER, INSTANCES, REGIONS } from './topology.ts';
import type { Latency, RegionView, ReplicaView } from './view.ts';

const DEADLINE_MS = 400;
/** Reads older than this no longer count. */
const READ_WINDOW_MS = 10_000;

export interface StatusOptions {
  readonly ports: Ports;
  /** Does one linearizable read in the region; rejects when it was not answered. */
  readonly read: (region: Region) => Promise<void>;
  readonly postgres: (region: Region) => Promise<RegionView['postgres']>;
}

export class StatusPoller {
  readonly #options: StatusOptions;
  readonly #journals = new Map<string, Channel>();
  readonly #crossbars = new Map<Region, Channel>();
  readonly #reads = new Map<Region, ReadWindow>();

  constructor(options: StatusOptions) {
    this.#options = options;
    for (const region of REGIONS) {
      const { journal, crossbar } = options.ports[region];
      for (const instance of INSTANCES) {
        this.#journals.set(instance + region, connect(local(journal[instance])));
      }
      this.#crossbars.set(region, connect(local(crossbar)));
      this.#reads.set(region, new ReadWindow());
    }
  }

  async poll(): Promise<Record<Region, RegionView>> {
    const [a, b, c] = await Promise.all(REGIONS.map((region) => this.#region(region)));
    return { a, b, c } as Record<Region, RegionView>;
  }

  close(): void {
    for (const channel of [...this.#journals.values(), ...this.#crossbars.values()]) {
      channel.close();
    }
  }

  async #region(region: Region): Promise<RegionView> {
    const window = this.#reads.get(region);
    window?.start(() => this.#options.read(region));
    const [one, two, crossbar, postgres] = await Promise.all([
      this.#replica('one', region),
      this.#replica('two', region),
      this.#crossbar(region),
      this.#options.postgres(region),
    ]);
    return { replicas: { one, two }, crossbar, postgres, read: window?.latency() ?? null };
  }

  async #replica(instance: Instance, region: Region): Promise<ReplicaView | null> {
    try {
      const status = await this.#journals
        .get(instance + region)
        ?.unary(
          JournalService.method.status,
          { target: { cluster: CLUSTER, instance } },
          { deadlineMs: DEADLINE_MS },
        );
      return status === undefined ? null : replicaView(status);
    } catch {
      return null;
    }
  }

  async #crossbar(region: Region): Promise<RegionView['crossbar']> {
    try {
      const status = await this.#crossbars
        .get(region)
        ?.unary(CrossbarService.method.status, { cluster: CLUSTER }, { deadlineMs: DEADLINE_MS });
      if (status === undefined) return null;
      const watermark = Number(status.watermark);
      return { watermark, lagMs: Date.now() - watermark / 1000 };
    } catch {
      return null;
    }
  }
}

export function replicaView(status: StatusResponse): ReplicaView {
  const { appendLatency } = status;
  const hears: Partial<Record<Region, 'direct' | 'not'>> = {};
  for (const peer of status.peers) {
    const region = REGIONS[peer.replica];
    if (region !== undefined) hears[region] = peer.heard ? 'direct' : 'not';
  }
  return {
    lastTimestamp: Number(status.lastTimestamp),
    watermark: Number(status.watermark),
    lagMs: Number(status.wallClock - status.watermark) / 1000,
    append:
      appendLatency === undefined || appendLatency.count === 0n
        ? null
        : { p50Ms: appendLatency.p50Seconds * 1000, p99Ms: appendLatency.p99Seconds * 1000 },
    hears,
    sealed: status.lanes.flatMap(({ lane, writer }) => {
      const home = REGIONS[lane];
      return writer === lane || home === undefined ? [] : [home];
    }),
    voting: status.voting,
  };
}

/** Latencies of the last reads; at most one is under way. */
export class ReadWindow {
  readonly #now: () => number;
  #reads: { readonly endedAt: number; readonly ms: number }[] = [];
  #busy = false;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  start(read: () => Promise<void>): void {
    if (this.#busy) return;
    this.#busy = true;
    const startedAt = this.#now();
    read()
      .then(() => {
        const endedAt = this.#now();
        this.#reads.push({ endedAt, ms: endedAt - startedAt });
      })
      .catch(() => undefined) // the view shows that no read is answered: no latency
      .finally(() => {
        this.#busy = false;
      });
  }

  latency(): Latency | null {
    const since = this.#now() - READ_WINDOW_MS;
    this.#reads = this.#reads.filter(({ endedAt }) => endedAt >= since);
    return latencyOf(this.#reads.map(({ ms }) => ms));
  }
}

export function latencyOf(samples: readonly number[]): Latency | null {
  const sorted = samples.toSorted((a, b) => a - b);
  const quantile = (q: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0;
  return sorted.length === 0 ? null : { p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

function local(port: number): string {
  return `127.0.0.1:${String(port)}`;
}
