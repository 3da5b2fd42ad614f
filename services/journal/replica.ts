/**
 * One replica, put together: the only place where the cores meet disk, network and clocks. Owns the
 * order of starting (log, cores, servers, links) and of stopping (clients, links, log); each part's
 * behaviour stands in the part.
 */
import { MeridianError } from '../../libs/errors/errors.ts';
import { LaneCore } from '../../libs/lane/core.ts';
import { connect } from '../../libs/rpc/rpc.ts';
import type { Channel } from '../../libs/rpc/rpc.ts';
import type { Identity } from '../../libs/storage/log.ts';
import { Registry } from '../../libs/telemetry/metrics.ts';
import { addSecurityMetrics } from '../../libs/telemetry/security-metrics.ts';
import { Latency } from '../../libs/telemetry/latency.ts';
import type { Logger } from '../../libs/telemetry/logger.ts';
import { laneOf } from '../../libs/values/numbers.ts';
import type { ReplicaId } from '../../libs/values/numbers.ts';
import { Actions } from './actions.ts';
import { Admission } from './admission.ts';
import { openArchive } from './archive.ts';
import { addArchiveMetrics } from './archive-metrics.ts';
import { AppendTraces } from './append-traces.ts';
import { watchClockError } from './clock-error.ts';
import { systemClocks } from './clocks.ts';
import { laneSettings } from './config.ts';
import type { JournalConfig } from './config.ts';
import type { Frame, PendingAppend } from './content.ts';
import { DiskUsage } from './disk-usage.ts';
import { sectionsForPeer } from './checkpoint-sections.ts';
import { Driver } from './driver.ts';
import { EventLog } from './event-log.ts';
import { assembleEntry } from './entry-codec.ts';
import { openReplicaSecurity, replicaNamed } from './listeners.ts';
import { Health } from './health.ts';
import { HotFigures } from './hot-figures.ts';
import { addJournalMetrics } from './metrics.ts';
import { journalService } from './journal-service.ts';
import { limitUse } from './limit-use.ts';
import { Linearizer } from './linearizer.ts';
import { openReplicaLog } from './open-log.ts';
import { ownView } from './own-view.ts';
import { PathHistory } from './path-history.ts';
import { contentForPeers } from './peer-content.ts';
import { PeerQuestions } from './peer-questions.ts';
import { Peers } from './peers.ts';
import type { PeerAddress } from './peers.ts';
import { Ports } from './ports.ts';
import { Readers } from './readers.ts';
import { ReleaseMarks } from '../../libs/order/release-marks.ts';
import { Releaser } from './releaser.ts';
import { firstOutcome, knownToOrder, Sessions } from './sessions.ts';
import { spanExporter } from './span-exporter.ts';
import { streamService } from './stream-service.ts';
import { StateStory } from './state-story.ts';
import { Target } from './target.ts';
import { Upkeep } from './upkeep.ts';
import type { Restart } from './upkeep.ts';
import { Watermark } from './watermark.ts';

export interface Replica {
  readonly port: number;
  readonly peerPort: number;
  /** Answers what is under way, flushes and closes the log. */
  stop(): Promise<void>;
}

export interface ReplicaOptions {
  readonly config: JournalConfig;
  readonly logger: Logger;
  /** The replica's state is not to be trusted any more; must end the process. */
  readonly fatal: (error: unknown, what: string) => void;
  /** The replica must be stopped and started again. */
  readonly onRestart: (how: Restart) => void;
  /** The data is of no use any more: set it aside and begin anew. */
  readonly anew?: { readonly above: number } | null;
}

export function identityOf({ cluster, instance, replica, generation }: JournalConfig): Identity {
  return { cluster, instance, replica, generation };
}

export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const { config, logger, fatal } = options;
  const { limits, timings } = config;
  const security = openReplicaSecurity(config, logger);
  const self = config.replica;
  const target = new Target(config.cluster, config.instance);
  const clocks = systemClocks();
  let noSpace: (error: MeridianError) => void = (error) => {
    logger.error({ error }, 'the disk is full');
  };
  const opened = await openReplicaLog({
    directory: config.dataDirectory,
    identity: identityOf(config),
    self,
    segmentBytes: limits.segmentBytes,
    cacheBytesMax: limits.cacheBytesMax,
    wall: clocks.wall(),
    anew: options.anew ?? null,
    logger,
    onFatal: (error) => {
      fatal(error, 'the log cannot be written');
    },
    onNoSpace: (error) => {
      noSpace(error);
    },
  });
  const { log, state, head, recovered, order, index, store } = opened;
  const watermark = new Watermark(clocks.monotonic());
  watermark.publish(head.watermark, clocks.monotonic());
  const marks = new ReleaseMarks();
  const paths = new PathHistory();
  const releaser = new Releaser({
    order,
    index,
    store,
    watermark,
    clocks,
    onExecuted: (entries, timestamp) => {
      marks.released(entries, timestamp, () => order.hash());
      // Own entries of this life: those that are replayed lie below the reservation (T1).
      const isOwn = laneOf(timestamp) === self && timestamp > recovered.reservation;
      if (isOwn) paths.note(timestamp, forwardedVia());
    },
  });
  const core = new LaneCore<Frame, PendingAppend>({
    self,
    recovered,
    assemble: (header, appends) => {
      const entry = assembleEntry(header, appends);
      traces?.stamped(header, appends);
      figures.entry(entry.bytes, appends.length);
      return entry;
    },
    readBack: (lane, index) => store.readableEntry(lane, index),
    settings: laneSettings(config),
  });
  const spans = spanExporter(config);
  const traces =
    spans === null
      ? null
      : new AppendTraces({ sink: spans, replica: self, region: config.region, clocks });
  const registry = new Registry();
  const figures = new HotFigures(registry);
  const regionOf = (id: ReplicaId): string =>
    config.peers.find((peer) => peer.replica === id)?.region ?? config.region;
  const forwardedVia = (): string => {
    const via = core.forwardedVia();
    return via === null ? '' : regionOf(via);
  };
  const told = new EventLog(logger, () => clocks.wall());
  const story = new StateStory({
    logger: told,
    self,
    regionOf,
    forwardedVia,
    noQuorumMicros: timings.noQuorumMs * 1000,
    slowSyncMicros: timings.slowSyncMs * 1000,
  });
  const syncLatency = new Latency();
  const appendLatency = new Latency();
  const readLatency = new Latency();
  const driver = new Driver({
    core,
    log,
    store,
    state,
    releaser,
    clocks,
    tickMs: timings.tickMs,
    heartbeatsMax: limits.heartbeatsMax,
    send: (to, packet) => {
      peers.send(to, packet);
    },
    synced: (micros) => {
      syncLatency.record(micros);
      traces?.synced(micros);
      figures.sync(micros, story.synced(clocks.monotonic(), micros));
    },
    afterStep: () => {
      health.look(clocks.monotonic(), releaser.backlogCount === 0);
      readers.pump();
      upkeep.look(clocks.monotonic());
    },
    onFatal: (error) => {
      fatal(error, 'the replica cannot go on');
    },
  });
  const archive = await openArchive({
    config,
    opened,
    watermark,
    checkpointer: () => upkeep.checkpointer,
    logger,
  });
  const dial = ({ region, address }: PeerAddress): Channel =>
    connect(address, {}, security?.to(replicaNamed(config, region)) ?? null);
  const questions = new PeerQuestions({ target, self, peers: config.peers, dial, store, marks });
  const upkeep: Upkeep = new Upkeep({
    config,
    opened,
    archivedTo: () => archive?.archiver.archivedTo ?? Infinity,
    core,
    releaser,
    watermark,
    driver: () => driver,
    peers: () => peers,
    questions,
    self,
    logger,
    onRestart: options.onRestart,
    fatal,
  });
  const { space, checkpointer } = upkeep;
  noSpace = (error) => {
    space.refused(error);
  };
  const linearizer = new Linearizer(driver, watermark, timings.heartbeatTimeoutMs, (micros) => {
    readLatency.record(micros);
  });
  const readers = new Readers({
    target,
    index,
    store,
    order,
    watermark,
    history: archive?.history ?? null,
    clocks,
    linearizer,
    readersMax: limits.readersMax,
    chunkBytes: limits.chunkBytes,
    progressMicros: timings.progressMs * 1000,
    stalledMicros: timings.stalledMs * 1000,
    slowReaderMicros: timings.slowReaderMs * 1000,
    readersBytesMax: limits.readersBytesMax,
    onUnreadable: (error) => {
      logger.error({ error }, 'stored bytes cannot be read back');
    },
  });
  const admission = new Admission(limits.unansweredBytesMax);
  const actions = new Actions({
    waitingMax: limits.actionsMax,
    timeoutMs: timings.heartbeatTimeoutMs,
    admission,
    watermark,
    clocks,
    obstacle: () => health.obstacle() ?? space.obstacle(true),
    submit: (append) => {
      driver.submit(append);
    },
  });
  const sessions = new Sessions(
    {
      target,
      region: config.region,
      limits: { batchBytesMax: limits.batchBytesMax, recordsMax: limits.recordsPerBatchMax },
      windowBytes: limits.windowBytes,
      admission,
      obstacle: () => health.obstacle() ?? space.obstacle(),
      submit: (append) => {
        traces?.arrived(append);
        driver.submit(append);
      },
      knownToOrder: (append) => knownToOrder(order, append),
      firstOutcome: (append, outcome) => firstOutcome(order, append, outcome),
      demandsToken: (stream) => order.demandsToken(stream),
      retiredFrom: () => order.retiredFrom,
      answered: (session) => {
        driver.answered(session);
      },
      latency: (startedAt) => {
        const took = clocks.monotonic() - startedAt;
        appendLatency.record(took);
        figures.append(took);
      },
      now: () => clocks.monotonic(),
      forwardedVia,
      figures,
    },
    limits.sessionsMax,
  );
  const peers: Peers = new Peers({
    target,
    self,
    peers: config.peers,
    dial,
    queuedBytesMax: limits.peerQueueBytesMax,
    baseCheckpoint: () => {
      const { base } = checkpointer;
      return base === null ? null : sectionsForPeer(log.readCheckpoint(base.number));
    },
    contentOf: contentForPeers(store, fatal),
    questions,
    onPacket: (from, packet) => {
      traces?.received(packet);
      driver.receive(from, packet);
    },
    onLinked: (peer) => {
      driver.connected(peer);
    },
    onChange: (peer, error) => {
      const fields = { peer, region: regionOf(peer) };
      if (error === null) told.info(fields, 'the link from the peer is up');
      else {
        driver.disconnected(peer);
        const { reason, message: why } = error;
        told.warn({ ...fields, reason, why }, 'the link from the peer is down');
      }
    },
    view: () => ownView(viewSource),
  });
  const health = new Health({
    self,
    inspect: () => {
      const inspection = core.inspect();
      story.look(clocks.monotonic(), inspection);
      return inspection;
    },
    noQuorumMicros: timings.noQuorumMs * 1000,
    onServing: (serving) => {
      ports?.setServing(serving);
      told.info({ serving, watermark: watermark.value }, serving ? 'serving' : 'not serving');
    },
    onNoQuorum: () => {
      const message = 'this replica hears neither of the others any more';
      sessions.abandonWaiting(message);
      actions.abandonWaiting(message);
    },
  });
  const disk = new DiskUsage(config.dataDirectory);
  const statusSource = {
    config,
    inspect: () => core.inspect(),
    watermark,
    index,
    order,
    clocks,
    appendLatency: () => appendLatency.snapshot(),
    syncLatency: () => syncLatency.snapshot(),
    readLatency: () => readLatency.snapshot(),
    disk,
    space: () => space.figures,
    upkeep: () => upkeep,
    marks,
    load: () => ({
      sessions: sessions.count,
      readers: readers.count,
      unansweredBytes: admission.bytes,
      backlogEntries: releaser.backlogCount,
    }),
  };
  const obstacle = (): MeridianError | null => health.obstacle();
  const viewSource = { status: statusSource, obstacle, forwardedVia, told, readers };
  const service = journalService({
    target,
    order,
    watermark,
    linearizer,
    readers,
    openSession: (stream) => {
      sessions.open(stream);
    },
    status: statusSource,
    locate: { inspect: () => core.inspect(), index, order, store, self, paths },
  });

  const streams = streamService({
    target,
    order,
    watermark,
    linearizer,
    actions,
    clocks,
    stalledMicros: timings.stalledMs * 1000,
  });

  addJournalMetrics(registry, {
    config,
    clocks,
    inspect: () => core.inspect(),
    watermark: () => watermark.value,
    serving: () => health.serving,
    forwardedVia,
    log: () => log.stats,
    disk: () => disk.figures(),
    space: () => space.figures,
    upkeep: () => upkeep,
    peers: () => peers.figures(),
    reads: readers.figures,
    spans: spans?.figures ?? null,
    events: story.events,
    limitUse: () =>
      limitUse({
        limits,
        figures,
        sessions,
        admission,
        store,
        readers,
        actions,
        driver,
        checkpointer,
        inspection: core.inspect(),
        peers: peers.figures(),
        http: ports?.http ?? null,
        log: log.stats,
      }),
    load: () => ({
      sessions: sessions.count,
      reads: readers.count,
      readerBytes: readers.heldBytes,
      unansweredBytes: admission.bytes,
      cachedBytes: store.cachedBytes,
      heartbeats: driver.heartbeatCount,
      backlogEntries: releaser.backlogCount,
      released: index.count,
      streams: order.streamCount,
      steps: driver.steps,
    }),
  });
  addSecurityMetrics(registry, {
    ports: () => ({ clients: ports?.forClients ?? null, peers: ports?.forPeers ?? null }),
    security,
    limits: { ...config.connections, ...config.access },
  });
  addArchiveMetrics(registry, config, { index, watermark }, archive);
  let ports: Ports | null = null;
  try {
    ports = await Ports.open({
      config,
      security,
      logger,
      fatal,
      registry,
      health,
      peers: peers.service,
      journal: service,
      streams,
      console: {
        cluster: config.cluster,
        instance: config.instance,
        self,
        regionOf,
        ownView: () => ownView(viewSource),
        peerView: (peer, deadlineMs) => peers.view(peer, deadlineMs),
      },
    });
  } catch (error) {
    await log.close();
    throw error;
  }
  driver.start();
  upkeep.start();
  const clockError = watchClockError(config, logger, (micros) => {
    driver.clockError(micros);
  });
  peers.start();
  archive?.archiver.start();
  const open = ports;
  const { port } = open.forClients;
  const peerPort = open.forPeers.port;
  const httpPort = open.http?.port;
  const { witness } = config;
  logger.info({ port, peerPort, httpPort, voting: recovered.voting, witness }, 'started');

  return {
    port,
    peerPort,
    stop: async () => {
      const error = new MeridianError('UNAVAILABLE', 'the replica is going down');
      open.setServing(false);
      readers.stop(error);
      await sessions.stop(error, timings.drainMs);
      actions.abandonWaiting(error.message);
      await open.closeToClients();
      peers.stop();
      clockError?.stop();
      archive?.stop();
      driver.stop();
      await open.closeToPeers();
      await spans?.close();
      await open.closeToKeepers();
      await upkeep.stop();
      await log.close();
    },
  };
}
