/**
 * Asks every process of the local cluster how it is, for the live view. A process that does not
 * answer within the deadline is shown as such and holds nothing else up.
 */
import { CrossbarService } from '../../libs/gen/meridian/crossbar/v1/crossbar_pb.ts';
import { JournalService } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import { SidecarService } from '../../libs/gen/meridian/sidecar/v1/sidecar_pb.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import { roleOf } from './postgres-members.ts';
import type { Instance, Ports, Region } from './topology.ts';
import { CLUSTER, REGIONS } from './topology.ts';
import type { Latency, RegionView, ReplicaView } from './view.ts';

const LIMIT = { deadlineMs: 400 };
/** Reads older than this no longer count. */
const READ_WINDOW_MS = 10_000;

export interface StatusOptions {
  readonly ports: Ports;
  /** Does one linearizable read in the region; rejects when it was not answered. */
  readonly read: (region: Region) => Promise<void>;
  readonly isPostgresUp: (region: Region) => boolean;
}

interface Channels {
  readonly one: Channel;
  readonly two: Channel;
  readonly crossbar: Channel;
  readonly sidecar: Channel;
}

export class StatusPoller {
  readonly #options: StatusOptions;
  readonly #channels: Readonly<Record<Region, Channels>>;
  readonly #reads = { a: new ReadWindow(), b: new ReadWindow(), c: new ReadWindow() };

  constructor(options: StatusOptions) {
    this.#options = options;
    const open = (region: Region): Channels => {
      const { journal, crossbar, sidecar } = options.ports[region];
      return {
        one: connect(local(journal.one)),
        two: connect(local(journal.two)),
        crossbar: connect(local(crossbar)),
        sidecar: connect(local(sidecar)),
      };
    };
    this.#channels = { a: open('a'), b: open('b'), c: open('c') };
  }

  async poll(): Promise<Record<Region, RegionView>> {
    const [a, b, c] = await Promise.all(REGIONS.map((region) => this.#region(region)));
    return { a, b, c } as Record<Region, RegionView>;
  }

  close(): void {
    for (const region of REGIONS) {
      for (const channel of Object.values(this.#channels[region])) (channel as Channel).close();
    }
  }

  async #region(region: Region): Promise<RegionView> {
    const { one, two, crossbar, sidecar } = this.#channels[region];
    const window = this.#reads[region];
    window.start(() => this.#options.read(region));
    const [first, second, merged, beside] = await Promise.all([
      askReplica(one, 'one'),
      askReplica(two, 'two'),
      askCrossbar(crossbar),
      askSidecar(sidecar),
    ]);
    return {
      replicas: { one: first, two: second },
      crossbar: merged,
      postgres: {
        role: roleOf(region),
        port: this.#options.ports[region].postgres,
        up: this.#options.isPostgresUp(region),
        ...beside,
      },
      read: window.latency(),
    };
  }
}

async function askReplica(channel: Channel, instance: Instance): Promise<ReplicaView | null> {
  try {
    const request = { target: { cluster: CLUSTER, instance } };
    return replicaView(await channel.unary(JournalService.method.status, request, LIMIT));
  } catch {
    return null;
  }
}

async function askCrossbar(channel: Channel): Promise<RegionView['crossbar']> {
  try {
    const status = await channel.unary(CrossbarService.method.status, { cluster: CLUSTER }, LIMIT);
    const watermark = Number(status.watermark);
    return { watermark, lagMs: Date.now() - watermark / 1000 };
  } catch {
    return null;
  }
}

async function askSidecar(
  channel: Channel,
): Promise<Pick<RegionView['postgres'], 'sidecar' | 'lagMs' | 'commit'>> {
  try {
    const request = { cluster: CLUSTER };
    const { ship, apply } = await channel.unary(SidecarService.method.status, request, LIMIT);
    const part = ship ?? apply;
    return {
      sidecar: part === undefined ? 'idle' : part.error || part.state,
      lagMs: apply === undefined ? null : Date.now() - Number(apply.watermark) / 1000,
      commit:
        ship === undefined || ship.latencyP50Seconds === 0
          ? null
          : { p50Ms: ship.latencyP50Seconds * 1000, p99Ms: ship.latencyP99Seconds * 1000 },
    };
  } catch {
    return { sidecar: 'no answer', lagMs: null, commit: null };
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
