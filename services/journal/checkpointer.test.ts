/**
 * A replica's checkpoints over a real directory: entries are written and executed as the driver does
 * it, the core is only asked for its marks. The directory is copied where a kill could strike, and
 * every copy must open to the same state.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { encodeEntry } from '../../libs/frames/entry.ts';
import { LaneLog, ORIGIN } from '../../libs/lane/lane-log.ts';
import type { Mark } from '../../libs/lane/types.ts';
import type { Log } from '../../libs/storage/log.ts';
import { createLogger } from '../../libs/telemetry/logger.ts';
import { at } from '../../libs/values/assert.ts';
import { epoch, index, micros, timestamp } from '../../libs/values/numbers.ts';
import { REPLICAS } from '../../libs/values/numbers.ts';
import type { Timestamp } from '../../libs/values/numbers.ts';
import { Checkpointer } from './checkpointer.ts';
import type { Frame, JournalEntry } from './content.ts';
import { openReplicaLog } from './open-log.ts';
import type { OpenedLog } from './open-log.ts';
import { appendWrite, makeLog } from './recovery.ts';
import { Releaser } from './releaser.ts';
import { Watermark } from './watermark.ts';

const identity = { cluster: 'c', instance: 'i', replica: 1, generation: 1 };
const logger = createLogger({ service: 'test', region: 'r', level: 'silent' });
const SEGMENT_BYTES = 8192;

let root = '';
let data = '';
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'meridian-checkpointer-'));
  data = join(root, 'data');
  await makeLog({ directory: data, identity, self: 1, incarnation: 77, voting: true });
});
afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const clocks = { monotonic: () => micros(0), wall: () => 0 };

/** What a driver would be, with the logs of a core of which only lane 1 has entries. */
class Half {
  readonly opened: OpenedLog;
  readonly lanes: readonly LaneLog<Frame>[];
  readonly checkpointer: Checkpointer;
  frontier = 0;
  hasRoom = true;
  trimmed: readonly Mark[] | null = null;
  /** Before anything is deleted. */
  onDelete: () => void = () => undefined;
  readonly releaser: Releaser;

  constructor(opened: OpenedLog) {
    this.opened = opened;
    const { log, state, head, order, store, recovered } = opened;
    this.lanes = REPLICAS.map(
      (lane) => new LaneLog(at(recovered.lanes, lane), (slot) => store.entry(lane, slot)),
    );
    const watermark = new Watermark(micros(0));
    const rows = opened.index;
    this.releaser = new Releaser({ order, index: rows, store, watermark, clocks });
    const spied = new Proxy(log, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        return (...parameters: unknown[]): unknown => {
          if (name === 'dropCheckpoint' || name === 'dropBefore') this.onDelete();
          return (value as (...given: unknown[]) => unknown).apply(target, parameters);
        };
      },
    });
    this.checkpointer = new Checkpointer({
      core: {
        checkpoint: () => ({
          watermark: this.watermark,
          lanes: this.lanes.map((lane) => {
            const { base, released } = lane;
            return { base, released, epochs: lane.epochsUpTo(released.index) };
          }),
        }),
      },
      log: spied,
      state,
      head,
      order,
      index: rows,
      store,
      releaser: this.releaser,
      everyBytes: 4096,
      segmentBytes: SEGMENT_BYTES,
      space: { space: 'ample', hasRoom: () => this.hasRoom },
      frontier: (done) => {
        done(this.frontier);
      },
      onTrimmed: (bases) => {
        this.trimmed = bases;
        bases.forEach((base, lane) => {
          at(this.lanes, lane).trim(base);
        });
      },
      onResumed: () => undefined,
      logger,
    });
    // What a core does with what it finds: here everything in the log is committed.
    this.release(at(this.lanes, 1).last);
  }

  static async open(directory = data): Promise<Half> {
    return new Half(
      await openReplicaLog({
        directory,
        identity,
        self: 1,
        segmentBytes: SEGMENT_BYTES,
        cacheBytesMax: 1 << 20,
        wall: 99,
        logger,
        onFatal: (error) => {
          throw error;
        },
        anew: null,
        onNoSpace: (error) => {
          throw error;
        },
      }),
    );
  }

  get watermark(): Timestamp {
    return this.opened.index.lastTimestamp;
  }

  write(count: number): void {
    const { log, store, state } = this.opened;
    const lane = at(this.lanes, 1);
    for (let i = 0; i < count; i += 1) {
      const entry = entryOf(lane.last + 1);
      lane.append(entry, 0);
      appendWrite(log, store, state, { type: 'entry', entry });
    }
  }

  release(to: number): void {
    const lane = at(this.lanes, 1);
    lane.persisted(0);
    const from = lane.released.index + 1;
    lane.commit(to);
    const released = [];
    for (let slot = from; slot <= to; slot += 1) {
      released.push({ entry: lane.entry(slot), appends: null });
    }
    const { timestamp: time } = released.at(-1)?.entry ?? ORIGIN;
    this.releaser.add(released, Math.max(time, this.watermark) as Timestamp);
    while (this.releaser.run());
    lane.release(this.watermark);
    lane.cool(0);
  }

  /** Takes a checkpoint and waits for it. */
  async take(): Promise<void> {
    const before = this.checkpointer.last?.number ?? 0;
    expect(this.checkpointer.take()).toBe(true);
    while ((this.checkpointer.last?.number ?? 0) === before) await turn();
    while (!this.isIdle) await turn();
  }

  get isIdle(): boolean {
    return this.checkpointer.isIdle;
  }

  get log(): Log {
    return this.opened.log;
  }

  close(): Promise<void> {
    return this.log.close();
  }

  /** Everything that a reader or a client could ask of it. */
  get story(): object {
    const { index: rows, order, store } = this.opened;
    const contents: number[] = [];
    for (let ordinal = rows.first; ordinal < rows.count; ordinal += 1) {
      contents.push(store.content(rows.laneAt(ordinal), rows.indexAt(ordinal)).length);
    }
    const stream = rows.rows('s0');
    return {
      hash: order.hash(),
      count: rows.count,
      last: rows.lastTimestamp,
      tail: order.stream('s0')?.nextSeqNum,
      row: stream?.firstSeqNumIn(stream.ordinals.at(stream.ordinals.length - 1)),
      contents: contents.slice(-3),
    };
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function entryOf(slot: number): JournalEntry {
  const header = {
    lane: 1 as const,
    epoch: epoch(slot < 20 ? 9 : 17),
    index: index(slot),
    timestamp: timestamp(slot * 8 + 1),
    kind: 'batches' as const,
  };
  const body = Buffer.alloc(200 + (slot % 5) * 50, slot);
  const content = encodeEntry(header, [
    encodeBatch({ stream: `s${slot % 3}`, records: [{ body }, { body }] }),
  ]);
  return { ...header, bytes: content.length, content };
}

describe('a replica with checkpoints', () => {
  it('goes on where it was, reading only what followed', async () => {
    const first = await Half.open();
    first.write(60);
    first.release(50);
    await first.take();
    first.write(10);
    first.release(70);
    const { story } = first;
    await first.close();
    const again = await Half.open();
    expect(again.opened.head.count).toBe(50);
    expect(again.log.stats.recoveredFrames).toBeLessThan(45);
    expect(again.story).toEqual(story);
    expect(at(again.lanes, 1).agreement({ epoch: epoch(9), index: index(99) }).index).toBe(19);
    expect(again.opened.recovered).toMatchObject({ voting: true, incarnation: 77 });
    await again.close();
  });

  it('takes none that the disk has no room for', async () => {
    const first = await Half.open();
    first.write(60);
    first.release(60);
    first.hasRoom = false;
    first.checkpointer.look(micros(1_000_000));
    expect(first.checkpointer.isIdle).toBe(true);
    await first.close();
    expect(first.log.checkpoints).toEqual([]);
    const again = await Half.open();
    again.checkpointer.look(micros(1_000_000));
    expect(again.checkpointer.isIdle).toBe(false);
    await again.checkpointer.stop();
    await again.close();
  });

  it('falls back to the checkpoint before, and to the whole log', async () => {
    const first = await Half.open();
    for (let round = 0; round < 3; round += 1) {
      first.write(20);
      first.release(20 * (round + 1));
      await first.take();
    }
    const { story } = first;
    expect(first.log.checkpoints).toHaveLength(3);
    await first.close();
    for (const count of [60, 40, 20, 0]) {
      const again = await Half.open();
      expect(again.opened.head.count).toBe(count);
      expect(again.story).toEqual(story);
      const newest = again.log.checkpoints.at(-1);
      await again.close();
      if (newest === undefined) continue;
      rmSync(join(data, `checkpoint-${String(newest).padStart(10, '0')}`));
    }
  });

  it('lets old log go behind its base, and opens to the same wherever it is killed', async () => {
    const first = await Half.open();
    const copies: { directory: string; story: object }[] = [];
    first.onDelete = () => {
      const directory = join(root, `copy-${copies.length}`);
      cpSync(data, directory, { recursive: true });
      copies.push({ directory, story: first.story });
    };
    for (let round = 1; round <= 6; round += 1) {
      first.write(40);
      first.release(40 * round);
      first.frontier = 40 * (round - 2) + 7;
      await first.take();
    }
    first.onDelete();
    expect(first.checkpointer.base?.head.count).toBe(160);
    expect(first.opened.index.first).toBe(160);
    expect(first.trimmed?.[1]?.index).toBe(160);
    expect(first.log.stats.firstSegment).toBeGreaterThan(4);
    expect(first.log.checkpoints).toHaveLength(3);
    await first.close();
    expect(copies.length).toBeGreaterThanOrEqual(8);
    for (const { directory, story } of copies) {
      const again = await Half.open(directory);
      expect(again.story).toEqual(story);
      const { index: rows, store } = again.opened;
      // Nothing is offered whose bytes are gone.
      for (let ordinal = rows.first; ordinal < rows.count; ordinal += 1) {
        expect(store.content(rows.laneAt(ordinal), rows.indexAt(ordinal)).length).toBeGreaterThan(
          9,
        );
      }
      await again.close();
    }
  });

  it('takes one by itself after so much log, counting what was replayed', async () => {
    const first = await Half.open();
    first.write(3);
    first.release(3);
    first.checkpointer.look(micros(1_000_000));
    expect(first.isIdle).toBe(true);
    first.write(9);
    first.release(12);
    first.checkpointer.look(micros(2_000_000));
    expect(first.isIdle).toBe(false);
    await first.checkpointer.stop();
    expect(first.log.checkpoints).toEqual([1]);
    await first.close();
  });

  it('does not take one while something released waits to be executed', async () => {
    const first = await Half.open();
    first.write(5);
    first.release(4);
    first.releaser.paused = true;
    first.releaser.add([{ entry: at(first.lanes, 1).entry(5), appends: null }], first.watermark);
    expect(first.checkpointer.take()).toBe(false);
    await first.close();
  });

  it('sets damaged data aside and begins anew without a vote', async () => {
    const first = await Half.open();
    first.write(60);
    await first.close();
    rmSync(join(data, '0000000002.log'));
    const again = await Half.open();
    expect(again.opened.recovered).toMatchObject({ voting: false, incarnation: 99 });
    expect(at(again.lanes, 1).last).toBe(0);
    await again.close();
  });
});
