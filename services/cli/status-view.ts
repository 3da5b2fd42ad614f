/**
 * What replicas say of themselves, in the stable field names of `--output json`: plain numbers, names of
 * regions instead of numbers of replicas, and for the instance as a whole who hears whom.
 */
import type { Latency, StatusResponse } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { StatusAnswer } from './replicas.ts';

export interface LatencyView {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

export interface LaneView {
  readonly lane: number;
  /** Region of its home. */
  readonly home: string;
  readonly epoch: number;
  /** Region of its writer. */
  readonly writer: string;
  readonly sealed: boolean;
  readonly role: string;
  /** Of the first entry that is in the log. */
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly syncedIndex: number;
  readonly committedIndex: number;
  readonly resolved: number;
}

export interface PeerView {
  readonly region: string;
  readonly heard: boolean;
  readonly hearsUs: boolean;
  readonly roundTripMs: number | null;
  readonly clockOffsetMs: number | null;
}

export interface ReplicaState {
  readonly replica: number;
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly voting: boolean;
  /** It only votes: clients use the other regions. */
  readonly witness: boolean;
  readonly clockSafe: boolean;
  readonly wallClock: number;
  readonly clock: number;
  readonly watermark: number;
  /** The replica's wall clock above its watermark. */
  readonly watermarkLagMs: number;
  readonly lastTimestamp: number;
  readonly releasedEntries: number;
  readonly releaseHash: string;
  readonly backlogEntries: number;
  readonly streams: number;
  readonly sessions: number;
  readonly readers: number;
  readonly queuedAppends: number;
  readonly unansweredBytes: number;
  readonly appendLatency: LatencyView;
  readonly syncLatency: LatencyView;
  readonly disk: {
    readonly totalBytes: number;
    readonly freeBytes: number;
    readonly logBytes: number;
    readonly segments: number;
    /** ample, low (takes no appends), none (takes no entries either); empty from an older replica. */
    readonly space: string;
  };
  /** Peers that have released something different, and after how many entries at most. */
  readonly divergences: readonly { readonly replica: number; readonly entries: number }[];
  /** Damaged segments and checkpoints on its disk: found since it started, repaired, and still open. */
  readonly damage: { readonly found: number; readonly repaired: number; readonly open: string[] };
  readonly lanes: readonly LaneView[];
  readonly peers: readonly PeerView[];
}

export interface ReplicaView {
  readonly region: string;
  readonly address: string;
  readonly answers: boolean;
  readonly tookMs: number;
  /** Why it does not answer. */
  readonly error: { readonly reason: string; readonly message: string } | null;
  readonly state: ReplicaState | null;
}

/** Row hears column; null: not known, because neither answers. */
export type HearingMatrix = Readonly<Record<string, Readonly<Record<string, boolean | null>>>>;

export interface InstanceView {
  readonly cluster: string;
  readonly instance: string;
  /** When it was asked, ISO 8601. */
  readonly time: string;
  readonly replicas: readonly ReplicaView[];
  readonly hears: HearingMatrix;
}

export function instanceView(
  target: { readonly cluster: string; readonly instance: string },
  answers: readonly StatusAnswer[],
  now: Date,
): InstanceView {
  const nameOf = regionNames(answers);
  const replicas = answers.map(({ region, address, status, error, tookMs }) => ({
    region,
    address,
    answers: status !== null,
    tookMs: rounded(tookMs),
    error: error === null ? null : { reason: error.reason, message: error.message },
    state: status === null ? null : stateOf(status, nameOf),
  }));
  const { cluster, instance } = target;
  return { cluster, instance, time: now.toISOString(), replicas, hears: hearingOf(replicas) };
}

/** Replicas name each other by number; who does not answer keeps the number that is left, if it is one. */
function regionNames(answers: readonly StatusAnswer[]): (replica: number) => string {
  const names = new Map<number, string>();
  for (const { region, status } of answers) if (status !== null) names.set(status.replica, region);
  const left = answers.filter(({ status }) => status === null);
  const free = [0, 1, 2].filter((replica) => !names.has(replica));
  const [silent] = left;
  const [number] = free;
  if (left.length === 1 && free.length === 1 && silent !== undefined && number !== undefined) {
    names.set(number, silent.region);
  }
  return (replica) => names.get(replica) ?? `replica ${replica}`;
}

function stateOf(status: StatusResponse, nameOf: (replica: number) => string): ReplicaState {
  const disk = status.disk;
  return {
    replica: status.replica,
    version: status.version,
    uptimeSeconds: rounded(status.uptimeSeconds),
    voting: status.voting,
    witness: status.witness,
    clockSafe: status.clockSafe,
    wallClock: Number(status.wallClock),
    clock: Number(status.clock),
    watermark: Number(status.watermark),
    watermarkLagMs: rounded(Number(status.wallClock - status.watermark) / 1000),
    lastTimestamp: Number(status.lastTimestamp),
    releasedEntries: Number(status.releasedEntries),
    releaseHash: status.releaseHash,
    backlogEntries: Number(status.backlogEntries),
    streams: Number(status.streams),
    sessions: Number(status.sessions),
    readers: Number(status.readers),
    queuedAppends: Number(status.queuedAppends),
    unansweredBytes: Number(status.unansweredBytes),
    appendLatency: latencyOf(status.appendLatency),
    syncLatency: latencyOf(status.syncLatency),
    disk: {
      totalBytes: Number(disk?.totalBytes ?? 0n),
      freeBytes: Number(disk?.freeBytes ?? 0n),
      logBytes: Number(disk?.logBytes ?? 0n),
      segments: Number(disk?.segments ?? 0n),
      space: disk?.space ?? '',
    },
    divergences: (status.upkeep?.divergences ?? []).map((one) => ({
      replica: one.replica,
      entries: Number(one.differentEntries),
    })),
    damage: {
      found: Number(status.upkeep?.scrub?.found ?? 0n),
      repaired: Number(status.upkeep?.scrub?.repaired ?? 0n),
      open: (status.upkeep?.scrub?.open ?? []).map(({ problem }) => problem),
    },
    lanes: status.lanes.map((lane) => ({
      lane: lane.lane,
      home: nameOf(lane.lane),
      epoch: Number(lane.epoch),
      writer: nameOf(lane.writer),
      sealed: lane.writer !== lane.lane,
      role: lane.role,
      firstIndex: Number(lane.firstIndex),
      lastIndex: Number(lane.lastIndex),
      syncedIndex: Number(lane.syncedIndex),
      committedIndex: Number(lane.committedIndex),
      resolved: Number(lane.resolved),
    })),
    peers: status.peers.map((peer) => ({
      region: nameOf(peer.replica),
      heard: peer.heard,
      hearsUs: peer.hearsUs,
      // The protocol has 0 for "not known".
      roundTripMs: peer.roundTripSeconds === 0 ? null : rounded(peer.roundTripSeconds * 1000),
      clockOffsetMs: peer.clockOffsetSeconds === 0 ? null : rounded(peer.clockOffsetSeconds * 1000),
    })),
  };
}

function hearingOf(replicas: readonly ReplicaView[]): HearingMatrix {
  const hears = (listener: ReplicaView, speaker: ReplicaView): boolean | null => {
    const own = listener.state?.peers.find(({ region }) => region === speaker.region);
    if (own !== undefined) return own.heard;
    const said = speaker.state?.peers.find(({ region }) => region === listener.region);
    return said?.hearsUs ?? null;
  };
  return Object.fromEntries(
    replicas.map((listener) => [
      listener.region,
      Object.fromEntries(
        replicas
          .filter(({ region }) => region !== listener.region)
          .map((speaker) => [speaker.region, hears(listener, speaker)]),
      ),
    ]),
  );
}

function latencyOf(latency: Latency | undefined): LatencyView {
  const ms = (seconds: number | undefined): number => rounded((seconds ?? 0) * 1000);
  return {
    count: Number(latency?.count ?? 0n),
    p50Ms: ms(latency?.p50Seconds),
    p99Ms: ms(latency?.p99Seconds),
    maxMs: ms(latency?.maxSeconds),
  };
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
