/**
 * Which released entries nobody may ask for any more: every record in them is trimmed from its stream,
 * or the journal's own retention, by bytes or by age, has passed over them. Without a setting and
 * without trims everything is kept. Only says so; what goes, and when, is the checkpointer's business.
 */
import type { OrderMachine } from '../../libs/order/types.ts';
import type { Log } from '../../libs/storage/log.ts';
import type { LaneStore } from './lane-store.ts';
import type { ReleaseIndex } from './release-index.ts';

export interface RetentionOptions {
  readonly order: Pick<OrderMachine, 'streams'>;
  readonly index: ReleaseIndex;
  readonly store: Pick<LaneStore, 'segmentOf'>;
  readonly log: Pick<Log, 'position'>;
  readonly segmentBytes: number;
  /** Bytes of log that are kept whatever is in them; 0: no bound, all of it is. */
  readonly retentionBytes: number;
  /** Age, in log time, up to which entries are kept; 0: no bound. */
  readonly retentionMicros: number;
  /** Log time. */
  readonly now: () => number;
  /** Runs the next part of a look through all streams; setImmediate. */
  readonly defer: (next: () => void) => void;
}

const STREAMS_PER_PART = 500;

export class Retention {
  readonly #options: RetentionOptions;

  constructor(options: RetentionOptions) {
    this.#options = options;
  }

  /** Calls `done` with the first ordinal that must stay, after a walk through all streams in parts. */
  frontier(done: (ordinal: number) => void): void {
    const byRetention = Math.max(this.#byAge(), this.#byBytes());
    const { order, index, defer } = this.#options;
    let trimmed = index.count;
    let after: string | null = null;
    const part = (): void => {
      const page = order.streams({ prefix: '', after, limit: STREAMS_PER_PART });
      for (const { name, firstSeqNum, nextSeqNum } of page.streams) {
        after = name;
        if (firstSeqNum === nextSeqNum) continue;
        const rows = index.rows(name);
        if (rows === null || rows.isEmpty) continue;
        trimmed = Math.min(trimmed, rows.ordinals.at(rows.rowOf(firstSeqNum)));
      }
      if (page.more && trimmed > byRetention && trimmed > index.first) defer(part);
      else done(Math.max(trimmed, byRetention));
    };
    part();
  }

  #byAge(): number {
    const { retentionMicros, index, now } = this.#options;
    if (retentionMicros === 0) return 0;
    return index.firstAtOrAbove(now() - retentionMicros);
  }

  /** Entries stand in the log about in the order of their release: near enough for a bound. */
  #byBytes(): number {
    const { retentionBytes, segmentBytes, index, store, log } = this.#options;
    if (retentionBytes === 0) return 0;
    const oldest = log.position.segment - Math.ceil(retentionBytes / segmentBytes);
    let low = index.first;
    let high = index.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const segment = store.segmentOf(index.laneAt(middle), index.indexAt(middle)) ?? 0;
      if (segment < oldest) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
