/**
 * Which released entries nobody may ask for any more: every record in them is trimmed from its stream,
 * or the journal's own retention, by bytes or by age, has passed over them. Without a setting and
 * without trims everything is kept. Only says so; what goes, and when, is the checkpointer's business.
 */
import type { OrderMachine } from '../../libs/order/types.ts';
import type { Log } from '../../libs/storage/log.ts';
import type { Index } from '../../libs/values/numbers.ts';
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
  /**
   * By peer and lane, the last entry that has left its log; null: it is not known. A witness has no archive
   * to wait for and lets go of what both others have let go of. null: it is none.
   */
  readonly followed: (() => readonly (readonly Index[] | null)[]) | null;
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
    const byRetention = Math.max(this.#byAge(), this.#byBytes(), this.#byPeers());
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
    return this.#firstNot((ordinal) => {
      const segment = store.segmentOf(index.laneAt(ordinal), index.indexAt(ordinal)) ?? 0;
      return segment < oldest;
    });
  }

  /** A peer's log begins with a checkpoint, so what has left it is what was released up to some entry. */
  #byPeers(): number {
    const { followed, index } = this.#options;
    const peers = followed?.() ?? [];
    if (peers.length === 0) return 0;
    return this.#firstNot((ordinal) => {
      const [lane, position] = [index.laneAt(ordinal), index.indexAt(ordinal)];
      return peers.every((bases) => position <= (bases?.[lane] ?? 0));
    });
  }

  /** The first ordinal without a property that all before it have, and none behind it. */
  #firstNot(holds: (ordinal: number) => boolean): number {
    const { index } = this.#options;
    let low = index.first;
    let high = index.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (holds(middle)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
