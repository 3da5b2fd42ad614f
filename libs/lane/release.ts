/**
 * The order as it becomes final (SPEC.md §5): concludes what is committed, resolves the lanes, and merges
 * what both allow into one sequence up to the minimum over the lanes (O4).
 */
import { Merge } from '../merge/merge.ts';
import type { PerReplica, Timestamp } from '../values/numbers.ts';
import { perReplica, REPLICAS } from '../values/numbers.ts';
import type { Context } from './context.ts';
import type { Home } from './home.ts';
import type { Lane } from './lane.ts';
import type { Append, Effects, Entry } from './types.ts';

export interface Releases<Content, A extends Append> {
  readonly acknowledged: Effects<Content, A>['acknowledged'][number][];
  readonly released: Effects<Content, A>['released'][number][];
  watermark: Timestamp;
}

export class Release<Content, A extends Append> {
  private readonly context: Context<Content, A>;
  private readonly lanes: PerReplica<Lane<Content, A>>;
  private readonly home: Home<Content, A>;
  private readonly merge = new Merge<Entry<Content>>(REPLICAS.length);
  /** Per lane, the last entry that the merge was given. */
  private readonly merged: [number, number, number];

  /** O5: whoever took the checkpoint had released up to `watermark`; no lane brings anything below any more. */
  constructor(
    context: Context<Content, A>,
    lanes: PerReplica<Lane<Content, A>>,
    home: Home<Content, A>,
    watermark: Timestamp,
  ) {
    this.context = context;
    this.lanes = lanes;
    this.home = home;
    this.merged = perReplica((lane) => lanes[lane].log.released.index);
    for (const lane of lanes) {
      lane.resolved = watermark;
      this.merge.close(lane.id, watermark);
    }
  }

  get watermark(): Timestamp {
    return this.merge.watermark as Timestamp;
  }

  /** Commits, resolves, merges: what became final is released in order. */
  run(effects: Releases<Content, A>): void {
    const { broken, self, settings } = this.context;
    for (const lane of this.lanes) {
      if (lane.isWriting()) this.announce(lane);
      lane.conclude();
      if (lane.id === self || broken.has('L5-sealer-appends')) {
        this.home.acknowledge(lane, effects.acknowledged);
      }
      lane.resolve();
      const { log } = lane;
      const final = broken.has('L3-release-unsynced') ? log.committed : log.final;
      for (let index = this.merged[lane.id] + 1; index <= final; index += 1) {
        const entry = log.entry(index);
        if (entry.kind === 'batches') this.merge.push(lane.id, entry.timestamp, entry);
      }
      this.merged[lane.id] = Math.max(final, this.merged[lane.id]);
      this.merge.close(lane.id, lane.resolved);
    }
    if (broken.has('O4-maximum')) {
      const highest = Math.max(...this.lanes.map((lane) => lane.resolved));
      for (const lane of this.lanes) this.merge.close(lane.id, highest);
    }
    this.merge.drain((entry) => {
      effects.released.push({ entry, appends: this.home.released(entry) });
    });
    effects.watermark = this.watermark;
    for (const { log } of this.lanes) {
      log.release(effects.watermark);
      log.cool(settings.hotEntriesMax);
    }
  }

  /** A writer's own word about its lane: nothing further at or below its clock (O2). */
  private announce(lane: Lane<Content, A>): void {
    const { broken, settings, clock } = this.context;
    const ahead = broken.has('O5-close-ahead') ? settings.sealTimeout : 0;
    const closed = (clock.ceiling + ahead) as Timestamp;
    const before = lane.announced;
    const index = lane.log.last;
    if (before?.epoch === lane.promised && before.closed >= closed && before.index === index)
      return;
    lane.announced = { lane: lane.id, epoch: lane.promised, closed, index, age: 0 };
    lane.learnOwn();
  }
}
