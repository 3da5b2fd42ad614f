/**
 * What is counted while records move: appends, batches, entries, syncs. Children of the metrics are
 * looked up here once, so that counting is an addition; nothing is allocated per append.
 */
import { Ack } from '../../libs/gen/meridian/journal/v1/journal_pb.ts';
import type { Counter, Family, Histogram, Registry } from '../../libs/telemetry/metrics.ts';
import { BYTES_BOUNDS, SECONDS_BOUNDS } from '../../libs/telemetry/metrics.ts';

/** Of consecutive appends with like outcomes, as the client is told. */
export interface AnsweredRun {
  readonly count?: number | undefined;
  readonly duplicate?: boolean | undefined;
  readonly failure?: { readonly reason?: string | undefined } | undefined;
}

type Outcomes = Readonly<Record<'appended' | 'duplicate' | 'failed', Counter>>;

const COUNT_BOUNDS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1024, 4096];

export class HotFigures {
  readonly #quorum: Outcomes;
  readonly #ordered: Outcomes;
  readonly #failures: Family<Counter>;
  readonly #ended: Family<Counter>;
  readonly #bytes: Counter;
  readonly #records: Counter;
  readonly #batchBytes: Histogram;
  readonly #latency: Histogram;
  readonly #sync: Histogram;
  readonly #slowSyncs: Counter;
  readonly #entryBytes: Histogram;
  readonly #entryBatches: Histogram;
  /** The largest of this process's life. */
  largestBatchBytes = 0;
  largestBatchRecords = 0;
  largestEntryBytes = 0;

  constructor(registry: Registry) {
    const appends = registry.counter({
      name: 'meridian_journal_appends_total',
      help: 'Appends answered, by kind of acknowledgement and by outcome; a duplicate had its effect before.',
      labels: ['ack', 'outcome'],
    });
    const outcomes = (ack: string): Outcomes => ({
      appended: appends.with(ack, 'appended'),
      duplicate: appends.with(ack, 'duplicate'),
      failed: appends.with(ack, 'failed'),
    });
    this.#quorum = outcomes('QUORUM');
    this.#ordered = outcomes('ORDERED');
    this.#failures = registry.counter({
      name: 'meridian_journal_append_failures_total',
      help: 'Appends that the order refused, by reason.',
      labels: ['reason'],
    });
    this.#ended = registry.counter({
      name: 'meridian_journal_append_sessions_ended_total',
      help: 'Append sessions that ended, by reason; OK when the client ended it.',
      labels: ['reason'],
    });
    this.#bytes = registry
      .counter({
        name: 'meridian_journal_append_bytes_total',
        help: 'Bytes of batches taken from clients.',
      })
      .with();
    this.#records = registry
      .counter({
        name: 'meridian_journal_append_records_total',
        help: 'Records in batches taken from clients.',
      })
      .with();
    this.#batchBytes = registry
      .histogram({
        name: 'meridian_journal_batch_bytes',
        help: 'Sizes of the batches of clients.',
        bounds: BYTES_BOUNDS,
      })
      .with();
    this.#latency = registry
      .histogram({
        name: 'meridian_journal_append_duration_seconds',
        help: 'From arrival to answer at this replica; of appends answered together, the oldest.',
        bounds: SECONDS_BOUNDS,
      })
      .with();
    this.#sync = registry
      .histogram({
        name: 'meridian_journal_sync_duration_seconds',
        help: 'From handing writes to the log to having them on disk.',
        bounds: SECONDS_BOUNDS,
      })
      .with();
    this.#slowSyncs = registry
      .counter({
        name: 'meridian_journal_slow_syncs_total',
        help: 'Syncs that took longer than slowSyncMs.',
      })
      .with();
    this.#entryBytes = registry
      .histogram({
        name: 'meridian_journal_entry_bytes',
        help: 'Sizes of the entries that this replica stamped.',
        bounds: BYTES_BOUNDS,
      })
      .with();
    this.#entryBatches = registry
      .histogram({
        name: 'meridian_journal_entry_batches',
        help: 'Batches per entry that this replica stamped: group commit.',
        bounds: COUNT_BOUNDS,
      })
      .with();
  }

  /** A batch of a client, checked and taken. */
  taken(bytes: number, records: number): void {
    this.#bytes.add(bytes);
    this.#records.add(records);
    this.#batchBytes.observe(bytes);
    if (bytes > this.largestBatchBytes) this.largestBatchBytes = bytes;
    if (records > this.largestBatchRecords) this.largestBatchRecords = records;
  }

  answered(ack: Ack | null, runs: readonly AnsweredRun[]): void {
    const outcomes = ack === Ack.QUORUM ? this.#quorum : this.#ordered;
    for (const { count = 0, duplicate = false, failure } of runs) {
      if (failure !== undefined) {
        outcomes.failed.add(count);
        this.#failures.with(failure.reason ?? '').add(count);
      } else if (duplicate) outcomes.duplicate.add(count);
      else outcomes.appended.add(count);
    }
  }

  sessionEnded(reason: string): void {
    this.#ended.with(reason).add();
  }

  append(micros: number): void {
    this.#latency.observe(micros / 1e6);
  }

  sync(micros: number, slow: boolean): void {
    this.#sync.observe(micros / 1e6);
    if (slow) this.#slowSyncs.add();
  }

  entry(bytes: number, batches: number): void {
    this.#entryBytes.observe(bytes);
    if (bytes > this.largestEntryBytes) this.largestEntryBytes = bytes;
    this.#entryBatches.observe(batches);
  }
}
