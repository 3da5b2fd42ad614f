/**
 * What a replica uses of each of its bounds at the moment. A bound that is added to the settings
 * (`limits.…Max`) without a use here does not compile.
 */
import type { JournalConfig } from './config.ts';

type Limits = JournalConfig['limits'];

/** Settings below which something is kept; the others are sizes that things are given, and paces. */
type Bound = Extract<keyof Limits, `${string}Max`>;

export type LimitUse = Readonly<
  Record<Bound | 'windowBytes' | 'checkpointBytes' | 'retentionBytes', number>
>;

export interface LimitUseSource {
  readonly limits: Pick<Limits, 'segmentBytes'>;
  readonly figures: {
    readonly largestBatchBytes: number;
    readonly largestBatchRecords: number;
    readonly largestEntryBytes: number;
  };
  readonly inspection: {
    readonly inflightBytes: number;
    readonly fedBytes: number;
    readonly lanes: readonly { readonly hot: number }[];
  };
  readonly sessions: { readonly count: number; readonly mostUnansweredBytes: number };
  readonly admission: { readonly bytes: number };
  readonly store: { readonly cachedBytes: number };
  readonly peers: readonly { readonly queuedBytes: number }[];
  readonly readers: { readonly count: number; readonly heldBytes: number };
  readonly actions: { readonly waitingCount: number };
  readonly driver: { readonly heartbeatCount: number };
  /** null: it does not listen. */
  readonly http: { readonly connectionCount: number; readonly readCount: number } | null;
  readonly checkpointer: { readonly bytesSinceLast: number };
  readonly log: { readonly segments: number };
}

export function limitUse(source: LimitUseSource): LimitUse {
  const { figures, inspection, sessions, readers, http } = source;
  return {
    batchBytesMax: figures.largestBatchBytes,
    recordsPerBatchMax: figures.largestBatchRecords,
    entryBytesMax: figures.largestEntryBytes,
    inflightBytesMax: inspection.inflightBytes,
    feedBytesMax: inspection.fedBytes,
    hotEntriesMax: Math.max(...inspection.lanes.map(({ hot }) => hot)),
    windowBytes: sessions.mostUnansweredBytes,
    unansweredBytesMax: source.admission.bytes,
    cacheBytesMax: source.store.cachedBytes,
    peerQueueBytesMax: Math.max(...source.peers.map(({ queuedBytes }) => queuedBytes)),
    readersMax: readers.count,
    readersBytesMax: readers.heldBytes,
    sessionsMax: sessions.count,
    actionsMax: source.actions.waitingCount,
    heartbeatsMax: source.driver.heartbeatCount,
    httpConnectionsMax: http?.connectionCount ?? 0,
    httpReadsMax: http?.readCount ?? 0,
    checkpointBytes: source.checkpointer.bytesSinceLast,
    retentionBytes: source.log.segments * source.limits.segmentBytes,
  };
}
