import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodeBatch } from '../../libs/frames/batch.ts';
import { encodeEntry } from '../../libs/frames/entry.ts';
import type { Recovered, Write } from '../../libs/lane/types.ts';
import { openLog } from '../../libs/storage/log.ts';
import type { Log } from '../../libs/storage/log.ts';
import { epoch, index, timestamp } from '../../libs/values/numbers.ts';
import type { Frame, JournalEntry } from './content.ts';
import type { LaneStore } from './lane-store.ts';
import { FRAME_TYPES, decodeWrite, encodeWrite } from './log-frames.ts';
import type { StateWrite } from './log-frames.ts';
import { LogState } from './log-state.ts';
import { Replay, appendWrite, makeLog, newLife } from './recovery.ts';

const identity = { cluster: 'c', instance: 'i', replica: 1, generation: 1 };
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'meridian-recovery-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

const onFatal = (error: Error): void => {
  throw error;
};

interface Opened {
  readonly log: Log;
  readonly store: LaneStore;
  readonly state: LogState;
  readonly recovered: Recovered<Frame>;
}

function open(): Opened {
  const replay = new Replay(1, 1 << 20);
  const log = openLog({ directory: join(directory, 'data'), identity, onFatal }, (frame) => {
    replay.take(frame);
  });
  const { store } = replay.loaded;
  store.readFrom(log);
  return { log, store, state: replay.state, recovered: replay.result(5) };
}

async function make(voting: boolean): Promise<void> {
  await makeLog({
    directory: join(directory, 'data'),
    identity,
    self: 1,
    incarnation: 77,
    voting,
  });
}

function entryOf(slot: number, writerEpoch: number): JournalEntry {
  const header = {
    lane: 1 as const,
    epoch: epoch(writerEpoch),
    index: index(slot),
    timestamp: timestamp(slot * 80 + writerEpoch),
    kind: 'batches' as const,
  };
  const content = encodeEntry(header, [
    encodeBatch({ stream: 's', records: [{ body: Buffer.from([slot]) }] }),
  ]);
  return { ...header, bytes: content.length, content };
}

describe('recovery', () => {
  it('lets the replica of a new instance vote, and one with a silently made directory not', async () => {
    await make(true);
    const first = open();
    expect(first.recovered).toMatchObject({
      voting: true,
      incarnation: 77,
      incarnations: [0, 77, 0],
    });
    await first.log.close();
    rmSync(join(directory, 'data'), { recursive: true });
    await make(false);
    const second = open();
    expect(second.recovered.voting).toBe(false);
    await second.log.close();
  });

  it('refuses to format a directory that holds a log', async () => {
    await make(true);
    await expect(make(true)).rejects.toThrow('already is the log');
  });

  it('starts the core with what it had written, truncations included', async () => {
    await make(false);
    const before = open();
    const writes: Write<Frame>[] = [
      { type: 'promise', lane: 1, epoch: epoch(9) },
      { type: 'reserve', timestamp: timestamp(5000) },
      { type: 'entry', entry: entryOf(1, 9) },
      { type: 'entry', entry: entryOf(2, 9) },
      { type: 'entry', entry: entryOf(3, 9) },
      { type: 'promise', lane: 1, epoch: epoch(17) },
      { type: 'truncate', lane: 1, from: index(2) },
      { type: 'entry', entry: entryOf(2, 17) },
      { type: 'life', replica: 2, incarnation: 4, life: 800, clock: 900 },
      { type: 'incarnation', replica: 2, incarnation: 99 },
      { type: 'life', replica: 2, incarnation: 99, life: 30, clock: 40 },
      { type: 'life', replica: 2, incarnation: 99, life: 30, clock: 50 },
      // As an earlier build wrote it, and as this one does.
      { type: 'life', replica: 1, incarnation: 77, life: 4, clock: 0 },
      { type: 'life', replica: 1, incarnation: 77, life: 6, clock: 6000 },
      { type: 'named', replica: 2, life: 4 },
      { type: 'recovered' },
    ];
    for (const write of writes) appendWrite(before.log, before.store, before.state, write);
    await before.log.close();

    const { log, store, recovered } = open();
    const lane = recovered.lanes[1];
    expect(lane?.promised).toBe(17);
    expect(lane?.entries.map((entry) => [entry.index, entry.epoch])).toEqual([
      [1, 9],
      [2, 17],
    ]);
    expect(recovered.reservation).toBe(5000);
    expect(recovered.incarnations).toEqual([0, 77, 99]);
    expect(recovered.voting).toBe(true);
    expect(recovered.life).toEqual({ number: 5, previous: 6 });
    expect(recovered.heard[2]).toEqual({ life: 30, clock: 50 });
    const births = [4, 6].map((life) => ({ life, reservation: life === 4 ? 5000 : 6000 }));
    expect(recovered.lineages).toEqual([[{ life: 0, reservation: 0 }, ...births], [], births]);
    expect(Buffer.from(store.content(1, index(2)))).toEqual(
      Buffer.from(entryOf(2, 17).content ?? []),
    );
    await log.close();
  });

  it('keeps lives in checkpoints, reads one of before there were any, and lowers nothing twice', () => {
    const state = new LogState(0);
    state.take({ type: 'incarnation', replica: 0, incarnation: 9 });
    const lives: StateWrite[] = [20, 30].map((life) => {
      return { type: 'life', replica: 0, incarnation: 9, life, clock: life + 10 };
    });
    for (const life of lives) state.take(life);
    state.take({ type: 'named', replica: 1, life: 20 });
    const copy = state.copy();
    const again = new LogState(0);
    again.load(copy);
    // Frames from before the checkpoint come once more.
    again.take({ type: 'incarnation', replica: 0, incarnation: 7 });
    again.take({ type: 'life', replica: 0, incarnation: 7, life: 99, clock: 99 });
    for (const life of lives) again.take(life);
    again.take({ type: 'named', replica: 1, life: 20 });
    expect(again.copy()).toEqual(copy);
    const { promised, reservation, incarnations, voting } = copy;
    again.load({ promised, reservation, incarnations, voting });
    expect(again.incarnationOf(0)).toBe(9);
  });

  it('goes back to a build that knows no lineage, and forth again', () => {
    const written: StateWrite = { type: 'named', replica: 1, life: 20 };
    const body = encodeWrite(written);
    // That build takes it for the life of an incarnation that nobody has.
    expect([FRAME_TYPES.named, body.length]).toEqual([FRAME_TYPES.life, 25]);
    expect(decodeWrite(FRAME_TYPES.life, body)).toEqual(written);
    const state = new LogState(0);
    state.take({ type: 'incarnation', replica: 0, incarnation: 9 });
    const { promised, reservation, incarnations, voting, heard } = state.copy();
    // Its checkpoint says nothing of a lineage; its lives are in the log.
    state.load({ promised, reservation, incarnations, voting, heard: [...heard] });
    for (const life of [20, 30]) {
      state.take({ type: 'life', replica: 0, incarnation: 9, life, clock: 0 });
    }
    expect(state.lineages[2]?.map(({ life }) => life)).toEqual([0, 20, 30]);
  });

  it('gives each start a number of its own, also where the wall clock stands behind', () => {
    const state = new LogState(1);
    state.take({ type: 'incarnation', replica: 1, incarnation: 9 });
    state.take({ type: 'life', replica: 1, incarnation: 9, life: 5000, clock: 0 });
    const numbers = Array.from({ length: 20 }, () => newLife(state, 1, 100));
    expect(Math.min(...numbers)).toBeGreaterThan(5000);
    expect(new Set(numbers).size).toBeGreaterThan(18);
    expect(newLife(state, 1, 9000)).toBeGreaterThan(9000);
  });
});
