/** The replica's view of the instance as the Status call shows it. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  LatencySchema,
  StatusResponseSchema,
} from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { ScrubStatusSchema } from '../../libs/gen/meridian/journal/v1/upkeep_pb.ts';
import type { Inspection } from '../../libs/lane/inspect.ts';
import type { HashedOrderMachine } from '../../libs/order/machine.ts';
import type { LatencySnapshot } from '../../libs/telemetry/latency.ts';
import type { Clocks } from './clocks.ts';
import type { JournalConfig } from './config.ts';
import type { DiskUsage } from './disk-usage.ts';
import type { ReleaseComparison } from './release-comparison.ts';
import type { ReleaseIndex } from './release-index.ts';
import type { ReleaseMarks } from '../../libs/order/release-marks.ts';
import { ORDER_RULES } from '../../libs/order/rules.ts';
import type { ScrubFigures } from './scrubber.ts';
import type { SpaceFigures } from './space-watch.ts';
import { VERSION } from './version.ts';
import type { Watermark } from './watermark.ts';

type ComparisonFigures = Pick<ReleaseComparison, 'divergences'>;

/** Findings in one status. */
const OPEN_MAX = 20;

export interface StatusSource {
  readonly config: JournalConfig;
  readonly inspect: () => Inspection;
  readonly watermark: Watermark;
  readonly index: ReleaseIndex;
  readonly order: HashedOrderMachine;
  readonly clocks: Clocks;
  readonly appendLatency: () => LatencySnapshot;
  readonly syncLatency: () => LatencySnapshot;
  readonly readLatency: () => LatencySnapshot;
  readonly disk: DiskUsage;
  readonly space: () => SpaceFigures;
  readonly upkeep: () => { readonly scrub: ScrubFigures; readonly comparison: ComparisonFigures };
  readonly marks: ReleaseMarks;
  /** Open append sessions, open reads, bytes of appends under way, entries still to execute. */
  readonly load: () => Load;
}

export interface Load {
  readonly sessions: number;
  readonly readers: number;
  readonly unansweredBytes: number;
  readonly backlogEntries: number;
}

/** Everything but the disk is of one moment. */
export async function statusOf(
  source: StatusSource,
): Promise<MessageInitShape<typeof StatusResponseSchema>> {
  const disk = await source.disk.figures();
  const { config, watermark, index, order, clocks } = source;
  const inspection = source.inspect();
  const load = source.load();
  return {
    cluster: config.cluster,
    instance: config.instance,
    replica: config.replica,
    region: config.region,
    version: VERSION,
    uptimeSeconds: process.uptime(),
    watermark: BigInt(watermark.value),
    lastTimestamp: BigInt(index.lastTimestamp),
    wallClock: BigInt(clocks.wall()),
    clockSafe: inspection.clockSafe,
    voting: inspection.voting,
    witness: config.witness,
    orderRules: ORDER_RULES,
    lanes: inspection.lanes.map((lane) => ({
      lane: lane.id,
      epoch: BigInt(lane.promised),
      writer: lane.writer ?? lane.id,
      lastIndex: BigInt(lane.last),
      syncedIndex: BigInt(lane.synced),
      committedIndex: BigInt(lane.committed),
      resolved: BigInt(lane.resolved),
      role: lane.role,
      firstIndex: BigInt(lane.base + 1),
    })),
    peers: inspection.peers.map((peer) => ({
      replica: peer.replica,
      heard: peer.heard,
      hearsUs: peer.hearsUs,
      roundTripSeconds: (peer.roundTripMicros ?? 0) / 1e6,
      clockOffsetSeconds: (peer.clockOffsetMicros ?? 0) / 1e6,
    })),
    streams: BigInt(order.streamCount),
    appendLatency: latencyOf(source.appendLatency()),
    syncLatency: latencyOf(source.syncLatency()),
    readLatency: latencyOf(source.readLatency()),
    releaseHash: order.hash(),
    releasedEntries: BigInt(index.count),
    disk: {
      totalBytes: BigInt(disk.totalBytes),
      freeBytes: BigInt(disk.freeBytes),
      logBytes: BigInt(disk.logBytes),
      segments: BigInt(disk.segments),
      space: source.space().space,
    },
    releasePoints: source.marks.list().map(({ entries, timestamp, hash }) => ({
      entries: BigInt(entries),
      timestamp: BigInt(timestamp),
      hash,
    })),
    sessions: BigInt(load.sessions),
    readers: BigInt(load.readers),
    unansweredBytes: BigInt(load.unansweredBytes),
    clock: BigInt(inspection.clock),
    queuedAppends: BigInt(inspection.queued),
    backlogEntries: BigInt(load.backlogEntries),
    upkeep: {
      scrub: scrubOf(source.upkeep().scrub),
      divergences: source.upkeep().comparison.divergences.map((one) => ({
        replica: one.replica,
        equalEntries: BigInt(one.equalEntries),
        differentEntries: BigInt(one.differentEntries),
        timestamp: BigInt(one.timestamp),
      })),
    },
  };
}

function scrubOf(figures: ScrubFigures): MessageInitShape<typeof ScrubStatusSchema> {
  const { passes, readBytes, found, repaired, open } = figures;
  return {
    passes: BigInt(passes),
    readBytes: BigInt(readBytes),
    found: BigInt(found),
    repaired: BigInt(repaired),
    open: open.slice(0, OPEN_MAX).map(({ file, offset, problem }) => {
      return { file, offset: BigInt(offset), problem };
    }),
  };
}

function latencyOf(snapshot: LatencySnapshot): MessageInitShape<typeof LatencySchema> {
  return {
    count: BigInt(snapshot.count),
    p50Seconds: snapshot.p50 / 1e6,
    p99Seconds: snapshot.p99 / 1e6,
    maxSeconds: snapshot.max / 1e6,
  };
}
