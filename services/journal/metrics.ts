/**
 * What a replica knows of itself anyway, as metrics: read when somebody scrapes, never kept. METRICS.md
 * (libs/telemetry) lists all of them with their meaning; a test keeps the list and the dashboard true.
 */
import type { Inspection } from '../../libs/lane/inspect.ts';
import type { LogStats } from '../../libs/storage/log.ts';
import { addLimits } from '../../libs/telemetry/limits.ts';
import type { Registry } from '../../libs/telemetry/metrics.ts';
import type { SpanFigures } from '../../libs/telemetry/spans.ts';
import type { Clocks } from './clocks.ts';
import type { JournalConfig } from './config.ts';
import type { DiskFigures } from './disk-usage.ts';
import type { LimitUse } from './limit-use.ts';
import type { PeerFigures } from './peers.ts';
import type { ReaderFigures } from './readers.ts';
import type { ReleaseComparison } from './release-comparison.ts';
import type { ScrubFigures } from './scrubber.ts';
import type { SpaceFigures } from './space-watch.ts';
import type { LaneEvents } from './state-story.ts';

/** Where a bound stands at the moment. */
export interface Load {
  readonly sessions: number;
  readonly reads: number;
  readonly readerBytes: number;
  readonly unansweredBytes: number;
  readonly cachedBytes: number;
  readonly heartbeats: number;
  readonly backlogEntries: number;
  readonly released: number;
  readonly streams: number;
  readonly steps: number;
}

export interface JournalMetricsSource {
  readonly config: Pick<
    JournalConfig,
    'cluster' | 'instance' | 'replica' | 'region' | 'witness' | 'limits'
  >;
  readonly clocks: Pick<Clocks, 'wall'>;
  readonly inspect: () => Inspection;
  readonly watermark: () => number;
  readonly serving: () => boolean;
  readonly forwardedVia: () => string;
  readonly load: () => Load;
  readonly limitUse: () => LimitUse;
  readonly log: () => LogStats;
  readonly disk: () => Promise<DiskFigures>;
  readonly space: () => SpaceFigures;
  readonly upkeep: () => {
    readonly scrub: ScrubFigures;
    readonly comparison: Pick<ReleaseComparison, 'divergences' | 'comparisons'>;
  };
  readonly peers: () => readonly PeerFigures[];
  readonly reads: ReaderFigures;
  readonly events: LaneEvents;
  /** null: traces go nowhere. */
  readonly spans: SpanFigures | null;
}

const J = 'meridian_journal';

export function addJournalMetrics(registry: Registry, source: JournalMetricsSource): void {
  const { config, load, reads } = source;
  const gauge = (name: string, help: string, value: () => number | null): void => {
    registry.read('gauge', { name: `${J}_${name}`, help }, (emit) => {
      emit(value());
    });
  };
  const total = (name: string, help: string, value: () => number): void => {
    registry.read('counter', { name: `${J}_${name}_total`, help }, (emit) => {
      emit(value());
    });
  };
  const lag = (timestamp: number): number => (source.clocks.wall() - timestamp) / 1e6;

  registry.read(
    'gauge',
    {
      name: `${J}_info`,
      help: 'Always 1; the labels say which replica this is.',
      labels: ['cluster', 'instance', 'replica', 'region'],
    },
    (emit) => {
      emit(1, config.cluster, config.instance, config.replica, config.region);
    },
  );
  gauge('serving', '1: does its work: takes appends and reads, or as a witness votes.', () =>
    Number(source.serving()),
  );
  gauge('witness', '1: only votes, serves no clients.', () => Number(config.witness));
  gauge('voting', '0: recovering, takes no part in any quorum.', () => {
    return Number(source.inspect().voting);
  });
  gauge('clock_safe', '0: the clock is out of bounds and stamps nothing.', () => {
    return Number(source.inspect().clockSafe);
  });
  gauge('clock_ahead_seconds', 'Hybrid logical clock minus wall clock.', () => {
    return -lag(source.inspect().clock);
  });
  gauge('watermark_timestamp_seconds', 'Everything up to here is final and visible.', () => {
    return source.watermark() / 1e6;
  });
  gauge('watermark_lag_seconds', 'Wall clock minus watermark.', () => {
    return source.watermark() === 0 ? null : lag(source.watermark());
  });
  total('released_entries', 'Entries released since the beginning of the journal.', () => {
    return load().released;
  });
  gauge('backlog_entries', 'Entries that may be released and are not executed yet.', () => {
    return load().backlogEntries;
  });
  gauge('queued_appends', 'Appends that wait to be stamped.', () => source.inspect().queued);
  gauge('streams', 'Streams that exist.', () => load().streams);
  gauge('sessions', 'Open append sessions.', () => load().sessions);
  gauge('unanswered_bytes', 'Bytes of appends between arrival and release.', () => {
    return load().unansweredBytes;
  });
  gauge('cached_bytes', 'Newest entries in memory.', () => load().cachedBytes);
  gauge('heartbeats', 'Heartbeats under way.', () => load().heartbeats);
  total('steps', 'Steps of the lane core.', () => load().steps);

  gauge('reads', 'Open reads.', () => load().reads);
  gauge('reader_waiting_bytes', 'Bytes that wait for the clients of reads.', () => {
    return load().readerBytes;
  });
  total('reads_opened', 'Reads taken.', () => reads.opened);
  total('reads_refused', 'Reads refused because readersMax were open.', () => reads.refused);
  total('reads_cut_off', 'Reads ended as SLOW_READER.', () => reads.cutOff);
  total('read_bytes', 'Bytes of deliveries written to the clients of reads.', () => reads.bytes);
  total('read_batches', 'Batches written to the clients of reads.', () => reads.batches);
  total('read_shared_chunks', 'Messages to readers that were made for another one before.', () => {
    return reads.sharedChunks;
  });
  registry.read(
    'counter',
    {
      name: `${J}_trace_spans_total`,
      help: 'Spans of traces: exported, failed on the way, dropped because too many waited.',
      labels: ['outcome'],
    },
    (emit) => {
      if (source.spans === null) return;
      const { exported, failed, dropped } = source.spans;
      emit(exported, 'exported');
      emit(failed, 'failed');
      emit(dropped, 'dropped');
    },
  );
  addLanes(registry, source, lag);
  addPeers(registry, source);
  addDisk(registry, source);
  total('scrub_passes', 'Times that everything old on the disk was read.', () => {
    return source.upkeep().scrub.passes;
  });
  total('scrub_read_bytes', 'Bytes of old log and checkpoints read to find damage.', () => {
    return source.upkeep().scrub.readBytes;
  });
  total(
    'scrub_found',
    'Damaged segments and checkpoints found.',
    () => source.upkeep().scrub.found,
  );
  total('scrub_repaired', 'Of these, repaired.', () => source.upkeep().scrub.repaired);
  total('release_comparisons', 'Comparisons of released hashes with a peer.', () => {
    return source.upkeep().comparison.comparisons;
  });
  gauge('release_divergences', 'Peers that have released something different: must be 0.', () => {
    return source.upkeep().comparison.divergences.length;
  });
  gauge(
    'scrub_open',
    'Damaged and not repaired at the moment.',
    () => source.upkeep().scrub.open.length,
  );
  addLimits(registry, { prefix: J, limits: config.limits, used: source.limitUse });
}

function addLanes(
  registry: Registry,
  { inspect, events }: JournalMetricsSource,
  lag: (timestamp: number) => number,
): void {
  type Lane = Inspection['lanes'][number];
  const each = (name: string, help: string, value: (lane: Lane) => number | null): void => {
    registry.read('gauge', { name: `${J}_lane_${name}`, help, labels: ['lane'] }, (emit) => {
      for (const lane of inspect().lanes) emit(value(lane), lane.id);
    });
  };
  each('epoch', 'Highest promised epoch of the lane.', ({ promised }) => promised);
  each('sealed', '1: written by another replica than its home.', ({ id, writer }) => {
    return writer === null ? null : Number(writer !== id);
  });
  each('last_index', 'Last entry in the log.', ({ last }) => last);
  each('synced_index', 'Last entry on disk here.', ({ synced }) => synced);
  each('committed_index', 'Last entry known to be on two disks.', ({ committed }) => committed);
  each(
    'resolved_lag_seconds',
    'Wall clock minus the timestamp up to which the lane is known.',
    (lane) => (lane.resolved === 0 ? null : lag(lane.resolved)),
  );
  registry.read(
    'counter',
    {
      name: `${J}_lane_changes_total`,
      help: 'Changes of a lane’s writer seen here: open by its home, seal by another.',
      labels: ['lane', 'kind'],
    },
    (emit) => {
      events.opens.forEach((count, lane) => {
        emit(count, lane, 'open');
      });
      events.seals.forEach((count, lane) => {
        emit(count, lane, 'seal');
      });
    },
  );
}

function addPeers(registry: Registry, source: JournalMetricsSource): void {
  type Peer = Inspection['peers'][number];
  const labels = ['peer'];
  const each = (name: string, help: string, value: (peer: Peer) => number | null): void => {
    registry.read('gauge', { name: `${J}_peer_${name}`, help, labels }, (emit) => {
      for (const peer of source.inspect().peers) emit(value(peer), peer.replica);
    });
  };
  each('heard', '1: something arrived directly a moment ago.', ({ heard }) => Number(heard));
  each('hears_this', '1: the peer says that it hears this replica.', ({ hearsUs }) =>
    Number(hearsUs),
  );
  each('round_trip_seconds', 'Smallest recent round trip.', ({ roundTripMicros }) =>
    roundTripMicros === null ? null : roundTripMicros / 1e6,
  );
  each('clock_offset_seconds', 'Wall clock of the peer minus ours.', ({ clockOffsetMicros }) =>
    clockOffsetMicros === null ? null : clockOffsetMicros / 1e6,
  );
  registry.read(
    'gauge',
    { name: `${J}_peer_linked`, help: '1: the peer listens to this replica.', labels },
    (emit) => {
      for (const { replica, linked } of source.peers()) emit(Number(linked), replica);
    },
  );
  registry.read(
    'gauge',
    { name: `${J}_peer_queue_bytes`, help: 'Bytes of packets that wait for the peer.', labels },
    (emit) => {
      for (const { replica, queuedBytes } of source.peers()) emit(queuedBytes, replica);
    },
  );
  registry.read(
    'counter',
    {
      name: `${J}_peer_dropped_packets_total`,
      help: 'Packets dropped because peerQueueBytesMax waited; they are sent again.',
      labels,
    },
    (emit) => {
      for (const { replica, dropped } of source.peers()) emit(dropped, replica);
    },
  );
  registry.read(
    'gauge',
    {
      name: `${J}_detour`,
      help: '1: this region forwards for a link that is down.',
      labels: ['via'],
    },
    (emit) => {
      const via = source.forwardedVia();
      if (via !== '') emit(1, via);
    },
  );
}

function addDisk(registry: Registry, { disk, log, space }: JournalMetricsSource): void {
  let figures: DiskFigures | null = null;
  registry.beforeScrape(async () => {
    figures = await disk();
  });
  const gauge = (name: string, help: string, value: (of: DiskFigures) => number): void => {
    registry.read('gauge', { name: `${J}_${name}`, help }, (emit) => {
      emit(figures === null ? null : value(figures));
    });
  };
  gauge(
    'disk_total_bytes',
    'Size of the file system of the data directory.',
    (of) => of.totalBytes,
  );
  gauge('disk_free_bytes', 'What the process may still take of it.', (of) => of.freeBytes);
  gauge('log_bytes', 'Bytes of the data directory.', (of) => of.logBytes);
  gauge('log_segments', 'Segments of the log.', (of) => of.segments);
  gauge('disk_full', '1: takes no appends for want of room; 2: nor entries of its peers.', () =>
    ['ample', 'low', 'none'].indexOf(space().space),
  );
  const total = (name: string, help: string, value: (of: LogStats) => number): void => {
    registry.read('counter', { name: `${J}_log_${name}_total`, help }, (emit) => {
      emit(value(log()));
    });
  };
  total('syncs', 'Syncs of the log.', ({ flushes }) => flushes);
  registry.read(
    'counter',
    {
      name: `${J}_log_refused_writes_total`,
      help: 'Writes that the disk refused for want of room; each is tried again.',
    },
    (emit) => {
      emit(space().refusedWrites);
    },
  );
  total('frames', 'Frames written to the log.', ({ frames }) => frames);
  total('written_bytes', 'Bytes written to the log.', ({ bytes }) => bytes);
  registry.read(
    'gauge',
    { name: `${J}_log_staged_bytes`, help: 'Handed to the log and not yet on disk.' },
    (emit) => {
      emit(log().stagedBytes);
    },
  );
}
